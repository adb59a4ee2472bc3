//! What clients are told that delete records, case by case as a real Kafka answers (names in the messages are those of the golden
//! cases), and what is left.

use crate::api::fetch::tests::from;
use crate::api::produce::tests::{batch, hello, to};
use crate::broker::rig::Rig;
use crate::invariants::check_invariants;
use crate::protocol::Text;
use crate::protocol::messages::delete_records::{DeleteRecordsRequest, DeleteRecordsResponse, request};
use crate::protocol::messages::fetch::FetchRequest;
use crate::protocol::messages::list_offsets::{ListOffsetsRequest, request as list};

fn deleting(topic: &str, partition: i32, offset: i64) -> DeleteRecordsRequest {
    let partitions = vec![request::Partitions { partition_index: partition, offset }];
    DeleteRecordsRequest { topics: vec![request::Topics { name: Text::from(topic), partitions }], timeout_ms: 1000 }
}

/// Error and low watermark.
fn told(answer: &DeleteRecordsResponse) -> (i16, i64) {
    let part = &answer.topics[0].partitions[0];
    (part.error_code, part.low_watermark)
}

fn ask(rig: &mut Rig, topic: &str, partition: i32, offset: i64) -> (i16, i64) {
    let answer = told(&rig.ask(&deleting(topic, partition, offset), 2));
    check_invariants(&rig.broker);
    answer
}

/// Error and log start of a fetch.
fn fetch(rig: &mut Rig, offset: i64) -> (i16, i64) {
    let answer = rig.ask(&FetchRequest { max_wait_ms: 0, ..from("dr", &[(0, offset)]) }, 12);
    let part = &answer.responses[0].partitions[0];
    (part.error_code, part.log_start_offset)
}

/// Offset of the earliest record, or of the first at or after a time.
fn list(rig: &mut Rig, timestamp: i64) -> i64 {
    let partition = list::Partitions { timestamp, current_leader_epoch: -1, ..Default::default() };
    let topics = vec![list::Topics { name: Text::from("dr"), partitions: vec![partition] }];
    let answer = rig.ask(&ListOffsetsRequest { replica_id: -1, topics, ..Default::default() }, 5);
    answer.topics[0].partitions[0].offset
}

fn filled() -> Rig {
    let mut rig = Rig::new();
    rig.topic("dr", 2, &[]);
    let two = batch(&[(Some(b"a"), Some(b"1")), (Some(b"b"), Some(b"2"))]);
    for records in [two, hello()] {
        rig.ask(&to("dr", -1, &[(0, Some(records))]), 9);
    }
    rig
}

#[test]
fn the_cases_of_the_probe() {
    let mut rig = filled();
    rig.topic("drc", 1, &[("cleanup.policy", "compact")]);
    assert_eq!(ask(&mut rig, "dr", 0, 100), (1, -1), "delete-records-beyond");
    assert_eq!(ask(&mut rig, "dr", 0, -2), (1, -1), "delete-records-minus-2");
    assert_eq!(ask(&mut rig, "dr", 0, 0), (0, 0), "delete-records-0");
    assert_eq!(told(&rig.ask(&deleting("dr", 0, 1), 0)), (0, 1), "delete-records-1-v0");
    assert_eq!(ask(&mut rig, "dr", 0, 0), (0, 1), "delete-records-back");
    assert_eq!(ask(&mut rig, "dr", 0, -1), (0, 3), "delete-records-hw");
    assert_eq!(ask(&mut rig, "dr", 1, -1), (0, 0), "delete-records-empty");
    assert_eq!(ask(&mut rig, "absent", 0, 0), (3, -1), "delete-records-unknown-topic");
    assert_eq!(ask(&mut rig, "dr", 9, 0), (3, -1), "delete-records-unknown-partition");
    assert_eq!(ask(&mut rig, "drc", 0, 0), (44, -1), "delete-records-compact");
}

#[test]
fn what_was_deleted_is_out_of_range_also_within_a_batch_and_after_a_restart() {
    let mut rig = filled();
    assert_eq!(ask(&mut rig, "dr", 0, 1), (0, 1));
    for life in 0..3 {
        assert_eq!(fetch(&mut rig, 0), (1, -1), "life {life}");
        assert_eq!(fetch(&mut rig, 1), (0, 1), "life {life}");
        assert_eq!((list(&mut rig, -2), list(&mut rig, 0)), (1, 1), "life {life}");
        rig = rig.restart();
    }
    assert_eq!(ask(&mut rig, "dr", 0, -1), (0, 3));
    rig = rig.restart();
    assert_eq!((fetch(&mut rig, 2), fetch(&mut rig, 3)), ((1, -1), (0, 3)));
    assert_eq!((list(&mut rig, -2), list(&mut rig, 0)), (3, -1));
    let answer = rig.ask(&to("dr", -1, &[(0, Some(hello()))]), 9);
    assert_eq!(answer.responses[0].partition_responses[0].base_offset, 3, "offsets go on");
    check_invariants(&rig.broker);
}

#[test]
fn a_log_whose_records_are_all_gone_has_one_short_segment() {
    let mut rig = filled();
    let before = rig.segments_of("dr", 0);
    assert_eq!(ask(&mut rig, "dr", 0, -1), (0, 3));
    rig.advance(100);
    let after = rig.segments_of("dr", 0);
    assert_eq!((before.len(), after.len()), (1, 1));
    assert!(after[0] > before[0], "the segment with the records is deleted");
    // Asked again, nothing is written.
    assert_eq!(ask(&mut rig, "dr", 0, -1), (0, 3));
    rig.advance(100);
    assert_eq!(rig.segments_of("dr", 0), after);
}

#[test]
fn who_waits_too_long_is_told_so_and_the_start_moves_all_the_same() {
    let mut rig = filled();
    rig.fsync_stalls = true;
    let asked = rig.send(&deleting("dr", 0, 2), 2);
    rig.advance(999);
    assert!(rig.answer::<DeleteRecordsRequest>(asked, 2).is_none());
    rig.advance(1);
    assert_eq!(told(&rig.answer::<DeleteRecordsRequest>(asked, 2).expect("its time is over")), (7, -1));
    assert_eq!(fetch(&mut rig, 0).0, 0, "nothing is committed yet");
    rig.release_fsyncs();
    rig.advance(100);
    assert_eq!(fetch(&mut rig, 0).0, 1);
    check_invariants(&rig.broker);
}

#[test]
fn a_client_that_left_or_a_topic_that_is_gone_leaves_nobody_waiting() {
    let mut rig = filled();
    rig.fsync_stalls = true;
    let asked = rig.send(&deleting("dr", 0, 2), 2);
    rig.close();
    rig.release_fsyncs();
    rig.advance(100);
    assert!(rig.answer::<DeleteRecordsRequest>(asked, 2).is_none());
    assert_eq!(fetch(&mut rig, 0).0, 1);
}
