//! What happened to groups and to the cluster: waiters are released, fetches woken, replicas made and removed.

use super::Broker;
use super::recovery::producer_rules;
use super::spread::KIND_CONTROLLER;
use crate::controller::{ClusterChange, ControllerOutput};
use crate::ids::{GroupId, Index, Offset, Term, TopicPartition};
use crate::output::Outputs;
use crate::partition::{Appended, Partition, Producers};
use crate::protocol::ErrorCode;
use crate::raft::{GroupEvent, Proposal, quorum_of};
use crate::time::Now;

impl Broker {
    /// One event of one group, in order.
    pub(super) fn group_event(&mut self, now: Now, group: GroupId, event: GroupEvent, out: &mut Outputs) {
        match event {
            GroupEvent::Leadership { term, leader } => {
                self.observe_leadership(now, group);
                self.tell_controller(now, group);
                let is_ours = leader == Some(self.config.broker);
                self.leader_changes += u64::from(leader.is_some());
                self.elections_won += u64::from(is_ours);
                self.note_leader(group, leader, term);
                self.lose_waiters(now, group, term, is_ours, out);
                self.look_at_deletions(now, out);
                self.wake(group);
            }
            GroupEvent::Serving => {
                self.observe_leadership(now, group);
                self.tell_controller(now, group);
            }
            GroupEvent::Written(index) => {
                self.release(now, group, out, |partition, released| partition.acks.release_written(index, released));
            }
            GroupEvent::Committed { index, offset_end: _ } => {
                if let Some(producers) = self.local.producers.get_mut(&group) {
                    producers.commit(index);
                }
                self.release_committed(now, group, index, out);
                self.wake(group);
            }
            GroupEvent::LogStart(_) => self.look_at_deletions(now, out),
            GroupEvent::Truncated(index) => {
                if let Some(producers) = self.local.producers.get_mut(&group) {
                    producers.cut(index);
                }
                let Some(partition) = self.local.partitions.get_mut(&group) else { return };
                for lost in partition.acks.lose_from(index) {
                    self.settle_failed(now, lost.waiter, ErrorCode::NotLeaderOrFollower, out);
                }
            }
            GroupEvent::Producers(committed) => {
                self.local.producers.insert(group, Producers::recovered(*committed));
            }
            GroupEvent::Restored { last: _, producers } => {
                match producers {
                    Some(committed) => self.local.producers.insert(group, Producers::recovered(*committed)),
                    None => self.local.producers.remove(&group),
                };
                self.wake(group);
            }
            GroupEvent::ProducersWanted => {
                let known = self.local.producers.get(&group).map(Producers::committed);
                self.local.replicas.producers_known(group, known);
            }
            GroupEvent::Replicated { index, header } => self.producers_of(group).append(index, &header),
            GroupEvent::Command { index, payload } => {
                assert_eq!(group, GroupId::CONTROLLER, "only the controller's group has commands");
                for change in self.local.controller.apply(now, index, &payload) {
                    self.cluster_change(now, change, out);
                }
            }
        }
    }

    /// What is known of the producers of a group.
    pub(super) fn producers_of(&mut self, group: GroupId) -> &mut Producers {
        let rules = producer_rules(&self.settings);
        self.local.producers.entry(group).or_insert_with(|| Producers::new(rules))
    }

    /// Fetches that watch a partition of this group are looked at before the round ends.
    fn wake(&mut self, group: GroupId) {
        if let Some(partition) = self.local.partitions.get(&group) {
            self.woken.extend(partition.fetchers.iter().copied());
        }
    }

    pub(super) fn release(
        &mut self,
        now: Now,
        group: GroupId,
        out: &mut Outputs,
        how: impl FnOnce(&mut Partition, &mut Vec<Appended>),
    ) {
        let Some(partition) = self.local.partitions.get_mut(&group) else { return };
        if partition.acks.is_empty() {
            return;
        }
        let mut released = Vec::new();
        how(partition, &mut released);
        for appended in released {
            self.settle_appended(now, group, appended, out);
        }
    }

    /// Waiters up to a committed index are released as far as enough replicas hold their entries. Where fewer than that are in sync the others
    /// are told so, as by Kafka: a replica that is away may stay away for long.
    pub(super) fn release_committed(&mut self, now: Now, group: GroupId, committed: Index, out: &mut Outputs) {
        let Some(partition) = self.local.partitions.get(&group) else { return };
        let Some(raft) = self.local.replicas.group(group) else { return };
        let mut index = committed;
        let mut is_hopeless = false;
        if partition.wants_more_than_quorum() {
            let replicas_min = partition.replicas_min();
            let mut first = partition.acks.first_uncommitted();
            index = Index(0);
            // Entries are held in order, so the waiters that may go are a prefix; it is short, one per request in flight.
            while let Some(next) = first
                && next <= committed
                && raft.replicas_holding(next) >= replicas_min
            {
                index = next;
                first = partition.acks.next_uncommitted(next);
            }
            let is_waiting = first.is_some_and(|next| next <= committed);
            is_hopeless = is_waiting && raft.in_sync(now, self.settings.replica_lag_time_max_ms).len() < replicas_min;
            if is_waiting && !is_hopeless {
                self.gated.insert(group);
            } else {
                self.gated.remove(&group);
            }
        }
        self.release(now, group, out, |partition, released| partition.acks.release_committed(index, released));
        if is_hopeless {
            self.give_up(now, group, committed, out);
        }
    }

    fn give_up(&mut self, now: Now, group: GroupId, committed: Index, out: &mut Outputs) {
        let log_start = self.local.replicas.group(group).map_or(Offset(0), |raft| raft.log().log_start());
        let Some(partition) = self.local.partitions.get_mut(&group) else { return };
        for appended in partition.acks.give_up_committed(committed) {
            self.settle(now, appended.waiter, out, |job, part| job.settle_too_few(part, appended.base_offset, log_start));
        }
    }

    /// Committed entries whose waiters demand more replicas: looked at every round, since no event tells of an acknowledgement that
    /// moves no commit.
    pub(super) fn release_gated(&mut self, now: Now, out: &mut Outputs) {
        for group in self.gated.clone() {
            let Some(raft) = self.local.replicas.group(group) else {
                self.gated.remove(&group);
                continue;
            };
            self.release_committed(now, group, raft.view().commit, out);
        }
    }

    /// Waiters of an earlier leadership have lost it: whether their entries survive is for others to decide.
    fn lose_waiters(&mut self, now: Now, group: GroupId, term: Term, is_ours: bool, out: &mut Outputs) {
        let Some(partition) = self.local.partitions.get_mut(&group) else { return };
        let lost = partition.acks.lose_before(if is_ours { term } else { Term(u64::MAX) });
        let pending = if is_ours { Vec::new() } else { partition.drop_pending() };
        for appended in lost {
            self.settle_failed(now, appended.waiter, ErrorCode::NotLeaderOrFollower, out);
        }
        for batch in pending {
            self.settle_failed(now, batch.waiter, ErrorCode::NotLeaderOrFollower, out);
        }
    }

    fn tell_controller(&mut self, now: Now, group: GroupId) {
        if group != GroupId::CONTROLLER {
            return;
        }
        if let Some(raft) = self.local.replicas.group(group) {
            let (leader, term, is_serving) = (raft.leader(), raft.term(), raft.is_serving());
            self.local.controller.leadership(now, leader, term, is_serving);
        }
    }

    /// Does what the controller asks for, until it asks for nothing.
    pub(super) fn run_controller(&mut self, now: Now, out: &mut Outputs) {
        loop {
            let asked = self.local.controller.poll();
            if asked.is_empty() {
                return;
            }
            for output in asked {
                match output {
                    ControllerOutput::Propose(payload) => {
                        let proposal = vec![Proposal::Command(payload.clone())];
                        if self.local.replicas.propose(GroupId::CONTROLLER, proposal).is_err() {
                            self.local.controller.proposal_refused(now, &payload);
                        }
                    }
                    ControllerOutput::Send { to, message } => self.local.replicas.send(to, KIND_CONTROLLER, message),
                    ControllerOutput::DescribeQuorum { to, id } => {
                        let group = self.local.replicas.group(GroupId::CONTROLLER);
                        if let Some(quorum) = group.and_then(|group| quorum_of(group, now)) {
                            self.local.controller.quorum_described(now, to, id, quorum);
                        }
                    }
                    ControllerOutput::Done { token, response } => self.admin_done(token, response, out),
                }
            }
        }
    }

    fn cluster_change(&mut self, now: Now, change: ClusterChange, out: &mut Outputs) {
        match change {
            ClusterChange::ReplicaAssigned { group, topic, partition, label, voters, preferred, is_forgotten, settings } => {
                if is_forgotten {
                    self.local.replicas.create_forgotten(now, group, label.clone(), &voters, out);
                } else {
                    self.local.replicas.create(now, group, label.clone(), &voters, preferred, out);
                }
                let segment_bytes = u64::try_from(settings.segment_bytes).unwrap_or(u64::MAX);
                self.local.replicas.set_segment_bytes(group, segment_bytes);
                self.local.replicas.set_segment_ms(group, settings.segment_ms);
                let place = TopicPartition { topic, partition };
                let partition =
                    self.local.partitions.entry(group).or_insert_with(|| Partition::new(place, group, label, voters, *settings));
                let rule = partition.rules().codec_rule();
                self.note_codec(topic, rule);
            }
            ClusterChange::ReplicaRemoved { group } => {
                self.wake(group);
                self.lose_partition(now, group, out);
                self.local.producers.remove(&group);
                self.local.replicas.remove(group, out);
                self.look_at_deletions(now, out);
                self.local.leaders.remove(group);
            }
            ClusterChange::TopicDeleted { topic, groups } => {
                self.codecs.forget(topic);
                for group in groups {
                    self.local.leaders.remove(group);
                }
            }
            ClusterChange::SettingsChanged { group, settings } => {
                let Some(partition) = self.local.partitions.get_mut(&group) else { return };
                let segment_bytes = u64::try_from(settings.segment_bytes).unwrap_or(u64::MAX);
                let segment_ms = settings.segment_ms;
                partition.set_settings(*settings);
                let (topic, rule) = (partition.topic, partition.rules().codec_rule());
                self.note_codec(topic, rule);
                self.local.replicas.set_segment_bytes(group, segment_bytes);
                self.local.replicas.set_segment_ms(group, segment_ms);
                // A lower min.insync.replicas may let waiters go.
                if self.gated.remove(&group)
                    && let Some(raft) = self.local.replicas.group(group)
                {
                    self.release_committed(now, group, raft.view().commit, out);
                }
            }
            ClusterChange::PartitionsCreated { groups } => self.expect_leaders(now, groups),
            ClusterChange::BrokerChanged { .. } => {}
        }
    }

    fn lose_partition(&mut self, now: Now, group: GroupId, out: &mut Outputs) {
        let Some(mut partition) = self.local.partitions.remove(&group) else { return };
        self.collecting.remove(&group);
        self.gated.remove(&group);
        for appended in partition.acks.lose_from(Index(0)) {
            self.settle_failed(now, appended.waiter, ErrorCode::UnknownTopicOrPartition, out);
        }
        for batch in partition.drop_pending() {
            self.settle_failed(now, batch.waiter, ErrorCode::UnknownTopicOrPartition, out);
        }
    }
}
