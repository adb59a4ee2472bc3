//! What changes at run time counts at once: settings and partitions, as clients see it.

use super::rig::Rig;
use crate::api::produce::tests::{batch, to};
use crate::protocol::messages::create_partitions::{CreatePartitionsRequest, request as growth};
use crate::protocol::messages::describe_configs::{DescribeConfigsRequest, request as describe};
use crate::protocol::messages::incremental_alter_configs::{IncrementalAlterConfigsRequest, request as alter};
use crate::protocol::messages::metadata::MetadataRequest;

/// Sets one setting of a resource and returns the error.
fn set(rig: &mut Rig, kind: i8, name: &str, key: &str, value: Option<&str>) -> i16 {
    let config_operation = i8::from(value.is_none());
    let configs = vec![alter::Configs { name: key.into(), config_operation, value: value.map(Into::into) }];
    let resources = vec![alter::Resources { resource_type: kind, resource_name: name.into(), configs }];
    let request = IncrementalAlterConfigsRequest { resources, validate_only: false };
    rig.ask(&request, 1).responses[0].error_code
}

/// Value and source of one setting.
fn show(rig: &mut Rig, kind: i8, name: &str, key: &str) -> (Option<String>, i8) {
    let configuration_keys = Some(vec![key.into()]);
    let resources = vec![describe::Resources { resource_type: kind, resource_name: name.into(), configuration_keys }];
    let request = DescribeConfigsRequest { resources, ..DescribeConfigsRequest::default() };
    let config = rig.ask(&request, 4).results.remove(0).configs.remove(0);
    (config.value.as_deref().map(str::to_string), config.config_source)
}

/// Produces a batch of about 200 bytes and returns the error.
fn put(rig: &mut Rig, topic: &str, partition: i32) -> i16 {
    let records = batch(&[(None, Some(&[b'x'; 120]))]);
    let answer = rig.ask(&to(topic, -1, &[(partition, Some(records))]), 9);
    answer.responses[0].partition_responses[0].error_code
}

#[test]
fn a_topics_setting_counts_at_once() {
    let mut rig = Rig::new();
    rig.topic("t", 2, &[]);
    assert_eq!(put(&mut rig, "t", 0), 0);
    assert_eq!(set(&mut rig, 2, "t", "max.message.bytes", Some("100")), 0);
    assert_eq!((put(&mut rig, "t", 0), put(&mut rig, "t", 1)), (10, 10));
    assert_eq!(show(&mut rig, 2, "t", "max.message.bytes"), (Some("100".to_string()), 1));
    assert_eq!(set(&mut rig, 2, "t", "max.message.bytes", None), 0);
    assert_eq!(put(&mut rig, "t", 0), 0);
    assert_eq!(set(&mut rig, 2, "t", "message.timestamp.before.max.ms", Some("0")), 0);
    rig.advance(1000);
    assert_eq!(put(&mut rig, "t", 0), 32, "INVALID_TIMESTAMP");
}

#[test]
fn a_brokers_setting_counts_at_once_for_topics_without_an_override() {
    let mut rig = Rig::new();
    rig.topic("t", 1, &[]);
    rig.topic("own", 1, &[("max.message.bytes", "1000")]);
    assert_eq!(set(&mut rig, 4, "", "message.max.bytes", Some("100")), 0);
    assert_eq!((put(&mut rig, "t", 0), put(&mut rig, "own", 0)), (10, 0));
    assert_eq!(show(&mut rig, 2, "t", "max.message.bytes"), (Some("100".to_string()), 3));
    assert_eq!(set(&mut rig, 4, "1", "message.max.bytes", Some("2000")), 0);
    assert_eq!(put(&mut rig, "t", 0), 0);
    assert_eq!(show(&mut rig, 2, "t", "max.message.bytes"), (Some("2000".to_string()), 2));
    rig.topic("late", 1, &[]);
    assert_eq!(set(&mut rig, 4, "1", "message.max.bytes", None), 0);
    assert_eq!(put(&mut rig, "late", 0), 10);
}

#[test]
fn settings_survive_a_restart() {
    let mut rig = Rig::new();
    rig.topic("t", 1, &[]);
    assert_eq!(set(&mut rig, 2, "t", "max.message.bytes", Some("100")), 0);
    assert_eq!(set(&mut rig, 32, "g", "consumer.session.timeout.ms", Some("50000")), 0);
    let mut rig = rig.restart();
    rig.advance(2000);
    assert_eq!(put(&mut rig, "t", 0), 10);
    assert_eq!(show(&mut rig, 32, "g", "consumer.session.timeout.ms"), (Some("50000".to_string()), 8));
}

#[test]
fn added_partitions_are_seen_and_take_records() {
    let mut rig = Rig::new();
    rig.topic("t", 1, &[("max.message.bytes", "1000")]);
    assert_eq!(put(&mut rig, "t", 2), 3);
    let topics = vec![growth::Topics { name: "t".into(), count: 3, assignments: None }];
    let request = CreatePartitionsRequest { topics, timeout_ms: 1000, validate_only: false };
    assert_eq!(rig.ask(&request, 3).results[0].error_code, 0);
    rig.advance(1000);
    let answer = rig.ask(&MetadataRequest { topics: None, ..MetadataRequest::default() }, 12);
    let partitions: Vec<_> = answer.topics[0].partitions.iter().map(|p| (p.partition_index, p.leader_id, p.error_code)).collect();
    assert_eq!(partitions, [(0, 1, 0), (1, 1, 0), (2, 1, 0)]);
    assert_eq!(put(&mut rig, "t", 2), 0);
    let mut rig = rig.restart();
    rig.advance(2000);
    assert_eq!(put(&mut rig, "t", 1), 0);
}
