//! The cluster's metadata: what brokers, topics and partitions there are, decided by one leader and replicated as commands.
//!
//! Every broker holds the whole [`ClusterState`], built by applying the commands of group 0 in order. Any broker takes a
//! [`ControllerRequest`] and forwards it to the leader of that group, which alone validates and proposes. Knows nothing of sockets,
//! of wire versions, of raft: proposals and frames leave as [`ControllerOutput`], committed commands come in by [`Controller::apply`].
//!
//! Who leads a *partition* is deliberately not here: each partition's own raft group decides that (`partition::LeaderTable`).

mod command;
mod controller;
mod request;
mod state;

pub use command::{Command, NewPartition, RequestId};
pub use controller::{ClusterChange, Controller, ControllerConfig, ControllerOutput};
pub use request::{
    ControllerRequest, ControllerResponse, CreatedTopic, NewTopic, Refusal, TopicCreation, TopicDeletion, TopicRef,
};
pub use state::{BrokerState, ClusterState, PartitionState, TopicState};
