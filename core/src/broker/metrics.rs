//! [`BrokerMetrics`]: what an operator may watch, as one value made when somebody asks.
//!
//! The core counts what it decides; it measures no time and formats nothing. Making the value walks all partitions of the cluster, so the
//! shell asks when a scrape comes and not more often.
//!
//! Invariants: sums are over everything, lists are cut at [`METRICS_PARTITIONS_MAX`] and say how much they left out; counters never go back
//! while the broker runs, except that a topic's own counters go with the topic.
//!
//! Source: Kafka's `BrokerTopicMetrics`, `ReplicaManager`, `KafkaController` (`ControllerMetadataMetrics`), `UnifiedLog` and `Partition` metrics.

use super::Broker;
use crate::controller::TopicState;
use crate::ids::{BrokerId, GroupId, Offset};
use crate::limits::METRICS_PARTITIONS_MAX;
use crate::partition::{Partition, Traffic};
use crate::raft::RaftGroup;
use crate::time::Now;

/// A broker as an operator sees it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct BrokerMetrics {
    /// Whether this life of the broker is registered with the controller: it knows the cluster and answers clients.
    pub is_registered: bool,
    /// Whether the controller fenced it: it was silent for too long.
    pub is_fenced: bool,
    /// Whether it is the active controller.
    pub is_controller: bool,
    /// The active controller, as far as it knows.
    pub controller: Option<BrokerId>,
    /// Brokers that are registered and not fenced.
    pub brokers_active: usize,
    /// Brokers that are fenced.
    pub brokers_fenced: usize,
    /// Topics of the cluster.
    pub cluster_topics: usize,
    /// Partitions of the cluster.
    pub cluster_partitions: usize,
    /// Partitions of the cluster without a leader that is alive.
    pub partitions_offline: usize,
    /// Partitions of the cluster whose leader is not the first of their replicas.
    pub partitions_not_preferred: usize,
    /// Partitions with a replica here.
    pub replicas: usize,
    /// Those of them that this broker leads.
    pub leaders: usize,
    /// Those led here that lack a replica in sync.
    pub under_replicated: usize,
    /// Those led here with fewer replicas in sync than `min.insync.replicas`.
    pub under_min_in_sync: usize,
    /// Those led here with exactly as many.
    pub at_min_in_sync: usize,
    /// Producers with an id that are remembered.
    pub producers: usize,
    /// What went through all partitions.
    pub traffic: Traffic,
    /// What went through each topic that has a replica here, by name.
    pub topics: Vec<TopicMetrics>,
    /// Topics with a replica here that are not listed.
    pub topics_left_out: usize,
    /// The replicas of this broker, by topic name and partition.
    pub partitions: Vec<ReplicaMetrics>,
    /// Replicas that are not listed.
    pub partitions_left_out: usize,
    /// Leaderships won, over all groups.
    pub elections_won: u64,
    /// New leaders heard of, over all groups with a replica here.
    pub leader_changes: u64,
    /// Requests that wait until the broker is registered.
    pub requests_held: usize,
    /// Requests that wait for something.
    pub requests_parked: usize,
    /// Fetch sessions.
    pub sessions: usize,
    /// Partitions of all of them.
    pub session_partitions: usize,
    /// Peer frames and messages that could not be used.
    pub peer_messages_dropped: u64,
}

/// A topic.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TopicMetrics {
    /// Its name.
    pub topic: String,
    /// What went through its partitions here.
    pub traffic: Traffic,
}

/// A replica.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReplicaMetrics {
    /// Its topic.
    pub topic: String,
    /// Its partition.
    pub partition: i32,
    /// First offset that may be read.
    pub log_start: Offset,
    /// Offset of the next record.
    pub log_end: Offset,
    /// Bytes of its segments.
    pub bytes: u64,
    /// How many segments.
    pub segments: usize,
    /// How many replicas the partition has.
    pub replicas: usize,
    /// How many of them are in sync; 0 unless this broker leads, as in Kafka.
    pub in_sync: usize,
    /// Whether this broker leads it.
    pub is_leader: bool,
    /// Whether it leads and lacks a replica in sync.
    pub is_under_replicated: bool,
    /// Whether it leads and has fewer replicas in sync than `min.insync.replicas`.
    pub is_under_min_in_sync: bool,
}

impl Broker {
    /// Everything an operator may watch.
    #[must_use]
    pub fn metrics(&self, now: Now) -> BrokerMetrics {
        self.metrics_up_to(now, METRICS_PARTITIONS_MAX)
    }

    pub(super) fn metrics_up_to(&self, now: Now, listed_max: usize) -> BrokerMetrics {
        let local = &self.local;
        let cluster = local.controller.state();
        let is_fenced = cluster.broker(self.config.broker).is_some_and(|broker| broker.is_fenced);
        let brokers_active = cluster.live_brokers().count();
        let dropped = local.replicas.dropped();
        let mut metrics = BrokerMetrics {
            is_registered: local.controller.is_registered(),
            is_fenced,
            is_controller: local.replicas.group(GroupId::CONTROLLER).is_some_and(RaftGroup::is_serving),
            controller: local.controller.leader(),
            brokers_active,
            brokers_fenced: cluster.brokers().count() - brokers_active,
            producers: local.producers.values().map(|producers| producers.committed().iter().count()).sum(),
            traffic: self.traffic,
            elections_won: self.elections_won,
            leader_changes: self.leader_changes,
            requests_held: self.held.len(),
            requests_parked: self.parking.len(),
            sessions: self.sessions.len(),
            session_partitions: self.sessions.partitions(),
            peer_messages_dropped: dropped.frames + dropped.unknown_group + dropped.refused,
            ..BrokerMetrics::default()
        };
        for topic in cluster.topics() {
            self.look_at(now, topic, listed_max, &mut metrics);
        }
        metrics
    }

    fn look_at(&self, now: Now, topic: &TopicState, listed_max: usize, metrics: &mut BrokerMetrics) {
        let is_live = |id: &BrokerId| self.local.controller.state().broker(*id).is_some_and(|broker| !broker.is_fenced);
        metrics.cluster_topics += 1;
        let mut traffic: Option<Traffic> = None;
        for (number, partition) in (0..).zip(&topic.partitions) {
            metrics.cluster_partitions += 1;
            let leader = self.local.leaders.get(partition.group).and_then(|known| known.leader).filter(is_live);
            metrics.partitions_offline += usize::from(leader.is_none());
            metrics.partitions_not_preferred += usize::from(leader.is_some() && leader != partition.replicas.first().copied());
            let here = self.local.partitions.get(&partition.group);
            let Some((here, raft)) = here.zip(self.local.replicas.group(partition.group)) else { continue };
            traffic.get_or_insert_default().add(here.traffic);
            let in_sync = raft.in_sync(now, self.settings.replica_lag_time_max_ms).iter().filter(|id| is_live(id)).count();
            let replica = ReplicaMetrics::of(&topic.name, number, here, raft, in_sync);
            metrics.replicas += 1;
            metrics.leaders += usize::from(replica.is_leader);
            metrics.under_replicated += usize::from(replica.is_under_replicated);
            metrics.under_min_in_sync += usize::from(replica.is_under_min_in_sync);
            metrics.at_min_in_sync += usize::from(replica.is_leader && in_sync == here.replicas_min());
            if metrics.partitions.len() < listed_max {
                metrics.partitions.push(replica);
            } else {
                metrics.partitions_left_out += 1;
            }
        }
        let Some(traffic) = traffic else { return };
        if metrics.topics.len() < listed_max {
            metrics.topics.push(TopicMetrics { topic: topic.name.clone(), traffic });
        } else {
            metrics.topics_left_out += 1;
        }
    }
}

impl ReplicaMetrics {
    fn of(topic: &str, partition: i32, here: &Partition, raft: &RaftGroup, in_sync: usize) -> ReplicaMetrics {
        let (is_leader, log) = (raft.is_leader(), raft.log());
        ReplicaMetrics {
            topic: topic.to_string(),
            partition,
            log_start: log.log_start(),
            log_end: log.log_end(),
            bytes: log.bytes(),
            segments: log.segments(),
            replicas: here.voters.len(),
            in_sync: if is_leader { in_sync } else { 0 },
            is_leader,
            is_under_replicated: is_leader && in_sync < here.voters.len(),
            is_under_min_in_sync: is_leader && in_sync < here.replicas_min(),
        }
    }
}
