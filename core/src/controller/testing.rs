//! States for the tests of those who read them.

use super::command::{Command, ListenerEndpoint, Registration};
use super::state::{Change, ClusterState};
use crate::ids::BrokerId;

/// Broker `id` in its first life, at `h<id>:9092`.
pub(crate) fn registration(id: i32) -> Registration {
    Registration {
        id: BrokerId(id),
        incarnation: 1,
        endpoints: ListenerEndpoint::alone(format!("h{id}"), 9092),
        rack: None,
        directory: 0,
    }
}

/// The state after these commands, all of them legal.
pub(crate) fn state_of(commands: &[Command]) -> ClusterState {
    let mut state = ClusterState::default();
    for command in commands {
        assert_ne!(state.apply(command), Change::Ignored, "illegal: {command:?}");
    }
    state
}
