//! What every broker knows of the cluster.

use crate::ids::{BrokerId, GroupId, TopicId};
use std::collections::BTreeMap;

/// Brokers, topics, partitions and counters, equal on every broker that applied the same commands.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ClusterState {
    brokers: BTreeMap<BrokerId, BrokerState>,
    topics: BTreeMap<String, TopicState>,
    names: BTreeMap<TopicId, String>,
    groups: BTreeMap<GroupId, (TopicId, i32)>,
}

/// A registered broker.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BrokerState {
    /// Its id.
    pub id: BrokerId,
    /// Its life.
    pub incarnation: u64,
    /// What clients connect to.
    pub host: String,
    /// And its port.
    pub port: u16,
    /// Rack, if any.
    pub rack: Option<String>,
    /// Id of its data folder.
    pub directory: u128,
    /// Silent for longer than `broker.session.timeout.ms`.
    pub is_fenced: bool,
}

/// A topic.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TopicState {
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: TopicId,
    /// Overrides by name.
    pub configs: BTreeMap<String, String>,
    /// Partition n is entry n.
    pub partitions: Vec<PartitionState>,
}

/// A partition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PartitionState {
    /// Its raft group.
    pub group: GroupId,
    /// Its replicas, the preferred leader first.
    pub replicas: Vec<BrokerId>,
}

impl ClusterState {
    /// A topic by name.
    #[must_use]
    pub fn topic(&self, name: &str) -> Option<&TopicState> {
        self.topics.get(name)
    }
    /// A topic by id.
    #[must_use]
    pub fn topic_by_id(&self, id: TopicId) -> Option<&TopicState> {
        self.names.get(&id).and_then(|name| self.topics.get(name))
    }
    /// All topics by name, ascending.
    pub fn topics(&self) -> impl Iterator<Item = &TopicState> {
        self.topics.values()
    }
    /// The partition a group replicates.
    #[must_use]
    pub fn partition_of(&self, group: GroupId) -> Option<(TopicId, i32)> {
        self.groups.get(&group).copied()
    }
    /// A broker, live or fenced.
    #[must_use]
    pub fn broker(&self, id: BrokerId) -> Option<&BrokerState> {
        self.brokers.get(&id)
    }
    /// All brokers, ascending.
    pub fn brokers(&self) -> impl Iterator<Item = &BrokerState> {
        self.brokers.values()
    }
}
