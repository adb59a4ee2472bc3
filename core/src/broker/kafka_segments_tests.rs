//! What a real Kafka 4.3.1 has in its segments is taken, kept and given out byte for byte: `tests/golden/records` of the workspace.
//!
//! A batch differs from Kafka's in its base offset and its leader epoch only, which a broker writes and which are outside its crc; a
//! client sends base offset 0 and leader epoch -1. Batches of clients go through Produce. Those that no client can send (control
//! batches, those of transactions, those with LogAppendTime) lie in the log already when the broker starts.

use super::rig::Rig;
use crate::api::fetch::tests::from;
use crate::api::produce::tests::to;
use crate::ids::{LeaderEpoch, Offset};
use crate::record::{BatchHeader, Continuity, patch_offset_and_epoch, verify_batch};
use bytes::{Bytes, BytesMut};

macro_rules! segments {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_bytes!(concat!("../../../tests/golden/records/", $name, ".log")).as_slice())),*]
    };
}

/// All of them; that none is missing here is seen by the test of their dumps, `tests/tests/codec/records.rs`.
const SEGMENTS: [(&str, &[u8]); 21] = segments![
    "consumer_offsets",
    "epoch",
    "gzip",
    "idem",
    "k-gzip",
    "k-headers",
    "k-lz4",
    "k-snappy",
    "k-txn",
    "k-zstd",
    "lat",
    "lz4",
    "multi",
    "none",
    "one",
    "snappy",
    "tomb",
    "transaction_state",
    "txn.from-0",
    "txn.from-2",
    "zstd",
];

/// The batches of a segment, each checked, with the offset it begins at here: the first is 0.
fn batches(name: &str, segment: &[u8]) -> Vec<(Offset, BatchHeader, BytesMut)> {
    let first = name.split_once("from-").map_or(0, |(_, offset)| offset.parse().expect("an offset"));
    let mut continuity = Continuity::new(Offset(first), LeaderEpoch(0));
    let mut found = Vec::new();
    let mut rest = segment;
    while !rest.is_empty() {
        let length = BatchHeader::parse(rest).unwrap_or_else(|fault| panic!("{name}: {fault:?}")).total_len();
        let (batch, after) = rest.split_at(length);
        let header = verify_batch(batch).unwrap_or_else(|fault| panic!("{name}: {fault}"));
        continuity.accept(&header).unwrap_or_else(|fault| panic!("{name}: {fault}"));
        found.push((Offset(header.base_offset.0 - first), header, BytesMut::from(batch)));
        rest = after;
    }
    found
}

fn patched(batch: &BytesMut, offset: Offset, epoch: i32) -> Bytes {
    let mut bytes = batch.clone();
    patch_offset_and_epoch(&mut bytes, offset, LeaderEpoch(epoch));
    bytes.freeze()
}

/// All that a consumer gets of a topic's partition 0.
fn fetched(rig: &mut Rig, topic: &str) -> Vec<u8> {
    let mut all = Vec::new();
    let mut next = 0;
    loop {
        let answer = rig.ask(&from(topic, &[(0, next)]), 12);
        let part = &answer.responses[0].partitions[0];
        assert_eq!(part.error_code, 0, "{topic} from {next}");
        let bytes = part.records.clone().expect("never null").into_bytes();
        let mut rest = bytes.as_ref();
        while !rest.is_empty() {
            let header = BatchHeader::parse(rest).expect("whole batches");
            next = header.offset_last().0 + 1;
            rest = &rest[header.total_len()..];
        }
        all.extend_from_slice(&bytes);
        if next == part.high_watermark {
            return all;
        }
    }
}

fn may_be_produced(batches: &[(Offset, BatchHeader, BytesMut)]) -> bool {
    batches.iter().all(|(_, header, _)| !header.is_control() && !header.is_transactional() && !header.is_log_append_time())
}

#[test]
fn what_kafkas_clients_wrote_is_produced_and_fetched_byte_for_byte() {
    let mut rig = Rig::new();
    let mut produced = Vec::new();
    for (name, segment) in SEGMENTS {
        let batches = batches(name, segment);
        if !may_be_produced(&batches) {
            continue;
        }
        // kcat's records have the time of their recording.
        rig.topic(name, 1, &[("message.timestamp.after.max.ms", "9223372036854775807")]);
        let mut expected = Vec::new();
        for (offset, _, batch) in &batches {
            let answer = rig.ask(&to(name, -1, &[(0, Some(patched(batch, Offset(0), -1)))]), 9);
            let told = &answer.responses[0].partition_responses[0];
            assert_eq!((told.error_code, told.base_offset), (0, offset.0), "{name}: {:?}", told.error_message);
            expected.extend_from_slice(&patched(batch, *offset, rig.epoch(name)));
        }
        assert_eq!(fetched(&mut rig, name), expected, "{name}");
        produced.push(name);
    }
    let left: Vec<_> = SEGMENTS.iter().map(|(name, _)| *name).filter(|name| !produced.contains(name)).collect();
    assert_eq!(left, ["consumer_offsets", "k-txn", "lat", "txn.from-0", "txn.from-2"]);
}

#[test]
fn what_lies_in_kafkas_log_is_fetched_byte_for_byte() {
    let mut rig = Rig::new();
    for (name, _) in SEGMENTS {
        rig.topic(name, 1, &[]);
    }
    let mut expected = Vec::new();
    for (name, segment) in SEGMENTS {
        let epoch = rig.epoch(name);
        let own = |(offset, _, batch): &(Offset, BatchHeader, BytesMut)| patched(batch, *offset, epoch);
        let bytes: Vec<u8> = batches(name, segment).iter().map(own).collect::<Vec<_>>().concat();
        rig.append_to_segment(name, &bytes);
        expected.push(bytes);
    }
    let mut rig = rig.restart();
    for ((name, _), expected) in SEGMENTS.iter().zip(expected) {
        assert_eq!(fetched(&mut rig, name), expected, "{name}");
    }
}
