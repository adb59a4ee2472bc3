//! Raft groups: tikv raft driven as a pure state machine over [`crate::log::GroupLog`], and [`Replicas`], the engine that owns
//! all groups of a broker, their meta log, their disk operations and their peer frames.
mod group;
mod recovery;
mod replicas;
mod settings;
pub use group::{GroupEvent, GroupView, Proposal, ProposeError, Proposed, RaftGroup, Role};
pub use recovery::ReplicasRecovery;
pub use replicas::{ControlMessage, ReadDone, Replicas};
pub use settings::{RaftSettings, ReplicasConfig};
