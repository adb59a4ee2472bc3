//! The disk as values: which files a broker has, what it asks of them and what comes back.
//!
//! Knows no paths of the machine and performs nothing. The host maps a [`FileName`] to a path under its data folder and keeps
//! these promises:
//! - appends to one file are performed in the order of issue; everything else may run in any order and in parallel, so the
//!   core issues an operation that must follow another one only after the completion of the other came in;
//! - an [`DiskAction::Append`] completes twice: `Written` (in the page cache, readable, survives `kill -9`) and then `Durable`
//!   (fsynced, with the directory entry if the file is new). All others complete once, with `Durable` (or `Read`);
//! - an append is at the end of the file: `position` equals its length, which the host may assert;
//! - before a broker starts, all that is found is made durable: recovery deletes files because a record says so, which must not be lost then;
//! - an append or a new folder that finds no room on the volume waits until there is room, with all that were issued behind it; what of it was
//!   written is taken back. The broker is told by [`crate::input::Input::DiskFull`], before if possible, so that it stops to ask for more;
//! - a failed operation is reported once and the host stops performing any further ones: the core halts on it (no fsync is
//!   ever retried, see fsyncgate).

use crate::ids::{DiskId, GroupId, Index, Offset};
use bytes::Bytes;

/// The volume that a broker's data folder is on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Volume {
    /// Bytes it has.
    pub total_bytes: u64,
    /// Bytes of it that the broker may still write.
    pub usable_bytes: u64,
}

/// A file of a broker's data folder.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum FileName {
    /// The n-th file of the meta log: terms, votes, memberships, intents of all groups. Path `meta/<n, 10 digits>.meta`.
    Meta(u32),
    /// A segment: Kafka v2 batches back to back. Path `<label>.<group>/<base offset, 20 digits>.<base index, 16 hex digits>.log`.
    Segment {
        /// Group whose log this is part of.
        group: GroupId,
        /// Offset of the first record at or after the first batch.
        base_offset: Offset,
        /// Raft index of the first batch; batch k of the file has index `base_index + k`.
        base_index: Index,
    },
    /// What was known of a group's producers when the entries up to `index` were committed. Path `<label>.<group>/<index, 16 hex
    /// digits>.producers`.
    Producers {
        /// The group.
        group: GroupId,
        /// The last entry that it knows of.
        index: Index,
    },
    /// What a start needs to know of a segment to which nothing is added any more, so that it needn't be read. Path like that of the segment with
    /// `.idx` for `.log`.
    Index {
        /// That of the segment.
        group: GroupId,
        /// That of the segment.
        base_offset: Offset,
        /// That of the segment.
        base_index: Index,
    },
    /// A segment that is being copied from another broker and is no part of the log yet. Path like that of the segment with `.copy` for
    /// `.log`.
    Copy {
        /// Group whose log this will be part of.
        group: GroupId,
        /// That of the segment.
        base_offset: Offset,
        /// That of the segment.
        base_index: Index,
    },
}

impl FileName {
    /// The group whose folder has it.
    #[must_use]
    pub fn group(self) -> Option<GroupId> {
        match self {
            FileName::Meta(_) => None,
            FileName::Segment { group, .. }
            | FileName::Producers { group, .. }
            | FileName::Index { group, .. }
            | FileName::Copy { group, .. } => Some(group),
        }
    }
}

/// One request to the disk.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DiskOp {
    /// Names it in its completions.
    pub id: DiskId,
    /// What to do.
    pub action: DiskAction,
}

/// What to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DiskAction {
    /// Makes the folder of a group; durable with its parent's entry. Idempotent.
    CreateGroup {
        /// The group.
        group: GroupId,
        /// Cosmetic first part of the folder's name, such as `orders-0`: letters, digits, `.`, `_`, `-`.
        label: String,
    },
    /// Deletes a group's folder and all in it. Idempotent.
    RemoveGroup {
        /// The group.
        group: GroupId,
    },
    /// Writes `data` at the end of `file`, creating it when `position` is 0.
    Append {
        /// The file.
        file: FileName,
        /// Length of the file before, bytes.
        position: u64,
        /// Written one after the other with one vectored write where possible.
        data: Vec<Bytes>,
        /// Whether somebody waits until it is durable. Where nobody does, the host may wait a few milliseconds for more to flush at once.
        is_awaited: bool,
    },
    /// Reads exactly `length` bytes at `position`; fewer is a failure.
    Read {
        /// The file.
        file: FileName,
        /// Bytes from the start of the file.
        position: u64,
        /// Bytes.
        length: u32,
    },
    /// Cuts `file` to `length` bytes; durable.
    Truncate {
        /// The file.
        file: FileName,
        /// Bytes to keep.
        length: u64,
    },
    /// Deletes files; durable. Missing ones are fine.
    Remove {
        /// The files.
        files: Vec<FileName>,
    },
    /// Gives files of one group other names, each in place of the file that has that name; durable. Those that are missing are fine.
    Rename {
        /// Present and future names.
        files: Vec<(FileName, FileName)>,
    },
}

/// A completion.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DiskDone {
    /// Which operation.
    pub id: DiskId,
    /// How far it came.
    pub stage: DiskStage,
}

/// How far an operation came.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DiskStage {
    /// An append is in the page cache.
    Written,
    /// It survives a power cut.
    Durable,
    /// What a read found.
    Read(Bytes),
    /// The world failed us: one plain sentence. The broker halts.
    Failed(String),
}

/// A file found at start, with its length in bytes. The list a broker starts from names every file of the data folder; a group
/// folder without files is named by [`Inventory::groups`] only.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Inventory {
    /// Groups that have a folder, ascending.
    pub groups: Vec<GroupId>,
    /// Files and lengths, ascending by name.
    pub files: Vec<(FileName, u64)>,
}
