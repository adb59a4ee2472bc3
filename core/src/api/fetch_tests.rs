//! What consumers are told, case by case as a real Kafka answers (names in the messages are those of the golden cases).

use crate::api::produce::tests::{batch, hello, to};
use crate::broker::rig::{Rig, START_MS};
use crate::limits::FETCH_BYTES_MAX;
use crate::protocol::messages::fetch::{FetchRequest, FetchResponse, request, response};
use crate::protocol::messages::produce::ProduceRequest;
use crate::protocol::{Records, Text, Uuid};
use crate::record::{BatchBuilder, BatchHeader, Codec};

/// A request for partitions of a topic from offsets, with the probe's usual limits.
pub(crate) fn from(topic: &str, parts: &[(i32, i64)]) -> FetchRequest {
    FetchRequest {
        max_wait_ms: 500,
        min_bytes: 1,
        max_bytes: 1 << 20,
        topics: vec![request::Topics {
            topic: Text::from(topic),
            topic_id: Uuid::ZERO,
            partitions: parts
                .iter()
                .map(|(partition, offset)| request::Partitions {
                    partition: *partition,
                    fetch_offset: *offset,
                    partition_max_bytes: 1 << 20,
                    ..Default::default()
                })
                .collect(),
        }],
        ..Default::default()
    }
}

/// Headers of the batches in an answer; a cut one at the end is left out.
fn batches(records: &Records) -> Vec<BatchHeader> {
    let whole = records.clone().into_bytes();
    let mut rest = whole.as_ref();
    let mut found = Vec::new();
    while let Ok(header) = BatchHeader::parse(rest) {
        let Some(after) = rest.get(header.total_len()..) else { break };
        found.push(header);
        rest = after;
    }
    found
}

/// All batches of partition 0.
pub(crate) fn fetch_all(rig: &mut Rig, topic: &str) -> Vec<BatchHeader> {
    let part = one(rig.ask(&from(topic, &[(0, 0)]), 12));
    assert_eq!(part.error_code, 0);
    batches(&part.records.expect("never null"))
}

fn all(response: FetchResponse) -> Vec<response::Partitions> {
    response.responses.into_iter().flat_map(|topic| topic.partitions).collect()
}

fn one(response: FetchResponse) -> response::Partitions {
    all(response).remove(0)
}

/// The probe's topic: partition 0 has batches of 2, 3 (gzip) and 1 (large) records, partition 1 one record.
fn filled() -> Rig {
    let mut rig = Rig::new();
    rig.topic("f", 2, &[]);
    let mut gzip = BatchBuilder::new().codec(Codec::Gzip);
    for step in 0..3 {
        gzip.push(START_MS + 100 + step * 10, Some(b"k"), Some(b"v"));
    }
    let two = batch(&[(Some(b"a"), Some(b"1")), (Some(b"b"), Some(b"2"))]);
    let large = batch(&[(Some(b"big"), Some(&[b'x'; 2000]))]);
    for (partition, records) in [(0, two), (0, gzip.build().freeze()), (0, large), (1, hello())] {
        rig.ask::<ProduceRequest>(&to("f", -1, &[(partition, Some(records))]), 9);
    }
    rig
}

#[test]
fn every_version_gets_everything_from_the_start() {
    let mut rig = filled();
    let id = rig.broker.local.view(rig.now).cluster.topic("f").expect("made").id;
    for version in 4..=18 {
        let mut request = from("f", &[(0, 0)]);
        if version >= 13 {
            request.topics[0].topic = Text::default();
            request.topics[0].topic_id = Uuid::from(id);
        }
        let part = one(rig.ask(&request, version));
        assert_eq!((part.error_code, part.high_watermark, part.last_stable_offset), (0, 6, 6), "v{version}");
        let offsets: Vec<i64> = batches(&part.records.expect("never null")).iter().map(|b| b.base_offset.0).collect();
        assert_eq!(offsets, [0, 2, 5], "v{version}");
        assert_eq!(part.aborted_transactions, None);
    }
}

#[test]
fn the_batch_that_holds_the_offset_comes_first() {
    let mut rig = filled();
    let part = one(rig.ask(&from("f", &[(0, 3)]), 12));
    assert_eq!(batches(&part.records.expect("never null"))[0].base_offset.0, 2);
}

#[test]
fn an_empty_answer_waits_for_its_time() {
    let mut rig = filled();
    for (version, offset) in [(4, 6), (12, 6)] {
        let number = rig.send(&from("f", &[(0, offset)]), version);
        rig.advance(499);
        assert!(rig.answer::<FetchRequest>(number, version).is_none());
        rig.advance(1);
        let part = one(rig.answer::<FetchRequest>(number, version).expect("its time is over"));
        assert_eq!((part.error_code, part.records), (0, Some(Records::default())));
    }
    let mut hasty = from("f", &[(0, 6)]);
    hasty.min_bytes = 0;
    rig.ask(&hasty, 12);
    hasty.min_bytes = 1;
    hasty.max_wait_ms = 0;
    rig.ask(&hasty, 12);
}

#[test]
fn a_waiting_fetch_is_woken_by_the_high_watermark() {
    let mut rig = filled();
    rig.fsync_stalls = true;
    let number = rig.send(&from("f", &[(0, 6), (1, 1)]), 12);
    rig.ask::<ProduceRequest>(&to("f", 1, &[(1, Some(hello()))]), 9);
    assert!(rig.answer::<FetchRequest>(number, 12).is_none(), "written is not committed");
    rig.release_fsyncs();
    let parts = all(rig.answer::<FetchRequest>(number, 12).expect("woken"));
    assert_eq!(parts[0].records, Some(Records::default()));
    assert_eq!(batches(parts[1].records.as_ref().expect("never null"))[0].base_offset.0, 1);
}

#[test]
fn what_is_written_and_not_committed_is_waited_for() {
    let mut rig = filled();
    rig.fsync_stalls = true;
    rig.ask::<ProduceRequest>(&to("f", 1, &[(0, Some(hello()))]), 9);
    for offset in [6, 7] {
        let part = one(rig.ask(&FetchRequest { max_wait_ms: 0, ..from("f", &[(0, offset)]) }, 12));
        assert_eq!((part.error_code, part.high_watermark, part.records), (0, 6, Some(Records::default())), "{offset}");
    }
    assert_eq!(one(rig.ask(&from("f", &[(0, 8)]), 12)).error_code, 1, "OFFSET_OUT_OF_RANGE: nothing is there");
}

#[test]
fn an_answer_is_bounded_whatever_is_asked_for() {
    const PARTITIONS: i32 = 4;
    let bound = usize::try_from(FETCH_BYTES_MAX).expect("positive");
    let size = bound / 3 - 1000;
    let mut rig = Rig::new();
    rig.topic("f", PARTITIONS, &[("max.message.bytes", "20000000")]);
    let large = batch(&[(None, Some(&vec![b'x'; size]))]);
    for partition in 0..PARTITIONS {
        rig.ask::<ProduceRequest>(&to("f", -1, &[(partition, Some(large.clone()))]), 9);
    }
    let mut request = FetchRequest { max_bytes: i32::MAX, ..from("f", &[(0, 0), (1, 0), (2, 0), (3, 0)]) };
    request.topics[0].partitions.iter_mut().for_each(|partition| partition.partition_max_bytes = i32::MAX);
    let told: Vec<usize> = all(rig.ask(&request, 12)).into_iter().map(|part| part.records.expect("never null").len()).collect();
    assert_eq!(told[..3], [large.len(); 3]);
    assert!(told.iter().sum::<usize>() <= bound, "{told:?}");
}

#[test]
fn the_operator_says_how_much_an_answer_may_have() {
    let mut rig = Rig::with_settings(&[("fetch.max.bytes", "2500")]);
    rig.topic("f", 3, &[]);
    let large = batch(&[(None, Some(&[b'x'; 900]))]);
    for partition in 0..3 {
        rig.ask::<ProduceRequest>(&to("f", -1, &[(partition, Some(large.clone()))]), 9);
    }
    let request = FetchRequest { max_bytes: i32::MAX, ..from("f", &[(0, 0), (1, 0), (2, 0)]) };
    let told: Vec<usize> = all(rig.ask(&request, 12)).into_iter().map(|part| part.records.expect("never null").len()).collect();
    assert_eq!(told[..2], [large.len(); 2]);
    assert!(told[2] < large.len() && told.iter().sum::<usize>() <= 2500, "the third is cut: {told:?}");
    let fewer = FetchRequest { max_bytes: 1000, ..request };
    let told: usize = all(rig.ask(&fewer, 12)).into_iter().map(|part| part.records.expect("never null").len()).sum();
    assert!((large.len()..=1000).contains(&told), "a client may want less: {told}");
}

#[test]
fn min_bytes_counts_over_all_partitions() {
    let mut rig = filled();
    let mut request = from("f", &[(0, 6), (1, 1)]);
    request.min_bytes = 100;
    let number = rig.send(&request, 12);
    rig.ask::<ProduceRequest>(&to("f", -1, &[(1, Some(hello()))]), 9);
    assert!(rig.answer::<FetchRequest>(number, 12).is_none(), "{} bytes are too few", hello().len());
    rig.ask::<ProduceRequest>(&to("f", -1, &[(0, Some(hello()))]), 9);
    assert!(rig.answer::<FetchRequest>(number, 12).is_some());
}

#[test]
fn offsets_outside_the_log_are_refused_at_once() {
    let mut rig = filled();
    for offset in [1000, 7, -1] {
        let part = one(rig.ask(&from("f", &[(0, offset)]), 12));
        assert_eq!((part.error_code, part.high_watermark, part.log_start_offset), (1, -1, -1), "{offset}");
        assert_eq!(part.aborted_transactions, None);
    }
    let parts = all(rig.ask(&from("f", &[(0, 6), (1, 99)]), 12));
    assert_eq!(parts.iter().map(|p| p.error_code).collect::<Vec<_>>(), [0, 1], "fetch-one-error-no-wait");
}

#[test]
fn unknown_topics_and_partitions_have_an_empty_list_of_aborted_transactions() {
    let mut rig = filled();
    for (request, version, error) in
        [(from("absent", &[(0, 0)]), 12, 3), (from("f", &[(9, 0)]), 12, 3), (from("", &[(0, 0)]), 13, 100)]
    {
        let part = one(rig.ask(&request, version));
        assert_eq!((part.error_code, part.aborted_transactions), (error, Some(Vec::new())));
    }
    rig.ask(&from("f", &[]), 12);
}

#[test]
fn the_first_batch_is_whole_and_the_last_one_is_cut() {
    let mut rig = filled();
    let first = batch(&[(Some(b"a"), Some(b"1")), (Some(b"b"), Some(b"2"))]).len();
    for (max_bytes, partition_max_bytes, expected) in [
        (1, 1 << 20, first),
        (0, 1 << 20, first),
        (1 << 20, 1, first),
        (1 << 20, 0, first),
        (1 << 20, 100, 100),
        (1 << 20, 200, 200),
    ] {
        let mut request = from("f", &[(0, 0)]);
        request.max_bytes = max_bytes;
        request.topics[0].partitions[0].partition_max_bytes = partition_max_bytes;
        let part = one(rig.ask(&request, 12));
        assert_eq!(part.records.expect("never null").len(), expected, "{max_bytes} {partition_max_bytes}");
    }
    let mut request = from("f", &[(1, 0), (0, 0)]);
    request.max_bytes = 1;
    let parts = all(rig.ask(&request, 12));
    assert_eq!(parts[0].records.as_ref().map(Records::len), Some(hello().len()), "fetch-partition-order");
    assert_eq!(parts[1].records, Some(Records::default()));
    request.max_bytes = -1;
    assert_eq!(one(rig.ask(&request, 12)).error_code, -1);
}

#[test]
fn a_partition_named_twice_is_read_from_its_last_offset() {
    let mut rig = filled();
    let parts = all(rig.ask(&from("f", &[(0, 0), (0, 2)]), 12));
    assert_eq!(parts.len(), 1);
    assert_eq!(batches(parts[0].records.as_ref().expect("never null"))[0].base_offset.0, 2);
}

#[test]
fn isolation_levels() {
    let mut rig = filled();
    let mut request = from("f", &[(0, 0)]);
    request.isolation_level = 1;
    assert_eq!(one(rig.ask(&request, 12)).aborted_transactions, Some(Vec::new()));
    request.isolation_level = 2;
    let answer = rig.ask(&request, 12);
    assert_eq!((answer.error_code, one(answer).error_code), (-1, -1));
}

#[test]
fn leader_epochs_fence() {
    let mut rig = filled();
    let epoch = rig.epoch("f");
    let mut ask = |current: i32, last: i32, offset: i64| {
        let mut request = from("f", &[(0, offset)]);
        request.topics[0].partitions[0].current_leader_epoch = current;
        request.topics[0].partitions[0].last_fetched_epoch = last;
        one(rig.ask(&request, 12))
    };
    assert_eq!(ask(epoch + 99, -1, 0).error_code, 75);
    assert_eq!(ask(epoch, -1, 0).error_code, 0);
    assert_eq!(ask(-2, -1, 0).error_code, 0);
    assert_eq!(ask(epoch, epoch, 2).error_code, 0);
    assert_eq!(ask(-1, epoch + 5, 2).error_code, 1, "fetch-last-fetched-5");
    let diverging = ask(-1, epoch, 100);
    assert_eq!((diverging.error_code, diverging.high_watermark), (0, 6), "fetch-last-fetched-0-beyond");
    assert_eq!((diverging.diverging_epoch.epoch, diverging.diverging_epoch.end_offset), (epoch, 6));
}

#[test]
fn a_leader_epoch_that_is_over_is_fenced() {
    let mut rig = filled().restart();
    let epoch = rig.epoch("f");
    assert!(epoch > 0, "a restart begins another epoch");
    for version in [9, 12] {
        let mut ask = |current: i32| {
            let mut request = from("f", &[(0, 0)]);
            request.topics[0].partitions[0].current_leader_epoch = current;
            let part = one(rig.ask(&request, version));
            (part.error_code, part.high_watermark)
        };
        assert_eq!([ask(epoch - 1), ask(0), ask(epoch), ask(-1)], [(74, -1), (74, -1), (0, 6), (0, 6)], "v{version}");
    }
}

#[test]
fn fetch_is_not_how_replicas_replicate() {
    let mut rig = filled();
    let mut request = from("f", &[(0, 0)]);
    request.replica_id = 5;
    assert_eq!(one(rig.ask(&request, 12)).error_code, 6);
    request.replica_id = -2;
    assert_eq!(one(rig.ask(&request, 12)).error_code, 0);
}

#[test]
fn what_left_the_cache_is_read_from_disk() {
    let mut rig = filled().restart();
    let part = one(rig.ask(&from("f", &[(0, 0)]), 12));
    let offsets: Vec<i64> = batches(&part.records.expect("never null")).iter().map(|b| b.base_offset.0).collect();
    assert_eq!(offsets, [0, 2, 5]);
    let mut request = from("f", &[(1, 0), (0, 0)]);
    request.topics[0].partitions[1].partition_max_bytes = 100;
    let parts = all(rig.ask(&request, 12));
    assert_eq!(parts[1].records.as_ref().map(Records::len), Some(100));
}

#[test]
#[should_panic(expected = "halted: the log is damaged")]
fn rot_below_a_running_broker_is_told_to_nobody() {
    let mut rig = filled().restart();
    rig.rot_middles();
    rig.send(&from("f", &[(0, 0)]), 12);
}

#[test]
fn a_closed_connection_is_forgotten() {
    let mut rig = filled();
    let number = rig.send(&from("f", &[(0, 6)]), 12);
    rig.close();
    rig.ask::<ProduceRequest>(&to("f", -1, &[(0, Some(hello()))]), 9);
    rig.advance(1000);
    assert!(rig.answer::<FetchRequest>(number, 12).is_none());
}
