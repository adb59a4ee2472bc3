//! The engine's part in finding out what forgotten replicas may have promised (`raft/recalls.rs`): begins, sends, answers, concludes.

use super::Replicas;
use crate::ids::{BrokerId, GroupId};
use crate::limits::RECALL_ITEMS_MAX;
use crate::log::Memory;
use crate::raft::group::Start;
use crate::raft::recall::{Ask, KIND_RECALL, RecallMessage, Tell};
use crate::raft::recalls::Outcome;
use crate::time::Now;
use bytes::Bytes;

/// How the replicas stand that do not know what they promised.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Recalling {
    /// Replicas that have no rights yet: not all others have told what they know.
    pub asking: usize,
    /// Replicas that have not caught up with what they may have acknowledged.
    pub below: usize,
    /// One of those that have not told; the first one looked for.
    pub waits_for: Option<BrokerId>,
    /// Replicas that have all their rights again, in this life.
    pub recalled: u64,
    /// Replicas that came back empty, because no other broker has one.
    pub lost: u64,
    /// Whether somebody knows this broker: its data folder is not that of a new cluster.
    pub has_past: bool,
}

impl Replicas {
    /// The id of this broker's data folder: random, 0 for one of before there were such ids.
    #[must_use]
    pub fn folder(&self) -> u64 {
        self.meta.state().folder
    }

    /// How the replicas stand that do not know what they promised.
    #[must_use]
    pub fn recalling(&self) -> Recalling {
        self.recalling
    }

    /// A group that does not know all it promised is about to be added.
    pub(super) fn begin_recall(&mut self, id: GroupId, start: &Start) {
        if start.memory != Memory::Whole {
            let others = start.voters.iter().copied().filter(|voter| *voter != self.config.broker).collect();
            self.recalls.begin(id, others, start.memory == Memory::Asking);
        }
    }

    /// A message about what somebody may have promised.
    pub(super) fn recall_message(&mut self, now: Now, from: BrokerId, body: Bytes) {
        match RecallMessage::decode(body) {
            None => self.dropped.frames += 1,
            Some(RecallMessage::Ask { folder, life, asked }) => self.asked(from, folder, life, &asked),
            Some(RecallMessage::Tell { folder, life, teller, told }) => {
                // What an earlier life asked does not count.
                if life != self.recalls.life() {
                    return;
                }
                for Tell { group, round, told } in told {
                    self.recalls.told(from, (folder, teller), group, round, told);
                    self.conclude(now, group);
                }
            }
        }
    }

    /// A peer asks.
    fn asked(&mut self, from: BrokerId, folder: u64, life: u64, asked: &[Ask]) {
        let mut told = Vec::new();
        for ask in asked {
            let Some(group) = self.groups.get_mut(&ask.group) else {
                self.dropped.unknown_group += 1;
                continue;
            };
            let has_past = self.recalls.has_past(ask.group);
            if let Some(answer) = group.tell(from, folder, has_past) {
                told.push(Tell { group: ask.group, round: ask.round, told: answer });
            }
            self.recalls.peer_asks(from, ask.group);
            if group.forget_follower(&self.config, from, ask.last, ask.is_mute) {
                self.touch(ask.group);
            }
        }
        assert!(told.len() <= RECALL_ITEMS_MAX, "no more answers than questions");
        if !told.is_empty() {
            let message = RecallMessage::Tell { folder: self.folder(), life, teller: self.recalls.life(), told };
            self.outbox.other(from, KIND_RECALL, message.encode());
        }
    }

    /// Does what the answers about a group allow.
    fn conclude(&mut self, now: Now, id: GroupId) {
        let Some(group) = self.groups.get_mut(&id) else { return };
        let before = group.memory();
        if before == Memory::Whole {
            // It caught up while it was asking anew.
            return;
        }
        let round = match self.recalls.outcome(id, before, now.monotonic) {
            Outcome::Open => return,
            Outcome::Birth(with) => {
                self.recalls.end(id);
                group.be_born(&self.config, with, &mut self.meta)
            }
            Outcome::Known { term, floor } => {
                self.recalls.again(id, now.monotonic);
                group.recall(&self.config, term, floor, &mut self.meta)
            }
        };
        if before == Memory::Asking {
            self.recalling.lost += u64::from(group.voters().len() == 1);
            self.waiting.push_back((round, id));
        }
        self.touch(id);
    }

    /// Asks again those that have not told, and counts.
    pub(super) fn tick_recalls(&mut self, now: Now) {
        let was_empty = self.recalling.asking + self.recalling.below == 0;
        if self.recalls.is_empty() && was_empty {
            return;
        }
        let is_time = self.recalls.tick(now.monotonic);
        if !is_time && !self.recalls.is_empty() {
            return;
        }
        let (mut asking, mut below, mut waits_for) = (0, 0, None);
        for id in self.recalls.groups().collect::<Vec<_>>() {
            match self.groups.get(&id).map_or(Memory::Whole, super::RaftGroup::memory) {
                Memory::Whole => {
                    self.recalls.end(id);
                    self.recalling.recalled += 1;
                }
                Memory::Asking => {
                    asking += 1;
                    waits_for = waits_for.or_else(|| self.recalls.waits_for(id));
                    // Time alone may decide, of a new cluster.
                    self.conclude(now, id);
                }
                Memory::Below(_) => below += 1,
            }
        }
        let has_past = self.recalling.has_past || self.recalls.groups().any(|id| self.recalls.has_past(id));
        self.recalling = Recalling { asking, below, waits_for, has_past, ..self.recalling };
    }

    /// Replicas were made. Who has nobody to ask knows all there is.
    pub(super) fn begin_asking(&mut self, now: Now, made: &[GroupId]) {
        for id in made {
            if self.recalls.made(*id) {
                self.conclude(now, *id);
            }
        }
    }

    /// Sends the questions that are due.
    pub(super) fn ask_to_recall(&mut self, now: Now) {
        if !self.recalls.has_questions() {
            return;
        }
        let groups = &self.groups;
        let replica = |id: GroupId| {
            let group = groups.get(&id).filter(|group| group.is_made())?;
            (group.memory() != Memory::Whole).then(|| (group.memory() == Memory::Asking, group.durable_end()))
        };
        for (to, message) in self.recalls.questions(now.monotonic, self.meta.state().folder, replica) {
            self.outbox.other(to, KIND_RECALL, message.encode());
        }
    }
}
