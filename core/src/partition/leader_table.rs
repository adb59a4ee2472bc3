//! Who leads which group, as this broker knows it, and the messages by which leaders tell the others.
//!
//! Every broker answers Metadata for all partitions, also for those it has no replica of. So each leader tells all brokers
//! about the groups it leads: what changed every [`SPREAD_MS`], everything when a peer comes (back). It does not know topics,
//! endpoints or replica sets; those come from the controller.
//!
//! Invariant: the term of an entry never goes back. Within one term there is at most one leader (Raft section 5.2), so the
//! higher term wins and, within a term, the latest word of that leader.
//!
//! Message, little-endian, entries back to back:
//! ```text
//! 0        8       16      20          22
//! +--------+-------+-------+-----------+----------------+
//! | group  | term  | leader| n in sync | n broker ids   |
//! | u64    | u64   | i32   | u16       | i32 each       |
//! +--------+-------+-------+-----------+----------------+
//! ```
//! `leader` is -1 for none. Source: the role of Kafka's `LeaderAndIsr` in metadata, KIP-951 for the hints made of it.

use crate::ids::{BrokerId, GroupId, LeaderEpoch, Term};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use std::collections::{BTreeMap, BTreeSet};

/// Milliseconds between two deltas of a leader; also the age a leader hint may reach.
pub const SPREAD_MS: u64 = 100;

/// What is known of one group's leadership.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Leadership {
    /// The newest term heard of.
    pub term: Term,
    /// Its leader, if there is one.
    pub leader: Option<BrokerId>,
    /// Replicas in sync as that leader sees them, ascending; empty if not heard.
    pub in_sync: Vec<BrokerId>,
}

impl Leadership {
    /// The epoch clients see.
    #[must_use]
    pub fn epoch(&self) -> LeaderEpoch {
        self.term.leader_epoch()
    }
}

/// Leadership of all groups, ordered by group.
#[derive(Clone, Debug, Default)]
pub struct LeaderTable {
    groups: BTreeMap<GroupId, Leadership>,
    /// Groups led by this broker whose entry changed since the last delta.
    unsaid: BTreeSet<GroupId>,
}

impl LeaderTable {
    /// What is known of `group`.
    #[must_use]
    pub fn get(&self, group: GroupId) -> Option<&Leadership> {
        self.groups.get(&group)
    }

    /// Forgets a removed group.
    pub fn remove(&mut self, group: GroupId) {
        self.groups.remove(&group);
        self.unsaid.remove(&group);
    }

    /// What this broker's own replica knows. `tell` marks the entry for the next delta: only the leader itself does so.
    pub fn observe(&mut self, group: GroupId, seen: Leadership, tell: Tell) {
        let known = self.groups.entry(group).or_default();
        if seen.term < known.term || *known == seen {
            return;
        }
        *known = seen;
        match tell {
            Tell::Everyone => {
                self.unsaid.insert(group);
            }
            Tell::Nobody => {
                self.unsaid.remove(&group);
            }
        }
    }

    /// Whether a delta is due.
    #[must_use]
    pub fn has_news(&self) -> bool {
        !self.unsaid.is_empty()
    }

    /// The changes since the last call, as a message; `None` without changes.
    pub fn take_delta(&mut self) -> Option<Bytes> {
        let unsaid = std::mem::take(&mut self.unsaid);
        self.encode(unsaid.into_iter())
    }

    /// Everything `leader` (this broker) leads, for a peer that may know nothing; `None` if that is nothing.
    #[must_use]
    pub fn full(&self, leader: BrokerId) -> Option<Bytes> {
        self.encode(self.groups.iter().filter(|(_, l)| l.leader == Some(leader)).map(|(group, _)| *group))
    }

    fn encode(&self, groups: impl Iterator<Item = GroupId>) -> Option<Bytes> {
        let mut out = BytesMut::new();
        for group in groups {
            let Some(entry) = self.groups.get(&group) else { continue };
            out.put_u64_le(group.0);
            out.put_u64_le(entry.term.0);
            out.put_i32_le(entry.leader.map_or(-1, |b| b.0));
            out.put_u16_le(u16::try_from(entry.in_sync.len()).expect("replica sets are far below 65536"));
            for broker in &entry.in_sync {
                out.put_i32_le(broker.0);
            }
        }
        (!out.is_empty()).then(|| out.freeze())
    }

    /// Takes in a message of another broker; returns the groups whose leader or epoch changed. A message that ends in the
    /// middle of an entry (another version's) is used up to there.
    pub fn merge(&mut self, mut message: Bytes) -> Vec<GroupId> {
        let mut changed = Vec::new();
        while message.remaining() >= 22 {
            let group = GroupId(message.get_u64_le());
            let term = Term(message.get_u64_le());
            let leader = message.get_i32_le();
            let count = usize::from(message.get_u16_le());
            if message.remaining() < count * 4 {
                break;
            }
            let in_sync = (0..count).map(|_| BrokerId(message.get_i32_le())).collect();
            let seen = Leadership { term, leader: (leader >= 0).then_some(BrokerId(leader)), in_sync };
            let known = self.groups.entry(group).or_default();
            if seen.term < known.term || *known == seen {
                continue;
            }
            if seen.term != known.term || seen.leader != known.leader {
                changed.push(group);
            }
            *known = seen;
        }
        changed
    }
}

/// Whether an observation is told to the other brokers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tell {
    /// This broker leads: it speaks.
    Everyone,
    /// Another one's business.
    Nobody,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn led(term: u64, leader: i32, in_sync: &[i32]) -> Leadership {
        Leadership { term: Term(term), leader: Some(BrokerId(leader)), in_sync: in_sync.iter().map(|b| BrokerId(*b)).collect() }
    }

    #[test]
    fn a_delta_carries_what_changed_and_a_higher_term_wins() {
        let mut here = LeaderTable::default();
        here.observe(GroupId(3), led(2, 1, &[0, 1, 2]), Tell::Everyone);
        here.observe(GroupId(4), led(7, 0, &[0]), Tell::Nobody);
        let mut there = LeaderTable::default();
        there.observe(GroupId(4), led(5, 2, &[2]), Tell::Nobody);
        let delta = here.take_delta().expect("one group changed");
        assert_eq!(there.merge(delta.clone()), vec![GroupId(3)]);
        assert_eq!(there.get(GroupId(3)), Some(&led(2, 1, &[0, 1, 2])));
        assert_eq!(there.get(GroupId(4)), Some(&led(5, 2, &[2])));
        assert!(here.take_delta().is_none(), "nothing changed since");
        there.observe(GroupId(3), led(3, 2, &[2]), Tell::Nobody);
        assert!(there.merge(delta.clone()).is_empty(), "an old term must not win");
        assert!(there.merge(delta.slice(..delta.len() - 1)).is_empty(), "a cut entry is left out");
    }

    #[test]
    fn the_full_table_names_only_what_the_sender_leads() {
        let mut here = LeaderTable::default();
        here.observe(GroupId(3), led(2, 1, &[1]), Tell::Everyone);
        here.observe(GroupId(4), led(2, 0, &[0]), Tell::Nobody);
        let mut there = LeaderTable::default();
        assert_eq!(there.merge(here.full(BrokerId(1)).expect("it leads one")), vec![GroupId(3)]);
        assert!(here.full(BrokerId(2)).is_none());
    }
}
