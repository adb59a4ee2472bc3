//! The header of a Kafka v2 record batch, and the few places of it a broker may write.
//!
//! All integers are big-endian two's complement. The record bytes that follow are `record_count` records (`walker`), compressed
//! as one stream if the codec bits say so.
//!
//! ```text
//! byte  0        8     12    16 17    21  23    27        35        43        51  53    57    61
//!       |base    |batch|epoch|m |crc  |at |last |base     |max      |producer |pe |base |count|records...
//!       |offset  |len  |     |ag|     |tr |delta|timestamp|timestamp|id       |   |seq  |     |
//!       `----------- not covered by crc ----------'`------------ covered by crc -------------------->
//! ```
//!
//! | bytes | field | unit and meaning |
//! |---|---|---|
//! | 0..8 | base offset | offset of the first record; a client sends 0, the leader writes the real one |
//! | 8..12 | batch length | bytes after this field: total size - 12 |
//! | 12..16 | partition leader epoch | of the leader that appended the batch; -1 from a client |
//! | 16 | magic | 2 |
//! | 17..21 | crc | CRC-32C (Castagnoli) of bytes 21 to the end |
//! | 21..23 | attributes | bits 0-2 codec, 3 timestamp type, 4 transactional, 5 control, 6 delete horizon |
//! | 23..27 | last offset delta | offset of the last record - base offset |
//! | 27..35 | base timestamp | ms; of the first record, or the delete horizon |
//! | 35..43 | max timestamp | ms; greatest of all records, or the time of append |
//! | 43..51 | producer id | -1 for none |
//! | 51..53 | producer epoch | -1 for none |
//! | 53..57 | base sequence | of the first record, -1 for none |
//! | 57..61 | record count | records |
//!
//! Invariants: `total_len == batch_length + 12 >= 61`. The base offset and the epoch lie before the crc's range, which is why a
//! leader can write them without touching the crc.
//!
//! Source: Kafka protocol guide, "Record Batch"; KIP-98 (producer fields), KIP-101 (epoch). Does not know what is valid where:
//! that is `check`.

use crate::ids::{LeaderEpoch, Offset};
use core::fmt;

const ATTRIBUTES_AT: usize = 21;
const CODEC_MASK: i16 = 0b111;
const LOG_APPEND_TIME: i16 = 1 << 3;
const TRANSACTIONAL: i16 = 1 << 4;
const CONTROL: i16 = 1 << 5;

/// The 61-byte header of a v2 batch, decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchHeader {
    /// Offset of the first record.
    pub base_offset: Offset,
    /// Bytes after this field: total size minus 12.
    pub batch_length: i32,
    /// Leader epoch.
    pub partition_leader_epoch: LeaderEpoch,
    /// 2.
    pub magic: i8,
    /// CRC-32C of everything from the attributes on.
    pub crc: u32,
    /// Codec (bits 0-2), timestamp type (3), transactional (4), control (5), delete horizon (6).
    pub attributes: i16,
    /// Offset of the last record minus the base offset.
    pub last_offset_delta: i32,
    /// Timestamp of the first record, or the delete horizon.
    pub base_timestamp: i64,
    /// Greatest timestamp.
    pub max_timestamp: i64,
    /// Producer id, -1 for none.
    pub producer_id: i64,
    /// Producer epoch, -1 for none.
    pub producer_epoch: i16,
    /// Sequence of the first record, -1 for none.
    pub base_sequence: i32,
    /// Number of records.
    pub record_count: i32,
}

/// Why bytes are no v2 batch header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderFault {
    /// Fewer than [`BatchHeader::SIZE`] bytes.
    Cut,
    /// The length field is below what a header needs.
    Length(i32),
    /// Another format.
    Magic(i8),
}

/// Codec of the records of a batch: attribute bits 0 to 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Codec {
    /// 0.
    None,
    /// 1.
    Gzip,
    /// 2: raw, or in the framing of the Java library (xerial).
    Snappy,
    /// 3: the LZ4 frame format.
    Lz4,
    /// 4.
    Zstd,
}

impl BatchHeader {
    /// Bytes of a header.
    pub const SIZE: usize = 61;
    /// Bytes before and of the length field: what `batch_length` does not count.
    pub const PREFIX: usize = 12;
    /// The one magic this broker stores.
    pub const MAGIC: i8 = 2;

    /// Decodes the first [`BatchHeader::SIZE`] bytes. Says nothing about the crc or about the bytes that follow.
    ///
    /// # Errors
    /// See [`HeaderFault`].
    pub fn parse(bytes: &[u8]) -> Result<BatchHeader, HeaderFault> {
        let Some(head) = bytes.first_chunk::<{ BatchHeader::SIZE }>() else { return Err(HeaderFault::Cut) };
        let magic = i8::from_be_bytes([head[16]]);
        if magic != BatchHeader::MAGIC {
            return Err(HeaderFault::Magic(magic));
        }
        let batch_length = i32_at(head, 8);
        if usize::try_from(batch_length).map_or(true, |length| length < BatchHeader::SIZE - BatchHeader::PREFIX) {
            return Err(HeaderFault::Length(batch_length));
        }
        Ok(BatchHeader {
            base_offset: Offset(i64_at(head, 0)),
            batch_length,
            partition_leader_epoch: LeaderEpoch(i32_at(head, 12)),
            magic,
            crc: u32::from_be_bytes(chunk(head, 17)),
            attributes: i16_at(head, ATTRIBUTES_AT),
            last_offset_delta: i32_at(head, 23),
            base_timestamp: i64_at(head, 27),
            max_timestamp: i64_at(head, 35),
            producer_id: i64_at(head, 43),
            producer_epoch: i16_at(head, 51),
            base_sequence: i32_at(head, 53),
            record_count: i32_at(head, 57),
        })
    }

    /// The header as bytes, with the crc as it stands in the field.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; BatchHeader::SIZE] {
        let mut out = [0; BatchHeader::SIZE];
        out[0..8].copy_from_slice(&self.base_offset.0.to_be_bytes());
        out[8..12].copy_from_slice(&self.batch_length.to_be_bytes());
        out[12..16].copy_from_slice(&self.partition_leader_epoch.0.to_be_bytes());
        out[16..17].copy_from_slice(&self.magic.to_be_bytes());
        out[17..21].copy_from_slice(&self.crc.to_be_bytes());
        out[21..23].copy_from_slice(&self.attributes.to_be_bytes());
        out[23..27].copy_from_slice(&self.last_offset_delta.to_be_bytes());
        out[27..35].copy_from_slice(&self.base_timestamp.to_be_bytes());
        out[35..43].copy_from_slice(&self.max_timestamp.to_be_bytes());
        out[43..51].copy_from_slice(&self.producer_id.to_be_bytes());
        out[51..53].copy_from_slice(&self.producer_epoch.to_be_bytes());
        out[53..57].copy_from_slice(&self.base_sequence.to_be_bytes());
        out[57..61].copy_from_slice(&self.record_count.to_be_bytes());
        out
    }

    /// Bytes of the whole batch.
    #[must_use]
    pub fn total_len(&self) -> usize {
        BatchHeader::PREFIX + usize::try_from(self.batch_length).expect("a parsed length is 49 or more")
    }

    /// Offset of the last record; for a private batch one below the base offset, which is what makes it take none.
    #[must_use]
    pub fn offset_last(&self) -> Offset {
        Offset(self.base_offset.0.saturating_add(i64::from(self.last_offset_delta)))
    }

    /// Offset after the last record: where the next batch of a log begins.
    #[must_use]
    pub fn offset_end(&self) -> Offset {
        Offset(self.offset_last().0.saturating_add(1))
    }

    /// The codec; the unknown number (5 to 7) otherwise.
    ///
    /// # Errors
    /// The codec bits name none that exists.
    pub fn codec(&self) -> Result<Codec, i16> {
        match self.attributes & CODEC_MASK {
            0 => Ok(Codec::None),
            1 => Ok(Codec::Gzip),
            2 => Ok(Codec::Snappy),
            3 => Ok(Codec::Lz4),
            4 => Ok(Codec::Zstd),
            unknown => Err(unknown),
        }
    }

    /// Whether timestamps are those of the append (all equal to the max timestamp) and not of the records.
    #[must_use]
    pub fn is_log_append_time(&self) -> bool {
        self.attributes & LOG_APPEND_TIME != 0
    }

    /// Whether the batch is part of a transaction.
    #[must_use]
    pub fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL != 0
    }

    /// Whether the batch holds a control record (a transaction marker, or one of ours).
    #[must_use]
    pub fn is_control(&self) -> bool {
        self.attributes & CONTROL != 0
    }

    /// Whether the batch is one of ours that takes a raft index but no offset: the control bit and a last offset delta of -1,
    /// which no Kafka client or broker writes. Never shown to a client.
    #[must_use]
    pub fn is_private(&self) -> bool {
        self.is_control() && self.last_offset_delta == -1
    }
}

impl Codec {
    /// All of them, by number.
    pub const ALL: [Codec; 5] = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

    /// The attribute bits.
    #[must_use]
    pub fn bits(self) -> i16 {
        match self {
            Codec::None => 0,
            Codec::Gzip => 1,
            Codec::Snappy => 2,
            Codec::Lz4 => 3,
            Codec::Zstd => 4,
        }
    }

    /// Kafka's name of it, as in `compression.type`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Codec::None => "none",
            Codec::Gzip => "gzip",
            Codec::Snappy => "snappy",
            Codec::Lz4 => "lz4",
            Codec::Zstd => "zstd",
        }
    }
}

impl fmt::Display for HeaderFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HeaderFault::Cut => write!(f, "fewer than {} bytes are left", BatchHeader::SIZE),
            HeaderFault::Length(length) => write!(f, "the batch length is {length}"),
            HeaderFault::Magic(magic) => write!(f, "the magic is {magic}, not 2"),
        }
    }
}

/// Writes the two fields the leader decides, which the crc does not cover.
///
/// # Panics
/// On fewer bytes than a header.
pub fn patch_offset_and_epoch(batch: &mut [u8], base_offset: Offset, epoch: LeaderEpoch) {
    batch[0..8].copy_from_slice(&base_offset.0.to_be_bytes());
    batch[12..16].copy_from_slice(&epoch.0.to_be_bytes());
}

/// Makes the batch one of LogAppendTime: sets the type bit and the max timestamp (ms) and computes the crc anew. Record deltas stay as
/// they are, readers take the max timestamp for every record.
///
/// # Panics
/// On fewer bytes than a header.
pub fn stamp_log_append_time(batch: &mut [u8], timestamp: i64) {
    write_timestamp(batch, LOG_APPEND_TIME, timestamp);
}

/// Makes the batch one of CreateTime with this max timestamp (ms) and computes the crc anew: a client may have claimed another.
///
/// # Panics
/// On fewer bytes than a header.
pub fn set_max_timestamp(batch: &mut [u8], timestamp: i64) {
    write_timestamp(batch, 0, timestamp);
}

fn write_timestamp(batch: &mut [u8], type_bit: i16, timestamp: i64) {
    let attributes = (i16::from_be_bytes([batch[21], batch[22]]) & !LOG_APPEND_TIME) | type_bit;
    batch[21..23].copy_from_slice(&attributes.to_be_bytes());
    batch[35..43].copy_from_slice(&timestamp.to_be_bytes());
    let crc = crc_of(batch);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
}

/// CRC-32C of a whole batch: of its bytes from the attributes on.
///
/// # Panics
/// On fewer than 21 bytes.
#[must_use]
pub fn crc_of(batch: &[u8]) -> u32 {
    crc_fast::crc32_iscsi(&batch[ATTRIBUTES_AT..])
}

/// Whether the crc field of a whole batch fits its bytes.
///
/// # Panics
/// On fewer than 21 bytes.
#[must_use]
pub fn verify_crc(batch: &[u8]) -> bool {
    u32::from_be_bytes([batch[17], batch[18], batch[19], batch[20]]) == crc_of(batch)
}

fn chunk<const N: usize>(head: &[u8; BatchHeader::SIZE], at: usize) -> [u8; N] {
    *head[at..].first_chunk().expect("field positions lie inside the header")
}

fn i16_at(head: &[u8; BatchHeader::SIZE], at: usize) -> i16 {
    i16::from_be_bytes(chunk(head, at))
}

fn i32_at(head: &[u8; BatchHeader::SIZE], at: usize) -> i32 {
    i32::from_be_bytes(chunk(head, at))
}

fn i64_at(head: &[u8; BatchHeader::SIZE], at: usize) -> i64 {
    i64::from_be_bytes(chunk(head, at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn crc_is_castagnoli() {
        // The check value of CRC-32C: the nine digits.
        let mut batch = vec![0; ATTRIBUTES_AT];
        batch.extend_from_slice(b"123456789");
        assert_eq!(crc_of(&batch), 0xe306_9283);
    }

    #[test]
    fn a_header_that_is_none_is_refused() {
        assert_eq!(BatchHeader::parse(&[0; 60]), Err(HeaderFault::Cut));
        let mut bytes = [0; 61];
        bytes[16] = 1;
        assert_eq!(BatchHeader::parse(&bytes), Err(HeaderFault::Magic(1)));
        bytes[16] = 2;
        bytes[11] = 48;
        assert_eq!(BatchHeader::parse(&bytes), Err(HeaderFault::Length(48)));
        bytes[8] = 0xff;
        assert!(matches!(BatchHeader::parse(&bytes), Err(HeaderFault::Length(length)) if length < 0));
    }

    proptest! {
        #[test]
        fn any_header_survives_a_round_trip(mut bytes in proptest::array::uniform32(any::<u8>()), more in proptest::collection::vec(any::<u8>(), 29)) {
            bytes[16] = 2;
            bytes[8] &= 0x7f;
            bytes[10] |= 1;
            let whole: Vec<u8> = bytes.iter().copied().chain(more).collect();
            let header = BatchHeader::parse(&whole).expect("length and magic were made right");
            prop_assert_eq!(header.to_bytes().to_vec(), whole);
            // Hostile fields do not overflow.
            let _ = (header.offset_end(), header.codec(), header.total_len(), header.is_private());
        }

        #[test]
        fn patching_keeps_the_crc(body in proptest::collection::vec(any::<u8>(), 61..200), offset: i64, epoch: i32, timestamp: i64) {
            let mut batch = body;
            batch[16] = 2;
            stamp_log_append_time(&mut batch, timestamp);
            prop_assert!(verify_crc(&batch));
            patch_offset_and_epoch(&mut batch, Offset(offset), LeaderEpoch(epoch));
            prop_assert!(verify_crc(&batch));
            batch[50] ^= 1;
            prop_assert!(!verify_crc(&batch));
        }
    }
}
