//! STUB of the seam.
use crate::disk::DiskDone;
use crate::ids::{BrokerId, GroupId, Index, Offset, Term};
use crate::log::GroupLog;
use crate::output::Outputs;
use crate::record::CheckedBatch;
use crate::time::Now;
use bytes::Bytes;

/// One raft group of this broker.
#[derive(Debug)]
pub struct RaftGroup {}

/// What is to be appended.
#[derive(Debug)]
pub enum Proposal {
    /// Client records: base offset and leader epoch are patched in place when the entry is made.
    Records(CheckedBatch),
    /// A command of a state machine of ours (the controller): opaque bytes; takes an index but no offset.
    Command(Bytes),
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
    /// Entries from here on were cut away.
    Truncated(Index),
    /// A committed command, in index order, each exactly once per life (again from the start of the log after a restart).
    Command {
        /// Its index.
        index: Index,
        /// What was proposed.
        payload: Bytes,
    },
}

/// What a visit needs from the broker: the round's outputs, the shared meta log, the disk ids.
#[derive(Debug)]
pub struct Round<'a> {
    /// The clocks.
    pub now: Now,
    /// Where outputs go.
    pub out: &'a mut Outputs,
    // meta log, disk queue, peer outbox: added by raft
}

impl RaftGroup {
    /// Its id.
    pub fn id(&self) -> GroupId {
        unimplemented!()
    }
    /// Its log.
    pub fn log(&self) -> &GroupLog {
        unimplemented!()
    }
    /// Current term.
    pub fn term(&self) -> Term {
        unimplemented!()
    }
    /// Who leads the current term, if known.
    pub fn leader(&self) -> Option<BrokerId> {
        unimplemented!()
    }
    /// Whether this replica leads.
    pub fn is_leader(&self) -> bool {
        unimplemented!()
    }
    /// Whether it leads and has committed an entry of its own term.
    pub fn is_serving(&self) -> bool {
        unimplemented!()
    }
    /// Committed offset end: what consumers may see. Never goes back within one life.
    pub fn high_watermark(&self) -> Offset {
        unimplemented!()
    }
    /// All voters, ascending.
    pub fn voters(&self) -> Vec<BrokerId> {
        unimplemented!()
    }
    /// Leader only: replicas in sync at `now`: this broker and each voter that was caught up within `lag_ms_max`. Ascending.
    pub fn in_sync(&self, _now: Now, _lag_ms_max: u64) -> Vec<BrokerId> {
        unimplemented!()
    }
    /// Leader only: how many voters (this one included) durably hold `index`.
    pub fn replicas_holding(&self, _index: Index) -> usize {
        unimplemented!()
    }
    /// Appends proposals as one raft proposal, in order. All or nothing.
    pub fn propose(&mut self, _proposals: Vec<Proposal>) -> Result<Vec<Proposed>, ProposeError> {
        unimplemented!()
    }
    /// One raft tick.
    pub fn tick(&mut self) {
        unimplemented!()
    }
    /// Starts an election now.
    pub fn campaign(&mut self) {
        unimplemented!()
    }
    /// Hands leadership to `to`.
    pub fn transfer_leadership(&mut self, _to: BrokerId) {
        unimplemented!()
    }
    /// A disk operation of this group got further.
    pub fn disk_done(&mut self, _done: DiskDone) {
        unimplemented!()
    }
    /// Drives raft until nothing is left to do without the world, adds outputs and returns what happened.
    pub fn visit(&mut self, _round: &mut Round<'_>) -> Vec<GroupEvent> {
        unimplemented!()
    }
}
