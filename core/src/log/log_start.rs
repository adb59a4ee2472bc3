//! Where a log starts, and how a leader says so.
//!
//! The leader of a group proposes a *log start entry*: the first offset that may be read from then on, and the last entry that no replica
//! needs any more. When it is committed every replica records the start that follows for its own segments, shows it when the record is
//! durable, and deletes whole segments before it after that. So the start never goes back, in no crash, and no clock of a follower
//! decides anything.
//!
//! The payload of the entry, big-endian:
//!
//! ```text
//! 0        8        16
//! | offset | spare  |
//! | i64    | u64    |
//! ```
//!
//! Invariant: `base_offset <= offset`.

use crate::ids::{Index, Offset, Term};

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

/// What a log start entry says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StartCommand {
    /// First offset that may be read.
    pub offset: Offset,
    /// Every replica durably holds the entries up to here, so no one has to keep them for another.
    pub spare: Index,
}

impl StartCommand {
    pub(crate) const BYTES: usize = 16;

    pub(crate) fn to_bytes(self) -> [u8; StartCommand::BYTES] {
        let mut bytes = [0; StartCommand::BYTES];
        bytes[..8].copy_from_slice(&self.offset.0.to_be_bytes());
        bytes[8..].copy_from_slice(&self.spare.0.to_be_bytes());
        bytes
    }

    /// The command that `bytes` are, all of them.
    pub(crate) fn parse(bytes: &[u8]) -> Option<StartCommand> {
        let (offset, spare) = bytes.split_first_chunk::<8>()?;
        let offset = Offset(i64::from_be_bytes(*offset));
        let spare = Index(u64::from_be_bytes(spare.try_into().ok()?));
        (offset.0 >= 0).then_some(StartCommand { offset, spare })
    }
}
