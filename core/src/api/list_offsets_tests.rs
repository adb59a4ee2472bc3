//! Offsets by time, case by case as a real Kafka answers (names in the messages are those of the golden cases).

use crate::api::produce::tests::to;
use crate::broker::rig::{Rig, START_MS};
use crate::ids::{LeaderEpoch, Offset};
use crate::limits::{DECOMPRESSED_BYTES_MAX, TIME_LOOKUP_BYTES_MAX, TIME_LOOKUP_BYTES_PER_REQUEST_MAX};
use crate::protocol::messages::delete_records::{self, DeleteRecordsRequest};
use crate::protocol::messages::delete_topics::{self, DeleteTopicsRequest};
use crate::protocol::messages::list_offsets::{ListOffsetsRequest, request};
use crate::protocol::messages::offset_for_leader_epoch::{self, OffsetForLeaderEpochRequest};
use crate::protocol::messages::produce::ProduceRequest;
use crate::protocol::{Text, Uuid};
use crate::record::{BatchBuilder, Codec, patch_offset_and_epoch, set_max_timestamp};

fn put(rig: &mut Rig, topic: &str, codec: Codec, times: &[i64]) {
    let mut builder = BatchBuilder::new().codec(codec);
    for time in times {
        builder.push(START_MS + time, Some(b"k"), Some(b"v"));
    }
    let answer = rig.ask::<ProduceRequest>(&to(topic, -1, &[(0, Some(builder.build().freeze()))]), 9);
    assert_eq!(answer.responses[0].partition_responses[0].error_code, 0);
}

/// The probe's topic: a batch with times 0 and 50, a gzip one with 100, 110 and 120, and a late one with 30.
fn filled() -> Rig {
    let mut rig = Rig::new();
    rig.topic("lo", 2, &[]);
    rig.topic("loe", 1, &[]);
    put(&mut rig, "lo", Codec::None, &[0, 50]);
    put(&mut rig, "lo", Codec::Gzip, &[100, 110, 120]);
    put(&mut rig, "lo", Codec::None, &[30]);
    rig
}

fn asking(topic: &str, partition: i32, timestamp: i64) -> ListOffsetsRequest {
    ListOffsetsRequest {
        replica_id: -1,
        timeout_ms: 3000,
        topics: vec![request::Topics {
            name: Text::from(topic),
            partitions: vec![request::Partitions { partition_index: partition, timestamp, ..Default::default() }],
        }],
        ..Default::default()
    }
}

/// (error, timestamp, offset, epoch)
fn ask(rig: &mut Rig, topic: &str, version: i16, timestamp: i64) -> (i16, i64, i64, i32) {
    let answer = rig.ask(&asking(topic, 0, timestamp), version).topics.remove(0).partitions.remove(0);
    (answer.error_code, answer.timestamp, answer.offset, answer.leader_epoch)
}

#[test]
fn special_timestamps_by_version() {
    let mut rig = filled();
    let epoch = rig.epoch("lo");
    for version in 1..=11 {
        let told = if version >= 4 { epoch } else { -1 };
        assert_eq!(ask(&mut rig, "lo", version, -1), (0, -1, 6, told), "latest v{version}");
        assert_eq!(ask(&mut rig, "lo", version, -2), (0, -1, 0, told), "earliest v{version}");
    }
    for (timestamp, version_min) in [(-3, 7), (-4, 8), (-5, 9), (-6, 11)] {
        assert_eq!(ask(&mut rig, "lo", version_min - 1, timestamp).0, 35);
        assert_eq!(ask(&mut rig, "lo", version_min, timestamp).0, 0);
    }
    assert_eq!(ask(&mut rig, "lo", 11, -7).0, 35);
    assert_eq!(ask(&mut rig, "lo", 11, -3), (0, START_MS + 120, 4, epoch));
    assert_eq!(ask(&mut rig, "lo", 11, -4), (0, -1, 0, epoch));
    assert_eq!(ask(&mut rig, "lo", 11, -5), (0, -1, -1, -1));
}

#[test]
fn an_empty_partition_has_ends_but_no_times() {
    let mut rig = filled();
    let epoch = rig.epoch("loe");
    for timestamp in [-1, -2, -4] {
        assert_eq!(ask(&mut rig, "loe", 11, timestamp), (0, -1, 0, epoch));
    }
    for timestamp in [-3, -5, -6, 0, START_MS] {
        assert_eq!(ask(&mut rig, "loe", 11, timestamp), (0, -1, -1, -1));
    }
}

#[test]
fn times_are_looked_up_by_record() {
    for is_restarted in [false, true] {
        let mut rig = if is_restarted { filled().restart() } else { filled() };
        for (asked, found, offset) in
            [(0, 0, 0), (10, 50, 1), (50, 50, 1), (60, 100, 2), (110, 110, 3), (111, 120, 4), (120, 120, 4)]
        {
            let answer = ask(&mut rig, "lo", 11, START_MS + asked);
            assert_eq!((answer.0, answer.1 - START_MS, answer.2), (0, found, offset), "time {asked}");
        }
        for asked in [START_MS + 121, i64::MAX] {
            assert_eq!(ask(&mut rig, "lo", 11, asked), (0, -1, -1, -1));
        }
    }
}

#[test]
fn append_time_answers_with_the_batch() {
    let mut rig = Rig::new();
    rig.topic("lol", 1, &[("message.timestamp.type", "LogAppendTime")]);
    put(&mut rig, "lol", Codec::None, &[0, 1]);
    let stamped = rig.now.wall.0;
    for timestamp in [1, -3] {
        let answer = ask(&mut rig, "lol", 11, timestamp);
        assert_eq!((answer.0, answer.1, answer.2), (0, stamped, 0));
    }
}

#[test]
fn unknown_partitions_epochs_and_repetitions() {
    let mut rig = filled();
    assert_eq!(ask(&mut rig, "absent", 11, -1).0, 3);
    assert_eq!(rig.ask(&asking("lo", 9, -1), 11).topics[0].partitions[0].error_code, 3);
    let mut epoch_99 = asking("lo", 0, -1);
    epoch_99.topics[0].partitions[0].current_leader_epoch = 99;
    assert_eq!(rig.ask(&epoch_99, 4).topics[0].partitions[0].error_code, 75);
    let mut twice = asking("lo", 0, -1);
    let again = twice.topics[0].partitions[0].clone();
    twice.topics[0].partitions.push(again);
    let answer = rig.ask(&twice, 11).topics.remove(0).partitions;
    assert_eq!(answer.iter().map(|p| p.error_code).collect::<Vec<_>>(), [42], "list-offsets-twice");
    assert!(rig.ask(&ListOffsetsRequest { replica_id: -1, ..Default::default() }, 11).topics.is_empty());
}

/// Where an epoch ended: error, epoch, offset.
fn end_of(rig: &mut Rig, topic: &str, partition: i32, current: i32, epoch: i32) -> (i16, i32, i64) {
    let asked = offset_for_leader_epoch::request::Partitions { partition, current_leader_epoch: current, leader_epoch: epoch };
    let topics = vec![offset_for_leader_epoch::request::Topics { topic: Text::from(topic), partitions: vec![asked] }];
    let answer = rig.ask(&OffsetForLeaderEpochRequest { topics, ..Default::default() }, 4).topics.remove(0).partitions.remove(0);
    (answer.error_code, answer.leader_epoch, answer.end_offset)
}

#[test]
fn ends_of_epochs() {
    let mut rig = filled();
    let present = rig.epoch("lo");
    let mut ask = |topic: &str, partition: i32, current: i32, epoch: i32| end_of(&mut rig, topic, partition, current, epoch);
    assert_eq!(ask("lo", 0, -1, present), (0, present, 6));
    assert_eq!(ask("lo", 0, present, present), (0, present, 6));
    assert_eq!(ask("lo", 0, -1, present + 5), (0, -1, -1), "epoch-end-future");
    assert_eq!(ask("lo", 0, -1, -1), (0, -1, -1), "epoch-end-minus-1");
    assert_eq!(ask("lo", 0, 99, present), (75, -1, -1));
    assert_eq!(ask("loe", 0, -1, present), (0, present, 0), "epoch-end-empty");
    assert_eq!(ask("absent", 0, -1, 0), (3, -1, -1));
    assert_eq!(ask("lo", 9, -1, 0), (3, -1, -1));
}

#[test]
fn a_batch_that_promises_a_time_it_does_not_hold_is_passed_over() {
    // On an append of a client the broker corrects the header, so the promise is kept there; a look-up must still not rely on it.
    let mut rig = Rig::new();
    rig.topic("lo", 1, &[]);
    let epoch = rig.epoch("lo");
    for (offset, times, promised) in [(0, [0, 50], 1000), (2, [600, 610], 610)] {
        let mut batch = BatchBuilder::new();
        for time in times {
            batch.push(START_MS + time, None, Some(b"v"));
        }
        let mut batch = batch.build();
        set_max_timestamp(&mut batch, START_MS + promised);
        patch_offset_and_epoch(&mut batch, Offset(offset), LeaderEpoch(epoch));
        rig.append_to_segment("lo", &batch);
    }
    let mut rig = rig.restart();
    for (asked, found, offset) in [(50, 50, 1), (51, 600, 2), (500, 600, 2), (610, 610, 3)] {
        assert_eq!(ask(&mut rig, "lo", 11, START_MS + asked), (0, START_MS + found, offset, epoch), "time {asked}");
    }
    assert_eq!(ask(&mut rig, "lo", 11, START_MS + 611), (0, -1, -1, -1), "the first one promises it, no record keeps it");
}

#[test]
fn a_leader_epoch_that_is_over_is_fenced() {
    let mut rig = filled().restart();
    let epoch = rig.epoch("lo");
    assert!(epoch > 0, "a restart begins another epoch");
    for (current, expect) in [(epoch - 1, (74, -1, -1)), (epoch, (0, 6, epoch)), (-1, (0, 6, epoch))] {
        for version in [4, 11] {
            let mut request = asking("lo", 0, -1);
            request.topics[0].partitions[0].current_leader_epoch = current;
            let told = rig.ask(&request, version).topics.remove(0).partitions.remove(0);
            assert_eq!((told.error_code, told.offset, told.leader_epoch), expect, "v{version}, epoch {current}");
        }
    }
    for (current, expect) in [(epoch - 1, (74, -1, -1)), (epoch, (0, epoch - 1, 6)), (-1, (0, epoch - 1, 6))] {
        assert_eq!(end_of(&mut rig, "lo", 0, current, epoch - 1), expect, "epoch {current}");
    }
}

#[test]
fn between_an_election_and_its_first_commit_no_offset_is_told() {
    // KIP-207: the new leader may not know the newest commit yet.
    let mut rig = filled();
    rig.commits_stall = true;
    let mut rig = rig.restart();
    for timestamp in [-1, -2, -3, START_MS] {
        if timestamp != -3 {
            assert_eq!(ask(&mut rig, "lo", 4, timestamp), (5, -1, -1, -1), "LEADER_NOT_AVAILABLE for {timestamp}");
        }
        assert_eq!(ask(&mut rig, "lo", 11, timestamp), (78, -1, -1, -1), "OFFSET_NOT_AVAILABLE for {timestamp}");
    }
    rig.release_fsyncs();
    assert_eq!(ask(&mut rig, "lo", 11, -1), (0, -1, 6, rig.epoch("lo")));
}

#[test]
fn a_look_up_by_time_reads_so_much_at_once_and_a_larger_batch_whole() {
    let bound = usize::try_from(TIME_LOOKUP_BYTES_MAX).expect("small");
    let mut rig = Rig::new();
    rig.topic("lo", 2, &[("max.message.bytes", "10000000")]);
    for (partition, bytes) in [(0, bound / 2); 6].into_iter().chain([(1, 3 * bound)]) {
        let mut batch = BatchBuilder::new();
        batch.push(START_MS, None, Some(&vec![b'x'; bytes]));
        let answer = rig.ask::<ProduceRequest>(&to("lo", -1, &[(partition, Some(batch.build().freeze()))]), 9);
        assert_eq!(answer.responses[0].partition_responses[0].error_code, 0);
    }
    let mut rig = rig.restart();
    let mut longest = |partition: i32| {
        rig.reads.clear();
        let found = rig.ask(&asking("lo", partition, START_MS), 11).topics.remove(0).partitions.remove(0);
        assert_eq!((found.error_code, found.offset), (0, 0));
        rig.reads.iter().map(|bytes| usize::try_from(*bytes).expect("small")).max().expect("it is read from disk")
    };
    assert!((bound..2 * bound).contains(&longest(0)));
    assert!((3 * bound..4 * bound).contains(&longest(1)));
}

#[test]
fn look_ups_by_time_of_one_request_have_a_bound() {
    const BATCH: usize = DECOMPRESSED_BYTES_MAX - (1 << 20);
    let partitions = i32::try_from(TIME_LOOKUP_BYTES_PER_REQUEST_MAX / BATCH + 2).expect("few");
    let mut rig = Rig::new();
    rig.topic("lo", partitions, &[]);
    let mut bomb = BatchBuilder::new().codec(Codec::Zstd);
    bomb.push(START_MS, None, Some(&vec![0; BATCH]));
    let bomb = bomb.build().freeze();
    for partition in 0..partitions {
        let answer = rig.ask::<ProduceRequest>(&to("lo", -1, &[(partition, Some(bomb.clone()))]), 9);
        assert_eq!(answer.responses[0].partition_responses[0].error_code, 0);
    }
    let mut request = asking("lo", 0, START_MS);
    request.topics[0].partitions = (0..partitions)
        .map(|partition_index| request::Partitions { partition_index, timestamp: START_MS, ..Default::default() })
        .collect();
    for (version, refused) in [(4, 5), (11, 78)] {
        let told = rig.ask(&request, version).topics.remove(0).partitions;
        let errors: Vec<i16> = told.iter().map(|partition| partition.error_code).collect();
        let found = errors.iter().filter(|error| **error == 0).count();
        assert_eq!(found, TIME_LOOKUP_BYTES_PER_REQUEST_MAX.div_ceil(BATCH), "v{version}: {errors:?}");
        assert!(errors[found..].iter().all(|error| *error == refused), "v{version}: {errors:?}");
    }
    // Alone each is found, so a client that asks again for what is left comes to the end.
    let last = rig.ask(
        &ListOffsetsRequest {
            topics: vec![request::Topics {
                name: Text::from("lo"),
                partitions: vec![request.topics[0].partitions.pop().expect("some")],
            }],
            ..request
        },
        11,
    );
    assert_eq!((last.topics[0].partitions[0].error_code, last.topics[0].partitions[0].offset), (0, 0));
}

/// A look-up whose search is not done yet: its number.
fn stalled(rig: &mut Rig, timestamp: i64) -> u64 {
    rig.searches_stall = true;
    let number = rig.send(&asking("lo", 0, timestamp), 11);
    assert_eq!(rig.searches(), 1, "it is asked for, and nothing is decompressed in the core");
    assert!(rig.answer::<ListOffsetsRequest>(number, 11).is_none());
    number
}

/// (error, timestamp, offset) after all searches.
fn released(rig: &mut Rig, number: u64) -> (i16, i64, i64) {
    rig.release_searches();
    let answer = rig.answer::<ListOffsetsRequest>(number, 11).expect("answered").topics.remove(0).partitions.remove(0);
    let view = rig.broker.inspect();
    assert_eq!((view.parked, view.reads), (0, 0), "nothing is left of it");
    (answer.error_code, answer.timestamp, answer.offset)
}

fn delete_before(rig: &mut Rig, offset: i64) {
    let partitions = vec![delete_records::request::Partitions { partition_index: 0, offset }];
    let topics = vec![delete_records::request::Topics { name: Text::from("lo"), partitions }];
    let answer = rig.ask(&DeleteRecordsRequest { topics, timeout_ms: 1000 }, 2);
    assert_eq!(answer.topics[0].partitions[0].low_watermark, offset);
}

#[test]
fn what_is_deleted_while_it_is_sought_is_not_told() {
    for is_restarted in [false, true] {
        let rig = || if is_restarted { filled().restart() } else { filled() };
        let mut nothing = rig();
        let number = stalled(&mut nothing, START_MS + 10);
        assert_eq!(released(&mut nothing, number), (0, START_MS + 50, 1));
        // Of the same batch, of a later one, or nothing at all.
        for (start, expect) in [(1, (0, START_MS + 50, 1)), (3, (0, START_MS + 110, 3)), (6, (0, -1, -1))] {
            let mut rig = rig();
            let number = stalled(&mut rig, START_MS + 10);
            delete_before(&mut rig, start);
            assert_eq!(released(&mut rig, number), expect, "the log starts at {start}, restarted: {is_restarted}");
        }
        // The newest is still there, or it is gone: then what is told is what is told who asks now.
        for start in [4, 5] {
            let mut rig = rig();
            let number = stalled(&mut rig, -3);
            delete_before(&mut rig, start);
            let told = released(&mut rig, number);
            let now = ask(&mut rig, "lo", 11, -3);
            let expect = if start == 4 { (0, START_MS + 120, 4) } else { (now.0, now.1, now.2) };
            assert_eq!(told, expect, "the log starts at {start}, restarted: {is_restarted}");
        }
    }
}

#[test]
fn a_topic_that_is_deleted_while_it_is_searched_is_unknown() {
    let mut rig = filled();
    let number = stalled(&mut rig, START_MS);
    let topics = vec![delete_topics::request::Topics { name: Some(Text::from("lo")), topic_id: Uuid::ZERO }];
    rig.send(&DeleteTopicsRequest { topics, timeout_ms: 1000, ..Default::default() }, 6);
    rig.advance(100);
    assert_eq!(released(&mut rig, number), (3, -1, -1));
}

#[test]
fn who_went_while_searched_for_leaves_nothing() {
    let mut rig = filled();
    let number = stalled(&mut rig, START_MS);
    rig.close();
    assert_eq!((rig.broker.inspect().parked, rig.broker.inspect().reads), (0, 1));
    rig.release_searches();
    assert_eq!(rig.broker.inspect().reads, 0);
    assert!(rig.answer::<ListOffsetsRequest>(number, 11).is_none());
}

#[test]
fn partitions_of_one_request_are_searched_one_after_the_other() {
    let mut rig = Rig::new();
    rig.topic("lo", 3, &[]);
    let parts = [2, 0, 1].map(|partition| {
        let mut batch = BatchBuilder::new().codec(Codec::Lz4);
        batch.push(START_MS + i64::from(partition), None, Some(b"v"));
        (partition, Some(batch.build().freeze()))
    });
    rig.ask::<ProduceRequest>(&to("lo", -1, &parts), 9);
    let mut request = asking("lo", 0, START_MS);
    request.topics[0].partitions = [2, 0, 1]
        .map(|partition_index| request::Partitions { partition_index, timestamp: START_MS, ..Default::default() })
        .to_vec();
    rig.searches_stall = true;
    let number = rig.send(&request, 11);
    assert_eq!(rig.searches(), 1, "one at a time");
    rig.release_searches();
    let told = rig.answer::<ListOffsetsRequest>(number, 11).expect("answered").topics.remove(0).partitions;
    let told: Vec<_> = told.iter().map(|part| (part.partition_index, part.timestamp - START_MS, part.offset)).collect();
    assert_eq!(told, [(2, 2, 0), (0, 0, 0), (1, 1, 0)]);
}
