//! Relations between modules that always hold at the end of a round, each written once.
//!
//! Called by the simulator after every round and by tests; reads everything and changes nothing, so that switching the checks on
//! can't change a run. What one module promises about itself is checked by its own `check_*`.
//!
//! - every group: `log_start ≤ high_watermark ≤ log_end`
//! - produce waiters wait only where this broker leads, in log order, for entries that are in the log
//! - a waiter of a committed entry is gone, unless min.insync.replicas demands more replicas than a commit proves
//! - every part of a parked produce request that is not settled has exactly one waiter: nobody waits for ever
//! - a partition's fetchers are parked fetches whose answer is not due
//! - what is known of producers above the commit index is in the log, in order
//! - everything that `limits` bounds is within its bound (I16): tails, parked and held requests, fetch sessions, producers
//! - the leader table is never behind this broker's own replicas, and names this broker for the term in which it leads

use crate::broker::Broker;
use crate::broker::work::Work;
use crate::controller::ControllerRevision;
use crate::limits::{BATCHES_PER_PRODUCER, FETCH_SESSION_PARTITIONS_MAX, PRODUCERS_PER_PARTITION_MAX, REQUESTS_IN_FLIGHT_MAX};
use crate::partition::{Partition, Producers, Waiter};
use crate::raft::RaftGroup;
use std::collections::BTreeSet;

/// Every so many rounds the controller is checked even if its revision says that nothing changed.
const CONTROLLER_ROUNDS_MAX: u32 = 16;

/// What was already checked of one life of a broker.
#[derive(Debug, Default)]
pub struct Checked {
    controller: Option<ControllerRevision>,
    rounds: u32,
}

impl Checked {
    /// Checks all of them but the controller's own, which compare its whole state: those when its revision changed, and now and then.
    ///
    /// # Panics
    /// When one is broken, with the values.
    pub fn check_round(&mut self, broker: &Broker) {
        let revision = Some(broker.local.controller.revision());
        self.rounds += 1;
        if self.controller != revision || self.rounds == CONTROLLER_ROUNDS_MAX {
            broker.local.controller.check_invariants();
            *self = Checked { controller: revision, rounds: 0 };
        }
        check_between_modules(broker);
    }
}

/// Checks all of them.
///
/// # Panics
/// When one is broken, with the values.
pub fn check_invariants(broker: &Broker) {
    broker.local.controller.check_invariants();
    check_between_modules(broker);
}

fn check_between_modules(broker: &Broker) {
    broker.held.check_invariants();
    broker.newborn.check_invariants(&broker.parking);
    broker.parking.check_invariants();
    broker.sessions.check_invariants();
    check_bounds(broker);
    for raft in broker.local.replicas.groups() {
        check_offsets(raft);
        check_leader_table(broker, raft);
        raft.log().check_tail();
        if let Some(producers) = broker.local.producers.get(&raft.id()) {
            check_producers(producers, raft);
        }
    }
    let mut waiting = BTreeSet::new();
    for partition in broker.local.partitions.values() {
        partition.acks.check_order();
        if let Some(raft) = broker.local.replicas.group(partition.group) {
            check_waiters(partition, raft);
        }
        check_fetchers(broker, partition);
        for waiter in partition.acks.iter().map(|appended| appended.waiter).chain(partition.pending_waiters()) {
            assert!(waiting.insert(waiter), "{waiter:?} waits twice");
        }
    }
    check_parked(broker, &waiting);
}

fn check_bounds(broker: &Broker) {
    let most = broker.parking.most_of_a_connection();
    assert!(most <= REQUESTS_IN_FLIGHT_MAX, "I16: {most} requests of one connection are parked");
    let partitions = broker.sessions.partitions();
    assert!(partitions <= FETCH_SESSION_PARTITIONS_MAX, "I16: {partitions} partitions are in fetch sessions");
}

fn check_offsets(raft: &RaftGroup) {
    let (start, high, end) = (raft.log().log_start(), raft.high_watermark(), raft.log().log_end());
    assert!(start <= high, "{:?}: log start {start:?} is above the high watermark {high:?}", raft.id());
    assert!(high <= end, "{:?}: high watermark {high:?} is above the log end {end:?}", raft.id());
}

fn check_leader_table(broker: &Broker, raft: &RaftGroup) {
    let Some(known) = broker.local.leaders.get(raft.id()) else { return };
    assert!(known.term >= raft.term() || raft.leader().is_none(), "{:?}: the leader table is behind: {known:?}", raft.id());
    // Another broker may have told of a later leader before this one hears of the later term itself.
    if raft.is_leader() && known.term == raft.term() {
        assert_eq!(known.leader, raft.leader(), "{:?}: this broker leads", raft.id());
    }
}

fn check_producers(producers: &Producers, raft: &RaftGroup) {
    producers.check(raft.log().last_index());
    let (mut count, mut batches) = (0, 0);
    for (_, window) in producers.committed().iter() {
        count += 1;
        batches = window.newest_first().len().max(batches);
    }
    assert!(count <= PRODUCERS_PER_PARTITION_MAX, "I16: {:?} remembers {count} producers", raft.id());
    assert!(batches <= BATCHES_PER_PRODUCER, "I16: {:?} remembers {batches} batches of a producer", raft.id());
}

fn check_waiters(partition: &Partition, raft: &RaftGroup) {
    if partition.acks.is_empty() {
        return;
    }
    let commit = raft.view().commit;
    for appended in partition.acks.iter() {
        assert!(raft.is_leader(), "{:?}: {appended:?} waits for a broker that does not lead", partition.group);
        assert_eq!(appended.term, raft.term(), "{:?}: {appended:?} is of another leadership", partition.group);
        assert!(appended.index <= raft.log().last_index(), "{:?}: {appended:?} is not in the log", partition.group);
        assert!(
            appended.index > commit || partition.wants_more_than_quorum(),
            "{:?}: {appended:?} waits although {commit:?} is committed",
            partition.group
        );
    }
}

fn check_fetchers(broker: &Broker, partition: &Partition) {
    for number in &partition.fetchers {
        let parked = broker.parking.get(*number).expect("a fetcher is parked");
        assert!(
            matches!(&parked.work, Work::Fetch(job) if !job.is_due()),
            "{:?}: request {number} does not wait for data",
            partition.group
        );
    }
}

fn check_parked(broker: &Broker, waiting: &BTreeSet<Waiter>) {
    for (park, parked) in broker.parking.iter() {
        let Work::Produce(job) = &parked.work else { continue };
        for part in job.unsettled_parts() {
            assert!(waiting.contains(&Waiter { park, part }), "part {part} of produce request {park} waits for nothing");
        }
    }
}

#[cfg(test)]
mod tests {
    //! Each relation is broken once on purpose: a check that can't fire proves nothing.

    use super::*;
    use crate::broker::rig::Rig;
    use crate::ids::{GroupId, Index, Offset, Term};
    use crate::partition::{Appended, Leadership, Tell};

    fn rig() -> (Rig, GroupId) {
        let mut rig = Rig::new();
        rig.topic("orders", 1, &[]);
        let group = *rig.broker.local.partitions.keys().next().expect("one partition");
        check_invariants(&rig.broker);
        (rig, group)
    }

    fn waiter(index: u64, term: Term) -> Appended {
        Appended { waiter: Waiter { park: 99, part: 0 }, index: Index(index), term, base_offset: Offset(0) }
    }

    #[test]
    #[should_panic(expected = "is not in the log")]
    fn a_waiter_for_an_entry_that_is_not_there() {
        let (mut rig, group) = rig();
        let term = rig.broker.local.replicas.group(group).expect("a replica").term();
        rig.broker.local.partitions.get_mut(&group).expect("a partition").acks.wait_committed(waiter(1000, term));
        check_invariants(&rig.broker);
    }

    #[test]
    #[should_panic(expected = "is of another leadership")]
    fn a_waiter_of_an_earlier_leadership() {
        let (mut rig, group) = rig();
        rig.broker.local.partitions.get_mut(&group).expect("a partition").acks.wait_committed(waiter(2, Term(1)));
        check_invariants(&rig.broker);
    }

    #[test]
    #[should_panic(expected = "is committed")]
    fn a_waiter_that_was_forgotten() {
        let (mut rig, group) = rig();
        let term = rig.broker.local.replicas.group(group).expect("a replica").term();
        rig.broker.local.partitions.get_mut(&group).expect("a partition").acks.wait_committed(waiter(2, term));
        check_invariants(&rig.broker);
    }

    #[test]
    #[should_panic(expected = "a fetcher is parked")]
    fn a_fetcher_that_is_gone() {
        let (mut rig, group) = rig();
        rig.broker.local.partitions.get_mut(&group).expect("a partition").fetchers.insert(99);
        check_invariants(&rig.broker);
    }

    #[test]
    #[should_panic(expected = "this broker leads")]
    fn a_leader_table_that_names_another() {
        let (mut rig, group) = rig();
        let term = rig.broker.local.replicas.group(group).expect("a replica").term();
        let wrong = Leadership { term, leader: None, in_sync: Vec::new() };
        rig.broker.local.leaders.observe(group, wrong, Tell::Nobody);
        check_invariants(&rig.broker);
    }
}
