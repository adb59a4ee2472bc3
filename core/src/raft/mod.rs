//! One raft group: tikv raft driven as a pure state machine over [`crate::log::GroupLog`].
mod group;
pub use group::{GroupEvent, Proposal, ProposeError, Proposed, RaftGroup, Round};
