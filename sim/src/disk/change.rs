//! What happened on a disk, for those who watch it, and when more will.

use ottla_core::disk::FileName;
use ottla_core::ids::{DiskId, GroupId};

/// What a disk event did to a file, for those who watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskChange {
    /// Bytes from `position` to `end` are readable.
    Appended {
        /// The file.
        file: FileName,
        /// Its length after.
        end: u64,
    },
    /// Bytes up to `end` are durable.
    Synced {
        /// The file.
        file: FileName,
        /// The durable length.
        end: u64,
    },
    /// The file was cut.
    Cut {
        /// The file.
        file: FileName,
        /// Its length after.
        end: u64,
    },
    /// The file is gone.
    Removed {
        /// The file.
        file: FileName,
    },
    /// A file has another name, in place of the one that had it.
    Renamed {
        /// Its name before.
        from: FileName,
        /// Its name.
        to: FileName,
    },
    /// A folder was made.
    GroupMade {
        /// The group.
        group: GroupId,
    },
    /// A folder is gone, with all in it.
    GroupRemoved {
        /// The group.
        group: GroupId,
    },
}

/// A later moment at which something of an operation happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskEvent {
    /// When.
    pub at: u64,
    /// Which operation.
    pub id: DiskId,
    /// Whether it is the page cache (else: the platter, or the only stage).
    pub is_written: bool,
}
