//! Raft groups: tikv raft driven as a pure state machine over [`crate::log::GroupLog`], and [`Replicas`], the engine that owns
//! all groups of a broker, their meta log, their disk operations and their peer frames.

#![allow(clippy::field_reassign_with_default, reason = "protobuf's types carry fields that are not ours to name")]

mod copy_message;
mod disk_queue;
mod frame;
mod group;
mod lag;
mod outbox;
mod pipeline;
mod quorum;
mod recall;
mod recalls;
mod recovery;
mod replicas;
mod settings;
mod storage;
#[cfg(test)]
mod tests;
pub use group::{GroupEvent, GroupView, Proposal, ProposeError, Proposed, RaftGroup, Role};
pub use quorum::{Quorum, Voter, quorum_of};
pub use recovery::{RecoveryStep, ReplicasRecovery};
pub use replicas::{ControlMessage, Dropped, ReadDone, Recalling, Replicas};
pub use settings::{RaftSettings, ReplicasConfig};
