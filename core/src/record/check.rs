//! What a client may write: the one batch of a Produce partition, before any topic setting is known.
//!
//! [`check`] runs in the connection's task, on nothing but the bytes, and gives either a [`CheckedBatch`] that is still uniquely owned (so
//! that the leader patches it in place, without a copy) or the [`BatchFault`] the client is told. What depends on the topic is decided
//! later from the facts collected here: see [`super::TopicRules`].
//!
//! The order of the checks is part of the contract, because it decides which error a batch with two faults gets:
//!
//! | step | fault | error |
//! |---|---|---|
//! | length field below 14, magic above 2 | what is there is no batch at all | CORRUPT_MESSAGE, with a message |
//! | nothing, or a cut batch | no batch | INVALID_RECORD |
//! | magic 0 or 1 | old format | INVALID_RECORD |
//! | zstd where the request's version does not know it | | UNSUPPORTED_COMPRESSION_TYPE |
//! | something after the batch | a second batch: INVALID_RECORD; damaged: CORRUPT_MESSAGE; too short or cut: dropped silently | |
//! | base offset is not 0 | | INVALID_RECORD |
//! | batch below 61 bytes, crc | | CORRUPT_MESSAGE |
//! | codec bits 5 to 7 | | UNKNOWN_SERVER_ERROR |
//! | count and last offset delta disagree or are not positive | | INVALID_RECORD |
//! | producer id without sequence | | INVALID_RECORD |
//! | control bit | | INVALID_RECORD |
//! | body does not decompress | | UNKNOWN_SERVER_ERROR; more than the bound: INVALID_RECORD |
//! | records do not fill the body, or (compressed only) have other offsets than 0..n | | INVALID_RECORD |
//!
//! Odd ones are Kafka's: UNKNOWN_SERVER_ERROR for undecodable data, offset deltas that are looked at in compressed batches only.
//! Faults of the upper half are found before Kafka looks for the leader, the others after it: [`BatchFault::outranks_leadership`].
//!
//! Does not know topics, producers' state, transactions. Source: observed answers of Kafka 4.3.1 (`produce-*` and `idem-*` of the
//! golden), KIP-98, KIP-467 (record errors).

use super::batch::{BatchHeader, Codec, HeaderFault, patch_offset_and_epoch, verify_crc};
use super::compression::{CompressionFault, decompress_body};
use super::recoding::Recoded;
use super::walker::{Record, RecordFault, Records};
use crate::ids::{LeaderEpoch, Offset};
use crate::limits;
use crate::protocol::ErrorCode;
use bytes::{Bytes, BytesMut};

/// The smallest message of the oldest format after its length field: what a length must reach to be looked at at all.
const OLDEST_MESSAGE_BYTES: i32 = 14;
/// Bytes up to and including the magic, which every format has in the same place.
const MAGIC_END: usize = 17;

/// What a check may cost and what the request's version knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckLimits {
    /// Bytes the records of the batch may take when decompressed.
    pub decompressed_bytes_max: usize,
    /// Produce from version 7 on.
    pub is_zstd_known: bool,
}

/// A client batch that passed validation and is still uniquely owned, so that it can be patched in place without a copy.
#[derive(Debug)]
pub struct CheckedBatch {
    /// Decoded header. Follows every change made through the methods.
    pub header: BatchHeader,
    /// Exactly one whole batch.
    pub bytes: BytesMut,
    /// What its records said.
    pub facts: RecordFacts,
    /// Whether it was compressed anew.
    pub recoded: Option<Recoded>,
}

/// What was seen while the records were walked once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordFacts {
    /// Greatest timestamp of a record, ms; -1 is "none".
    pub timestamp_highest: i64,
    /// Smallest timestamp of a record that is not -1, ms.
    pub timestamp_lowest: Option<i64>,
    /// Position of the first record without a key.
    pub null_key_first: Option<i32>,
    /// Bytes of the records when decompressed.
    pub decompressed_bytes: usize,
}

/// Why a client batch is not written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BatchFault {
    /// No whole batch is there.
    NoBatch,
    /// The length field of the first batch is too small to be one.
    Length(i32),
    /// A magic that no format has.
    UnknownMagic(i8),
    /// Magic 0 or 1: message sets of Kafka before 0.11.
    OldMagic(i8),
    /// Zstandard in a Produce version that does not know it.
    ZstdTooEarly,
    /// A second batch.
    SecondBatch,
    /// Damage after the first batch.
    DamageAfter,
    /// The base offset is not 0.
    BaseOffset(i64),
    /// The crc does not fit, or the batch is too short to have one.
    Crc,
    /// Codec bits without a codec.
    UnknownCodec(i16),
    /// Record count and last offset delta disagree or are not positive.
    Count,
    /// A producer id without a sequence.
    Sequence,
    /// A control batch.
    Control,
    /// The body can't be decompressed.
    Undecodable,
    /// The body takes too many bytes when decompressed.
    DecompressedTooLarge,
    /// The body is not made of the records it claims.
    Records(RecordFault),
    /// Records of a compressed batch are not numbered 0, 1, 2 ...
    InnerOffset,
    /// Topic rule: the batch is larger than `max.message.bytes`.
    MessageTooLarge,
    /// Topic rule: the batch is larger than `segment.bytes`.
    SegmentTooSmall,
    /// Topic rule: records of a compacted topic without keys; how many and the first of them.
    NullKeys {
        /// All of them.
        total: usize,
        /// The first ones.
        errors: Vec<RecordError>,
    },
    /// Topic rule: timestamps out of range or of the wrong type.
    Timestamps {
        /// The first records with errors.
        errors: Vec<RecordError>,
    },
}

/// What is wrong with one record (KIP-467).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordError {
    /// Its position in the batch.
    pub batch_index: i32,
    /// One sentence.
    pub message: String,
}

impl Default for CheckLimits {
    fn default() -> CheckLimits {
        CheckLimits { decompressed_bytes_max: limits::DECOMPRESSED_BYTES_MAX, is_zstd_known: true }
    }
}

/// Takes the records field of a Produce partition and gives its one batch, cut to exactly that batch.
///
/// # Errors
/// The first fault in the order of the module's table.
pub fn check(mut bytes: BytesMut, limits: &CheckLimits) -> Result<CheckedBatch, BatchFault> {
    let total = first_batch(&bytes)?.ok_or(BatchFault::NoBatch)?;
    // From here on the first batch is whole, at least 26 bytes long and of magic 0, 1 or 2.
    if bytes[16] != BatchHeader::MAGIC.to_be_bytes()[0] {
        return Err(BatchFault::OldMagic(i8::from_be_bytes([bytes[16]])));
    }
    if !limits.is_zstd_known && i16::from(bytes[22] & 0b111) == Codec::Zstd.bits() {
        return Err(BatchFault::ZstdTooEarly);
    }
    match first_batch(&bytes[total..]) {
        Ok(None) => {}
        Ok(Some(_)) => return Err(BatchFault::SecondBatch),
        Err(_) => return Err(BatchFault::DamageAfter),
    }
    bytes.truncate(total);
    let base_offset = i64::from_be_bytes(*bytes.first_chunk().expect("26 bytes or more"));
    if base_offset != 0 {
        return Err(BatchFault::BaseOffset(base_offset));
    }
    let header = match BatchHeader::parse(&bytes) {
        Ok(header) if verify_crc(&bytes) => header,
        Ok(_) | Err(HeaderFault::Cut | HeaderFault::Length(_) | HeaderFault::Magic(_)) => return Err(BatchFault::Crc),
    };
    let codec = header.codec().map_err(BatchFault::UnknownCodec)?;
    check_header(&header)?;
    let body =
        decompress_body(codec, &bytes[BatchHeader::SIZE..], limits.decompressed_bytes_max).map_err(|fault| match fault {
            CompressionFault::Undecodable => BatchFault::Undecodable,
            CompressionFault::TooLarge => BatchFault::DecompressedTooLarge,
        })?;
    let facts = check_records(&header, codec, &body)?;
    drop(body);
    Ok(CheckedBatch { header, bytes, facts, recoded: None })
}

/// Length of the batch (of any format) at the front; `None` if there is no whole one.
fn first_batch(bytes: &[u8]) -> Result<Option<usize>, BatchFault> {
    let Some(length) = bytes.get(8..12) else { return Ok(None) };
    let length = i32::from_be_bytes(*length.first_chunk().expect("four bytes"));
    if length < OLDEST_MESSAGE_BYTES {
        return Err(BatchFault::Length(length));
    }
    if bytes.len() < MAGIC_END {
        return Ok(None);
    }
    let magic = i8::from_be_bytes([bytes[16]]);
    if !(0..=BatchHeader::MAGIC).contains(&magic) {
        return Err(BatchFault::UnknownMagic(magic));
    }
    let total = BatchHeader::PREFIX + usize::try_from(length).expect("14 or more");
    Ok((total <= bytes.len()).then_some(total))
}

fn check_header(header: &BatchHeader) -> Result<(), BatchFault> {
    if header.record_count <= 0 || header.last_offset_delta != header.record_count - 1 {
        return Err(BatchFault::Count);
    }
    if header.producer_id >= 0 && header.base_sequence < 0 {
        return Err(BatchFault::Sequence);
    }
    if header.is_control() {
        return Err(BatchFault::Control);
    }
    Ok(())
}

fn check_records(header: &BatchHeader, codec: Codec, body: &[u8]) -> Result<RecordFacts, BatchFault> {
    let mut facts =
        RecordFacts { timestamp_highest: i64::MIN, timestamp_lowest: None, null_key_first: None, decompressed_bytes: body.len() };
    for (position, record) in (0i32..).zip(Records::new(body, header.record_count)) {
        let record = record.map_err(BatchFault::Records)?;
        if codec != Codec::None && record.offset_delta != position {
            return Err(BatchFault::InnerOffset);
        }
        let timestamp = timestamp_of(header, &record);
        facts.timestamp_highest = facts.timestamp_highest.max(timestamp);
        if timestamp != -1 && facts.timestamp_lowest.is_none_or(|lowest| timestamp < lowest) {
            facts.timestamp_lowest = Some(timestamp);
        }
        if record.key.is_none() && facts.null_key_first.is_none() {
            facts.null_key_first = Some(position);
        }
    }
    Ok(facts)
}

/// The timestamp a reader sees. Wraps like Kafka's sum when a client sends nonsense.
pub(super) fn timestamp_of(header: &BatchHeader, record: &Record<'_>) -> i64 {
    if header.is_log_append_time() { header.max_timestamp } else { header.base_timestamp.wrapping_add(record.timestamp_delta) }
}

impl CheckedBatch {
    /// Writes base offset and leader epoch in place.
    pub fn patch(&mut self, base_offset: Offset, epoch: LeaderEpoch) {
        patch_offset_and_epoch(&mut self.bytes, base_offset, epoch);
        self.header.base_offset = base_offset;
        self.header.partition_leader_epoch = epoch;
    }

    /// Patches as [`CheckedBatch::patch`] and gives the bytes up for sharing; no copy.
    #[must_use]
    pub fn into_patched(mut self, base_offset: Offset, epoch: LeaderEpoch) -> Bytes {
        self.patch(base_offset, epoch);
        self.bytes.freeze()
    }

    /// The codec.
    #[must_use]
    pub fn codec(&self) -> Codec {
        self.header.codec().expect("unknown codecs do not pass the check")
    }
}

impl BatchFault {
    /// The error the client is told.
    #[must_use]
    pub fn error_code(&self) -> ErrorCode {
        match self {
            BatchFault::Length(_) | BatchFault::UnknownMagic(_) | BatchFault::DamageAfter | BatchFault::Crc => {
                ErrorCode::CorruptMessage
            }
            BatchFault::NoBatch
            | BatchFault::OldMagic(_)
            | BatchFault::SecondBatch
            | BatchFault::BaseOffset(_)
            | BatchFault::Count
            | BatchFault::Sequence
            | BatchFault::Control
            | BatchFault::DecompressedTooLarge
            | BatchFault::Records(_)
            | BatchFault::InnerOffset
            | BatchFault::NullKeys { .. } => ErrorCode::InvalidRecord,
            BatchFault::ZstdTooEarly => ErrorCode::UnsupportedCompressionType,
            BatchFault::UnknownCodec(_) | BatchFault::Undecodable => ErrorCode::UnknownServerError,
            BatchFault::MessageTooLarge => ErrorCode::MessageTooLarge,
            BatchFault::SegmentTooSmall => ErrorCode::RecordListTooLarge,
            BatchFault::Timestamps { .. } => ErrorCode::InvalidTimestamp,
        }
    }

    /// The error message of the partition (Produce v8 and above); Kafka sends one in these cases only.
    #[must_use]
    pub fn message(&self) -> Option<String> {
        match self {
            BatchFault::Length(length) => {
                Some(format!("Record size {length} is less than the minimum record overhead ({OLDEST_MESSAGE_BYTES})"))
            }
            BatchFault::UnknownMagic(magic) => Some(format!("Invalid magic found in record: {magic}")),
            BatchFault::NullKeys { total, errors } => {
                let shown: Vec<String> = errors.iter().take(3).map(RecordError::to_text).collect();
                Some(format!(
                    "One or more records have been rejected due to {total} record errors in total, and only showing the first three \
                     errors at most: [{}]",
                    shown.join(", ")
                ))
            }
            BatchFault::Timestamps { .. } => Some("One or more records have been rejected due to invalid timestamp".to_owned()),
            BatchFault::NoBatch
            | BatchFault::OldMagic(_)
            | BatchFault::ZstdTooEarly
            | BatchFault::SecondBatch
            | BatchFault::DamageAfter
            | BatchFault::BaseOffset(_)
            | BatchFault::Crc
            | BatchFault::UnknownCodec(_)
            | BatchFault::Count
            | BatchFault::Sequence
            | BatchFault::Control
            | BatchFault::Undecodable
            | BatchFault::DecompressedTooLarge
            | BatchFault::Records(_)
            | BatchFault::InnerOffset
            | BatchFault::MessageTooLarge
            | BatchFault::SegmentTooSmall => None,
        }
    }

    /// What is told per record (Produce v8 and above).
    #[must_use]
    pub fn record_errors(&self) -> &[RecordError] {
        match self {
            BatchFault::NullKeys { errors, .. } | BatchFault::Timestamps { errors } => errors,
            BatchFault::NoBatch
            | BatchFault::Length(_)
            | BatchFault::UnknownMagic(_)
            | BatchFault::OldMagic(_)
            | BatchFault::ZstdTooEarly
            | BatchFault::SecondBatch
            | BatchFault::DamageAfter
            | BatchFault::BaseOffset(_)
            | BatchFault::Crc
            | BatchFault::UnknownCodec(_)
            | BatchFault::Count
            | BatchFault::Sequence
            | BatchFault::Control
            | BatchFault::Undecodable
            | BatchFault::DecompressedTooLarge
            | BatchFault::Records(_)
            | BatchFault::InnerOffset
            | BatchFault::MessageTooLarge
            | BatchFault::SegmentTooSmall => &[],
        }
    }

    /// Whether the fault is told even by a broker that does not lead the partition: Kafka finds it in the request handler. An
    /// unknown topic outranks both.
    #[must_use]
    pub fn outranks_leadership(&self) -> bool {
        match self {
            BatchFault::NoBatch
            | BatchFault::Length(_)
            | BatchFault::UnknownMagic(_)
            | BatchFault::OldMagic(_)
            | BatchFault::ZstdTooEarly
            | BatchFault::SecondBatch
            | BatchFault::DamageAfter => true,
            BatchFault::BaseOffset(_)
            | BatchFault::Crc
            | BatchFault::UnknownCodec(_)
            | BatchFault::Count
            | BatchFault::Sequence
            | BatchFault::Control
            | BatchFault::Undecodable
            | BatchFault::DecompressedTooLarge
            | BatchFault::Records(_)
            | BatchFault::InnerOffset
            | BatchFault::MessageTooLarge
            | BatchFault::SegmentTooSmall
            | BatchFault::NullKeys { .. }
            | BatchFault::Timestamps { .. } => false,
        }
    }

    /// Whether the fault may be found only after the body was decompressed.
    #[must_use]
    pub fn follows_decompression(&self) -> bool {
        match self {
            BatchFault::Undecodable | BatchFault::DecompressedTooLarge | BatchFault::Records(_) | BatchFault::InnerOffset => true,
            BatchFault::NoBatch
            | BatchFault::Length(_)
            | BatchFault::UnknownMagic(_)
            | BatchFault::OldMagic(_)
            | BatchFault::ZstdTooEarly
            | BatchFault::SecondBatch
            | BatchFault::DamageAfter
            | BatchFault::BaseOffset(_)
            | BatchFault::Crc
            | BatchFault::UnknownCodec(_)
            | BatchFault::Count
            | BatchFault::Sequence
            | BatchFault::Control
            | BatchFault::MessageTooLarge
            | BatchFault::SegmentTooSmall
            | BatchFault::NullKeys { .. }
            | BatchFault::Timestamps { .. } => false,
        }
    }

    /// Whether the answer carries the log start offset (else -1).
    #[must_use]
    pub fn tells_log_start(&self) -> bool {
        match self {
            BatchFault::BaseOffset(_)
            | BatchFault::UnknownCodec(_)
            | BatchFault::Count
            | BatchFault::Sequence
            | BatchFault::Control
            | BatchFault::Undecodable
            | BatchFault::DecompressedTooLarge
            | BatchFault::Records(_)
            | BatchFault::InnerOffset
            | BatchFault::NullKeys { .. }
            | BatchFault::Timestamps { .. } => true,
            BatchFault::NoBatch
            | BatchFault::Length(_)
            | BatchFault::UnknownMagic(_)
            | BatchFault::OldMagic(_)
            | BatchFault::ZstdTooEarly
            | BatchFault::SecondBatch
            | BatchFault::DamageAfter
            | BatchFault::Crc
            | BatchFault::MessageTooLarge
            | BatchFault::SegmentTooSmall => false,
        }
    }
}

impl RecordError {
    fn to_text(&self) -> String {
        format!("RecordError(batchIndex={}, message='{}')", self.batch_index, self.message)
    }
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
