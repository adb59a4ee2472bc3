//! What the log needs to know of a v2 record batch, and the private control batches of raft.
//!
//! Deliberately does not know records, codecs or producers' rules: those are `record` and `partition`.
//!
//! The header on a byte ruler, big-endian, as in Kafka (KIP-98):
//!
//! ```text
//!  0        8      12       16 17     21   23     27        35        43     51   53     57     61
//!  | base   | len  | leader |m | CRC  |attr| last | base    | max     | prod.| pr.| base | re-  | records…
//!  | offset |      | epoch  |2 | 32C  |    | delta| time    | time    | id   | ep.| seq. | cords|
//! ```
//!
//! `len` counts everything after itself, so a batch takes `12 + len` bytes. The CRC covers everything from the attributes (21) on;
//! base offset and leader epoch lie before it, so a leader assigns both without touching the CRC.
//!
//! Entries of raft that take no Kafka offset are private batches: see [`crate::record::encode_private`]. They never leave the broker towards
//! a client.

use crate::ids::{LeaderEpoch, Offset, Term};
use crate::record::{self, BatchHeader, PrivateKind, decode_private};
use bytes::Bytes;
#[cfg(test)]
use bytes::{BufMut, BytesMut};

/// Bytes of a batch header.
const HEADER_BYTES: usize = BatchHeader::SIZE;
/// Where the CRC starts to count.
const CRC_FROM: usize = 21;
const CONTROL_BIT: i16 = 0x20;
/// Bytes of the largest batch that is taken for one: nothing larger can come in through a client's frame.
const BATCH_BYTES_MAX: usize = crate::limits::REQUEST_BYTES_MAX;

/// The fields of a header that place a batch in a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Batch {
    /// Bytes of the whole batch.
    pub length: usize,
    /// Offset of its first record.
    pub base_offset: Offset,
    /// Offset after its last record; the base offset for a private control batch.
    pub end_offset: Offset,
    /// The raft term it was proposed in.
    pub term: Term,
    /// CRC-32C as stored.
    pub crc: u32,
    /// Greatest timestamp, -1 for none.
    pub max_timestamp: i64,
    /// Producer, -1 for none.
    pub producer_id: i64,
    /// Whether it takes no offset.
    pub is_private: bool,
}

/// Why bytes are not a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BatchError {
    /// More bytes are needed: at least so many in all.
    Short(usize),
    /// They will never be one.
    Invalid(&'static str),
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("the slice has N bytes")
}

impl Batch {
    /// Reads the header at the start of `bytes`; checks its structure, not the CRC.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Batch, BatchError> {
        if bytes.len() < HEADER_BYTES {
            return Err(BatchError::Short(HEADER_BYTES));
        }
        let length = i32::from_be_bytes(array(bytes, 8));
        let length = usize::try_from(length).map_err(|_| BatchError::Invalid("its length is negative"))? + 12;
        if length < HEADER_BYTES {
            return Err(BatchError::Invalid("its length is shorter than a header"));
        }
        if length > BATCH_BYTES_MAX {
            return Err(BatchError::Invalid("its length is beyond any batch"));
        }
        if bytes[16] != 2 {
            return Err(BatchError::Invalid("its magic is not 2"));
        }
        let base_offset = i64::from_be_bytes(array(bytes, 0));
        let epoch = i32::from_be_bytes(array(bytes, 12));
        let attributes = i16::from_be_bytes(array(bytes, 21));
        let last_offset_delta = i32::from_be_bytes(array(bytes, 23));
        if base_offset < 0 {
            return Err(BatchError::Invalid("its base offset is negative"));
        }
        if epoch < 0 {
            return Err(BatchError::Invalid("its leader epoch is negative"));
        }
        let is_private = last_offset_delta == -1;
        if last_offset_delta < -1 || (is_private && attributes & CONTROL_BIT == 0) {
            return Err(BatchError::Invalid("its last offset delta is negative"));
        }
        let Some(end_offset) = base_offset.checked_add(i64::from(last_offset_delta) + 1) else {
            return Err(BatchError::Invalid("its last offset is beyond any offset"));
        };
        Ok(Batch {
            length,
            base_offset: Offset(base_offset),
            end_offset: Offset(end_offset),
            term: LeaderEpoch(epoch).term(),
            crc: u32::from_be_bytes(array(bytes, 17)),
            max_timestamp: i64::from_be_bytes(array(bytes, 35)),
            producer_id: i64::from_be_bytes(array(bytes, 43)),
            is_private,
        })
    }

    /// Reads the whole batch at the start of `bytes` and checks structure and CRC.
    pub(crate) fn parse_whole(bytes: &[u8]) -> Result<Batch, BatchError> {
        let batch = Batch::parse(bytes)?;
        if bytes.len() < batch.length {
            return Err(BatchError::Short(batch.length));
        }
        if crc32c(&bytes[CRC_FROM..batch.length]) != batch.crc {
            return Err(BatchError::Invalid("its CRC does not match"));
        }
        Ok(batch)
    }
}

/// CRC-32C.
pub(crate) fn crc32c(bytes: &[u8]) -> u32 {
    u32::try_from(crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, bytes)).expect("a CRC-32 has 32 bits")
}

/// All header fields, for producer state.
pub(crate) fn full_header(bytes: &[u8]) -> BatchHeader {
    BatchHeader::parse(bytes).expect("it was parsed where it came in")
}

/// The private batch of an entry: the same bytes on every replica.
pub(crate) fn encode_private(kind: PrivateKind, base_offset: Offset, term: Term, payload: &[u8]) -> Bytes {
    record::encode_private(kind, payload, base_offset, term.leader_epoch())
}

/// Kind and payload of a private batch; `None` if it is not one that this version writes.
pub(crate) fn private_payload(batch: &Bytes) -> Option<(PrivateKind, Bytes)> {
    let (kind, range) = decode_private(batch).ok()?;
    match kind {
        PrivateKind::Noop | PrivateKind::Command => Some((kind, batch.slice(range))),
        PrivateKind::ConfChange | PrivateKind::LogStart => None,
    }
}

/// A data batch for tests of this crate: `records` offsets, `bytes` of padding, no real records inside.
#[cfg(test)]
pub(crate) fn test_batch(records: i32, bytes: usize, producer_id: i64, max_timestamp: i64) -> BytesMut {
    let mut batch = BytesMut::with_capacity(HEADER_BYTES + bytes);
    batch.put_i64(0);
    batch.put_i32(i32::try_from(HEADER_BYTES + bytes - 12).expect("small"));
    batch.put_i32(-1);
    batch.put_i8(2);
    batch.put_u32(0);
    batch.put_i16(0);
    batch.put_i32(records - 1);
    batch.put_i64(max_timestamp);
    batch.put_i64(max_timestamp);
    batch.put_i64(producer_id);
    batch.put_i16(if producer_id < 0 { -1 } else { 0 });
    batch.put_i32(if producer_id < 0 { -1 } else { 0 });
    batch.put_i32(records);
    batch.put_bytes(0xab, bytes);
    let crc = crc32c(&batch[CRC_FROM..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
    batch
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_private_batch_gives_its_payload_back() {
        for (kind, payload) in [(PrivateKind::Noop, Vec::new()), (PrivateKind::Command, vec![7u8; 300])] {
            let bytes = encode_private(kind, Offset(41), Term(5), &payload);
            let batch = Batch::parse_whole(&bytes).expect("it is a batch");
            assert_eq!(batch.length, bytes.len());
            assert_eq!((batch.base_offset, batch.end_offset, batch.term), (Offset(41), Offset(41), Term(5)));
            assert!(batch.is_private);
            assert_eq!(private_payload(&bytes), Some((kind, Bytes::from(payload))));
        }
    }

    #[test]
    fn any_flipped_bit_under_the_crc_is_seen() {
        let mut good = test_batch(3, 50, 7, 1000);
        record::patch_offset_and_epoch(&mut good, Offset(4), LeaderEpoch(1));
        assert!(Batch::parse_whole(&good).is_ok());
        for at in CRC_FROM..good.len() {
            let mut bad = BytesMut::from(&good[..]);
            bad[at] ^= 0x10;
            assert!(Batch::parse_whole(&bad).is_err(), "flipped byte {at}");
        }
    }

    #[test]
    fn placing_a_batch_keeps_its_crc() {
        let mut bytes = test_batch(3, 50, 7, 1000);
        record::patch_offset_and_epoch(&mut bytes, Offset(99), LeaderEpoch(4));
        let batch = Batch::parse_whole(&bytes).expect("the CRC does not cover what was changed");
        assert_eq!((batch.base_offset, batch.end_offset, batch.term), (Offset(99), Offset(102), Term(6)));
    }
}
