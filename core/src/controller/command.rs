//! The commands of the controller's log.

use crate::ids::{BrokerId, GroupId, TopicId};

/// One replicated change of the cluster.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Command {
    /// A broker is there (again): its endpoint and this life's incarnation. Unfences it.
    RegisterBroker {
        /// Its id.
        id: BrokerId,
        /// Drawn at the start of each life.
        incarnation: u64,
        /// What clients connect to.
        host: String,
        /// And its port.
        port: u16,
        /// Rack, if any.
        rack: Option<String>,
        /// Id of its data folder.
        directory: u128,
    },
    /// A broker was silent too long.
    FenceBroker {
        /// Its id.
        id: BrokerId,
        /// The life that was silent; a later life is not fenced by it.
        incarnation: u64,
    },
    /// A topic with all its partitions.
    CreateTopic {
        /// Its name.
        name: String,
        /// Its id, drawn by the leader.
        id: TopicId,
        /// Overrides, checked by the leader.
        configs: Vec<(String, String)>,
        /// Partition 0 first.
        partitions: Vec<NewPartition>,
        /// Which request asked for it, so that a repeated request finds its own work.
        origin: RequestId,
    },
    /// The topic is gone, with its groups.
    DeleteTopic {
        /// Its id.
        id: TopicId,
        /// Which request asked for it.
        origin: RequestId,
    },
    /// `length` producer ids from `first` on belong to `broker`.
    ProducerIdBlock {
        /// The owner.
        broker: BrokerId,
        /// First id.
        first: i64,
        /// How many.
        length: i32,
    },
}

/// A partition's raft group and its replicas, the preferred leader first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewPartition {
    /// The group.
    pub group: GroupId,
    /// The replicas.
    pub replicas: Vec<BrokerId>,
}

/// Names a request of a broker for ever: the life that asked, and the request's number in it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct RequestId {
    /// Incarnation of the asking broker's life.
    pub incarnation: u64,
    /// From 0.
    pub number: u64,
}
