//! Calls into raft from outside a visit, each followed by the timeout rule, and what the disk says.

use super::{Pending, Proposal, ProposeError, Proposed, RaftGroup, Role};
use crate::ids::{BrokerId, DiskId, Index};
use crate::log::{GroupLog, Memory, MetaLog, MetaRecord, StartCommand, encode_private};
use crate::mutant::Mutant;
use crate::raft::ReplicasConfig;
use crate::raft::copy_message::{CopyMessage, SnapshotName};
use crate::random::keyed_below;
use crate::record::PrivateKind;
use crate::time::Instant;
use bytes::Bytes;
use raft::eraftpb::{Entry, Message, MessageType};

impl RaftGroup {
    pub(super) fn impose_timeout(&mut self, config: &ReplicasConfig) {
        let least = config.raft.election_ticks;
        let raft = &mut self.raw.raft;
        let key = [self.id.0, raft.id, raft.term, raft.state as u64, self.retry];
        let extra = keyed_below(config.seed, &key, least as u64);
        raft.set_randomized_election_timeout(least + usize::try_from(extra).expect("below the election ticks"));
    }

    pub(super) fn is_idle_on_disk(&self) -> bool {
        self.tickets.is_empty()
    }

    /// Where the next proposal would go; `None` if none would be taken.
    pub(crate) fn next_place(&self) -> Option<Proposed> {
        let is_taking = self.is_open && self.is_leader() && self.raw.raft.lead_transferee.is_none();
        is_taking.then(|| Proposed { index: Index(self.raw.raft.raft_log.last_index() + 1), base_offset: self.next_offset })
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
        let mut is_awaited = self.pending.is_some_and(|pending| pending.is_awaited);
        for proposal in proposals {
            is_awaited |= !matches!(proposal, Proposal::Records { is_awaited: false, .. });
            index.0 += 1;
            placed.push(Proposed { index, base_offset: next_offset });
            let mut entry = Entry::default();
            entry.data = match proposal {
                Proposal::Records { batch, .. } => {
                    let base_offset = next_offset;
                    next_offset.0 += i64::from(batch.header.last_offset_delta) + 1;
                    batch.into_patched(base_offset, term.leader_epoch())
                }
                Proposal::LogStart(offset) => {
                    let command = StartCommand { offset };
                    encode_private(PrivateKind::LogStart, next_offset, term, &command.to_bytes())
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
        self.pending = Some(Pending { first, last: index, term, is_awaited });
        Ok(placed)
    }

    /// A message of a peer. False if it was dropped.
    pub(crate) fn step(&mut self, config: &ReplicasConfig, now: Instant, from: BrokerId, mut message: Message) -> bool {
        if !self.is_open || !self.voters.contains(&from) {
            return false;
        }
        let kind = message.get_msg_type();
        if self.is_beyond_memory(config, &message) {
            return false;
        }
        if kind == MessageType::MsgSnapshot {
            return self.snapshot_offered(config, now, from, message);
        }
        if kind == MessageType::MsgTimeoutNow && !self.is_idle_on_disk() {
            return false;
        }
        if kind == MessageType::MsgHeartbeat {
            // A leader never tells more than what matched; this keeps a lie from ending the process.
            message.commit = message.commit.min(self.raw.raft.raft_log.last_index());
        }
        self.mutate(config.mutant, &mut message);
        let is_answer = kind == MessageType::MsgAppendResponse || kind == MessageType::MsgHeartbeatResponse;
        // Only a leader or a granted vote resets the patience (Raft section 5.2); raft resets it at every new term. A replica whose log is
        // ahead would refuse candidate after candidate and never run itself.
        let candidate = (kind == MessageType::MsgRequestVote && !self.is_leader()).then_some(self.raw.raft.election_elapsed);
        let is_accepted = self.raw.step(message).is_ok();
        if let Some(waited) = candidate.filter(|_| self.raw.raft.vote != from.peer()) {
            self.raw.raft.election_elapsed = waited;
        }
        self.impose_timeout(config);
        if is_answer && self.is_leader() {
            let matched = self.raw.raft.prs().get(from.peer()).map_or(0, |progress| progress.matched);
            self.lag.heard(from, Index(matched), Index(self.raw.raft.raft_log.last_index()), now);
        }
        is_accepted
    }

    /// A message about a snapshot.
    pub(crate) fn copy_message(
        &mut self,
        config: &ReplicasConfig,
        now: Instant,
        from: BrokerId,
        name: SnapshotName,
        message: CopyMessage,
    ) {
        if !self.is_open || !self.voters.contains(&from) {
            return;
        }
        if self.is_leader() {
            self.part_asked(config, now, from, name, message);
        } else {
            self.part_came(now, from, name, message);
        }
    }

    /// Bugs 7, 9 and 10 of the mutation catalogue.
    fn mutate(&mut self, mutant: Mutant, message: &mut Message) {
        let kind = message.get_msg_type();
        let log = &self.raw.raft.store().log;
        let commit = Index(message.commit).min(log.last_index());
        if mutant.is(Mutant::HighWatermarkBeforeCut) && kind == MessageType::MsgAppend && commit >= self.shown_commit {
            self.high_watermark = self.high_watermark.max(log.offset_end_at(commit));
        }
        let is_answer = kind == MessageType::MsgAppendResponse || kind == MessageType::MsgHeartbeatResponse;
        if mutant.is(Mutant::StaleAnswerTaken) && is_answer && self.is_leader() {
            message.term = message.term.max(self.raw.raft.term);
        }
        if mutant.is(Mutant::SeenVoteGranted) && kind == MessageType::MsgRequestVoteResponse {
            message.reject = false;
        }
    }

    /// One raft tick. True if the group is to be visited.
    pub(crate) fn tick(&mut self, config: &ReplicasConfig, now: Instant) -> bool {
        if !self.is_open {
            return false;
        }
        self.ticks += 1;
        let mut has_work = self.late.is_some() || self.copies.is_due(now) || self.lending.is_due(now);
        // A leader that is alone has nobody to tell that it lives, and nobody takes its place.
        if self.is_leader() && !self.has_followers() {
            return has_work;
        }
        if self.memory != Memory::Whole {
            self.wait_without_running(config);
        } else if self.is_leader() || self.is_idle_on_disk() {
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
    pub(super) fn campaign(&mut self, config: &ReplicasConfig) -> bool {
        if !self.is_open || self.is_leader() || !self.is_idle_on_disk() || self.memory != Memory::Whole {
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

    pub(super) fn log_mut(&mut self) -> &mut GroupLog {
        &mut self.raw.raft.mut_store().log
    }

    pub(crate) fn set_segment_bytes(&mut self, bytes_max: u64) {
        self.log_mut().set_segment_bytes(bytes_max);
    }

    pub(crate) fn set_segment_ms(&mut self, ms_max: i64) {
        self.log_mut().set_segment_ms(ms_max);
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

    pub(crate) fn removal_done(&mut self, id: DiskId) {
        self.pipeline.removal_done(id);
    }

    pub(crate) fn read_started(&mut self, id: DiskId) {
        self.pipeline.read_started(id);
    }

    pub(crate) fn read_done(&mut self, id: DiskId) {
        self.pipeline.read_done(id);
    }

    /// Entries for a follower were read. Damage is told in a sentence.
    pub(crate) fn fetched(&mut self, config: &ReplicasConfig, id: DiskId, data: &Bytes) -> Result<(), String> {
        self.pipeline.read_done(id);
        let Some(at) = self.fetches.iter().position(|(fetch, ..)| *fetch == id) else { return Ok(()) };
        let (_, low, term, plan) = self.fetches.swap_remove(at);
        if !self.is_leader() || self.raw.raft.term != term {
            return Ok(());
        }
        if plan.first < self.log().first_index() {
            // Let go meanwhile: who needs it is sent a snapshot.
            return Ok(());
        }
        let entries = self.log().parse_fetch(&plan, low, data, config.mutant)?;
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
}
