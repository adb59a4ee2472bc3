//! Private batches: entries of ours that take a raft index but no Kafka offset, in the one format that segments hold.
//!
//! A v2 batch (`batch`) with the control bit, a last offset delta of -1 (no Kafka client or broker writes one), no timestamps, no
//! producer, and one record:
//!
//! ```text
//! key    | version: i16 = 0 | kind: i16 = 0x4f00 + n |      big-endian, so that Kafka's dump tool shows an unknown control type
//! value  | payload, any bytes, never null            |
//! ```
//!
//! | kind | number | payload |
//! |---|---|---|
//! | no-op | 0x4f00 | empty: raft's first entry of a term |
//! | membership | 0x4f01 | raft's ConfChangeV2 |
//! | command | 0x4f02 | a command of a state machine of ours |
//! | log start | 0x4f03 | first offset that may be read: i64; last index that no replica needs: u64 |
//!
//! Invariant: encoding is a bijection: [`decode_private`] accepts exactly the bytes [`encode_private`] makes, because replicas compare logs
//! byte by byte. Does not know what payloads mean.

use super::batch::{BatchHeader, crc_of, verify_crc};
use super::varint;
use crate::ids::{LeaderEpoch, Offset};
use bytes::Bytes;
use core::ops::Range;

const CONTROL: i16 = 1 << 5;
const KEY_VERSION: i16 = 0;

/// What a private batch is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PrivateKind {
    /// The first entry of a term, which proves leadership.
    Noop,
    /// A change of the group's voters.
    ConfChange,
    /// A command of a replicated state machine.
    Command,
    /// The first offset that may be read moves.
    LogStart,
}

/// Bytes that are not what [`encode_private`] makes: one sentence part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PrivateFault(pub &'static str);

impl PrivateKind {
    /// All of them.
    pub const ALL: [PrivateKind; 4] = [PrivateKind::Noop, PrivateKind::ConfChange, PrivateKind::Command, PrivateKind::LogStart];

    /// Its number in the record key.
    #[must_use]
    pub fn number(self) -> i16 {
        match self {
            PrivateKind::Noop => 0x4f00,
            PrivateKind::ConfChange => 0x4f01,
            PrivateKind::Command => 0x4f02,
            PrivateKind::LogStart => 0x4f03,
        }
    }

    fn of_number(number: i16) -> Option<PrivateKind> {
        PrivateKind::ALL.into_iter().find(|kind| kind.number() == number)
    }
}

/// Bytes of the batch that carries `payload_bytes`.
#[must_use]
pub fn private_length(payload_bytes: usize) -> usize {
    BatchHeader::SIZE + record(PrivateKind::Noop, payload_bytes).len() + payload_bytes + 1
}

/// Makes the batch. `base_offset` is the offset the next record of the log will get.
///
/// # Panics
/// On a payload of 2 GiB and more.
#[must_use]
pub fn encode_private(kind: PrivateKind, payload: &[u8], base_offset: Offset, epoch: LeaderEpoch) -> Bytes {
    let head = record(kind, payload.len());
    let total = BatchHeader::SIZE + head.len() + payload.len() + 1;
    let mut batch = Vec::with_capacity(total);
    batch.extend_from_slice(&header(total, base_offset, epoch).to_bytes());
    batch.extend_from_slice(&head);
    batch.extend_from_slice(payload);
    batch.push(0); // no record headers
    let crc = crc_of(&batch);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
    Bytes::from(batch)
}

/// Takes a private batch apart: its kind and where in `batch` its payload is.
///
/// # Errors
/// On anything that [`encode_private`] would not have made, whole batch or not.
pub fn decode_private(batch: &[u8]) -> Result<(PrivateKind, Range<usize>), PrivateFault> {
    let parsed = BatchHeader::parse(batch).map_err(|_| PrivateFault("no v2 batch"))?;
    if !parsed.is_private() {
        return Err(PrivateFault("not a private batch"));
    }
    if parsed.total_len() != batch.len() {
        return Err(PrivateFault("not exactly one batch"));
    }
    if !verify_crc(batch) {
        return Err(PrivateFault("the crc does not fit"));
    }
    let body = &batch[BatchHeader::SIZE..];
    let (kind, payload_bytes) = split(body).ok_or(PrivateFault("not the record of a private batch"))?;
    let head = record(kind, payload_bytes);
    let made = BatchHeader { crc: parsed.crc, ..header(batch.len(), parsed.base_offset, parsed.partition_leader_epoch) };
    if made != parsed || !body.starts_with(&head) || head.len() + payload_bytes + 1 != body.len() || body.last() != Some(&0) {
        return Err(PrivateFault("not in its one encoding"));
    }
    let start = BatchHeader::SIZE + head.len();
    Ok((kind, start..start + payload_bytes))
}

fn header(total: usize, base_offset: Offset, epoch: LeaderEpoch) -> BatchHeader {
    BatchHeader {
        base_offset,
        batch_length: i32::try_from(total - BatchHeader::PREFIX).expect("payloads are bounded far below 2 GiB"),
        partition_leader_epoch: epoch,
        magic: BatchHeader::MAGIC,
        crc: 0,
        attributes: CONTROL,
        last_offset_delta: -1,
        base_timestamp: -1,
        max_timestamp: -1,
        producer_id: -1,
        producer_epoch: -1,
        base_sequence: -1,
        record_count: 1,
    }
}

/// The bytes of the record before the payload; after it comes the header count, one zero byte.
fn record(kind: PrivateKind, payload_bytes: usize) -> Vec<u8> {
    let payload_bytes = i32::try_from(payload_bytes).expect("payloads are bounded far below 2 GiB");
    let mut inner = vec![0, 0, 0]; // attributes, timestamp delta, offset delta
    varint::put_i32(&mut inner, 4);
    inner.extend_from_slice(&KEY_VERSION.to_be_bytes());
    inner.extend_from_slice(&kind.number().to_be_bytes());
    varint::put_i32(&mut inner, payload_bytes);
    let length = i32::try_from(inner.len()).expect("about twenty") + payload_bytes + 1;
    let mut out = Vec::with_capacity(inner.len() + 5);
    varint::put_i32(&mut out, length);
    out.append(&mut inner);
    out
}

fn split(body: &[u8]) -> Option<(PrivateKind, usize)> {
    let mut rest = body;
    varint::take_i32(&mut rest)?;
    let mut rest = rest.get(3..)?;
    if varint::take_i32(&mut rest)? != 4 {
        return None;
    }
    let (key, mut rest) = rest.split_first_chunk::<4>()?;
    let kind = PrivateKind::of_number(i16::from_be_bytes([key[2], key[3]]))?;
    let payload_bytes = usize::try_from(varint::take_i32(&mut rest)?).ok()?;
    (payload_bytes < rest.len()).then_some((kind, payload_bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Records, patch_offset_and_epoch};
    use proptest::prelude::*;

    #[test]
    fn it_is_a_batch_that_any_reader_can_walk() {
        let batch = encode_private(PrivateKind::Command, b"payload", Offset(7), LeaderEpoch(3));
        let header = BatchHeader::parse(&batch).expect("a header");
        assert!(header.is_private() && header.is_control() && verify_crc(&batch));
        assert_eq!((header.offset_end(), header.partition_leader_epoch), (Offset(7), LeaderEpoch(3)), "takes no offset");
        let records: Vec<_> = Records::new(&batch[BatchHeader::SIZE..], header.record_count).collect();
        assert_eq!(records.len(), 1);
        let record = records[0].clone().expect("well formed");
        assert_eq!((record.key, record.value), (Some(&[0, 0, 0x4f, 2][..]), Some(&b"payload"[..])));
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(kind in 0usize..4, payload in proptest::collection::vec(any::<u8>(), 0..300), offset: i64, epoch: i32) {
            let kind = PrivateKind::ALL[kind];
            let batch = encode_private(kind, &payload, Offset(offset), LeaderEpoch(epoch));
            prop_assert_eq!(batch.len(), private_length(payload.len()));
            let (decoded, range) = decode_private(&batch).expect("its own encoding");
            prop_assert_eq!((decoded, &batch[range]), (kind, &payload[..]));
        }

        #[test]
        fn only_its_one_encoding_is_accepted(payload in proptest::collection::vec(any::<u8>(), 0..100), at in 0usize..200, byte: u8) {
            let mut batch = encode_private(PrivateKind::ConfChange, &payload, Offset(1), LeaderEpoch(2)).to_vec();
            let at = at % batch.len();
            batch[at] = byte;
            let crc = crc_of(&batch);
            batch[17..21].copy_from_slice(&crc.to_be_bytes());
            if let Ok((kind, range)) = decode_private(&batch) {
                let header = BatchHeader::parse(&batch).expect("it was decoded");
                let again = encode_private(kind, &batch[range], header.base_offset, header.partition_leader_epoch);
                prop_assert_eq!(&again[..], &batch[..]);
            }
            patch_offset_and_epoch(&mut batch, Offset(0), LeaderEpoch(0));
        }
    }
}
