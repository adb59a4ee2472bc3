//! The cluster's metadata: what brokers, topics and partitions there are, decided by one leader and replicated as commands.
//!
//! Every broker holds the whole [`ClusterState`], built by applying the commands of group 0 in order. Any broker takes a
//! [`ControllerRequest`] and forwards it to the leader of that group, which alone validates and proposes. Knows nothing of sockets,
//! of wire versions, of raft: proposals and frames leave as [`ControllerOutput`], committed commands come in by [`Controller::apply`].
//!
//! Who leads a *partition* is deliberately not here: each partition's own raft group decides that (`partition::LeaderTable`).

mod bytes_io;
mod command;
mod config_resource;
#[expect(clippy::module_inception, reason = "the file is named after its main type")]
mod controller;
mod lead;
mod mentions;
mod message;
mod output;
mod placement;
mod plan_alter;
mod plan_create;
mod plan_delete;
mod plan_grow;
mod plan_reassign;
mod request;
mod request_bytes;
mod state;
#[cfg(test)]
pub(crate) mod testing;
mod topic_name;

pub use command::{Command, ListenerEndpoint, NewPartition, ProposalId, Registration, RequestId};
pub use config_resource::ConfigResource;
pub use controller::{Controller, ControllerConfig, ControllerRevision};
pub use output::{ClusterChange, ControllerOutput};
pub use request::{
    ConfigChange, ConfigTarget, ControllerRequest, ControllerResponse, CreatedTopic, Growth, NewTopic, Reassignment, Refusal,
    TopicCreation, TopicDeletion, TopicGrowth, TopicRef,
};
pub use state::{BrokerState, ClusterState, DeletedTopic, PartitionState, TopicState};
pub use topic_name::{check_topic_name, is_internal_topic};
