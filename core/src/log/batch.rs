//! How the log places a batch: length, offsets, term and whether it takes offsets, read from the header that `record` decodes.
//!
//! The format itself, its ruler and its CRC are [`crate::record`]'s; entries of raft that take no Kafka offset are private batches, see
//! [`crate::record::encode_private`], and never leave the broker towards a client. What is added here: a batch in a log has an offset, an
//! epoch and a length that a leader of ours can have given it.

use super::log_start::StartCommand;
use crate::ids::{Offset, Term};
use crate::record::{self, BatchHeader, HeaderFault, PrivateKind, decode_private, verify_crc};
use bytes::Bytes;

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

impl Batch {
    /// Whether it is the empty entry with which a leader begins. Of that there is one in a term, equal in all groups at the same offset.
    pub(crate) fn is_noop(&self) -> bool {
        self.is_private && self.length == record::private_length(0)
    }

    /// Reads the header at the start of `bytes`; checks its structure, not the CRC.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Batch, BatchError> {
        let header = BatchHeader::parse(bytes).map_err(|fault| match fault {
            HeaderFault::Cut => BatchError::Short(BatchHeader::SIZE),
            HeaderFault::Length(_) => BatchError::Invalid("its length is shorter than a header"),
            HeaderFault::Magic(_) => BatchError::Invalid("its magic is not 2"),
        })?;
        if header.total_len() > BATCH_BYTES_MAX {
            return Err(BatchError::Invalid("its length is beyond any batch"));
        }
        if header.base_offset.0 < 0 {
            return Err(BatchError::Invalid("its base offset is negative"));
        }
        if header.partition_leader_epoch.0 < 0 {
            return Err(BatchError::Invalid("its leader epoch is negative"));
        }
        if header.last_offset_delta < 0 && !header.is_private() {
            return Err(BatchError::Invalid("its last offset delta is negative"));
        }
        if header.base_offset.0.checked_add(i64::from(header.last_offset_delta) + 1).is_none() {
            return Err(BatchError::Invalid("its last offset is beyond any offset"));
        }
        Ok(Batch {
            length: header.total_len(),
            base_offset: header.base_offset,
            end_offset: header.offset_end(),
            term: header.partition_leader_epoch.term(),
            crc: header.crc,
            max_timestamp: header.max_timestamp,
            producer_id: header.producer_id,
            is_private: header.is_private(),
        })
    }

    /// Reads the whole batch at the start of `bytes` and checks structure and CRC.
    pub(crate) fn parse_whole(bytes: &[u8]) -> Result<Batch, BatchError> {
        let batch = Batch::parse(bytes)?;
        if bytes.len() < batch.length {
            return Err(BatchError::Short(batch.length));
        }
        if !verify_crc(&bytes[..batch.length]) {
            return Err(BatchError::Invalid("its CRC does not match"));
        }
        Ok(batch)
    }
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
        PrivateKind::LogStart => StartCommand::parse(&batch[range.clone()]).map(|_| (kind, batch.slice(range))),
        PrivateKind::ConfChange => None,
    }
}

/// What a batch says if it is a log start entry.
pub(crate) fn start_command(batch: &Bytes) -> Option<StartCommand> {
    match private_payload(batch)? {
        (PrivateKind::LogStart, payload) => StartCommand::parse(&payload),
        (PrivateKind::Noop | PrivateKind::Command | PrivateKind::ConfChange, _) => None,
    }
}

/// A data batch for tests of this crate: `records` offsets, `bytes` of padding, no real records inside.
#[cfg(test)]
pub(crate) fn test_batch(records: i32, bytes: usize, producer_id: i64, max_timestamp: i64) -> bytes::BytesMut {
    let sequence = if producer_id < 0 { -1 } else { 0 };
    let header = BatchHeader {
        base_offset: Offset(0),
        batch_length: i32::try_from(BatchHeader::SIZE - BatchHeader::PREFIX + bytes).expect("small"),
        partition_leader_epoch: crate::ids::LeaderEpoch::NONE,
        magic: BatchHeader::MAGIC,
        crc: 0,
        attributes: 0,
        last_offset_delta: records - 1,
        base_timestamp: max_timestamp,
        max_timestamp,
        producer_id,
        producer_epoch: if producer_id < 0 { -1 } else { 0 },
        base_sequence: sequence,
        record_count: records,
    };
    let mut batch = bytes::BytesMut::from(&header.to_bytes()[..]);
    batch.resize(BatchHeader::SIZE + bytes, 0xab);
    let crc = record::crc_of(&batch);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
    batch
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::LeaderEpoch;
    use bytes::BytesMut;

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
        for at in 21..good.len() {
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
