//! What goes into a group and what it tells: proposals, events, and the view that checkers have of it.

use crate::ids::{BrokerId, GroupId, Index, Offset, Term};
use crate::log::ProducerTable;
use crate::record::{BatchHeader, CheckedBatch};
use bytes::Bytes;

/// What is to be appended.
#[derive(Debug)]
pub enum Proposal {
    /// Client records: base offset and leader epoch are patched in place when the entry is made.
    Records {
        /// What is appended.
        batch: CheckedBatch,
        /// Whether somebody waits until it is durable: a producer with acks=all, a consumer that has read everything before it.
        is_awaited: bool,
    },
    /// A command of a state machine of ours (the controller): opaque bytes; takes an index but no offset.
    Command(Bytes),
    /// Records before this offset are no longer readable. Takes an index but no offset.
    LogStart(Offset),
}

/// Where a proposal went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proposed {
    /// Raft index.
    pub index: Index,
    /// Kafka base offset (for a command: the offset the next record will get).
    pub base_offset: Offset,
}

/// Nothing was appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProposeError {
    /// This replica does not lead (any more), or leadership is being transferred.
    NotLeader,
}

/// What happened to a group since the last visit, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupEvent {
    /// Leader, term or role changed. `leader` may be this broker.
    Leadership {
        /// The current term.
        term: Term,
        /// Who leads it, if known.
        leader: Option<BrokerId>,
    },
    /// The entry that proves leadership of this term is committed: offsets may be told (KIP-207).
    Serving,
    /// Entries up to here are in the page cache: releases acks=1.
    Written(Index),
    /// Entries up to here are committed: moves the high watermark to `offset_end` and releases acks=all.
    Committed {
        /// Last committed index.
        index: Index,
        /// High watermark.
        offset_end: Offset,
    },
    /// The first offset that may be read moved, for good.
    LogStart(Offset),
    /// Entries from here on were cut away.
    Truncated(Index),
    /// Producers of the committed entries that were found at start; the first event of a group, and only where there are any.
    Producers(Box<ProducerTable>),
    /// The log is another one now, a copy of the leader's: everything up to `last` is committed, and this is known of producers by then. What
    /// was uncommitted before is gone, as was told by `Truncated`; commands of entries that the copy has come again.
    Restored {
        /// The last entry of the copy.
        last: Index,
        /// `None` where nobody wrote that has an id.
        producers: Option<Box<ProducerTable>>,
    },
    /// What is known of the producers of everything that was told to be committed is wanted: [`crate::raft::Replicas::producers_known`].
    ProducersWanted,
    /// A batch with a producer id is in the log that this broker did not propose in this life: it came by replication, or was
    /// found at start above the commit index known then. Feeds producer state; not yet committed. In index order.
    Replicated {
        /// Its index.
        index: Index,
        /// Its header, with final offset and epoch.
        header: BatchHeader,
    },
    /// A committed command, in index order, each exactly once per life (again from the start of the log after a restart
    /// or a snapshot).
    Command {
        /// Its index.
        index: Index,
        /// What was proposed.
        payload: Bytes,
    },
}

/// Raft role of a replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Follows, or waits for a leader.
    Follower,
    /// Asks whether it could win.
    PreCandidate,
    /// Asks for votes.
    Candidate,
    /// Leads.
    Leader,
}

/// What checkers may know of one replica, at the end of a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupView {
    /// The group.
    pub group: GroupId,
    /// Current term.
    pub term: Term,
    /// Whom it voted for in this term.
    pub vote: Option<BrokerId>,
    /// Its role.
    pub role: Role,
    /// Known leader of the term.
    pub leader: Option<BrokerId>,
    /// Raft commit index.
    pub commit: Index,
    /// Hash over (index, term, CRC) of all entries up to `commit`: equal on all replicas with the same `commit`.
    pub commit_chain: u64,
    /// Last index in the log.
    pub last_index: Index,
    /// Term of the last entry.
    pub last_term: Term,
    /// Last index this replica holds durably, as raft counts it.
    pub persisted: Index,
    /// Offset of the next record.
    pub log_end: Offset,
    /// First offset that may be read.
    pub log_start: Offset,
    /// What consumers may see.
    pub high_watermark: Offset,
}
