//! The replication engine of one broker: all raft groups, their meta log, disk operations and peer frames.
//!
//! Work is collected and done in rounds: inputs only mark groups dirty; [`Replicas::end_round`] visits each dirty group once, then writes
//! the records of all of them with one append of the meta log and sends one frame per peer and class. Knows neither topics nor clients.
//!
//! Ticks: every group is ticked once per `tick_ms`; groups are spread over [`PHASES`] phases, so that ten thousand of them never make one
//! burst. A clock that stood still for long gives one tick, not many: the messages that came meanwhile are still unread.

mod recalling;

pub use recalling::Recalling;

use super::copy_message::{CopyMessage, KIND_COPY};
use super::disk_queue::{DiskQueue, Owner};
use super::frame::{self, PeerMessage};
use super::group::{Round, Start};
use super::outbox::Outbox;
use super::recall::KIND_RECALL;
use super::recalls::Recalls;
use super::{GroupEvent, GroupView, Proposal, ProposeError, Proposed, RaftGroup, ReplicasConfig};
use crate::disk::{DiskAction, DiskDone, DiskStage, FileName};
use crate::error::Fatal;
use crate::ids::{BrokerId, GroupId, Index, Term};
use crate::log::{GroupLog, Memory, MetaLog, MetaRecord, ProducerTable};
use crate::mutant::Mutant;
use crate::output::{Output, Outputs};
use crate::random::keyed;
use crate::time::{Instant, Now};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Parts of a tick; group g is ticked in part `g mod PHASES`.
const PHASES: u64 = 5;
/// Salt of the draw of a life.
const LIFE: u64 = 0x7265_6361_6c6c_6564;
/// Lazy records of the meta log wait at most so long.
const LAZY_MS_MAX: u64 = 1000;

/// A message of another part of the core that travelled in a peer frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlMessage {
    /// Whose it is: 1 = controller, 2 = leadership table, 3 = elections. 4 and 5 are taken, by snapshots
    /// and by those who ask what they promised.
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

/// What was dropped, for metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Peer frames that were damaged.
    pub frames: u64,
    /// Messages for groups this broker has no replica of.
    pub unknown_group: u64,
    /// Messages that raft had no use for.
    pub refused: u64,
}

/// A group that is going away.
#[derive(Debug)]
struct Removing {
    /// Operations under way.
    left: usize,
    /// Round of the meta log with its tombstone.
    round: u64,
}

/// All groups of this broker.
#[derive(Debug)]
pub struct Replicas {
    config: ReplicasConfig,
    logger: slog::Logger,
    groups: BTreeMap<GroupId, RaftGroup>,
    removing: BTreeMap<GroupId, Removing>,
    dirty: Vec<GroupId>,
    waiting: VecDeque<(u64, GroupId)>,
    copies: BTreeSet<GroupId>,
    meta: MetaLog,
    disk: DiskQueue,
    outbox: Outbox,
    next_tick: Instant,
    phase: u64,
    next_lazy: Instant,
    dropped: Dropped,
    recalls: Recalls,
    recalling: Recalling,
}

impl Replicas {
    pub(crate) fn new(now: Now, config: ReplicasConfig, meta: MetaLog) -> Replicas {
        let key = [LIFE, now.monotonic.0, now.wall.0.unsigned_abs(), u64::from(config.broker.0.unsigned_abs())];
        Replicas {
            recalls: Recalls::new(keyed(config.seed, &key), now.monotonic),
            recalling: Recalling::default(),
            config,
            logger: slog::Logger::root(slog::Discard, slog::o!()),
            groups: BTreeMap::new(),
            removing: BTreeMap::new(),
            dirty: Vec::new(),
            waiting: VecDeque::new(),
            copies: BTreeSet::new(),
            meta,
            disk: DiskQueue::new(),
            outbox: Outbox::default(),
            next_tick: now.monotonic,
            phase: 0,
            next_lazy: now.monotonic.plus_ms(LAZY_MS_MAX),
            dropped: Dropped::default(),
        }
    }

    /// Makes this broker a replica of a new group. Idempotent; does nothing for a group that was removed before. With `campaign` it
    /// runs for leader at once.
    pub fn create(&mut self, _now: Now, group: GroupId, label: String, voters: &[BrokerId], campaign: bool, out: &mut Outputs) {
        self.make(group, label, voters, campaign, Memory::Whole, out);
    }

    /// Makes this broker a replica of a group of which it may have been a replica before its disk was lost. It has no rights before all other
    /// voters told what it may have promised. Idempotent like [`Replicas::create`].
    pub fn create_forgotten(&mut self, _now: Now, group: GroupId, label: String, voters: &[BrokerId], out: &mut Outputs) {
        let is_reborn = self.config.mutant.is(Mutant::WipedReborn);
        let memory = if is_reborn { Memory::Whole } else { Memory::Asking };
        let campaign = is_reborn && group == GroupId::CONTROLLER && voters.first() == Some(&self.config.broker);
        self.make(group, label, voters, campaign, memory, out);
    }

    fn make(&mut self, group: GroupId, label: String, voters: &[BrokerId], campaign: bool, memory: Memory, out: &mut Outputs) {
        let state = self.meta.state();
        if state.groups.contains_key(&group) || state.removed.contains(&group) {
            return;
        }
        assert!(voters.contains(&self.config.broker), "a replica of {group} is one of its voters");
        let voters = voters.to_vec();
        let record =
            MetaRecord::Created { group, label: label.clone(), voters: voters.clone(), is_asking: memory == Memory::Asking };
        let round = self.meta.record(&record);
        self.disk.issue(Owner::Group(group), DiskAction::CreateGroup { group, label }, out);
        let log = GroupLog::born(group, self.config.segment_bytes_max, self.config.raft.tail_bytes_max);
        let start = Start {
            log,
            term: Term::BIRTH,
            vote: None,
            commit: Index::BIRTH,
            voters,
            starts: VecDeque::new(),
            commands: VecDeque::new(),
            producers: None,
            produced: Vec::new(),
            cuts: Vec::new(),
            producers_file: None,
            operations: 1,
            round,
            campaign,
            memory,
            born_with: Vec::new(),
        };
        self.add(group, start);
    }

    /// Adds a group that waits for its operations and its round of the meta log.
    pub(crate) fn add(&mut self, id: GroupId, start: Start) {
        self.waiting.push_back((start.round, id));
        self.begin_recall(id, &start);
        let group = RaftGroup::new(id, &self.config, &self.logger, start);
        let before = self.groups.insert(id, group);
        assert!(before.is_none(), "a group is added once: {id}");
        self.touch(id);
    }

    /// Issues an operation that a group waits for from the start.
    pub(crate) fn repair(&mut self, group: GroupId, action: DiskAction, out: &mut Outputs) {
        self.disk.issue(Owner::Group(group), action, out);
    }

    /// Issues an operation that nobody waits for.
    pub(crate) fn tidy(&mut self, action: DiskAction, out: &mut Outputs) {
        self.disk.issue(Owner::Nobody, action, out);
    }

    /// Drops a replica for ever: tombstone first, files later. Idempotent.
    pub fn remove(&mut self, group: GroupId, out: &mut Outputs) {
        if self.groups.remove(&group).is_none() {
            return;
        }
        self.copies.remove(&group);
        self.recalls.end(group);
        let round = self.meta.record(&MetaRecord::Removed { group });
        self.removing.insert(group, Removing { left: self.disk.under_way(group), round });
        self.remove_files(group, out);
    }

    /// Deletes the files of a removed group when nothing uses them any more and its tombstone is durable.
    fn remove_files(&mut self, group: GroupId, out: &mut Outputs) {
        let durable = self.meta.round_durable();
        if self.removing.get(&group).is_some_and(|removing| removing.left == 0 && removing.round <= durable) {
            self.removing.remove(&group);
            self.disk.issue(Owner::Nobody, DiskAction::RemoveGroup { group }, out);
        }
    }

    /// One group.
    #[must_use]
    pub fn group(&self, group: GroupId) -> Option<&RaftGroup> {
        self.groups.get(&group)
    }

    /// All groups, ascending.
    pub fn groups(&self) -> impl Iterator<Item = &RaftGroup> {
        self.groups.values()
    }

    /// Groups that are being copied to this broker by snapshots now.
    #[must_use]
    pub fn copies_under_way(&self) -> usize {
        self.copies.len()
    }

    /// What was dropped in this life.
    #[must_use]
    pub fn dropped(&self) -> Dropped {
        self.dropped
    }

    /// Sets at how many bytes the segments of a group are full (`segment.bytes`).
    pub fn set_segment_bytes(&mut self, group: GroupId, bytes_max: u64) {
        if let Some(group) = self.groups.get_mut(&group) {
            group.set_segment_bytes(bytes_max.min(self.config.raft.segment_bytes_cap));
        }
    }

    /// Sets after how many milliseconds, by the timestamps of their batches, the segments of a group are closed (`segment.ms`).
    pub fn set_segment_ms(&mut self, group: GroupId, ms_max: i64) {
        if let Some(group) = self.groups.get_mut(&group) {
            group.set_segment_ms(ms_max);
        }
    }

    /// Appends proposals as one raft proposal, in order. All or nothing.
    pub fn propose(&mut self, group: GroupId, proposals: Vec<Proposal>) -> Result<Vec<Proposed>, ProposeError> {
        let replica = self.groups.get_mut(&group).ok_or(ProposeError::NotLeader)?;
        let placed = replica.propose(&self.config, proposals)?;
        self.touch(group);
        Ok(placed)
    }

    /// Answers [`GroupEvent::ProducersWanted`]: what is known of the producers of everything that the group told to be committed; `None` where
    /// nobody wrote that has an id.
    pub fn producers_known(&mut self, group: GroupId, producers: Option<&ProducerTable>) {
        if let Some(replica) = self.groups.get_mut(&group) {
            replica.producers_known(&self.config, producers);
            self.touch(group);
        }
    }

    /// Where the next proposal of a group would go.
    ///
    /// # Errors
    /// None would be taken.
    pub fn next_place(&self, group: GroupId) -> Result<Proposed, ProposeError> {
        self.groups.get(&group).and_then(RaftGroup::next_place).ok_or(ProposeError::NotLeader)
    }

    /// Hands leadership of a group led here to `to`.
    pub fn transfer_leadership(&mut self, group: GroupId, to: BrokerId) {
        if let Some(replica) = self.groups.get_mut(&group) {
            replica.transfer_leadership(&self.config, to);
            self.touch(group);
        }
    }

    /// Takes in a frame of a peer; the messages of others come back. A damaged frame is dropped and counted.
    pub fn peer_frame(&mut self, now: Now, from: BrokerId, frame: Bytes) -> Vec<ControlMessage> {
        let Ok(messages) = frame::decode(from, self.config.broker, &frame) else {
            self.dropped.frames += 1;
            return Vec::new();
        };
        let mut others = Vec::new();
        for message in messages {
            match message {
                PeerMessage::Other(message) if message.kind == KIND_COPY => self.copy_message(now, from, message.body),
                PeerMessage::Other(message) if message.kind == KIND_RECALL => self.recall_message(now, from, message.body),
                PeerMessage::Other(message) => others.push(message),
                PeerMessage::Raft(id, message) => {
                    let Some(group) = self.groups.get_mut(&id) else {
                        self.dropped.unknown_group += 1;
                        continue;
                    };
                    self.dropped.refused += u64::from(!group.step(&self.config, now.monotonic, from, message));
                    self.touch(id);
                }
            }
        }
        others
    }

    fn copy_message(&mut self, now: Now, from: BrokerId, body: Bytes) {
        let Some((name, message)) = CopyMessage::decode(body) else {
            self.dropped.frames += 1;
            return;
        };
        let Some(group) = self.groups.get_mut(&name.group) else {
            self.dropped.unknown_group += 1;
            return;
        };
        group.copy_message(&self.config, now.monotonic, from, name, message);
        self.touch(name.group);
    }

    /// Sends a message of another part of the core with the next frame; may be lost.
    pub fn send(&mut self, to: BrokerId, kind: u8, body: Bytes) {
        self.outbox.other(to, kind, body);
    }

    /// The connections to a peer were made anew. What was lost is asked for again by raft itself; only who does not know what it promised has
    /// waited for this.
    pub fn peer_up(&mut self, peer: BrokerId) {
        self.recalls.peer_up(peer);
    }

    /// A peer can't be reached.
    pub fn peer_down(&mut self, peer: BrokerId) {
        for (id, group) in &mut self.groups {
            if group.peer_down(&self.config, peer) && !group.is_dirty {
                group.is_dirty = true;
                self.dirty.push(*id);
            }
        }
    }

    /// Reads for a client; the completion comes out of [`Replicas::disk_done`] under the same token.
    pub fn read(&mut self, token: u64, file: FileName, position: u64, length: u32, out: &mut Outputs) {
        let group = file.group();
        let id = self.disk.issue(Owner::Client { group, token }, DiskAction::Read { file, position, length }, out);
        if let Some(group) = group.and_then(|group| self.groups.get_mut(&group)) {
            group.read_started(id);
        }
    }

    /// A disk operation got further. All of them come here. A failure halts the broker.
    pub fn disk_done(&mut self, _now: Now, done: DiskDone, out: &mut Outputs) -> Option<ReadDone> {
        match done.stage {
            DiskStage::Failed(what) => {
                out.push(Output::Halt(Fatal::Disk(what)));
                None
            }
            DiskStage::Written => {
                if let Some(Owner::Append(id)) = self.disk.owner(done.id)
                    && let Some(group) = self.groups.get_mut(&id)
                {
                    group.append_written(done.id);
                    self.touch(id);
                }
                None
            }
            DiskStage::Durable => {
                self.durable(done.id, out);
                None
            }
            DiskStage::Read(data) => self.read_done(done.id, data, out),
        }
    }

    fn durable(&mut self, id: crate::ids::DiskId, out: &mut Outputs) {
        match self.disk.take(id) {
            Some(Owner::Append(group)) => match self.groups.get_mut(&group) {
                Some(replica) => {
                    replica.append_durable(id);
                    self.touch(group);
                }
                None => self.operation_of_removed(group, out),
            },
            Some(Owner::Group(group)) => match self.groups.get_mut(&group) {
                Some(replica) => {
                    replica.operation_done();
                    self.touch(group);
                }
                None => self.operation_of_removed(group, out),
            },
            Some(Owner::Removal(group)) => match self.groups.get_mut(&group) {
                Some(replica) => {
                    replica.removal_done(id);
                    self.touch(group);
                }
                None => self.operation_of_removed(group, out),
            },
            Some(Owner::Copy(group)) => self.copy_done(group, id, None, out),
            Some(Owner::Meta) => {
                if self.meta.durable(id) {
                    self.meta_durable(out);
                }
            }
            Some(Owner::Client { .. } | Owner::Loan { .. } | Owner::Nobody) | None => {}
        }
    }

    fn copy_done(&mut self, group: GroupId, id: crate::ids::DiskId, read: Option<Bytes>, out: &mut Outputs) {
        match self.groups.get_mut(&group) {
            Some(replica) => {
                replica.copy_done(id, read);
                self.touch(group);
            }
            None => self.operation_of_removed(group, out),
        }
    }

    fn meta_durable(&mut self, out: &mut Outputs) {
        let durable = self.meta.round_durable();
        while self.waiting.front().is_some_and(|(round, _)| *round <= durable) {
            let (_, group) = self.waiting.pop_front().expect("looked at above");
            self.touch(group);
        }
        let files = self.meta.take_old_files();
        if !files.is_empty() {
            self.disk.issue(Owner::Nobody, DiskAction::Remove { files }, out);
        }
        let removing: Vec<GroupId> = self.removing.keys().copied().collect();
        for group in removing {
            self.remove_files(group, out);
        }
    }

    fn read_done(&mut self, id: crate::ids::DiskId, data: Bytes, out: &mut Outputs) -> Option<ReadDone> {
        match self.disk.take(id) {
            Some(Owner::Client { group, token }) => {
                if let Some(group) = group {
                    match self.groups.get_mut(&group) {
                        Some(replica) => {
                            replica.read_done(id);
                            self.touch(group);
                        }
                        None => self.operation_of_removed(group, out),
                    }
                }
                Some(ReadDone { token, data })
            }
            Some(Owner::Group(group)) => {
                match self.groups.get_mut(&group) {
                    Some(replica) => {
                        if let Err(what) = replica.fetched(&self.config, id, &data) {
                            out.push(Output::Halt(Fatal::Corrupt(what)));
                        }
                        self.touch(group);
                    }
                    None => self.operation_of_removed(group, out),
                }
                None
            }
            Some(Owner::Copy(group)) => {
                self.copy_done(group, id, Some(data), out);
                None
            }
            Some(Owner::Loan { group, to }) => {
                match self.groups.get_mut(&group) {
                    Some(replica) => {
                        if let Some(part) = replica.part_read(id, to, data) {
                            self.outbox.bulk(to, KIND_COPY, part);
                        }
                        self.touch(group);
                    }
                    None => self.operation_of_removed(group, out),
                }
                None
            }
            Some(Owner::Append(_) | Owner::Removal(_) | Owner::Meta | Owner::Nobody) | None => None,
        }
    }

    fn operation_of_removed(&mut self, group: GroupId, out: &mut Outputs) {
        if let Some(removing) = self.removing.get_mut(&group) {
            removing.left -= 1;
            self.remove_files(group, out);
        }
    }

    fn touch(&mut self, id: GroupId) {
        if let Some(group) = self.groups.get_mut(&id)
            && !group.is_dirty
        {
            group.is_dirty = true;
            self.dirty.push(id);
        }
    }

    /// Ticks what is due.
    pub fn tick(&mut self, now: Now) {
        let step_us = (self.config.raft.tick_ms * 1000 / PHASES).max(1);
        for _ in 0..PHASES {
            if self.next_tick > now.monotonic {
                break;
            }
            self.next_tick = Instant(self.next_tick.0 + step_us);
            let phase = self.phase;
            self.phase = (phase + 1) % PHASES;
            for (id, group) in &mut self.groups {
                if id.0 % PHASES != phase {
                    continue;
                }
                if group.tick(&self.config, now.monotonic) && !group.is_dirty {
                    group.is_dirty = true;
                    self.dirty.push(*id);
                }
                group.mark(&mut self.meta);
            }
        }
        if self.next_tick <= now.monotonic {
            self.next_tick = Instant(now.monotonic.0 + step_us);
        }
        self.tick_recalls(now);
        if self.next_lazy <= now.monotonic {
            self.next_lazy = now.monotonic.plus_ms(LAZY_MS_MAX);
            if self.meta.has_lazy() {
                self.meta.hurry();
            }
        }
    }

    /// Visits every dirty group once, writes the meta log, hands out disk operations and peer frames. Call it again while
    /// handling its events caused proposals: until it returns nothing and [`Replicas::has_work`] is false.
    pub fn end_round(&mut self, now: Now, out: &mut Outputs) -> Vec<(GroupId, GroupEvent)> {
        let mut events = Vec::new();
        let mut dirty = core::mem::take(&mut self.dirty);
        if self.config.mutant.is(Mutant::HashOrder) {
            hash_order(&mut dirty);
        }
        let mut made = Vec::new();
        for id in dirty.drain(..) {
            let Some(group) = self.groups.get_mut(&id) else { continue };
            group.is_dirty = false;
            group.visit(&mut Round {
                now,
                config: &self.config,
                out,
                disk: &mut self.disk,
                meta: &mut self.meta,
                outbox: &mut self.outbox,
                waiting: &mut self.waiting,
                copies: &mut self.copies,
                events: &mut events,
            });
            if group.memory() != Memory::Whole && group.is_made() {
                made.push(id);
            }
        }
        self.dirty = dirty;
        self.begin_asking(now, &made);
        self.ask_to_recall(now);
        if let Some(append) = self.meta.flush(self.disk.next_id()) {
            let action =
                DiskAction::Append { file: append.file, position: append.position, data: vec![append.data], is_awaited: true };
            self.disk.issue(Owner::Meta, action, out);
        }
        self.outbox.flush(out);
        events
    }

    /// Whether a group, the meta log or a peer waits for [`Replicas::end_round`].
    #[must_use]
    pub fn has_work(&self) -> bool {
        !self.dirty.is_empty() || self.meta.wants_flush() || !self.outbox.is_empty() || self.recalls.has_questions()
    }

    /// When [`Replicas::tick`] is due.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        Some(self.next_tick)
    }

    /// All groups that take part (their folder and what is in it are durable), for checkers, ascending.
    pub fn views(&self) -> impl Iterator<Item = GroupView> {
        self.groups.values().filter(|group| group.is_open() && !group.is_installing()).map(RaftGroup::view)
    }
}

/// Bug 41 of the mutation catalogue: the order of a hash map with keys of its own.
#[cfg(feature = "mutants")]
fn hash_order(groups: &mut [GroupId]) {
    use core::hash::BuildHasher;
    let keys = std::hash::RandomState::new();
    groups.sort_by_key(|group| keys.hash_one(group));
}

#[cfg(not(feature = "mutants"))]
fn hash_order(_groups: &mut [GroupId]) {}
