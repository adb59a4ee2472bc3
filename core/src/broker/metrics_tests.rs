//! What an operator sees is what clients did.

use super::rig::Rig;
use crate::api::fetch::tests::fetch_all;
use crate::api::produce::tests::{batch, hello, to};
use crate::limits::METRICS_PARTITIONS_MAX;
use crate::partition::Traffic;

#[test]
fn counters_match_what_clients_did() {
    let mut rig = Rig::new();
    rig.topic("a", 2, &[]);
    rig.topic("b", 1, &[]);
    let three = batch(&[(None, Some(b"1")), (None, Some(b"2")), (None, Some(b"3"))]);
    let (three_bytes, one_bytes) = (three.len() as u64, hello().len() as u64);
    rig.ask(&to("a", -1, &[(0, Some(three.clone())), (1, Some(hello()))]), 9);
    rig.ask(&to("a", 1, &[(0, Some(three)), (7, Some(hello()))]), 9);
    // A batch that is refused was asked for, and is not in.
    let answer = rig.ask(&to("b", -1, &[(0, Some(b"nonsense"[..].into()))]), 9);
    assert_ne!(answer.responses[0].partition_responses[0].error_code, 0);
    assert_eq!(fetch_all(&mut rig, "a").len(), 2);
    let metrics = rig.broker.metrics(rig.now);
    let of = |topic: &str| metrics.topics.iter().find(|found| found.topic == topic).expect("it is listed").traffic;
    let a = Traffic {
        records_in: 7,
        bytes_in: 2 * three_bytes + one_bytes,
        bytes_out: 2 * three_bytes,
        produce_requests: 3,
        fetch_requests: 1,
    };
    let b = Traffic { produce_requests: 1, ..Traffic::default() };
    assert_eq!((of("a"), of("b")), (a, b));
    let mut sum = a;
    sum.add(b);
    assert_eq!(metrics.traffic, sum);
    assert!(metrics.is_registered && !metrics.is_fenced && metrics.is_controller);
    assert_eq!((metrics.brokers_active, metrics.cluster_topics, metrics.cluster_partitions), (1, 2, 3));
    assert_eq!((metrics.replicas, metrics.leaders, metrics.partitions_offline, metrics.under_replicated), (3, 3, 0, 0));
    // The controller's group and three partitions.
    assert_eq!(metrics.elections_won, 4);
    let first = &metrics.partitions[0];
    assert_eq!((first.topic.as_str(), first.partition, first.log_start.0, first.log_end.0), ("a", 0, 0, 6));
    assert!(first.bytes > 2 * three_bytes && first.segments == 1 && first.in_sync == 1);
}

#[test]
fn lists_are_bounded_and_sums_are_not() {
    let mut rig = Rig::new();
    for topic in ["a", "b", "c"] {
        rig.topic(topic, 2, &[]);
    }
    let metrics = rig.broker.metrics_up_to(rig.now, 2);
    assert_eq!((metrics.partitions.len(), metrics.partitions_left_out, metrics.replicas), (2, 4, 6));
    assert_eq!((metrics.topics.len(), metrics.topics_left_out), (2, 1));
}

#[test]
fn a_scrape_lists_so_many_partitions() {
    let mut rig = Rig::new();
    rig.topic("a", i32::try_from(METRICS_PARTITIONS_MAX).expect("few") + 1, &[]);
    let metrics = rig.broker.metrics(rig.now);
    assert_eq!((metrics.partitions.len(), metrics.partitions_left_out), (METRICS_PARTITIONS_MAX, 1));
    assert_eq!(metrics.replicas, METRICS_PARTITIONS_MAX + 1);
}
