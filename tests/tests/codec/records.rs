//! Every batch a real Kafka 4.3.1 stored reads back as Kafka's own dump tool prints it: header field by field, crc, and each record's
//! offset, timestamp, key and value size and number of headers, for all codecs of the Java client and of librdkafka.
//!
//! Segments and dumps: `tests/golden/records/` of the workspace. The dump's payload column is not compared, it is lossy.

use ottla_core::ids::{LeaderEpoch, Offset};
use ottla_core::record::{BatchHeader, Continuity, Record, Records, decompress_body, verify_batch};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/records")
}

fn names() -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder())
        .expect("the golden folder")
        .filter_map(|entry| entry.expect("an entry").file_name().into_string().ok()?.strip_suffix(".log").map(str::to_owned))
        .collect();
    names.sort();
    names
}

#[test]
fn segments_of_a_real_kafka_read_as_its_dump_says() {
    let names = names();
    assert!(names.len() >= 21, "found {}", names.len());
    let mut batches = 0;
    for name in names {
        let segment = std::fs::read(folder().join(format!("{name}.log"))).expect("a segment");
        let dump = std::fs::read_to_string(folder().join(format!("{name}.txt"))).expect("its dump");
        let expected: String = dump
            .lines()
            .filter(|line| line.starts_with("baseOffset") || line.starts_with("| offset"))
            .map(|line| cut(line) + "\n")
            .collect();
        let first = name.split_once("from-").map_or(0, |(_, offset)| offset.parse().expect("an offset"));
        let mut printed = String::new();
        let mut continuity = Continuity::new(Offset(first), LeaderEpoch(0));
        let mut position = 0;
        while position < segment.len() {
            let header = verify_batch(&segment[position..]).and_then(|header| continuity.accept(&header).map(|()| header));
            let header = header.unwrap_or_else(|fault| panic!("{name}: {fault}"));
            print(&mut printed, &segment[position..], position, &header);
            position += header.total_len();
            batches += 1;
        }
        assert_eq!(printed, expected, "{name}");
    }
    assert!(batches >= 50, "only {batches} batches were compared");
}

/// The part of a dump line that is compared.
fn cut(line: &str) -> String {
    let Some((numbers, rest)) = line.split_once(" headerKeys: [") else { return line.to_owned() };
    let keys = rest.split_once(']').map_or("", |(keys, _)| keys);
    let count = if keys.is_empty() { 0 } else { keys.split(',').count() };
    format!("{numbers} headers: {count}")
}

fn print(out: &mut String, bytes: &[u8], position: usize, header: &BatchHeader) {
    let codec = header.codec().expect("a known codec");
    let kind = if header.is_log_append_time() { "LogAppendTime" } else { "CreateTime" };
    let sequence_last = if header.base_sequence < 0 { -1 } else { header.base_sequence + header.last_offset_delta };
    writeln!(
        out,
        "baseOffset: {} lastOffset: {} count: {} baseSequence: {} lastSequence: {sequence_last} producerId: {} producerEpoch: {} \
         partitionLeaderEpoch: {} isTransactional: {} isControl: {} deleteHorizonMs: OptionalLong.empty position: {position} {kind}: {} size: {} \
         magic: {} compresscodec: {} crc: {} isvalid: true",
        header.base_offset,
        header.offset_last(),
        header.record_count,
        header.base_sequence,
        header.producer_id,
        header.producer_epoch,
        header.partition_leader_epoch,
        header.is_transactional(),
        header.is_control(),
        header.max_timestamp,
        header.total_len(),
        header.magic,
        codec.name(),
        header.crc,
    )
    .expect("writing to memory");
    let body = decompress_body(codec, &bytes[BatchHeader::SIZE..header.total_len()], 1 << 20).expect("decompresses");
    for record in Records::new(&body, header.record_count) {
        print_record(out, kind, header, &record.expect("well formed"));
    }
}

fn print_record(out: &mut String, kind: &str, header: &BatchHeader, record: &Record<'_>) {
    let timestamp =
        if header.is_log_append_time() { header.max_timestamp } else { header.base_timestamp + record.timestamp_delta };
    let sequence = if header.base_sequence < 0 { -1 } else { header.base_sequence + record.offset_delta };
    let size = |part: Option<&[u8]>| part.map_or("-1".to_owned(), |part| part.len().to_string());
    writeln!(
        out,
        "| offset: {} {kind}: {timestamp} keySize: {} valueSize: {} sequence: {sequence} headers: {}",
        header.base_offset.0 + i64::from(record.offset_delta),
        size(record.key),
        size(record.value),
        record.headers.clone().count(),
    )
    .expect("writing to memory");
}
