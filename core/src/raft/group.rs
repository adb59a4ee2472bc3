//! One raft group: tikv raft driven as a pure state machine over a [`GroupLog`].
//!
//! What leaves a group waits for what it depends on: everything that raft wants said only after something is persisted sits in a
//! *ticket* until the segment appends, the meta records and the cuts it depends on are durable; tickets complete in order. A leader's
//! appends go out beside its own write. Knows nothing of partitions, offsets' meaning to clients, or other groups.
//!
//! Three rules around raft 0.7, each paid for by somebody:
//! - raft draws its election timeout from a thread-local generator: after every call into it the timeout is set to a hash of (seed, group,
//!   peer, term, role, retry), or two runs of one seed differ;
//! - a leader must not be made while entries are unpersisted (it asserts that): election ticks, campaigns and `TimeoutNow` wait for
//!   open tickets;
//! - a follower forwards proposals: only a leader is ever asked.
//!
//! Invariants: `shown commit` and `high watermark` never go back; `term` and `vote` leave only after they are durable; committed
//! entries are never cut.
//!
//! Source: Raft thesis chapters 3, 9.6 and 10.2; raft-rs 0.7.0 `raw_node.rs`.

use super::ReplicasConfig;
use super::disk_queue::{DiskQueue, Owner};
use super::lag::Lag;
use super::outbox::Outbox;
use super::pipeline::Pipeline;
use super::storage::Store;
use crate::disk::DiskAction;
use crate::ids::{BrokerId, DiskId, GroupId, Index, Offset, Term};
use crate::log::{FetchPlan, GroupLog, MetaLog, MetaRecord, ProducerTable, encode_private, full_header, private_payload};
use crate::mutant::Mutant;
use crate::output::Outputs;
use crate::random::keyed_below;
use crate::record::{BatchHeader, CheckedBatch, PrivateKind, patch_offset_and_epoch};
use crate::time::{Instant, Now};
use bytes::Bytes;
use raft::eraftpb::{Entry, Message, MessageType};
use raft::{RawNode, Ready, StateRole};
use std::collections::VecDeque;

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
    /// Producers of the committed entries that were found at start; the first event of a group, and only where there are any.
    Producers(Box<ProducerTable>),
    /// A batch with a producer id is in the log that this broker did not propose in this life: it came by replication, or was
    /// found at start above the commit index known then. Feeds producer state; not yet committed. In index order.
    Replicated {
        /// Its index.
        index: Index,
        /// Its header, with final offset and epoch.
        header: BatchHeader,
    },
    /// A committed command, in index order, each exactly once per life (again from the start of the log after a restart).
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
    /// What consumers may see.
    pub high_watermark: Offset,
}

/// What a visit needs from the engine.
pub(crate) struct Round<'a> {
    pub now: Now,
    pub config: &'a ReplicasConfig,
    pub out: &'a mut Outputs,
    pub disk: &'a mut DiskQueue,
    pub meta: &'a mut MetaLog,
    pub outbox: &'a mut Outbox,
    /// Groups to visit again when a round of the meta log is durable.
    pub waiting: &'a mut VecDeque<(u64, GroupId)>,
    pub events: &'a mut Vec<(GroupId, GroupEvent)>,
}

/// What a group begins with.
pub(crate) struct Start {
    pub log: GroupLog,
    pub term: Term,
    pub vote: Option<BrokerId>,
    pub commit: Index,
    pub voters: Vec<BrokerId>,
    pub commands: VecDeque<(Index, Bytes)>,
    /// Producers of what is committed.
    pub producers: Option<ProducerTable>,
    /// Batches with a producer id that are not.
    pub produced: Vec<(Index, BatchHeader)>,
    /// Cuts that recovery makes again.
    pub cuts: Vec<u64>,
    /// Disk operations the group has to wait for, and a round of the meta log.
    pub operations: usize,
    pub round: u64,
    /// Whether to run for leader at once.
    pub campaign: bool,
}

/// Messages and a persist number that wait for the disk.
#[derive(Debug)]
struct Ticket {
    number: u64,
    writes: u64,
    round: u64,
    cut: u64,
    messages: Vec<Message>,
}

/// Entries proposed in this round that raft has not handed out yet.
#[derive(Debug, Clone, Copy)]
struct Pending {
    first: Index,
    last: Index,
    term: Term,
}

/// What was last reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Shown {
    term: Term,
    leader: Option<BrokerId>,
    role: Role,
}

/// One raft group of this broker.
pub struct RaftGroup {
    id: GroupId,
    me: BrokerId,
    voters: Vec<BrokerId>,
    raw: RawNode<Store>,
    pipeline: Pipeline,
    tickets: VecDeque<Ticket>,
    commands: VecDeque<(Index, Bytes)>,
    /// Offset of the next record that is proposed.
    next_offset: Offset,
    pending: Option<Pending>,
    /// Term and vote as recorded in the meta log.
    recorded: (u64, u64),
    /// Durable and commit index as recorded there.
    marked: (Index, Index),
    cuts: u64,
    /// Cuts that recovery makes again; closed when they are made.
    cuts_found: Vec<u64>,
    /// Cuts that were made, with the round of the meta log that closes them.
    cuts_closing: VecDeque<(u64, u64)>,
    cuts_closed: u64,
    fetches: Vec<(DiskId, Index, u64, FetchPlan)>,
    shown: Shown,
    shown_commit: Index,
    shown_written: Index,
    high_watermark: Offset,
    is_serving: bool,
    is_open: bool,
    retry: u64,
    /// Ticks left in which it goes on running for leader, because it is preferred.
    eager: usize,
    ticks: u64,
    lag: Lag,
    /// Bug 2 of the mutation catalogue: a vote record that is written too late.
    late: Option<MetaRecord>,
    events: Vec<GroupEvent>,
    /// Whether the engine has it in its list.
    pub(crate) is_dirty: bool,
}

impl core::fmt::Debug for RaftGroup {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("RaftGroup").field("view", &self.view()).field("is_open", &self.is_open).finish_non_exhaustive()
    }
}

fn role_of(state: StateRole) -> Role {
    match state {
        StateRole::Follower => Role::Follower,
        StateRole::PreCandidate => Role::PreCandidate,
        StateRole::Candidate => Role::Candidate,
        StateRole::Leader => Role::Leader,
    }
}

impl RaftGroup {
    pub(crate) fn new(id: GroupId, config: &ReplicasConfig, logger: &slog::Logger, start: Start) -> RaftGroup {
        let last = start.log.last_index();
        let (term, vote) = (start.term, start.vote);
        assert!(last == Index::BIRTH || start.log.last_term() <= term, "no entry is newer than the term");
        let commit = start.commit.clamp(Index::BIRTH, last);
        let vote = vote.map_or(0, BrokerId::peer);
        let peers = start.voters.iter().map(|voter| voter.peer()).collect();
        let high_watermark = start.log.offset_end_at(commit);
        let next_offset = start.log.log_end();
        let raft_config = raft::Config {
            id: config.broker.peer(),
            election_tick: config.raft.election_ticks,
            heartbeat_tick: config.raft.heartbeat_ticks,
            applied: commit.0,
            max_size_per_msg: config.raft.message_bytes_max as u64,
            max_inflight_msgs: config.raft.inflight_max,
            check_quorum: config.raft.check_quorum,
            pre_vote: config.raft.pre_vote,
            // Followers of partitions learn the commit index from the next append or heartbeat; metadata is wanted at once.
            skip_bcast_commit: id != GroupId::CONTROLLER,
            batch_append: true,
            max_committed_size_per_ready: 256 * 1024,
            ..raft::Config::default()
        };
        let store = Store::new(start.log, term, vote, commit, peers);
        let raw = RawNode::new(&raft_config, store, logger).expect("the settings were checked when they came in");
        let mut group = RaftGroup {
            id,
            me: config.broker,
            pipeline: Pipeline::new(id, start.operations, start.round, last),
            tickets: VecDeque::new(),
            commands: start.commands,
            next_offset,
            pending: None,
            recorded: (start.term.0, start.vote.map_or(0, BrokerId::peer)),
            marked: (Index::BIRTH, Index::BIRTH),
            cuts: start.cuts.iter().copied().max().unwrap_or(0),
            cuts_found: start.cuts,
            cuts_closing: VecDeque::new(),
            cuts_closed: 0,
            fetches: Vec::new(),
            shown: Shown { term, leader: None, role: Role::Follower },
            shown_commit: Index::BIRTH,
            shown_written: last,
            high_watermark,
            is_serving: false,
            is_open: false,
            retry: 0,
            eager: if start.campaign { config.raft.election_ticks } else { 0 },
            ticks: 0,
            lag: Lag::default(),
            late: None,
            events: Vec::new(),
            is_dirty: false,
            voters: start.voters,
            raw,
        };
        group.cuts_closed = group.cuts;
        group.events.extend(start.producers.map(|producers| GroupEvent::Producers(Box::new(producers))));
        group.events.extend(start.produced.into_iter().map(|(index, header)| GroupEvent::Replicated { index, header }));
        group.impose_timeout(config);
        group
    }

    // What others may know.

    /// Its id.
    #[must_use]
    pub fn id(&self) -> GroupId {
        self.id
    }

    /// Its log.
    #[must_use]
    pub fn log(&self) -> &GroupLog {
        &self.raw.raft.store().log
    }

    /// Current term.
    #[must_use]
    pub fn term(&self) -> Term {
        Term(self.raw.raft.term)
    }

    /// Who leads the current term, if known.
    #[must_use]
    pub fn leader(&self) -> Option<BrokerId> {
        BrokerId::from_peer(self.raw.raft.leader_id)
    }

    /// Whether this replica leads.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        self.raw.raft.state == StateRole::Leader
    }

    /// Whether it leads and has committed an entry of its own term.
    #[must_use]
    pub fn is_serving(&self) -> bool {
        self.is_serving && self.is_leader() && self.shown.term == self.term()
    }

    /// Committed offset end: what consumers may see. Never goes back within one life.
    #[must_use]
    pub fn high_watermark(&self) -> Offset {
        self.high_watermark
    }

    /// All voters, ascending.
    #[must_use]
    pub fn voters(&self) -> Vec<BrokerId> {
        self.voters.clone()
    }

    /// Leader only: replicas in sync at `now`: this broker and each voter that was caught up within `lag_ms_max`. Ascending.
    #[must_use]
    pub fn in_sync(&self, now: Now, lag_ms_max: u64) -> Vec<BrokerId> {
        let mut in_sync = vec![self.me];
        if self.is_leader() {
            in_sync.extend(self.lag.in_sync(now.monotonic, lag_ms_max));
        }
        in_sync.sort_unstable();
        in_sync
    }

    /// Leader only: how many voters (this one included) durably hold `index`.
    #[must_use]
    pub fn replicas_holding(&self, index: Index) -> usize {
        self.raw.raft.prs().iter().filter(|(_, progress)| progress.matched >= index.0).count()
    }

    /// Whether it takes part: before, it says and accepts nothing.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.is_open
    }

    /// Raft role.
    #[must_use]
    pub fn role(&self) -> Role {
        role_of(self.raw.raft.state)
    }

    /// For checkers.
    #[must_use]
    pub fn view(&self) -> GroupView {
        let raft = &self.raw.raft;
        let log = self.log();
        // What this broker acts on, which is more than raft's own index only under a deliberate bug.
        let commit = Index(raft.raft_log.committed).max(self.shown_commit);
        GroupView {
            group: self.id,
            term: self.term(),
            vote: BrokerId::from_peer(raft.vote),
            role: self.role(),
            leader: self.leader(),
            commit,
            commit_chain: if commit <= log.last_index() { log.chain_at(commit) } else { 0 },
            last_index: log.last_index(),
            last_term: log.last_term(),
            persisted: Index(raft.raft_log.persisted),
            log_end: log.log_end(),
            high_watermark: self.high_watermark,
        }
    }

    // Calls into raft, each followed by the timeout rule.

    fn impose_timeout(&mut self, config: &ReplicasConfig) {
        let least = config.raft.election_ticks;
        let raft = &mut self.raw.raft;
        let key = [self.id.0, raft.id, raft.term, raft.state as u64, self.retry];
        let extra = keyed_below(config.seed, &key, least as u64);
        raft.set_randomized_election_timeout(least + usize::try_from(extra).expect("below the election ticks"));
    }

    fn is_idle_on_disk(&self) -> bool {
        self.tickets.is_empty()
    }

    /// Where the next proposal would go; `None` if none would be taken.
    pub(crate) fn next_place(&self) -> Option<Proposed> {
        let is_taking = self.is_open && self.is_leader() && self.raw.raft.lead_transferee.is_none();
        is_taking.then(|| Proposed { index: Index(self.raw.raft.raft_log.last_index() + 1), base_offset: self.next_offset })
    }

    /// Index of the newest entry, those included that were proposed in this round.
    #[must_use]
    pub fn last_proposed(&self) -> Index {
        Index(self.raw.raft.raft_log.last_index())
    }

    /// Up to which index entries are in the page cache, as told by [`GroupEvent::Written`].
    #[must_use]
    pub fn written(&self) -> Index {
        self.shown_written
    }

    /// Appends proposals as one raft proposal, in order. All or nothing.
    pub(crate) fn propose(&mut self, config: &ReplicasConfig, proposals: Vec<Proposal>) -> Result<Vec<Proposed>, ProposeError> {
        let Some(place) = self.next_place() else { return Err(ProposeError::NotLeader) };
        if proposals.is_empty() {
            return Ok(Vec::new());
        }
        let term = self.term();
        let mut index = Index(place.index.0 - 1);
        let mut next_offset = place.base_offset;
        let mut placed = Vec::with_capacity(proposals.len());
        let mut entries = Vec::with_capacity(proposals.len());
        for proposal in proposals {
            index.0 += 1;
            placed.push(Proposed { index, base_offset: next_offset });
            let mut entry = Entry::default();
            entry.data = match proposal {
                Proposal::Records(batch) => {
                    let base_offset = next_offset;
                    next_offset.0 += i64::from(batch.header.last_offset_delta) + 1;
                    batch.into_patched(base_offset, term.leader_epoch())
                }
                Proposal::Command(payload) => encode_private(PrivateKind::Command, next_offset, term, &payload),
            };
            entries.push(entry);
        }
        let mut message = Message::default();
        message.set_msg_type(MessageType::MsgPropose);
        message.from = self.raw.raft.id;
        message.entries = entries.into();
        let result = self.raw.raft.step(message);
        self.impose_timeout(config);
        if result.is_err() {
            // Nothing was appended, so nothing was assigned.
            return Err(ProposeError::NotLeader);
        }
        assert_eq!(self.raw.raft.raft_log.last_index(), index.0, "all entries were appended, in order");
        self.next_offset = next_offset;
        let first = self.pending.map_or(placed[0].index, |pending| pending.first);
        self.pending = Some(Pending { first, last: index, term });
        Ok(placed)
    }

    /// A message of a peer. False if it was dropped.
    pub(crate) fn step(&mut self, config: &ReplicasConfig, now: Instant, from: BrokerId, mut message: Message) -> bool {
        if !self.is_open || !self.voters.contains(&from) {
            return false;
        }
        let kind = message.get_msg_type();
        if kind == MessageType::MsgTimeoutNow && !self.is_idle_on_disk() {
            return false;
        }
        if kind == MessageType::MsgHeartbeat {
            // A leader never tells more than what matched; this keeps a lie from ending the process.
            message.commit = message.commit.min(self.raw.raft.raft_log.last_index());
        }
        let is_answer = kind == MessageType::MsgAppendResponse || kind == MessageType::MsgHeartbeatResponse;
        let is_accepted = self.raw.step(message).is_ok();
        self.impose_timeout(config);
        if is_answer && self.is_leader() {
            let matched = self.raw.raft.prs().get(from.peer()).map_or(0, |progress| progress.matched);
            self.lag.heard(from, Index(matched), Index(self.raw.raft.raft_log.last_index()), now);
        }
        is_accepted
    }

    /// One raft tick. True if the group is to be visited.
    pub(crate) fn tick(&mut self, config: &ReplicasConfig) -> bool {
        if !self.is_open {
            return false;
        }
        self.ticks += 1;
        let mut has_work = self.late.is_some();
        if self.is_leader() || self.is_idle_on_disk() {
            let was_leader = self.is_leader();
            has_work |= self.raw.tick();
            if !was_leader && matches!(self.role(), Role::PreCandidate | Role::Candidate) {
                // An election that begins again in the same role would collide again with the same timeout.
                self.retry += u64::from(self.raw.raft.election_elapsed == 0);
            }
            self.impose_timeout(config);
        }
        if self.eager > 0 {
            self.eager -= 1;
            if self.leader().is_some() {
                self.eager = 0;
            } else if self.eager.is_multiple_of(2) && self.role() != Role::Candidate {
                has_work |= self.campaign(config);
            }
        }
        let log = &mut self.raw.raft.raft_log;
        if log.unstable.entries.is_empty() && log.unstable.entries.capacity() > 64 {
            log.unstable.entries.shrink_to_fit();
        }
        has_work
    }

    /// Runs for leader now, if that is possible.
    fn campaign(&mut self, config: &ReplicasConfig) -> bool {
        if !self.is_open || self.is_leader() || !self.is_idle_on_disk() {
            return false;
        }
        self.retry += 1;
        let _ = self.raw.campaign();
        self.impose_timeout(config);
        true
    }

    pub(crate) fn transfer_leadership(&mut self, config: &ReplicasConfig, to: BrokerId) {
        if self.is_leader() && self.voters.contains(&to) {
            self.raw.transfer_leader(to.peer());
            self.impose_timeout(config);
        }
    }

    pub(crate) fn peer_down(&mut self, config: &ReplicasConfig, peer: BrokerId) -> bool {
        let concerns = self.is_open && self.is_leader() && self.voters.contains(&peer);
        if concerns {
            self.raw.report_unreachable(peer.peer());
            self.impose_timeout(config);
        }
        concerns
    }

    /// Every ten ticks: how far the log is durable, so that recovery can tell damage from a torn tail.
    pub(crate) fn mark(&mut self, meta: &mut MetaLog) {
        let durable = self.pipeline.durable();
        let commit = Index(self.raw.raft.raft_log.committed).min(durable);
        if self.is_open && self.ticks.is_multiple_of(10) && (durable, commit) != self.marked {
            self.marked = (durable, commit);
            meta.record_lazily(&MetaRecord::Mark { group: self.id, durable, commit });
        }
    }

    // What the disk says.

    fn log_mut(&mut self) -> &mut GroupLog {
        &mut self.raw.raft.mut_store().log
    }

    pub(crate) fn set_segment_bytes(&mut self, bytes_max: u64) {
        self.log_mut().set_segment_bytes(bytes_max);
    }

    pub(crate) fn append_written(&mut self, id: DiskId) {
        self.pipeline.append_written(id, &mut self.raw.raft.mut_store().log);
    }

    pub(crate) fn append_durable(&mut self, id: DiskId) {
        self.pipeline.append_durable(id, &mut self.raw.raft.mut_store().log);
    }

    pub(crate) fn operation_done(&mut self) {
        self.pipeline.operation_done();
    }

    pub(crate) fn read_started(&mut self) {
        self.pipeline.read_started();
    }

    pub(crate) fn read_done(&mut self) {
        self.pipeline.read_done();
    }

    /// Entries for a follower were read. Damage is told in a sentence.
    pub(crate) fn fetched(&mut self, config: &ReplicasConfig, id: DiskId, data: &Bytes) -> Result<(), String> {
        self.pipeline.read_done();
        let Some(at) = self.fetches.iter().position(|(fetch, ..)| *fetch == id) else { return Ok(()) };
        let (_, low, term, plan) = self.fetches.swap_remove(at);
        if !self.is_leader() || self.raw.raft.term != term {
            return Ok(());
        }
        let entries = self.log().parse_fetch(&plan, low, data)?;
        let peers: Vec<u64> = self.voters.iter().map(|voter| voter.peer()).filter(|peer| *peer != self.raw.raft.id).collect();
        self.raw.raft.store().catchup.borrow_mut().ready = Some((low, entries));
        for peer in peers {
            if self.raw.raft.prs().get(peer).is_some_and(|progress| progress.next_idx == low.0) {
                self.raw.raft.send_append(peer);
            }
        }
        self.raw.raft.store().catchup.borrow_mut().ready = None;
        self.impose_timeout(config);
        Ok(())
    }

    // The visit.

    /// Drives raft until nothing is left to do without the world.
    pub(crate) fn visit(&mut self, round: &mut Round<'_>) {
        self.pump(round);
        if self.is_open {
            if let Some(record) = self.late.take() {
                round.meta.record(&record);
            }
            self.complete_tickets(round);
            while self.raw.has_ready() {
                let ready = self.raw.ready();
                self.handle_ready(ready, round);
                self.complete_tickets(round);
            }
            self.impose_timeout(round.config);
            self.next_offset = self.log().log_end();
            if let Some(pending) = self.pending.take()
                && self.log().last_index() < pending.last
            {
                let first = Index(self.log().last_index().0 + 1).max(pending.first);
                self.events.push(GroupEvent::Truncated(first));
            }
            self.start_fetches(round);
            self.pump(round);
            self.report(round);
        }
        round.events.extend(self.events.drain(..).map(|event| (self.id, event)));
    }

    fn pump(&mut self, round: &mut Round<'_>) {
        let durable = round.meta.round_durable();
        let mut made = Vec::new();
        self.pipeline.pump(durable, round.disk, round.out, &mut made);
        for number in made {
            let closing = round.meta.record(&MetaRecord::CutClosed { group: self.id, number });
            self.cuts_closing.push_back((number, closing));
            round.waiting.push_back((closing, self.id));
        }
        while self.cuts_closing.front().is_some_and(|(_, closing)| *closing <= durable) {
            let (number, _) = self.cuts_closing.pop_front().expect("looked at above");
            self.cuts_closed = self.cuts_closed.max(number);
        }
        if !self.is_open && !self.pipeline.is_waiting() {
            self.open(round);
        }
    }

    /// The first barrier is gone: the folder is there, or what recovery found is durable.
    fn open(&mut self, round: &mut Round<'_>) {
        for number in core::mem::take(&mut self.cuts_found) {
            // An open cut that outlives entries appended after it would drop them at the next start.
            let closing = round.meta.record(&MetaRecord::CutClosed { group: self.id, number });
            self.cuts_closing.push_back((number, closing));
            round.waiting.push_back((closing, self.id));
        }
        if !self.cuts_closing.is_empty() {
            return;
        }
        self.is_open = true;
        if self.voters == [self.me] || self.eager > 0 {
            self.campaign(round.config);
        }
    }

    /// Releases what waited for the disk, in order.
    fn complete_tickets(&mut self, round: &mut Round<'_>) {
        let durable = round.meta.round_durable();
        let mut number = None;
        while self.tickets.front().is_some_and(|ticket| {
            ticket.writes <= self.pipeline.writes_durable() && ticket.round <= durable && ticket.cut <= self.cuts_closed
        }) {
            let ticket = self.tickets.pop_front().expect("looked at above");
            // The entries of a ticket from before a cut may have come back with the same index and term, in writes that are still under
            // way: the ticket that follows the cut speaks for both.
            if ticket.cut == self.cuts {
                number = Some(ticket.number);
            }
            self.send(ticket.messages, round);
        }
        if let Some(number) = number {
            self.raw.on_persist_ready(number);
            self.impose_timeout(round.config);
        }
    }

    fn send(&mut self, messages: Vec<Message>, round: &mut Round<'_>) {
        let log = &self.raw.raft.store().log;
        for message in messages {
            // Messages that waited for the disk may be of an earlier leadership, whose entries were cut or left memory meanwhile.
            // Without them the message is lost, which raft bears; with others of the same index it would be a lie. Entries that were
            // read from disk for a replica far behind carry their bytes.
            let is_here = |entry: &raft::eraftpb::Entry| {
                let index = Index(entry.index);
                !entry.data.is_empty()
                    || (index <= log.last_index() && log.term(index).0 == entry.term && log.entry(index).is_some())
            };
            // raft 0.7 adds entries to an append that already waits for the same peer, and when that one is empty it does not look whether
            // they continue it (`util::is_continuous_ents`): after a peer came back they may not, and would be taken for later ones.
            let mut expected = message.index;
            let is_whole = message.entries.iter().all(|entry| {
                expected += 1;
                entry.index == expected && is_here(entry)
            });
            if !is_whole {
                continue;
            }
            let payload = |index| log.entry(Index(index)).expect("looked at above");
            round.outbox.raft(self.id, message, payload);
        }
    }

    fn handle_ready(&mut self, mut ready: Ready, round: &mut Round<'_>) {
        let mutant = round.config.mutant;
        assert!(ready.snapshot().is_empty(), "no snapshots are sent in this version");
        let number = ready.number();
        let entries = ready.take_entries();
        let mut ticket = Ticket { number, writes: 0, round: 0, cut: self.cuts, messages: ready.take_persisted_messages() };
        if let Some(state) = ready.hs()
            && (state.term, state.vote) != self.recorded
        {
            assert!(state.term >= self.recorded.0, "terms never go back");
            let vote_changed = state.vote != 0;
            self.recorded = (state.term, state.vote);
            let record = MetaRecord::Vote { group: self.id, term: Term(state.term), vote: BrokerId::from_peer(state.vote) };
            if mutant.is(Mutant::HardStateAfterSend) {
                self.late = Some(record);
            } else {
                let recorded = round.meta.record(&record);
                round.waiting.push_back((recorded, self.id));
                if !(mutant.is(Mutant::VoteNotSynced) && vote_changed) {
                    ticket.round = recorded;
                }
            }
        }
        // After the term: a cut that is found open at start must not have forgotten which term made it.
        if !entries.is_empty() {
            self.append(entries, round);
            ticket.cut = self.cuts;
        }
        ticket.writes = self.pipeline.append(Vec::new());
        let messages = ready.take_messages();
        assert!(
            messages.is_empty() || ticket.round == 0,
            "a leader's term and vote were durable before it could lead: {}",
            self.id
        );
        self.send(messages, round);
        let applied = ready.take_committed_entries().last().map(|entry| entry.index);
        self.raw.advance_append_async(ready);
        if let Some(applied) = applied {
            self.raw.advance_apply_to(applied);
        }
        self.tickets.push_back(ticket);
        if mutant.is(Mutant::CountOwnUnsynced) && self.is_leader() {
            self.raw.on_persist_ready(number);
        }
        self.impose_timeout(round.config);
    }

    /// Entries that raft wants persisted, of this leader or another.
    fn append(&mut self, mut entries: Vec<Entry>, round: &mut Round<'_>) {
        let first = Index(entries[0].index);
        let last = self.log().last_index();
        if first <= last {
            if round.config.mutant.is(Mutant::KeepConflictingSuffix) {
                entries = self.keep_conflicting_suffix(entries);
            } else {
                self.cut(first, round);
            }
        }
        let mut writes = Vec::new();
        for entry in entries {
            let index = Index(entry.index);
            let term = Term(entry.term);
            let mut is_own = false;
            if let Some(pending) = &mut self.pending
                && (pending.first..=pending.last).contains(&index)
            {
                is_own = pending.term == term;
                if !is_own {
                    self.events.push(GroupEvent::Truncated(index));
                    pending.last = Index(index.0 - 1);
                    if pending.last < pending.first {
                        self.pending = None;
                    }
                }
            }
            let log = &mut self.raw.raft.mut_store().log;
            assert_eq!(index.0, log.last_index().0 + 1, "entries are contiguous");
            let data =
                if entry.data.is_empty() { encode_private(PrivateKind::Noop, log.log_end(), term, &[]) } else { entry.data };
            let batch = log.append(data.clone(), &mut writes);
            assert_eq!(batch.term, term, "an entry's term is in its batch: {} {index}", self.id);
            if batch.is_private {
                if let Some((PrivateKind::Command, payload)) = private_payload(&data) {
                    self.commands.push_back((index, payload));
                }
            } else if batch.producer_id >= 0 && !is_own {
                self.events.push(GroupEvent::Replicated { index, header: full_header(&data) });
            }
        }
        self.pipeline.append(writes);
    }

    /// The leader's log differs from here on: forget ours, in memory at once, on the disk when the cut's record is durable.
    fn cut(&mut self, from: Index, round: &mut Round<'_>) {
        assert!(from > self.shown_commit, "what was shown as committed is never cut: {} from {from}", self.id);
        self.cuts += 1;
        let number = self.cuts;
        let recorded = round.meta.record(&MetaRecord::CutOpened { group: self.id, number, from });
        round.waiting.push_back((recorded, self.id));
        let cut = self.log_mut().cut(from);
        self.pipeline.cut(number, recorded, from, cut);
        while self.commands.back().is_some_and(|(index, _)| *index >= from) {
            self.commands.pop_back();
        }
        self.marked.0 = self.marked.0.min(Index(from.0 - 1));
        self.shown_written = self.shown_written.min(Index(from.0 - 1));
        self.events.push(GroupEvent::Truncated(from));
    }

    /// Bug 6 of the mutation catalogue: what follows from it is the caller's new entries, moved behind the suffix that stayed.
    fn keep_conflicting_suffix(&mut self, entries: Vec<Entry>) -> Vec<Entry> {
        let log = self.log_mut();
        let last = log.last_index();
        let terms: Vec<Term> = entries.iter().map(|entry| Term(entry.term)).collect();
        log.keep_suffix(Index(entries[0].index), &terms);
        let mut next = log.log_end();
        let mut rest: Vec<Entry> = entries.into_iter().filter(|entry| entry.index > last.0).collect();
        for entry in &mut rest {
            let mut data = bytes::BytesMut::from(&entry.data[..]);
            let batch = crate::log::Batch::parse(&data).expect("checked where it came in");
            patch_offset_and_epoch(&mut data, next, batch.term.leader_epoch());
            next.0 += batch.end_offset.0 - batch.base_offset.0;
            entry.data = data.freeze();
        }
        rest
    }

    fn start_fetches(&mut self, round: &mut Round<'_>) {
        let store = self.raw.raft.store();
        let wanted = core::mem::take(&mut store.catchup.borrow_mut().wanted);
        if !self.is_leader() {
            return;
        }
        for low in wanted {
            let is_under_way = self.fetches.iter().any(|(_, fetch, ..)| *fetch == low);
            if is_under_way || low > self.log().last_index() || self.log().has_in_tail(low) {
                continue;
            }
            let plan = self.log().plan_fetch(low, round.config.raft.message_bytes_max as u64);
            let action = DiskAction::Read { file: plan.file, position: plan.position, length: plan.length };
            let id = round.disk.issue(Owner::Group(self.id), action, round.out);
            self.fetches.push((id, low, self.raw.raft.term, plan));
            self.pipeline.read_started();
        }
    }

    /// Tells what changed since the last visit.
    fn report(&mut self, round: &mut Round<'_>) {
        let shown = Shown { term: self.term(), leader: self.leader(), role: self.role() };
        let leads = shown.role == Role::Leader;
        if shown != self.shown {
            if shown.role != self.shown.role || shown.term != self.shown.term {
                self.is_serving = false;
                if leads {
                    let me = self.me;
                    let followers = self.voters.iter().copied().filter(|voter| *voter != me);
                    let last = Index(self.raw.raft.raft_log.last_index());
                    self.lag.begin(followers, last, round.now.monotonic);
                }
            }
            let led = self.shown.role == Role::Leader;
            if shown.leader != self.shown.leader || shown.term != self.shown.term || leads != led {
                self.events.push(GroupEvent::Leadership { term: shown.term, leader: shown.leader });
            }
            self.shown = shown;
        }
        let written = self.pipeline.written();
        if written > self.shown_written {
            self.shown_written = written;
            self.events.push(GroupEvent::Written(written));
        }
        let committed = Index(self.raw.raft.raft_log.committed);
        let mut commit = committed;
        if round.config.mutant.is(Mutant::CommitOldTerm) && leads {
            commit = commit.max(Index(self.raw.raft.mut_prs().maximal_committed_index().0)).min(self.log().last_index());
        }
        assert!(committed <= self.log().last_index(), "what is committed here is in the log");
        if commit > self.shown_commit {
            while self.commands.front().is_some_and(|(index, _)| *index <= commit) {
                let (index, payload) = self.commands.pop_front().expect("looked at above");
                self.events.push(GroupEvent::Command { index, payload });
            }
            let offset_end = self.log().offset_end_at(commit);
            assert!(
                offset_end >= self.high_watermark || round.config.mutant != Mutant::None,
                "the high watermark never goes back: {} from {} to {offset_end}",
                self.id,
                self.high_watermark
            );
            self.shown_commit = commit;
            self.high_watermark = self.high_watermark.max(offset_end);
            self.events.push(GroupEvent::Committed { index: commit, offset_end: self.high_watermark });
            self.log_mut().settle(committed);
        }
        if leads && !self.is_serving && self.log().term(committed) == shown.term {
            self.is_serving = true;
            self.events.push(GroupEvent::Serving);
        }
    }
}
