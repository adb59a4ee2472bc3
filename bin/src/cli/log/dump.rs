//! `ottla log dump`: one line per batch, optionally one per record; for programs as JSON.
//!
//! ```text
//! offsets 0..9  index 2  epoch 0  codec gzip  records 10  created 1700000000000..1700000000009  producer 7:0  sequences 0..9  crc 3172262836 ok  size 183  position 0
//! | offset 0  created 1700000000000  key "key0"  value "value value"  headers 2
//! ```
//!
//! A batch of ours that takes no offset prints as `no-op`, `membership` or `command`, a transaction's marker as `marker commit` or `marker abort`
//! with the epoch of its coordinator. Damage ends the dump with a sentence. What Kafka's DumpLogSegments tells of a segment is all told here too.

use super::dump_json::{batch_object, fault_object, record_object};
use super::segments::{Batch, Segment, SegmentReader, groups_of, segments_of};
use crate::cli::output::Format;
use ottla_core::ids::{Index, Offset};
use ottla_core::limits;
use ottla_core::log::sequence_plus;
use ottla_core::record::{BatchHeader, PrivateKind, Record, Records, decode_private, decompress_body};
use std::fmt::Write as _;
use std::io::Write;
use std::path::Path;

/// Bytes of a key or value that are shown.
const SHOWN_BYTES_MAX: usize = 80;

/// What to print.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    /// The records of each batch, too.
    pub with_records: bool,
    /// Lines for people, or objects.
    pub format: Format,
}

/// Dumps a file, a group's folder or a data folder.
pub(super) fn dump(path: &Path, wanted: Wanted, out: &mut impl Write) -> Result<(), String> {
    if path.is_file() {
        let segment = Segment::named(path).unwrap_or(Segment { path: path.to_owned(), base_offset: Offset(0), base_index: None });
        return dump_segment(&segment, wanted, out);
    }
    let mut segments = segments_of(path)?;
    for group in groups_of(path)? {
        segments.extend(group.segments);
    }
    if segments.is_empty() {
        return Err(format!("{}: holds no segments", path.display()));
    }
    for segment in segments {
        if wanted.format == Format::Table {
            print(out, &format!("{}:", segment.path.display()))?;
        }
        dump_segment(&segment, wanted, out)?;
    }
    Ok(())
}

fn dump_segment(segment: &Segment, wanted: Wanted, out: &mut impl Write) -> Result<(), String> {
    let mut reader = SegmentReader::open(&segment.path)?;
    let mut index = segment.base_index;
    let mut start = Vec::new();
    loop {
        let position = reader.position();
        let step = reader.next(&mut start).map_err(|error| format!("{}: {error}", segment.path.display()))?;
        let batch = match step {
            Ok(None) => return Ok(()),
            Ok(Some(batch)) => batch,
            Err(fault) => return Err(format!("{}: position {position}: {fault}", segment.path.display())),
        };
        let line = match wanted.format {
            Format::Table => batch_line(&batch, index),
            Format::Json => batch_object(&segment.path, &batch, index),
        };
        print(out, &line)?;
        if wanted.with_records {
            print_records(&batch, wanted.format, out)?;
        }
        index = index.map(|Index(index)| Index(index + 1));
    }
}

fn batch_line(batch: &Batch, index: Option<Index>) -> String {
    let header = &batch.header;
    let mut line = match private_kind(batch) {
        Some((kind, payload_bytes)) => format!("{kind} before offset {}  payload {payload_bytes}", header.base_offset),
        None => format!("offsets {}..{}", header.base_offset, header.offset_last()),
    };
    let index = index.map_or("-".to_owned(), |index| index.to_string());
    let _ = write!(line, "  index {index}  epoch {}", header.partition_leader_epoch);
    if !header.is_private() {
        let codec = header.codec().map_or_else(|bits| format!("unknown ({bits})"), |codec| codec.name().to_owned());
        let _ = write!(line, "  codec {codec}  records {}", header.record_count);
        let kind = if header.is_log_append_time() { "appended" } else { "created" };
        let _ = write!(line, "  {kind} {}..{}", header.base_timestamp, header.max_timestamp);
        match header.producer_id {
            id if id < 0 => line.push_str("  producer -"),
            id => {
                let _ = write!(line, "  producer {id}:{}", header.producer_epoch);
            }
        }
        if header.base_sequence >= 0 {
            // Kafka's own coordinators write sequences without a producer.
            let last = sequence_plus(header.base_sequence, header.last_offset_delta.max(0));
            let _ = write!(line, "  sequences {}..{last}", header.base_sequence);
        }
        if header.is_transactional() {
            line.push_str("  transactional");
        }
        if header.is_control() {
            line.push_str("  control");
        }
    }
    let _ = write!(line, "  crc {} ok  size {}  position {}", header.crc, batch.bytes.len(), batch.position);
    line
}

/// What a batch is that takes no offset, and the size of what it carries.
pub(super) fn private_kind(batch: &Batch) -> Option<(&'static str, usize)> {
    let (kind, payload) = decode_private(&batch.bytes).ok()?;
    let name = match kind {
        PrivateKind::Noop => "no-op",
        PrivateKind::ConfChange => "membership",
        PrivateKind::Command => "command",
        PrivateKind::LogStart => "log-start",
    };
    Some((name, payload.len()))
}

fn print_records(batch: &Batch, format: Format, out: &mut impl Write) -> Result<(), String> {
    let (line, fault) = match format {
        Format::Table => (record_line as fn(&BatchHeader, &Record<'_>) -> String, fault_line as fn(&str) -> String),
        Format::Json => (record_object as _, fault_object as _),
    };
    let body = &batch.bytes[BatchHeader::SIZE..];
    let body = match batch.header.codec().map(|codec| decompress_body(codec, body, limits::DECOMPRESSED_BYTES_MAX)) {
        Ok(Ok(body)) => body,
        Ok(Err(_)) | Err(_) => return print(out, &fault("the records can't be decompressed")),
    };
    for record in Records::new(&body, batch.header.record_count) {
        print(out, &record.map_or_else(|why| fault(&why.to_string()), |record| line(&batch.header, &record)))?;
    }
    Ok(())
}

fn fault_line(fault: &str) -> String {
    format!("| {fault}")
}

fn record_line(header: &BatchHeader, record: &Record<'_>) -> String {
    let (kind, timestamp) = timestamp(header, record);
    let offset = header.base_offset.0.wrapping_add(i64::from(record.offset_delta));
    let mut line = format!("| offset {offset}  {kind} {timestamp}  ");
    match marker(header, record) {
        Some((name, coordinator_epoch)) => {
            let _ = write!(line, "marker {name}  coordinator epoch {coordinator_epoch}");
        }
        None => {
            let _ = write!(line, "key {}  value {}", shown(record.key), shown(record.value));
        }
    }
    for (key, value) in record.headers.clone() {
        let _ = write!(line, "  header {}={}", shown(Some(key)), shown(value));
    }
    line
}

/// The timestamp of a record, and who gave it.
pub(super) fn timestamp(header: &BatchHeader, record: &Record<'_>) -> (&'static str, i64) {
    if header.is_log_append_time() {
        ("appended", header.max_timestamp)
    } else {
        ("created", header.base_timestamp.wrapping_add(record.timestamp_delta))
    }
}

/// What the marker of a transaction says: its kind and the epoch of the coordinator that wrote it.
pub(super) fn marker(header: &BatchHeader, record: &Record<'_>) -> Option<(&'static str, i32)> {
    if !header.is_control() {
        return None;
    }
    let name = match *record.key? {
        [0, 0, 0, 0] => "abort",
        [0, 0, 0, 1] => "commit",
        _ => return None,
    };
    let [0, 0, epoch @ ..] = *record.value?.first_chunk::<6>()? else { return None };
    Some((name, i32::from_be_bytes(epoch)))
}

/// Quoted, escaped and cut; `null` for null.
fn shown(part: Option<&[u8]>) -> String {
    let Some(part) = part else { return "null".to_owned() };
    let head = &part[..part.len().min(SHOWN_BYTES_MAX)];
    let more = if head.len() < part.len() { format!("... ({} bytes)", part.len()) } else { String::new() };
    format!("\"{}\"{more}", head.escape_ascii())
}

fn print(out: &mut impl Write, line: &str) -> Result<(), String> {
    writeln!(out, "{line}").map_err(|error| format!("can't print: {error}"))
}

#[cfg(test)]
#[path = "dump_tests.rs"]
mod tests;
