//! `ottla log dump --output json`: one object per line, of a batch or of a record.
//!
//! All lines of a kind have the same members; what a batch or record does not have is `null`. `"type":"batch"` has `kind` `records`, or the kind
//! of a batch that takes no offset, whose `offset_last` is `null` and whose `offset_first` is that of the next record. Keys and values are
//! whole; bytes that are no UTF-8 are replaced, the sizes are those of the bytes.

use super::dump::{marker, private_kind, timestamp};
use super::segments::Batch;
use crate::cli::output::{Cell, object};
use ottla_core::ids::Index;
use ottla_core::log::sequence_plus;
use ottla_core::record::{BatchHeader, Record};
use std::path::Path;

const BATCH: &[&str] = &[
    "type",
    "file",
    "position",
    "size",
    "kind",
    "offset_first",
    "offset_last",
    "index",
    "epoch",
    "codec",
    "records",
    "timestamp_type",
    "timestamp_first",
    "timestamp_last",
    "producer",
    "producer_epoch",
    "sequence_first",
    "sequence_last",
    "transactional",
    "control",
    "payload_size",
    "crc",
];

const RECORD: &[&str] = &[
    "type",
    "offset",
    "timestamp_type",
    "timestamp",
    "key",
    "key_size",
    "value",
    "value_size",
    "headers",
    "marker",
    "coordinator_epoch",
];

/// The line of a batch.
pub(super) fn batch_object(file: &Path, batch: &Batch, index: Option<Index>) -> String {
    let header = &batch.header;
    let private = private_kind(batch);
    let ours = |cell: Cell| if private.is_none() { cell } else { Cell::None };
    let producer = (header.producer_id >= 0).then_some(header.producer_id);
    // Kafka's own coordinators write sequences without a producer.
    let sequences = (header.base_sequence >= 0).then_some(header.base_sequence);
    let codec = header.codec().map_or_else(|bits| format!("unknown ({bits})"), |codec| codec.name().to_owned());
    let row = [
        "batch".into(),
        file.display().to_string().into(),
        whole(batch.position).into(),
        batch.bytes.len().into(),
        private.map_or("records", |(kind, _)| kind).into(),
        header.base_offset.0.into(),
        ours(header.offset_last().0.into()),
        index.map(|index| whole(index.0)).into(),
        header.partition_leader_epoch.0.into(),
        ours(codec.into()),
        ours(header.record_count.into()),
        ours(if header.is_log_append_time() { "appended" } else { "created" }.into()),
        ours(header.base_timestamp.into()),
        ours(header.max_timestamp.into()),
        ours(producer.into()),
        ours(producer.map(|_| i32::from(header.producer_epoch)).into()),
        ours(sequences.into()),
        ours(sequences.map(|first| sequence_plus(first, header.last_offset_delta.max(0))).into()),
        ours(header.is_transactional().into()),
        ours(header.is_control().into()),
        private.map(|(_, payload_bytes)| payload_bytes).into(),
        i64::from(header.crc).into(),
    ];
    object(BATCH, &row)
}

/// The line of a record.
pub(super) fn record_object(header: &BatchHeader, record: &Record<'_>) -> String {
    let marker = marker(header, record);
    let (timestamp_type, timestamp) = timestamp(header, record);
    let row = [
        "record".into(),
        header.base_offset.0.wrapping_add(i64::from(record.offset_delta)).into(),
        timestamp_type.into(),
        timestamp.into(),
        record.key.map(text).into(),
        record.key.map(<[u8]>::len).into(),
        record.value.map(text).into(),
        record.value.map(<[u8]>::len).into(),
        Cell::Pairs(record.headers.clone().map(|(key, value)| (text(key), value.map(text))).collect()),
        marker.map(|(name, _)| name).into(),
        marker.map(|(_, coordinator_epoch)| coordinator_epoch).into(),
    ];
    object(RECORD, &row)
}

/// The line that stands for records that can't be read.
pub(super) fn fault_object(fault: &str) -> String {
    object(&["type", "fault"], &["fault".into(), fault.into()])
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Positions in files and indices are far from where this ends.
fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
