//! Raft groups: tikv raft driven as a pure state machine over [`crate::log::GroupLog`], and [`Replicas`], the engine that owns
//! all groups of a broker, their meta log, their disk operations and their peer frames.
mod disk_queue;
mod frame;
mod group;
mod lag;
mod outbox;
mod pipeline;
mod recovery;
mod replicas;
mod settings;
mod storage;
#[cfg(test)]
mod tests;
pub use group::{GroupEvent, GroupView, Proposal, ProposeError, Proposed, RaftGroup, Role};
pub use recovery::{RecoveryStep, ReplicasRecovery};
pub use replicas::{ControlMessage, Dropped, ReadDone, Replicas};
pub use settings::{RaftSettings, ReplicasConfig};
