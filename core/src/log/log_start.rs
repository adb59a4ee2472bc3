//! Where a log starts, and how a leader says so.
//!
//! The leader of a group proposes a *log start entry*: the first offset that may be read from then on. When it is committed every
//! replica records the start that follows for its own segments, shows it when the record is durable, and deletes whole segments before it
//! after that. So the start never goes back, in no crash, and no clock of a follower decides anything. A replica that lacks what was
//! deleted elsewhere is made whole by a snapshot.
//!
//! The payload of the entry is the offset, an i64, big-endian.
//!
//! Invariant: `base_offset <= offset`.

use crate::ids::{Index, Offset, Term};
use bytes::{Buf, BufMut, Bytes, BytesMut};

/// Where a log starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LogStart {
    /// First offset that may be read.
    pub offset: Offset,
    /// Index of the first entry that is kept, the first of its segment.
    pub index: Index,
    /// Base offset of that segment.
    pub base_offset: Offset,
    /// Term of the entry before it.
    pub term: Term,
    /// Hash over all entries before it.
    pub chain: u64,
}

impl LogStart {
    /// Of a log that nothing was deleted from.
    pub(crate) const BIRTH: LogStart =
        LogStart { offset: Offset(0), index: Index(Index::BIRTH.0 + 1), base_offset: Offset(0), term: Term::BIRTH, chain: 0 };
}

impl LogStart {
    /// Adds it, little-endian: offset, index, base offset, term, chain.
    pub(crate) fn encode(&self, out: &mut BytesMut) {
        out.put_i64_le(self.offset.0);
        out.put_u64_le(self.index.0);
        out.put_i64_le(self.base_offset.0);
        out.put_u64_le(self.term.0);
        out.put_u64_le(self.chain);
    }

    /// The inverse; `None` where no log can start.
    pub(crate) fn decode(input: &mut Bytes) -> Option<LogStart> {
        let start = LogStart {
            offset: Offset(input.try_get_i64_le().ok()?),
            index: Index(input.try_get_u64_le().ok()?),
            base_offset: Offset(input.try_get_i64_le().ok()?),
            term: Term(input.try_get_u64_le().ok()?),
            chain: input.try_get_u64_le().ok()?,
        };
        let is_start = start.index > Index::BIRTH && start.base_offset <= start.offset && start.base_offset.0 >= 0;
        is_start.then_some(start)
    }
}

/// What a log start entry says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StartCommand {
    /// First offset that may be read.
    pub offset: Offset,
}

impl StartCommand {
    pub(crate) const BYTES: usize = 8;

    pub(crate) fn to_bytes(self) -> [u8; StartCommand::BYTES] {
        self.offset.0.to_be_bytes()
    }

    /// The command that `bytes` are, all of them.
    pub(crate) fn parse(bytes: &[u8]) -> Option<StartCommand> {
        let offset = Offset(i64::from_be_bytes(bytes.try_into().ok()?));
        (offset.0 >= 0).then_some(StartCommand { offset })
    }
}
