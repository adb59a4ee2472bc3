//! What producers are told, case by case as a real Kafka answers (names in the comments are those of the golden cases).

use super::{FEW, flatten};
use crate::api::fetch::tests::{fetch_all, from};
use crate::broker::rig::{Rig, START_MS};
use crate::input::Input;
use crate::limits::{DECOMPRESSED_BYTES_MAX, DECOMPRESSED_BYTES_PER_REQUEST_MAX};
use crate::protocol::messages::fetch::FetchRequest;
use crate::protocol::messages::produce::{ProduceRequest, ProduceResponse, request, response};
use crate::protocol::{ErrorCode, Text, Uuid};
use crate::record::BatchFault;
use crate::record::{BatchBuilder, BatchHeader, Codec, crc_of};
use bytes::{Bytes, BytesMut};

/// Key and value, either may be null.
type KeyValue<'a> = (Option<&'a [u8]>, Option<&'a [u8]>);

pub(crate) fn batch(records: &[KeyValue<'_>]) -> Bytes {
    let mut builder = BatchBuilder::new();
    for (key, value) in records {
        builder.push(START_MS, *key, *value);
    }
    builder.build().freeze()
}

pub(crate) fn hello() -> Bytes {
    batch(&[(Some(b"k"), Some(b"v"))])
}

/// Changes attribute bits of a batch and makes its CRC right again.
fn with_bits(batch: &Bytes, bits: i16) -> Bytes {
    let mut changed = BytesMut::from(batch.as_ref());
    let header = BatchHeader::parse(&changed).expect("a batch");
    changed[21..23].copy_from_slice(&(header.attributes | bits).to_be_bytes());
    let crc = crc_of(&changed);
    changed[17..21].copy_from_slice(&crc.to_be_bytes());
    changed.freeze()
}

pub(crate) fn to(topic: &str, acks: i16, parts: &[(i32, Option<Bytes>)]) -> ProduceRequest {
    ProduceRequest {
        transactional_id: None,
        acks,
        timeout_ms: 1000,
        topic_data: vec![request::TopicData {
            name: Text::from(topic),
            topic_id: Uuid::ZERO,
            partition_data: parts
                .iter()
                .map(|(index, records)| request::PartitionData { index: *index, records: records.clone().map(Into::into) })
                .collect(),
        }],
    }
}

fn parts(response: ProduceResponse) -> Vec<response::PartitionResponses> {
    response.responses.into_iter().flat_map(|topic| topic.partition_responses).collect()
}

/// Produces one batch to partition 0 and returns (error, base offset, log start).
fn put(rig: &mut Rig, topic: &str, version: i16, records: Bytes) -> (i16, i64, i64) {
    let answer = parts(rig.ask(&to(topic, -1, &[(0, Some(records))]), version)).remove(0);
    (answer.error_code, answer.base_offset, answer.log_start_offset)
}

#[test]
fn offsets_are_dense_and_every_version_is_answered() {
    let mut rig = Rig::new();
    let id = rig.topic("orders", 2, &[]);
    for version in 3..=12 {
        let log_start = if version >= 5 { 0 } else { -1 };
        assert_eq!(put(&mut rig, "orders", version, hello()), (0, i64::from(version) - 3, log_start), "v{version}");
    }
    let mut by_id = to("", 1, &[(0, Some(hello()))]);
    by_id.topic_data[0].topic_id = Uuid::from(id);
    let answer = parts(rig.ask(&by_id, 13)).remove(0);
    assert_eq!((answer.error_code, answer.base_offset), (0, 10));
    assert_eq!(fetch_all(&mut rig, "orders").len(), 11);
}

#[test]
fn unknown_names_ids_and_partitions() {
    let mut rig = Rig::new();
    rig.topic("orders", 2, &[]);
    assert_eq!(put(&mut rig, "absent", 9, hello()), (3, -1, -1));
    assert_eq!(put(&mut rig, "bad name!", 9, hello()), (3, -1, -1));
    for partition in [7, -1] {
        let answer = parts(rig.ask(&to("orders", -1, &[(partition, Some(hello()))]), 9)).remove(0);
        assert_eq!((answer.error_code, answer.index), (3, partition));
    }
    // produce-unknown-id
    assert_eq!(put(&mut rig, "", 13, hello()), (100, -1, -1));
}

#[test]
fn acks_beyond_minus_one_to_one_are_refused() {
    let mut rig = Rig::new();
    rig.topic("orders", 1, &[]);
    for acks in [2, -2] {
        assert_eq!(parts(rig.ask(&to("orders", acks, &[(0, Some(hello()))]), 9))[0].error_code, 21);
    }
    assert_eq!(put(&mut rig, "orders", 9, hello()), (0, 0, 0), "nothing was written");
}

#[test]
fn acks_0_is_silent_and_an_error_closes_the_connection() {
    let mut rig = Rig::new();
    rig.topic("orders", 1, &[]);
    let number = rig.send(&to("orders", 0, &[(0, Some(hello()))]), 9);
    assert!(rig.is_silent(number));
    for bad in [to("absent", 0, &[(0, Some(hello()))]), to("orders", 0, &[(9, Some(hello()))])] {
        let number = rig.send(&bad, 9);
        assert!(rig.closed.contains(&number));
    }
    // produce-no-topics-acks-0
    let number = rig.send(&ProduceRequest { acks: 0, ..Default::default() }, 9);
    assert!(rig.is_silent(number));
    assert_eq!(put(&mut rig, "orders", 9, hello()), (0, 1, 0), "the first one was stored");
}

#[test]
fn one_bad_partition_does_not_fail_another() {
    let mut rig = Rig::new();
    rig.topic("orders", 2, &[]);
    let answer = parts(rig.ask(&to("orders", -1, &[(1, Some(hello())), (7, Some(hello())), (0, None)]), 9));
    assert_eq!(answer.iter().map(|p| (p.index, p.error_code)).collect::<Vec<_>>(), [(1, 0), (7, 3), (0, 87)]);
}

#[test]
fn the_last_mention_of_a_partition_counts() {
    let mut rig = Rig::new();
    rig.topic("orders", 1, &[]);
    let two = batch(&[(None, Some(b"1")), (None, Some(b"2"))]);
    let answer = parts(rig.ask(&to("orders", -1, &[(0, Some(hello())), (0, Some(two))]), 9));
    assert_eq!(answer.len(), 1);
    assert_eq!(put(&mut rig, "orders", 9, hello()), (0, 2, 0));
}

#[test]
fn damaged_and_wrong_batches_are_told_apart() {
    let mut rig = Rig::new();
    rig.topic("orders", 1, &[]);
    let mut bad_crc = BytesMut::from(hello().as_ref());
    bad_crc[17] ^= 1;
    assert_eq!(put(&mut rig, "orders", 9, bad_crc.freeze()), (2, -1, -1));
    assert_eq!(put(&mut rig, "orders", 9, Bytes::new()), (87, -1, -1), "produce-empty-records");
    assert_eq!(put(&mut rig, "orders", 9, hello().slice(..40)), (87, -1, -1), "produce-short-batch");
    assert_eq!(put(&mut rig, "orders", 9, [hello(), hello()].concat().into()), (87, -1, -1), "produce-two-batches");
    assert_eq!(put(&mut rig, "orders", 9, with_bits(&hello(), 0x20)), (87, -1, 0), "produce-control-batch");
    assert_eq!(put(&mut rig, "orders", 9, with_bits(&hello(), 0x10)), (53, -1, -1), "produce-txn-bit-no-producer");
    assert_eq!(put(&mut rig, "orders", 9, with_bits(&hello(), 0x08)).0, 0, "produce-timestamp-type-bit");
    assert_eq!(put(&mut rig, "orders", 9, [hello(), Bytes::from_static(&[0; 10])].concat().into()), (0, 1, 0));
    let mut in_transaction = to("orders", -1, &[(0, Some(with_bits(&hello(), 0x10)))]);
    in_transaction.transactional_id = Some(Text::from("tx"));
    assert_eq!(parts(rig.ask(&in_transaction, 9))[0].error_code, 48, "no coordinator, no transaction");
}

#[test]
fn compression_by_version_and_topic() {
    let mut rig = Rig::new();
    rig.topic("orders", 1, &[]);
    let mut zstd = BatchBuilder::new().codec(Codec::Zstd);
    zstd.push(START_MS, None, Some(&[b'x'; 100]));
    let zstd = zstd.build().freeze();
    assert_eq!(put(&mut rig, "orders", 6, zstd.clone()).0, 76);
    assert_eq!(put(&mut rig, "orders", 7, zstd).0, 0);
    rig.topic("gz", 1, &[("compression.type", "gzip")]);
    assert_eq!(put(&mut rig, "gz", 9, batch(&[(None, Some(&[b'x'; 100]))])).0, 0);
    assert_eq!(fetch_all(&mut rig, "gz")[0].attributes & 7, 1, "produce-recompressed-stored");
}

#[test]
fn a_topic_says_how_hard_it_is_compressed() {
    let mut rig = Rig::new();
    let words: String = (0..20_000_u64).map(|n| format!("word-{} ", crate::random::keyed(3, &[n]) % 2000)).collect();
    let mut stored = |codec: &str, level: (&str, &str)| {
        let topic = format!("{codec}-{}-{}", level.0, level.1);
        rig.topic(&topic, 1, &[("compression.type", codec), level]);
        assert_eq!(put(&mut rig, &topic, 9, batch(&[(None, Some(words.as_bytes()))])).0, 0);
        fetch_all(&mut rig, &topic)[0].batch_length
    };
    assert!(stored("gzip", ("compression.gzip.level", "1")) > stored("gzip", ("compression.gzip.level", "9")));
    assert!(stored("zstd", ("compression.zstd.level", "-50")) > stored("zstd", ("compression.zstd.level", "12")));
    // The level of another codec says nothing.
    assert_eq!(stored("gzip", ("compression.zstd.level", "1")), stored("gzip", ("compression.gzip.level", "-1")));
}

#[test]
fn sizes_are_bounded_by_the_topic() {
    let mut rig = Rig::new();
    rig.topic("small", 1, &[("max.message.bytes", "1000")]);
    let overhead = batch(&[(None, Some(&[b'x'; 900]))]).len() - 900;
    assert_eq!(put(&mut rig, "small", 9, batch(&[(None, Some(&vec![b'x'; 1000 - overhead]))])), (0, 0, 0));
    assert_eq!(put(&mut rig, "small", 9, batch(&[(None, Some(&vec![b'x'; 1001 - overhead]))])), (10, -1, -1));
    rig.topic("seg", 1, &[("segment.bytes", "1048576"), ("max.message.bytes", "2000000")]);
    assert_eq!(put(&mut rig, "seg", 9, batch(&[(None, Some(&vec![b'x'; 1_500_000]))])), (18, -1, -1));
}

#[test]
fn timestamps_by_topic() {
    let mut rig = Rig::new();
    rig.topic("orders", 1, &[]);
    let at = |time: i64| {
        let mut builder = BatchBuilder::new();
        builder.push(time, None, Some(b"v"));
        builder.build().freeze()
    };
    let now = rig.now.wall.0;
    let answer = parts(rig.ask(&to("orders", -1, &[(0, Some(at(now + 7_200_000)))]), 9)).remove(0);
    assert_eq!((answer.error_code, answer.record_errors.len(), answer.log_start_offset), (32, 1, 0));
    assert_eq!(put(&mut rig, "orders", 9, at(0)).0, 0);
    assert_eq!(put(&mut rig, "orders", 9, at(-1)).0, 0);
    rig.topic("lat", 1, &[("message.timestamp.type", "LogAppendTime")]);
    let answer = parts(rig.ask(&to("lat", -1, &[(0, Some(at(now + 7_200_000)))]), 9)).remove(0);
    assert_eq!((answer.error_code, answer.log_append_time_ms), (0, rig.now.wall.0));
    assert_eq!(put(&mut rig, "lat", 9, with_bits(&hello(), 8)).0, 32, "produce-log-append-time-bit");
}

#[test]
fn compacted_topics_want_keys() {
    let mut rig = Rig::new();
    rig.topic("compact", 1, &[("cleanup.policy", "compact")]);
    let keyless = batch(&[(Some(b"k"), Some(b"v")), (None, Some(b"v")), (None, Some(b"w"))]);
    let answer = parts(rig.ask(&to("compact", -1, &[(0, Some(keyless))]), 9)).remove(0);
    assert_eq!(answer.error_code, 87);
    assert_eq!(answer.record_errors.iter().map(|e| e.batch_index).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(put(&mut rig, "compact", 9, batch(&[(Some(b""), Some(b"v"))])).0, 0);
    assert_eq!(put(&mut rig, "compact", 9, batch(&[(Some(b"k"), None)])).0, 0);
}

#[test]
fn min_insync_replicas_above_the_number_of_replicas_does_not_block() {
    let mut rig = Rig::new();
    rig.topic("isr", 1, &[("min.insync.replicas", "2")]);
    assert_eq!(put(&mut rig, "isr", 9, hello()), (0, 0, 0));
}

#[test]
fn acks_1_is_answered_by_the_page_cache_and_acks_all_by_the_disk() {
    let mut rig = Rig::new();
    rig.topic("orders", 1, &[]);
    rig.fsync_stalls = true;
    let leader = rig.send(&to("orders", 1, &[(0, Some(hello()))]), 9);
    assert_eq!(parts(rig.answer::<ProduceRequest>(leader, 9).expect("written"))[0].base_offset, 0);
    let all = rig.send(&to("orders", -1, &[(0, Some(hello()))]), 9);
    assert!(rig.answer::<ProduceRequest>(all, 9).is_none(), "not durable yet");
    rig.release_fsyncs();
    assert_eq!(parts(rig.answer::<ProduceRequest>(all, 9).expect("durable"))[0].base_offset, 1);
}

#[test]
fn a_producer_whose_patience_ends_is_told_that_nobody_knows() {
    let mut rig = Rig::new();
    rig.topic("orders", 1, &[]);
    rig.fsync_stalls = true;
    let number = rig.send(&to("orders", -1, &[(0, Some(hello()))]), 9);
    rig.advance(999);
    assert!(rig.answer::<ProduceRequest>(number, 9).is_none());
    rig.advance(2);
    assert_eq!(parts(rig.answer::<ProduceRequest>(number, 9).expect("timed out"))[0].error_code, 7);
    rig.release_fsyncs();
    assert_eq!(fetch_all(&mut rig, "orders").len(), 1, "it was committed after all");
}

#[test]
fn a_restart_keeps_what_was_acknowledged() {
    let mut rig = Rig::new();
    rig.topic("orders", 1, &[]);
    for offset in 0..5 {
        assert_eq!(put(&mut rig, "orders", 9, hello()), (0, offset, 0));
    }
    let mut rig = rig.restart();
    assert_eq!(fetch_all(&mut rig, "orders").len(), 5);
    assert_eq!(put(&mut rig, "orders", 9, hello()), (0, 5, 0));
}

#[test]
fn topics_named_again_are_one_however_many_there_are() {
    for count in [1, FEW, FEW + 1, 3 * FEW] {
        let names: Vec<String> = (0..count).map(|number| format!("topic-{number}")).collect();
        let mut request = to("", -1, &[]);
        request.topic_data =
            names.iter().chain(names.iter().rev()).map(|name| to(name, -1, &[(3, None)]).topic_data.remove(0)).collect();
        let batches = (0..2 * count).map(|_| Err(BatchFault::NoBatch)).collect();
        let mut topics = Vec::new();
        let parts = flatten(&mut topics, request, batches);
        assert_eq!(topics.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), names);
        assert_eq!(
            parts.iter().map(|(topic, part, _)| (*topic, *part)).collect::<Vec<_>>(),
            (0..count).map(|n| (n, 3)).collect::<Vec<_>>()
        );
    }
}

#[test]
fn batches_of_one_request_have_a_bound_together_when_decompressed() {
    let mut bomb = BatchBuilder::new().codec(Codec::Zstd);
    bomb.push(START_MS, None, Some(&vec![0; DECOMPRESSED_BYTES_MAX - (1 << 20)]));
    let bomb = bomb.build().freeze();
    let fitting = DECOMPRESSED_BYTES_PER_REQUEST_MAX / DECOMPRESSED_BYTES_MAX;
    let count = i32::try_from(fitting).expect("few") + 1;
    let mut rig = Rig::new();
    rig.topic("p", count, &[]);
    let asked: Vec<(i32, Option<Bytes>)> = (0..count).map(|partition| (partition, Some(bomb.clone()))).collect();
    let errors: Vec<i16> = parts(rig.ask(&to("p", -1, &asked), 9)).iter().map(|part| part.error_code).collect();
    assert_eq!((&errors[..fitting], errors[fitting]), (vec![0; fitting].as_slice(), 87), "INVALID_RECORD");
}

#[test]
fn a_full_disk_takes_no_records_until_it_has_room() {
    let mut rig = Rig::new();
    rig.topic("orders", 1, &[]);
    assert_eq!(put(&mut rig, "orders", 9, hello()), (0, 0, 0));
    rig.step(Input::DiskFull { is_full: true });
    assert_eq!(put(&mut rig, "orders", 9, hello()), (ErrorCode::KafkaStorageError.code(), -1, -1));
    let number = rig.send(&to("orders", 0, &[(0, Some(hello()))]), 9);
    assert!(rig.closed.contains(&number), "with acks=0 there is no other way to tell");
    assert_eq!(put(&mut rig, "absent", 9, hello()).0, 3, "what is wrong with the request is told first");
    assert_eq!(fetch_all(&mut rig, "orders").len(), 1, "it is read as ever");
    rig.step(Input::DiskFull { is_full: false });
    assert_eq!(put(&mut rig, "orders", 9, hello()), (0, 1, 0));
}

#[test]
fn a_flush_is_awaited_by_acks_all_and_by_consumers_that_have_read_everything() {
    let mut rig = Rig::new();
    rig.topic("d", 1, &[]);
    rig.awaited.clear();
    let hello = |acks| to("d", acks, &[(0, Some(hello()))]);
    rig.ask(&hello(1), 9);
    rig.send(&hello(0), 9);
    assert_eq!(std::mem::take(&mut rig.awaited), [false, false]);
    rig.ask(&hello(-1), 9);
    assert_eq!(std::mem::take(&mut rig.awaited), [true]);
    let fetch = rig.send(&from("d", &[(0, 3)]), 12);
    rig.ask(&hello(1), 9);
    assert_eq!(std::mem::take(&mut rig.awaited), [true]);
    assert!(rig.answer::<FetchRequest>(fetch, 12).is_some());
    rig.ask(&hello(1), 9);
    assert_eq!(std::mem::take(&mut rig.awaited), [false], "nobody waits any more");
}
