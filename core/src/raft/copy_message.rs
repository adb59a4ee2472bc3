//! What two replicas say to each other while one is made whole by a snapshot of the other.
//!
//! The replica asks for one part after the other; the leader answers with the bytes, or with nothing when it has none to give yet. Either says
//! when it is over. Lost messages are asked for again. Everything names group, term and last entry of the snapshot, so that what is late is
//! known as such.
//!
//! Binary form, little-endian: kind u8, group u64, term u64, last index u64, then of
//! - 1 `Ask`: base offset i64 and base index u64 of the segment, position u64, length u32;
//! - 2 `Part`: base index u64, position u64, CRC-32C u32 of the bytes, the bytes;
//! - 3 `Over`: 1 if the snapshot was installed, else 0.

use crate::ids::{GroupId, Index, Offset, Term};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use crc_fast::crc32_iscsi as crc32c;

/// Kind of these messages among those that travel in peer frames beside raft's.
pub(crate) const KIND_COPY: u8 = 4;

/// Which snapshot is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SnapshotName {
    pub group: GroupId,
    /// Term of the leader that sent it.
    pub term: Term,
    /// Its last entry.
    pub last: Index,
}

/// What is said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CopyMessage {
    /// To the leader.
    Ask { base_offset: Offset, base_index: Index, position: u64, length: u32 },
    /// To the replica.
    Part { base_index: Index, position: u64, data: Bytes },
    /// To either: nothing more will be asked for or given.
    Over { is_done: bool },
}

impl CopyMessage {
    pub(crate) fn encode(&self, name: SnapshotName) -> Bytes {
        let mut out = BytesMut::with_capacity(64);
        out.put_u8(match self {
            CopyMessage::Ask { .. } => 1,
            CopyMessage::Part { .. } => 2,
            CopyMessage::Over { .. } => 3,
        });
        out.put_u64_le(name.group.0);
        out.put_u64_le(name.term.0);
        out.put_u64_le(name.last.0);
        match self {
            CopyMessage::Ask { base_offset, base_index, position, length } => {
                out.put_i64_le(base_offset.0);
                out.put_u64_le(base_index.0);
                out.put_u64_le(*position);
                out.put_u32_le(*length);
            }
            CopyMessage::Part { base_index, position, data } => {
                out.put_u64_le(base_index.0);
                out.put_u64_le(*position);
                out.put_u32_le(crc32c(data));
                out.put_slice(data);
            }
            CopyMessage::Over { is_done } => out.put_u8(u8::from(*is_done)),
        }
        out.freeze()
    }

    /// The message that `bytes` are; `None` for nonsense.
    pub(crate) fn decode(mut bytes: Bytes) -> Option<(SnapshotName, CopyMessage)> {
        let input = &mut bytes;
        let kind = input.try_get_u8().ok()?;
        let group = GroupId(input.try_get_u64_le().ok()?);
        let term = Term(input.try_get_u64_le().ok()?);
        let name = SnapshotName { group, term, last: Index(input.try_get_u64_le().ok()?) };
        let message = match kind {
            1 => CopyMessage::Ask {
                base_offset: Offset(input.try_get_i64_le().ok()?),
                base_index: Index(input.try_get_u64_le().ok()?),
                position: input.try_get_u64_le().ok()?,
                length: input.try_get_u32_le().ok()?,
            },
            2 => {
                let base_index = Index(input.try_get_u64_le().ok()?);
                let position = input.try_get_u64_le().ok()?;
                let crc = input.try_get_u32_le().ok()?;
                let data = input.split_to(input.len());
                if data.is_empty() || crc32c(&data) != crc {
                    return None;
                }
                CopyMessage::Part { base_index, position, data }
            }
            3 => CopyMessage::Over { is_done: input.try_get_u8().ok()? == 1 },
            _ => return None,
        };
        input.is_empty().then_some((name, message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_give_themselves_back_and_nonsense_does_not() {
        let name = SnapshotName { group: GroupId(7), term: Term(3), last: Index(99) };
        let (base_offset, base_index) = (Offset(5), Index(4));
        for message in [
            CopyMessage::Ask { base_offset, base_index, position: 77, length: 1000 },
            CopyMessage::Part { base_index, position: 77, data: Bytes::from_static(b"batches") },
            CopyMessage::Over { is_done: true },
            CopyMessage::Over { is_done: false },
        ] {
            let bytes = message.encode(name);
            assert_eq!(CopyMessage::decode(bytes.clone()), Some((name, message)));
            for length in 0..bytes.len() {
                assert_eq!(CopyMessage::decode(bytes.slice(..length)), None, "cut to {length}");
            }
        }
        let part = CopyMessage::Part { base_index, position: 0, data: Bytes::from_static(b"batches") };
        let mut bad = BytesMut::from(&part.encode(name)[..]);
        *bad.last_mut().expect("it has bytes") ^= 1;
        assert_eq!(CopyMessage::decode(bad.freeze()), None, "a flipped bit");
    }
}
