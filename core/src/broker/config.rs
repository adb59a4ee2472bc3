//! What a broker is told at start, and what it tells to those who watch it.

use crate::controller::ListenerEndpoint;
use crate::ids::BrokerId;
use crate::mutant::Mutant;
use crate::raft::{GroupView, RaftSettings};
use crate::time::Instant;

/// Everything a broker is told at start.
#[derive(Clone, Debug)]
pub struct BrokerConfig {
    /// 22 characters of base64url, the same on all brokers.
    pub cluster_id: String,
    /// This broker.
    pub broker: BrokerId,
    /// Voters of the controller group, ascending; in this version all brokers of the cluster.
    pub voters: Vec<BrokerId>,
    /// Listeners for clients, with what clients who came by them are told to connect to; at least one, no name twice. Their places are the
    /// [`ListenerId`](crate::ids::ListenerId)s of requests.
    pub listeners: Vec<ListenerEndpoint>,
    /// Rack, if any.
    pub rack: Option<String>,
    /// Seed of all randomness of this life.
    pub seed: u64,
    /// Timing and sizes of raft groups.
    pub raft: RaftSettings,
    /// Kafka broker settings given by the operator: name, value; validated by `config`.
    pub settings: Vec<(String, String)>,
    /// The active deliberate bug.
    pub mutant: Mutant,
}

/// When the broker wants a [`crate::input::Input::Tick`], and why.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Deadline {
    /// When.
    pub at: Instant,
    /// For a person who asks what it waits for.
    pub reason: &'static str,
}

/// A broker as checkers see it, at the end of a round.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BrokerView {
    /// All its groups, ascending.
    pub groups: Vec<GroupView>,
    /// Requests that wait until this life of the broker is registered.
    pub held: usize,
    /// Requests that wait.
    pub parked: usize,
    /// Client reads and searches under way.
    pub reads: usize,
}
