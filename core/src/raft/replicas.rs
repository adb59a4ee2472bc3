//! The replication engine of one broker: all raft groups, their meta log, disk operations and peer frames.
use super::{GroupEvent, GroupView, Proposal, ProposeError, Proposed, RaftGroup};
use crate::disk::{DiskDone, FileName};
use crate::ids::{BrokerId, GroupId};
use crate::output::Outputs;
use crate::time::{Instant, Now};
use bytes::Bytes;

/// A message of another part of the core that travelled in a peer frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlMessage {
    /// Whose it is: 1 = controller, 2 = leadership table.
    pub kind: u8,
    /// Its bytes; not trusted.
    pub body: Bytes,
}

/// A client read that completed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadDone {
    /// As given to [`Replicas::read`].
    pub token: u64,
    /// Exactly what was asked for.
    pub data: Bytes,
}

/// All groups of this broker.
#[derive(Debug)]
pub struct Replicas {}

impl Replicas {
    /// Makes this broker a replica of a new group. Idempotent; does nothing for a group that was removed before. With `campaign` it
    /// runs for leader at once.
    pub fn create(
        &mut self,
        _now: Now,
        _group: GroupId,
        _label: String,
        _voters: &[BrokerId],
        _campaign: bool,
        _out: &mut Outputs,
    ) {
        unimplemented!()
    }
    /// Drops a replica for ever: tombstone first, files later. Idempotent.
    pub fn remove(&mut self, _group: GroupId, _out: &mut Outputs) {
        unimplemented!()
    }
    /// One group.
    pub fn group(&self, _group: GroupId) -> Option<&RaftGroup> {
        unimplemented!()
    }
    /// All groups, ascending.
    pub fn groups(&self) -> impl Iterator<Item = &RaftGroup> {
        core::iter::empty()
    }
    /// Sets at how many bytes the segments of a group are full (`segment.bytes`).
    pub fn set_segment_bytes(&mut self, _group: GroupId, _bytes_max: u64) {
        unimplemented!()
    }
    /// Appends proposals as one raft proposal, in order. All or nothing.
    pub fn propose(&mut self, _group: GroupId, _proposals: Vec<Proposal>) -> Result<Vec<Proposed>, ProposeError> {
        unimplemented!()
    }
    /// Hands leadership of a group led here to `to`.
    pub fn transfer_leadership(&mut self, _group: GroupId, _to: BrokerId) {
        unimplemented!()
    }
    /// Takes in a frame of a peer; the messages of others come back. A damaged frame is dropped and counted.
    pub fn peer_frame(&mut self, _now: Now, _from: BrokerId, _frame: Bytes) -> Vec<ControlMessage> {
        unimplemented!()
    }
    /// Sends a message of another part of the core with the next frame; may be lost.
    pub fn send(&mut self, _to: BrokerId, _kind: u8, _body: Bytes) {
        unimplemented!()
    }
    /// The connections to a peer were made anew.
    pub fn peer_up(&mut self, _peer: BrokerId) {
        unimplemented!()
    }
    /// A peer can't be reached.
    pub fn peer_down(&mut self, _peer: BrokerId) {
        unimplemented!()
    }
    /// Reads for a client; the completion comes out of [`Replicas::disk_done`] under the same token.
    pub fn read(&mut self, _token: u64, _file: FileName, _position: u64, _length: u32, _out: &mut Outputs) {
        unimplemented!()
    }
    /// A disk operation got further. All of them come here. A failure halts the broker.
    pub fn disk_done(&mut self, _now: Now, _done: DiskDone, _out: &mut Outputs) -> Option<ReadDone> {
        unimplemented!()
    }
    /// Ticks what is due.
    pub fn tick(&mut self, _now: Now) {
        unimplemented!()
    }
    /// Visits every dirty group once, writes the meta log, hands out disk operations and peer frames. Call it again while
    /// handling its events caused proposals: until it returns nothing and [`Replicas::has_work`] is false.
    pub fn end_round(&mut self, _now: Now, _out: &mut Outputs) -> Vec<(GroupId, GroupEvent)> {
        unimplemented!()
    }
    /// Whether a group, the meta log or a peer waits for [`Replicas::end_round`].
    pub fn has_work(&self) -> bool {
        unimplemented!()
    }
    /// When [`Replicas::tick`] is due.
    pub fn next_deadline(&self) -> Option<Instant> {
        unimplemented!()
    }
    /// All groups, for checkers, ascending.
    pub fn views(&self) -> Vec<GroupView> {
        unimplemented!()
    }
}
