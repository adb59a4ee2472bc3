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

mod amnesia;
mod copying;
mod drive;
mod events;
mod lending;
mod ready;
mod report;
mod start;

pub use events::{GroupEvent, GroupView, Proposal, ProposeError, Proposed, Role};

use self::copying::Copies;
use self::lending::Lending;
use self::start::StartDue;
use super::ReplicasConfig;
use super::copy_message::{CopyMessage, SnapshotName};
use super::disk_queue::DiskQueue;
use super::lag::Lag;
use super::outbox::Outbox;
use super::pipeline::Pipeline;
use super::storage::Store;
use crate::ids::{BrokerId, DiskId, GroupId, Index, Offset, Term};
use crate::log::{FetchPlan, GroupLog, LogStart, Memory, MetaLog, MetaRecord, ProducerTable, StartCommand};
use crate::output::Outputs;
use crate::record::BatchHeader;
use crate::time::{Instant, Now};
use bytes::Bytes;
use raft::eraftpb::Message;
use raft::{RawNode, StateRole};
use std::collections::{BTreeSet, VecDeque};

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
    /// Groups that are being copied to this broker.
    pub copies: &'a mut BTreeSet<GroupId>,
    pub events: &'a mut Vec<(GroupId, GroupEvent)>,
}

/// What a group begins with.
pub(crate) struct Start {
    pub log: GroupLog,
    pub term: Term,
    pub vote: Option<BrokerId>,
    pub commit: Index,
    pub voters: Vec<BrokerId>,
    pub starts: VecDeque<(Index, StartCommand)>,
    pub commands: VecDeque<(Index, Bytes)>,
    /// Producers of what is committed.
    pub producers: Option<ProducerTable>,
    /// Batches with a producer id that are not.
    pub produced: Vec<(Index, BatchHeader)>,
    /// Cuts and installs that recovery makes again.
    pub cuts: Vec<u64>,
    /// The file that says what was known of producers.
    pub producers_file: Option<Index>,
    /// Disk operations the group has to wait for, and a round of the meta log.
    pub operations: usize,
    pub round: u64,
    /// Whether to run for leader at once.
    pub campaign: bool,
    /// What it remembers, and who knew nothing either when it was born.
    pub memory: Memory,
    pub born_with: Vec<(BrokerId, u64)>,
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
    /// Whether somebody waits until one of them is durable.
    is_awaited: bool,
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
    /// Log start entries that are not known to be committed.
    starts: VecDeque<(Index, StartCommand)>,
    /// Log starts that were decided, with the round of the meta log that makes them durable.
    starting: VecDeque<(u64, LogStart)>,
    /// A log start that is to be recorded.
    start_due: Option<StartDue>,
    /// The file that says what was known of producers, as recorded.
    producers_file: Option<Index>,
    /// Whether the owner is to be asked, or was, what is known of producers.
    wants_producers: bool,
    is_asking_producers: bool,
    /// The write of a file that says what is in a segment.
    index_id: Option<DiskId>,
    copies: Copies,
    lending: Lending,
    /// What is to be said about snapshots.
    said: Vec<(BrokerId, SnapshotName, CopyMessage)>,
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
    /// What it remembers of its promises.
    memory: Memory,
    /// Those who knew nothing either when it was born, with their data folders.
    born_with: Vec<(BrokerId, u64)>,
    /// Round of the meta log that has to be durable before it takes part.
    opens_at: u64,
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
            starts: start.starts,
            starting: VecDeque::new(),
            start_due: None,
            producers_file: start.producers_file,
            wants_producers: false,
            is_asking_producers: false,
            index_id: None,
            copies: Copies::with_producers(start.producers_file),
            lending: Lending::default(),
            said: Vec::new(),
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
            memory: start.memory,
            born_with: start.born_with,
            opens_at: 0,
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

    /// Whether there are other voters.
    #[must_use]
    pub fn has_followers(&self) -> bool {
        self.voters.len() > 1
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

    /// Leader only: whether [`RaftGroup::in_sync`] would say what was `known`. Asked of every group many times per second.
    #[must_use]
    pub fn is_in_sync_as(&self, now: Now, lag_ms_max: u64, known: &[BrokerId]) -> bool {
        let mut count = 1;
        let mut are_known = known.contains(&self.me);
        for follower in self.lag.in_sync(now.monotonic, lag_ms_max) {
            count += 1;
            are_known &= known.contains(&follower);
        }
        are_known && count == known.len()
    }

    /// Leader only: how many voters (this one included) durably hold `index`.
    #[must_use]
    pub fn replicas_holding(&self, index: Index) -> usize {
        self.raw.raft.prs().iter().filter(|(_, progress)| progress.matched >= index.0).count()
    }

    /// Leader only: how much of the log each voter is known to hold durably.
    pub fn positions(&self) -> impl Iterator<Item = (BrokerId, Index)> {
        let known = self.raw.raft.prs().iter().map(|(peer, progress)| (BrokerId::from_peer(*peer), Index(progress.matched)));
        known.filter_map(|(broker, matched)| Some((broker?, matched)))
    }

    /// Leader only: when a follower was heard of last, and the latest time for which it holds everything.
    pub(super) fn follower_times(&self, broker: BrokerId) -> Option<(Instant, Instant)> {
        self.lag.times(broker)
    }

    /// Whether it takes part: before, it says and accepts nothing.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.is_open
    }

    /// Whether its log is a copy of another broker's whose files are getting their names: nothing of it is durable under them.
    #[must_use]
    pub fn is_installing(&self) -> bool {
        self.copies.is_installing()
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
            log_start: log.log_start(),
            high_watermark: self.high_watermark,
        }
    }
}
