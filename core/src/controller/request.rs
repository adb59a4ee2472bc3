//! What an admin handler asks of the controller and what it gets back.
//!
//! Knows nothing of Kafka's wire versions: the handlers of `api/` translate. A request names topics as the client did; every decision
//! (placement, ids, errors) is the controller leader's, so that two brokers never decide differently.
//!
//! Source: Kafka `ReplicationControlManager` for the error precision, KIP-516 for topic ids.

use super::config_resource::ConfigResource;
use crate::config::Change;
use crate::ids::{BrokerId, ProducerId, TopicId};
use crate::protocol::ErrorCode;
use crate::raft::Quorum;

/// Asked on any broker, decided on the controller leader.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ControllerRequest {
    /// Creates topics; each succeeds or fails on its own.
    CreateTopics {
        /// In the order of the request. A name that stands here twice fails once and is not created.
        topics: Vec<NewTopic>,
        /// Only say what would happen.
        validate_only: bool,
        /// The client's patience.
        timeout_ms: i32,
    },
    /// Deletes topics; each succeeds or fails on its own.
    DeleteTopics {
        /// In the order of the request.
        topics: Vec<TopicRef>,
        /// The client's patience.
        timeout_ms: i32,
    },
    /// Changes settings of resources; each succeeds or fails on its own.
    AlterConfigs {
        /// In the order of the request, no resource twice.
        changes: Vec<ConfigChange>,
        /// Only say what would happen.
        validate_only: bool,
    },
    /// Adds partitions to topics; each succeeds or fails on its own.
    CreatePartitions {
        /// In the order of the request. A name that stands here twice fails once and does not grow.
        topics: Vec<Growth>,
        /// Only say what would happen.
        validate_only: bool,
        /// The client's patience.
        timeout_ms: i32,
    },
    /// Gives the replicas of partitions another order; each succeeds or fails on its own.
    Reassign {
        /// In the order of the request.
        topics: Vec<Reassignment>,
        /// Whether a partition may get more or fewer replicas.
        allow_factor_change: bool,
        /// The client's patience.
        timeout_ms: i32,
    },
    /// A producer id no one else ever got.
    AllocateProducerId,
    /// How far the voters of the controller's group are.
    DescribeQuorum,
}

/// A change of the settings of one resource.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigChange {
    /// Whose.
    pub target: ConfigTarget,
    /// What is done.
    pub change: Change,
}

/// Whose settings are to be changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ConfigTarget {
    /// Those of the topic of this name.
    Topic(String),
    /// Those of something else.
    Other(ConfigResource),
}

/// A topic that is to have more partitions.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Growth {
    /// Its name.
    pub name: String,
    /// Number of partitions it shall have.
    pub count: i32,
    /// Replicas of each new partition, the preferred leader first; `None`: the controller places.
    pub assignments: Option<Vec<Vec<BrokerId>>>,
}

/// Partitions of a topic that are to have these replicas.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Reassignment {
    /// The topic's name.
    pub name: String,
    /// Partitions and their replicas, the preferred leader first; `None`: what is under way shall be given up.
    pub targets: Vec<(i32, Option<Vec<BrokerId>>)>,
}

/// A topic to be created.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct NewTopic {
    /// As the client wrote it.
    pub name: String,
    /// Number of partitions; -1 for `num.partitions` (or as many as are assigned).
    pub partitions: i32,
    /// Replicas of each; -1 for `default.replication.factor` (or as many as are assigned).
    pub replication_factor: i16,
    /// Manual assignment: partition, its replicas, the preferred leader first. Empty: the controller places.
    pub assignments: Vec<(i32, Vec<BrokerId>)>,
    /// Overrides: name, value.
    pub configs: Vec<(String, Option<String>)>,
}

/// A topic to be deleted: by name, by id, or (an error of the client) by both or neither.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TopicRef {
    /// Its name.
    pub name: Option<String>,
    /// Its id; zero stands for none.
    pub id: TopicId,
}

/// What came of a [`ControllerRequest`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ControllerResponse {
    /// One entry per distinct name, in the order of their first mention.
    CreateTopics(Vec<TopicCreation>),
    /// One entry per topic of the request, duplicates folded into one.
    DeleteTopics(Vec<TopicDeletion>),
    /// What stood against each change, in order.
    AlterConfigs(Vec<Option<Refusal>>),
    /// One entry per distinct name, in the order of their first mention.
    CreatePartitions(Vec<TopicGrowth>),
    /// What stood against each partition, in order, those of the first topic first.
    Reassign(Vec<Option<Refusal>>),
    /// A producer id; its epoch is 0.
    ProducerId(ProducerId),
    /// As the leader of the controller's group sees it.
    Quorum(Quorum),
    /// Nothing could be decided in time: no controller leader, or no quorum. The error stands for every item of the request.
    Failed(ErrorCode),
}

impl ControllerResponse {
    /// The error that stands for every item of a request that got this instead of its own kind of answer.
    #[must_use]
    pub fn failure(&self) -> ErrorCode {
        match self {
            ControllerResponse::Failed(code) => *code,
            ControllerResponse::CreateTopics(_)
            | ControllerResponse::DeleteTopics(_)
            | ControllerResponse::AlterConfigs(_)
            | ControllerResponse::CreatePartitions(_)
            | ControllerResponse::Reassign(_)
            | ControllerResponse::ProducerId(_)
            | ControllerResponse::Quorum(_) => ErrorCode::UnknownServerError,
        }
    }
}

/// What came of one topic of CreateTopics.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TopicCreation {
    /// As the client wrote it.
    pub name: String,
    /// The topic as created (or, validated only, as it would be), or why not.
    pub result: Result<CreatedTopic, Refusal>,
}

/// A created topic.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CreatedTopic {
    /// Its id; that of no topic if only validated.
    pub id: TopicId,
    /// Number of partitions.
    pub partitions: i32,
    /// Replicas of each.
    pub replication_factor: i16,
    /// Overrides as they stand.
    pub configs: Vec<(String, String)>,
}

/// What came of one topic of DeleteTopics.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TopicDeletion {
    /// Its name, if known.
    pub name: Option<String>,
    /// Its id, zero if unknown.
    pub id: TopicId,
    /// Why it was not deleted.
    pub refusal: Option<Refusal>,
}

/// What came of one topic of CreatePartitions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TopicGrowth {
    /// As the client wrote it.
    pub name: String,
    /// Why it did not grow.
    pub refusal: Option<Refusal>,
}

/// Why something was refused, as the client is told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// Kafka's error code.
    pub code: ErrorCode,
    /// A sentence for people; empty where Kafka has none.
    pub message: String,
}

impl Refusal {
    /// A refusal with its sentence.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Refusal {
        Refusal { code, message: message.into() }
    }
}
