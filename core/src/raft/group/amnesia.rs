//! What a replica may do that does not know what it promised, and what the others tell it (`raft/recalls.rs`).

use super::RaftGroup;
use crate::ids::{BrokerId, Index, Term};
use crate::log::{Memory, MetaLog, MetaRecord, Position};
use crate::mutant::Mutant;
use crate::raft::ReplicasConfig;
use crate::raft::recall::Told;
use raft::eraftpb::{Message, MessageType};
use raft::{ProgressState, StateRole};

impl RaftGroup {
    /// What it remembers.
    pub(crate) fn memory(&self) -> Memory {
        self.memory
    }

    /// Whether it may ask and be asked: it is durably known here that it exists.
    pub(crate) fn is_made(&self) -> bool {
        !self.pipeline.is_waiting()
    }

    /// The last entry that is durable here, as raft counts it.
    pub(crate) fn durable_end(&self) -> Index {
        Index(self.raw.raft.raft_log.persisted)
    }

    /// Whether this broker's vote or candidacy could decide against what its earlier self acknowledged. It must not take in the message.
    pub(super) fn is_beyond_memory(&self, config: &ReplicasConfig, message: &Message) -> bool {
        let Memory::Below(floor) = self.memory else { return self.memory == Memory::Asking };
        let kind = message.get_msg_type();
        let is_vote = kind == MessageType::MsgRequestVote || kind == MessageType::MsgRequestPreVote;
        let end = Position { term: Term(message.log_term), index: Index(message.index) };
        kind == MessageType::MsgTimeoutNow || (is_vote && end < floor && !config.mutant.is(Mutant::FloorNotChecked))
    }

    /// What it tells a replica of this group that does not know what it promised. `None` if it may not speak yet.
    pub(crate) fn tell(&self, asker: BrokerId, folder: u64, has_past: bool) -> Option<Told> {
        if !self.is_made() || !self.voters.contains(&asker) {
            return None;
        }
        if self.memory == Memory::Asking {
            let is_new = self.id == crate::ids::GroupId::CONTROLLER && !has_past;
            return Some(if is_new { Told::Nothing } else { Told::Past });
        }
        if !self.is_open {
            return None;
        }
        let log = &self.raw.raft.raft_log;
        let mut last = Position { term: Term(log.last_term()), index: Index(log.last_index()) };
        if let Memory::Below(floor) = self.memory {
            last = last.max(floor);
        }
        Some(Told::Something { term: self.term(), last, is_birth: self.born_with.contains(&(asker, folder)) })
    }

    /// A follower asks what it promised, and durably has entries up to `last`. What this leader believed of it does not hold any more; raft by
    /// itself never believes that a follower has less than before, and would wait for ever. True if the group is to be visited.
    pub(crate) fn forget_follower(&mut self, config: &ReplicasConfig, follower: BrokerId, last: Index, is_mute: bool) -> bool {
        if !self.is_leader() || !self.is_open {
            return false;
        }
        let next = self.raw.raft.raft_log.last_index() + 1;
        let Some(progress) = self.raw.raft.mut_prs().get_mut(follower.peer()) else { return false };
        if progress.matched <= last.0 && !(is_mute && progress.state != ProgressState::Probe) {
            return false;
        }
        progress.matched = progress.matched.min(last.0);
        // What it was to be sent went to its earlier self.
        progress.pending_snapshot = 0;
        progress.become_probe();
        // It answers this one with where it is, as soon as it may.
        progress.next_idx = next;
        self.lag.forget(follower);
        self.impose_timeout(config);
        true
    }

    /// It has no past. The round of the meta log that makes this durable is returned; it takes part from then on.
    pub(crate) fn be_born(&mut self, config: &ReplicasConfig, with: Vec<(BrokerId, u64)>, meta: &mut MetaLog) -> u64 {
        assert!(self.memory == Memory::Asking && !self.is_open, "only who asks is born: {}", self.id);
        self.born_with.clone_from(&with);
        self.memory = Memory::Whole;
        if self.voters.first() == Some(&self.me) {
            self.eager = config.raft.election_ticks;
        }
        self.opens_at = meta.record(&MetaRecord::Born { group: self.id, with });
        self.opens_at
    }

    /// All others told: no vote of the earlier self was in a later term than `term`, and no entry that it acknowledged ends behind `floor`.
    /// The round of the meta log that makes this durable is returned; it takes part from then on.
    pub(crate) fn recall(&mut self, config: &ReplicasConfig, term: Term, floor: Position, meta: &mut MetaLog) -> u64 {
        if let Memory::Below(before) = self.memory {
            // Either is enough.
            if floor < before {
                self.memory = Memory::Below(floor);
                meta.record_lazily(&MetaRecord::Memory { group: self.id, memory: self.memory });
            }
            return 0;
        }
        assert!(self.memory == Memory::Asking && !self.is_open, "who takes part asks nothing of this: {}", self.id);
        let term = if config.mutant.is(Mutant::TermNotRaised) { Term::BIRTH } else { term };
        let raft = &mut self.raw.raft;
        assert!(raft.state == StateRole::Follower, "it never ran");
        let term = term.max(Term(raft.term));
        raft.become_follower(term.0, 0);
        if !config.mutant.is(Mutant::TermNotRaised) {
            raft.vote = raft.id;
            self.recorded = (term.0, raft.id);
            meta.record(&MetaRecord::Vote { group: self.id, term, vote: Some(self.me) });
        }
        self.memory = Memory::Below(floor);
        self.opens_at = meta.record(&MetaRecord::Memory { group: self.id, memory: self.memory });
        self.impose_timeout(config);
        self.opens_at
    }

    /// Whether its own log has got as far as what its earlier self may have acknowledged: then it needs no memory.
    pub(super) fn look_if_whole(&mut self, meta: &mut MetaLog) {
        let Memory::Below(floor) = self.memory else { return };
        if self.copies.is_installing() {
            return;
        }
        let index = self.durable_end();
        let Ok(term) = self.raw.raft.raft_log.term(index.0) else { return };
        if (Position { term: Term(term), index }) >= floor {
            self.memory = Memory::Whole;
            // A crash before this is durable leaves it below the floor once more, for a moment.
            meta.record_lazily(&MetaRecord::Memory { group: self.id, memory: Memory::Whole });
        }
    }

    /// A follower that must not run for leader: its patience ends, so that it votes for others, but nothing comes of it.
    pub(super) fn wait_without_running(&mut self, config: &ReplicasConfig) {
        let raft = &mut self.raw.raft;
        raft.election_elapsed = (raft.election_elapsed + 1).min(2 * config.raft.election_ticks);
    }
}
