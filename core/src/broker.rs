//! The broker: one match over inputs, one visit of every dirty group per round.
//!
//! No business logic lives here. A request is decided by its file in [`crate::api`], what a group did is handled by
//! `broker::events`, what waits is kept by `broker::parking`. What remains is the order of a round:
//!
//! 1. every input of the round: [`Broker::step`];
//! 2. timers that are due;
//! 3. the batches each partition collected become one raft proposal;
//! 4. every dirty group is visited, its disk operations and peer frames are handed out, its events are handled;
//! 5. requests held until the registration are decided, what the controller wants is done, Metadata requests whose partitions
//!    have their first leader are answered, fetches that were woken are looked at;
//! 6. again from 3 while there is something to do, at most [`ROUND_PASSES_MAX`] times.

pub(crate) mod admin;
#[cfg(test)]
mod admin_tests;
pub(crate) mod balance;
mod codecs;
mod config;
mod events;
pub(crate) mod held;
#[cfg(test)]
mod kafka_segments_tests;
pub(crate) mod local;
mod metrics;
#[cfg(test)]
mod metrics_tests;
pub(crate) mod newborn;
pub(crate) mod parking;
mod recovery;
mod requests;
mod retention;
#[cfg(test)]
pub(crate) mod rig;
mod sequences;
mod spread;
mod standing;
mod stopping;
pub(crate) mod work;

pub use config::{BrokerConfig, BrokerView, Deadline};
pub use metrics::{BrokerMetrics, ReplicaMetrics, TopicMetrics};
pub use recovery::Recovery;
pub use standing::{LeaderChange, LeaderChanges, Standing};

pub use crate::raft::{RaftSettings, Recalling, RecoveryStep};

use crate::api::fetch_session::FetchSessions;
use crate::config::BrokerSettings;
use crate::ids::{BrokerId, GroupId, Index};
use crate::input::Input;
use crate::limits::ROUND_PASSES_MAX;
use crate::log::{GroupLog, ProducerTable};
use crate::output::Outputs;
use crate::partition::{Producers, Traffic};
use crate::raft::RaftGroup;
use crate::time::{Instant, Now};
use codecs::CodecNews;
use held::Held;
use local::Local;
use newborn::Newborn;
use parking::Parking;
use std::collections::{BTreeMap, BTreeSet};
use stopping::Stopping;
use work::Work;

/// One broker.
#[derive(Debug)]
pub struct Broker {
    config: BrokerConfig,
    settings: BrokerSettings,
    /// Replicas and what this broker knows of the cluster.
    pub(crate) local: Local,
    /// Requests that came before this life of the broker is registered.
    pub(crate) held: Held,
    /// Metadata requests that wait for the first leaders of new partitions.
    pub(crate) newborn: Newborn,
    /// Requests that wait.
    pub(crate) parking: Parking<Work>,
    pub(crate) sessions: FetchSessions,
    /// Client reads and searches under way: token to request and part.
    reads: BTreeMap<u64, (u64, usize)>,
    read_next: u64,
    /// Groups with batches that wait for this round's proposal.
    collecting: BTreeSet<GroupId>,
    /// Groups whose acks=all waiters need more replicas than a commit proves.
    gated: BTreeSet<GroupId>,
    /// Fetches whose partitions have news.
    woken: BTreeSet<u64>,
    /// Requests that wait for the start of a log to move.
    deleting: BTreeSet<u64>,
    /// What the shell knows of topics that want a codec of their own.
    codecs: CodecNews,
    /// When retention is looked at next.
    retention_at: Instant,
    spread_at: Instant,
    balance_at: Instant,
    /// Peers that can be reached.
    peers_up: BTreeSet<BrokerId>,
    stopping: Stopping,
    /// What went through all partitions, those that are gone included.
    traffic: Traffic,
    /// Leaderships of groups that this broker won.
    elections_won: u64,
    /// Changes of leadership that this broker heard of, in groups it has a replica of.
    leader_changes: u64,
    /// Groups with another leader that nobody has asked for yet.
    leader_news: LeaderChanges,
    /// Batches seen by the canary mutant.
    canary: u64,
}

impl Broker {
    /// Takes in one fact. Cheap: what can wait for the end of the round does.
    pub fn step(&mut self, now: Now, input: Input, out: &mut Outputs) {
        match input {
            Input::Tick => {}
            Input::Opened { connection: _ } => {}
            Input::Closed { connection } => self.closed(connection),
            Input::Request { connection, number, request } => self.admit(now, connection, number, *request, out),
            Input::Peer { from, frame } => self.peer_frame(now, from, frame),
            Input::PeerUp { peer } => {
                self.peers_up.insert(peer);
                self.peer_up(peer);
            }
            Input::PeerDown { peer } => {
                self.peers_up.remove(&peer);
                self.local.replicas.peer_down(peer);
            }
            Input::Disk(done) => {
                if let Some(read) = self.local.replicas.disk_done(now, done, out) {
                    self.read_done(now, read, out);
                }
            }
            Input::Searched { token, found } => self.searched(now, token, found, out),
            Input::DiskFull { is_full } => self.local.is_disk_full = is_full,
            Input::Stop => self.stop(now, out),
        }
    }

    /// Ends a round: visits every dirty group once and hands out all it wants of the world.
    pub fn end_round(&mut self, now: Now, out: &mut Outputs) {
        self.run_timers(now, out);
        go_through(|| self.pass(now, out));
        self.codecs.tell(out);
        self.finish_stop(now, out);
    }

    /// When to send a tick at the latest.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Deadline> {
        let at = |at, reason| Deadline { at, reason };
        [
            self.has_round_work().then(|| at(Instant(0), "work left over from the last round")),
            self.local.replicas.next_deadline().map(|i| at(i, "a raft tick")),
            self.local.controller.next_deadline().map(|i| at(i, "the controller")),
            self.parking.next_deadline().map(|i| at(i, "the patience of a parked request")),
            self.local.leaders.has_news().then(|| at(self.spread_at, "leadership news for the other brokers")),
            self.balance_due().map(|i| at(i, "the balance of leaderships")),
            Some(at(self.retention_at, "a look at retention")),
            self.stopping.deadline().map(|i| at(i, "leaderships to be taken over before the stop")),
        ]
        .into_iter()
        .flatten()
        .min_by_key(|deadline| deadline.at)
    }

    /// What checkers may know, at the end of a round.
    #[must_use]
    pub fn inspect(&self) -> BrokerView {
        BrokerView {
            groups: self.group_views().collect(),
            held: self.held.len(),
            parked: self.parking.len(),
            reads: self.reads.len(),
        }
    }

    /// All groups that take part, for checkers, ascending.
    pub fn group_views(&self) -> impl Iterator<Item = crate::raft::GroupView> {
        self.local.replicas.views()
    }

    /// How much of a group's log each voter is known to hold durably, for checkers; nothing where this broker does not lead.
    pub fn counted(&self, group: GroupId) -> impl Iterator<Item = (BrokerId, Index)> {
        let leader = self.local.replicas.group(group).filter(|raft| raft.is_leader());
        leader.into_iter().flat_map(RaftGroup::positions)
    }

    /// What the committed entries of a group say of its producers, for checkers; `None` where nobody wrote that has an id.
    #[must_use]
    pub fn producers(&self, group: GroupId) -> Option<&ProducerTable> {
        self.local.producers.get(&group).map(Producers::committed)
    }

    /// The logs of all groups, for checkers; those aside that are being replaced by a copy.
    pub fn logs(&self) -> impl Iterator<Item = (GroupId, &GroupLog)> {
        self.local.replicas.groups().filter(|raft| !raft.is_installing()).map(|raft| (raft.id(), raft.log()))
    }

    /// Goes through all groups that have something to do; whether nothing is left.
    fn pass(&mut self, now: Now, out: &mut Outputs) -> bool {
        self.propose_collected(now, out);
        let events = self.local.replicas.end_round(now, out);
        let is_quiet = events.is_empty();
        for (group, event) in events {
            self.group_event(now, group, event, out);
        }
        self.release_held(now, out);
        self.release_gated(now, out);
        self.run_controller(now, out);
        self.release_newborn(now, out);
        self.wake_fetches(now, out);
        is_quiet && !self.has_round_work()
    }

    fn has_round_work(&self) -> bool {
        !self.collecting.is_empty() || !self.woken.is_empty() || self.local.replicas.has_work()
    }

    fn run_timers(&mut self, now: Now, out: &mut Outputs) {
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now.monotonic);
        if is_due(self.local.replicas.next_deadline()) {
            self.local.replicas.tick(now);
        }
        if is_due(self.local.controller.next_deadline()) {
            self.local.controller.tick(now);
        }
        while let Some(number) = self.parking.expired(now.monotonic) {
            self.patience_over(now, number, out);
        }
        self.run_retention(now);
        self.spread_leadership(now);
        if is_due(self.balance_due()) {
            self.balance(now);
        }
    }
}

/// Passes until one leaves nothing to do, or enough of them: what others ask for must not wait for ever behind what causes itself.
fn go_through(mut pass: impl FnMut() -> bool) {
    for _ in 0..ROUND_PASSES_MAX {
        if pass() {
            break;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rig::Rig;

    #[test]
    fn a_round_ends_although_something_is_left() {
        let passes = |last: usize| {
            let mut passes = 0;
            go_through(|| {
                passes += 1;
                passes == last
            });
            passes
        };
        assert_eq!([passes(1), passes(3), passes(ROUND_PASSES_MAX)], [1, 3, ROUND_PASSES_MAX]);
        assert_eq!(passes(usize::MAX), ROUND_PASSES_MAX);
    }

    #[test]
    fn what_is_left_has_its_round_at_once() {
        let mut rig = Rig::new();
        assert!(rig.broker.next_deadline().is_some_and(|deadline| deadline.at > rig.now.monotonic));
        rig.broker.woken.insert(7);
        let deadline = rig.broker.next_deadline().expect("there is work");
        assert_eq!((deadline.at, deadline.reason), (Instant(0), "work left over from the last round"));
        rig.step(Input::Tick);
        assert!(!rig.broker.has_round_work(), "nobody waits under that number any more");
    }
}
