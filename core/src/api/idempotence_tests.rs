//! What idempotent producers are told, case by case as a real Kafka answers (`idem-*` of the wire goldens).

use super::tests::to;
use crate::api::fetch::tests::fetch_all;
use crate::broker::rig::{Rig, START_MS};
use crate::limits::{BATCHES_PER_PRODUCER, PRODUCER_ID_BLOCK};
use crate::protocol::messages::init_producer_id::InitProducerIdRequest;
use crate::protocol::messages::produce::response::PartitionResponses;
use crate::protocol::messages::produce::{ProduceRequest, ProduceResponse};
use crate::record::BatchBuilder;
use bytes::Bytes;

fn batch(producer: i64, epoch: i16, sequence: i32, records: usize) -> Bytes {
    let mut builder = BatchBuilder::new().producer(producer, epoch, sequence);
    for n in 0..records {
        builder.push(START_MS - 100 + i64::try_from(n).expect("few"), None, Some(b"v"));
    }
    builder.build().freeze()
}

fn only(response: ProduceResponse) -> PartitionResponses {
    response.responses.into_iter().flat_map(|topic| topic.partition_responses).next().expect("one partition was asked")
}

/// (error, base offset, log append time, log start).
fn put(rig: &mut Rig, version: i16, batch: Bytes) -> (i16, i64, i64, i64) {
    let answer = only(rig.ask(&to("orders", -1, &[(0, Some(batch))]), version));
    (answer.error_code, answer.base_offset, answer.log_append_time_ms, answer.log_start_offset)
}

#[test]
fn a_repeated_batch_is_answered_with_its_first_offset_and_its_timestamp() {
    let mut rig = Rig::new();
    rig.topic("orders", 1, &[]);
    let time = START_MS - 99;
    assert_eq!(put(&mut rig, 9, batch(7, 0, 0, 2)), (0, 0, -1, 0), "idem-seq-0");
    assert_eq!(put(&mut rig, 9, batch(7, 0, 0, 2)), (0, 0, time, 0), "idem-duplicate");
    assert_eq!(put(&mut rig, 3, batch(7, 0, 0, 2)), (0, 0, time, -1), "idem-duplicate-v3");
    assert_eq!(put(&mut rig, 9, batch(7, 0, 5, 1)), (45, -1, -1, 0), "idem-gap");
    assert_eq!(put(&mut rig, 9, batch(7, 1, 0, 1)), (0, 2, -1, 0), "idem-epoch-1");
    assert_eq!(put(&mut rig, 9, batch(7, 0, 0, 2)), (47, -1, -1, 0), "idem-old-epoch-duplicate");
    assert_eq!(put(&mut rig, 9, batch(-1, 0, 0, 1)), (0, 3, -1, 0), "idem-no-pid-with-seq");
    assert_eq!(put(&mut rig, 9, batch(-1, 0, 0, 1)), (0, 4, -1, 0), "without a producer id nothing is repeated");
    assert_eq!(fetch_all(&mut rig, "orders").len(), 4, "batches");
}

#[test]
fn on_a_log_append_time_topic_the_brokers_time_of_the_first_append_is_told() {
    let mut rig = Rig::new();
    rig.topic("orders", 1, &[("message.timestamp.type", "LogAppendTime")]);
    let first = put(&mut rig, 9, batch(7, 0, 0, 1));
    rig.advance(1000);
    assert_eq!(put(&mut rig, 9, batch(7, 0, 0, 1)), first);
}

#[test]
fn a_repetition_of_what_is_not_committed_waits_for_the_commit() {
    let mut rig = Rig::new();
    rig.topic("orders", 1, &[]);
    rig.fsync_stalls = true;
    let ask = |acks: i16, sequence: i32| to("orders", acks, &[(0, Some(batch(7, 0, sequence, 1)))]);
    let first = rig.send(&ask(-1, 0), 9);
    let second = rig.send(&ask(-1, 1), 9);
    let again = rig.send(&ask(-1, 0), 9);
    let leader_only = rig.send(&ask(1, 0), 9);
    let of =
        |rig: &mut Rig, number: u64| rig.answer::<ProduceRequest>(number, 9).map(only).map(|a| (a.error_code, a.base_offset));
    assert_eq!(of(&mut rig, leader_only), Some((0, 0)), "it is written: that is enough for acks=1");
    for waiting in [first, second, again] {
        assert_eq!(of(&mut rig, waiting), None);
    }
    rig.release_fsyncs();
    assert_eq!((of(&mut rig, first), of(&mut rig, second), of(&mut rig, again)), (Some((0, 0)), Some((0, 1)), Some((0, 0))));
    assert_eq!(put(&mut rig, 9, batch(7, 0, 2, 1)).1, 2, "nothing was written twice");
}

#[test]
fn repeated_without_acks_is_silent_and_a_gap_closes_the_connection() {
    let mut rig = Rig::new();
    rig.topic("orders", 1, &[]);
    let ask = |sequence: i32| to("orders", 0, &[(0, Some(batch(7, 0, sequence, 1)))]);
    for _ in 0..2 {
        let number = rig.send(&ask(0), 9);
        assert!(rig.is_silent(number));
    }
    let gap = rig.send(&ask(5), 9);
    assert!(rig.closed.contains(&gap));
    assert_eq!(fetch_all(&mut rig, "orders").len(), 1);
}

#[test]
fn what_producers_wrote_is_known_after_a_restart() {
    let mut rig = Rig::new();
    rig.topic("orders", 1, &[]);
    for n in 0..8 {
        assert_eq!(put(&mut rig, 9, batch(7, 0, n, 1)).1, i64::from(n));
    }
    let mut rig = rig.restart();
    assert_eq!(put(&mut rig, 9, batch(7, 0, 3, 1)).1, 3, "the fifth last");
    assert_eq!(put(&mut rig, 9, batch(7, 0, 2, 1)).0, 45, "the sixth last");
    assert_eq!(put(&mut rig, 9, batch(7, 0, 8, 1)).1, 8);
    let group = *rig.broker.local.partitions.keys().next().expect("one partition");
    let before = rig.broker.local.producers[&group].committed().clone();
    let rig = rig.restart();
    assert_eq!(*rig.broker.local.producers[&group].committed(), before, "the log says what was known");
}

#[test]
fn a_producer_is_forgotten_by_the_time_of_the_log() {
    let mut rig = Rig::with_settings(&[("producer.id.expiration.ms", "3600000")]);
    rig.topic("orders", 1, &[]);
    let of = |producer: i64, sequence: i32, at_ms: i64| {
        let mut builder = BatchBuilder::new().producer(producer, 0, sequence);
        builder.push(at_ms, None, Some(b"v"));
        builder.build().freeze()
    };
    put(&mut rig, 9, of(7, 0, START_MS - 7_200_000));
    rig.advance(4_000_000);
    assert_eq!(put(&mut rig, 9, of(7, 0, START_MS - 7_200_000)).1, 0, "the broker's clock does not count");
    assert_eq!(put(&mut rig, 9, of(8, 0, START_MS)).0, 0);
    assert_eq!(put(&mut rig, 9, of(7, 0, START_MS - 7_200_000)).1, 2, "forgotten: any sequence starts anew");
}

#[test]
fn as_many_batches_are_remembered_as_clients_have_in_flight() {
    let mut rig = Rig::new();
    rig.topic("orders", 1, &[]);
    let count = i32::try_from(BATCHES_PER_PRODUCER).expect("few") + 1;
    for sequence in 0..count {
        assert_eq!(put(&mut rig, 9, batch(7, 0, sequence, 1)).1, i64::from(sequence));
    }
    for sequence in 1..count {
        let (error, offset, _, _) = put(&mut rig, 9, batch(7, 0, sequence, 1));
        assert_eq!((error, offset), (0, i64::from(sequence)), "written once");
    }
    assert_eq!(put(&mut rig, 9, batch(7, 0, 0, 1)).0, 45, "the oldest one is no longer known");
}

#[test]
fn a_broker_takes_producer_ids_in_blocks() {
    let ask = |rig: &mut Rig| {
        let request = InitProducerIdRequest { transactional_id: None, producer_id: -1, producer_epoch: -1, ..Default::default() };
        rig.ask(&request, 4).producer_id
    };
    let mut rig = Rig::new();
    let first = ask(&mut rig);
    assert_eq!(ask(&mut rig), first + 1);
    let mut rig = rig.restart();
    assert_eq!(ask(&mut rig), first + i64::from(PRODUCER_ID_BLOCK), "the rest of a block ends with the broker that took it");
}
