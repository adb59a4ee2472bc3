//! [`Standing`]: what changes rarely and an operator wants to hear of when it does.
//!
//! The core formats nothing and tells nobody: the shell looks after each round and compares. Both looks are cheap, unlike
//! [`Broker::metrics`].
//!
//! Invariant: leadership changes that nobody took out ≤ [`LEADER_CHANGES_MAX`].

use super::Broker;
use crate::ids::{BrokerId, GroupId, Term};
use crate::limits::LEADER_CHANGES_MAX;
use crate::raft::{RaftGroup, Recalling};

/// How a broker stands in its cluster.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Standing {
    /// Whether this life of the broker is registered with the controller.
    pub is_registered: bool,
    /// Whether the controller fenced it.
    pub is_fenced: bool,
    /// Whether it is the active controller.
    pub is_controller: bool,
    /// The active controller, as far as it knows.
    pub controller: Option<BrokerId>,
    /// Leaderships won, over all groups.
    pub elections_won: u64,
    /// New leaders heard of, over all groups with a replica here.
    pub leader_changes: u64,
    /// Replicas that do not know what they promised, because the data folder was lost.
    pub recalling: Recalling,
}

/// A group with another leader.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LeaderChange {
    /// The group, for people: `<topic>-<partition>` where that is known.
    pub group: String,
    /// Its leader; `None` while there is none.
    pub leader: Option<BrokerId>,
    /// The leader epoch.
    pub term: Term,
}

/// Changes since they were last taken out.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LeaderChanges {
    /// The first of them, in order.
    pub listed: Vec<LeaderChange>,
    /// How many more there were.
    pub left_out: u64,
}

impl Broker {
    /// How it stands, at the end of a round.
    #[must_use]
    pub fn standing(&self) -> Standing {
        let local = &self.local;
        Standing {
            is_registered: local.controller.is_registered(),
            is_fenced: local.controller.state().broker(self.config.broker).is_some_and(|broker| broker.is_fenced),
            is_controller: local.replicas.group(GroupId::CONTROLLER).is_some_and(RaftGroup::is_serving),
            controller: local.controller.leader(),
            elections_won: self.elections_won,
            leader_changes: self.leader_changes,
            recalling: local.replicas.recalling(),
        }
    }

    /// Takes out which groups got another leader.
    pub fn take_leader_changes(&mut self) -> LeaderChanges {
        core::mem::take(&mut self.leader_news)
    }

    pub(super) fn note_leader(&mut self, group: GroupId, leader: Option<BrokerId>, term: Term) {
        if self.leader_news.listed.len() >= LEADER_CHANGES_MAX {
            self.leader_news.left_out += 1;
            return;
        }
        let label = match self.local.partitions.get(&group) {
            Some(partition) => partition.label.clone(),
            None if group == GroupId::CONTROLLER => "the controller".to_string(),
            None => format!("group {}", group.0),
        };
        self.leader_news.listed.push(LeaderChange { group: label, leader, term });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::rig::Rig;

    #[test]
    fn a_broker_alone_stands_as_controller_and_leader() {
        let mut rig = Rig::new();
        rig.topic("orders", 1, &[]);
        let standing = rig.broker.standing();
        let expected = Standing {
            is_registered: true,
            is_fenced: false,
            is_controller: true,
            controller: Some(rig.broker.config.broker),
            elections_won: 2,
            leader_changes: 2,
            recalling: Recalling::default(),
        };
        assert_eq!(standing, expected);
        let news = rig.broker.take_leader_changes();
        let led: Vec<&str> =
            news.listed.iter().filter(|change| change.leader.is_some()).map(|change| change.group.as_str()).collect();
        assert_eq!((led, news.left_out), (vec!["the controller", "orders-0"], 0));
        assert_eq!(rig.broker.take_leader_changes(), LeaderChanges::default());
    }

    #[test]
    fn changes_that_nobody_takes_out_have_a_bound() {
        let mut rig = Rig::new();
        rig.broker.take_leader_changes();
        for number in 0..=LEADER_CHANGES_MAX as u64 {
            rig.broker.note_leader(GroupId(100 + number), None, Term(1));
        }
        let news = rig.broker.take_leader_changes();
        assert_eq!((news.listed.len(), news.left_out), (LEADER_CHANGES_MAX, 1));
        assert_eq!(news.listed[0].group, "group 100");
    }
}
