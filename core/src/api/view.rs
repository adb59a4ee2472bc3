//! What a handler may look at: the cluster as this broker knows it and the replicas it has.
//!
//! Read-only on purpose: handlers decide and answer; only the broker changes anything.

use crate::controller::{ClusterState, TopicState};
use crate::ids::{BrokerId, GroupId, LeaderEpoch, TopicId};
use crate::mutant::Mutant;
use crate::partition::{LeaderTable, Partition};
use crate::protocol::ErrorCode;
use crate::raft::{RaftGroup, Replicas};
use crate::time::Now;
use std::collections::BTreeMap;

/// The broker as a handler sees it.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The clocks.
    pub now: Now,
    /// This broker.
    pub broker: BrokerId,
    /// The listener by which the client came.
    pub listener: &'a str,
    /// The active deliberate bug.
    pub mutant: Mutant,
    /// Whether consumers are sent to a replica in their own rack (KIP-392, `replica.selector.class`).
    pub is_rack_aware: bool,
    /// A replica that was not caught up for so long is not in sync, `replica.lag.time.max.ms`.
    pub replica_lag_ms_max: u64,
    /// Bytes of records in one Fetch answer, `fetch.max.bytes`. What is more is left for the next request.
    pub fetch_bytes_max: i32,
    /// Whether the disk has no room for records.
    pub is_disk_full: bool,
    /// Topics, partitions, brokers.
    pub cluster: &'a ClusterState,
    /// The raft groups of this broker.
    pub replicas: &'a Replicas,
    /// The replicas of this broker, by group.
    pub partitions: &'a BTreeMap<GroupId, Partition>,
    /// Who leads what.
    pub leaders: &'a LeaderTable,
}

/// How a request names a topic: older versions by name, newer ones by id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum TopicKey<'a> {
    /// By name.
    Name(&'a str),
    /// By id.
    Id(TopicId),
}

/// A broker that clients are sent to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Endpoint {
    /// Its id.
    pub broker: BrokerId,
    /// What clients connect to.
    pub host: String,
    /// And its port.
    pub port: u16,
    /// Rack, if any.
    pub rack: Option<String>,
}

impl<'a> View<'a> {
    /// The topic.
    ///
    /// # Errors
    /// `UNKNOWN_TOPIC_OR_PARTITION` for a name, `UNKNOWN_TOPIC_ID` for an id.
    pub fn topic(&self, key: TopicKey<'_>) -> Result<&'a TopicState, ErrorCode> {
        match key {
            TopicKey::Name(name) => self.cluster.topic(name).ok_or(ErrorCode::UnknownTopicOrPartition),
            TopicKey::Id(id) if self.mutant.is(Mutant::OldIdNewTopic) => {
                let found = self.cluster.topic_by_id(id).or_else(|| self.cluster.topic(self.cluster.deleted(id)?));
                found.ok_or(ErrorCode::UnknownTopicId)
            }
            TopicKey::Id(id) => self.cluster.topic_by_id(id).ok_or(ErrorCode::UnknownTopicId),
        }
    }

    /// The group of a partition, whether or not this broker has a replica of it.
    ///
    /// # Errors
    /// As [`View::topic`]; `UNKNOWN_TOPIC_OR_PARTITION` for a partition that the topic does not have.
    pub fn group_of(&self, key: TopicKey<'_>, partition: i32) -> Result<GroupId, ErrorCode> {
        let topic = self.topic(key)?;
        let number = usize::try_from(partition).map_err(|_| ErrorCode::UnknownTopicOrPartition)?;
        topic.partitions.get(number).map(|p| p.group).ok_or(ErrorCode::UnknownTopicOrPartition)
    }

    /// This broker's replica of a group.
    #[must_use]
    pub fn replica(&self, group: GroupId) -> Option<(&'a Partition, &'a RaftGroup)> {
        Some((self.partitions.get(&group)?, self.replicas.group(group)?))
    }

    /// What to answer where this broker has no replica: another broker has, or the topic was deleted while a request waited.
    #[must_use]
    pub fn why_no_replica(&self, group: GroupId) -> ErrorCode {
        match self.cluster.partition_of(group) {
            Some(_) => ErrorCode::NotLeaderOrFollower,
            None => ErrorCode::UnknownTopicOrPartition,
        }
    }

    /// This broker's replica of a group if it leads and the client's leader epoch (-1 or less: not told) is the present one.
    ///
    /// # Errors
    /// `FENCED_LEADER_EPOCH`, `UNKNOWN_LEADER_EPOCH` (KIP-320), `NOT_LEADER_OR_FOLLOWER`.
    pub fn leader_replica(&self, group: GroupId, epoch: i32) -> Result<(&'a Partition, &'a RaftGroup), ErrorCode> {
        let (partition, raft) = self.replica(group).ok_or_else(|| self.why_no_replica(group))?;
        check_epoch(epoch, raft.term().leader_epoch())?;
        if !raft.is_leader() {
            return Err(ErrorCode::NotLeaderOrFollower);
        }
        Ok((partition, raft))
    }

    /// Whom a client should ask instead (KIP-951): leader and epoch, if known.
    #[must_use]
    pub fn hint(&self, group: GroupId) -> Option<(BrokerId, LeaderEpoch)> {
        let leadership = self.leaders.get(group)?;
        Some((leadership.leader?, leadership.epoch()))
    }

    /// Where the client reaches a broker; `None` also if that has no listener of the name by which the client came.
    #[must_use]
    pub fn endpoint(&self, broker: BrokerId) -> Option<Endpoint> {
        let registration = &self.cluster.broker(broker)?.registration;
        let found = registration.endpoint(self.listener)?;
        Some(Endpoint { broker, host: found.host.clone(), port: found.port, rack: registration.rack.clone() })
    }

    /// The rack of a broker.
    #[must_use]
    pub fn rack(&self, broker: BrokerId) -> Option<&'a str> {
        self.cluster.broker(broker)?.registration.rack.as_deref()
    }
}

/// Compares the leader epoch a client believes in with the present one.
///
/// # Errors
/// `FENCED_LEADER_EPOCH` for an older, `UNKNOWN_LEADER_EPOCH` for a newer one.
pub fn check_epoch(told: i32, present: LeaderEpoch) -> Result<(), ErrorCode> {
    if told < 0 || told == present.0 {
        Ok(())
    } else if told < present.0 {
        Err(ErrorCode::FencedLeaderEpoch)
    } else {
        Err(ErrorCode::UnknownLeaderEpoch)
    }
}
