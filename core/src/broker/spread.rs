//! Telling the other brokers who leads: kind 2 of the control messages between brokers.

use super::Broker;
use crate::ids::{BrokerId, GroupId};
use crate::partition::{Leadership, SPREAD_MS, Tell};
use crate::raft::RaftGroup;
use crate::time::Now;
use bytes::Bytes;

/// The controller's messages.
pub(super) const KIND_CONTROLLER: u8 = 1;
/// The leader table's messages.
pub(super) const KIND_LEADERS: u8 = 2;
/// Groups to be handed to their preferred leaders.
pub(super) const KIND_ELECT: u8 = 3;

impl Broker {
    /// Writes what this broker's replica knows of its group's leadership into the table.
    pub(super) fn observe_leadership(&mut self, now: Now, group: GroupId) {
        let Some(raft) = self.local.replicas.group(group) else { return };
        let is_leader = raft.is_leader();
        // Until a new leader has spoken, the last word stands.
        let last_word = || self.local.leaders.get(group).map(|known| known.in_sync.clone()).unwrap_or_default();
        let seen = Leadership {
            term: raft.term(),
            leader: raft.leader(),
            in_sync: if is_leader { raft.in_sync(now, self.settings.replica_lag_time_max_ms) } else { last_word() },
        };
        // Only the leader knows who is in sync, and its word may have come before this replica heard of it: a broker that was away for
        // less than the lag allowed would otherwise forget it, and the leader has no reason to say it again.
        let is_known = self.local.leaders.get(group).is_some_and(|known| {
            let is_others = known.leader.is_some_and(|leader| leader != self.config.broker);
            is_others && known.term == seen.term && (seen.leader.is_none() || seen.leader == known.leader)
        });
        if !is_leader && is_known {
            return;
        }
        self.local.leaders.observe(group, seen, if is_leader { Tell::Everyone } else { Tell::Nobody });
    }

    /// Every [`SPREAD_MS`]: notices which replicas came into or fell out of sync, and tells what changed.
    pub(super) fn spread_leadership(&mut self, now: Now) {
        if now.monotonic < self.spread_at {
            return;
        }
        self.spread_at = now.monotonic.plus_ms(SPREAD_MS);
        let has_news = |raft: &&RaftGroup| {
            // Where nobody follows, nobody comes or falls behind.
            raft.is_leader()
                && raft.has_followers()
                && !self.local.leaders.get(raft.id()).is_some_and(|known| {
                    (known.term, known.leader) == (raft.term(), raft.leader())
                        && raft.is_in_sync_as(now, self.settings.replica_lag_time_max_ms, &known.in_sync)
                })
        };
        let led: Vec<GroupId> = self.local.replicas.groups().filter(has_news).map(RaftGroup::id).collect();
        for group in led {
            self.observe_leadership(now, group);
        }
        if let Some(delta) = self.local.leaders.take_delta() {
            for peer in self.config.voters.iter().filter(|peer| **peer != self.config.broker) {
                self.local.replicas.send(*peer, KIND_LEADERS, delta.clone());
            }
        }
    }

    /// A peer came (back): it may have missed everything.
    pub(super) fn peer_up(&mut self, peer: BrokerId) {
        self.local.replicas.peer_up(peer);
        if let Some(all) = self.local.leaders.full(self.config.broker) {
            self.local.replicas.send(peer, KIND_LEADERS, all);
        }
    }

    /// A frame of a peer: raft keeps its own, the rest is shared out here.
    pub(super) fn peer_frame(&mut self, now: Now, from: BrokerId, frame: Bytes) {
        for message in self.local.replicas.peer_frame(now, from, frame) {
            match message.kind {
                KIND_CONTROLLER => self.local.controller.peer_message(now, from, &message.body),
                KIND_LEADERS => {
                    self.local.leaders.merge(message.body);
                }
                KIND_ELECT => self.elect_message(now, message.body),
                // Another version's: nothing here depends on it.
                _ => {}
            }
        }
    }
}
