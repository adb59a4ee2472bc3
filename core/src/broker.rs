//! The broker: one match over inputs, one visit of every dirty group per round.
//!
//! STUB of the seam.
use crate::disk::{FileName, Inventory};
use crate::error::Fatal;
use crate::ids::BrokerId;
use crate::input::Input;
use crate::mutant::Mutant;
use crate::output::Outputs;
use crate::time::{Instant, Now};
use bytes::Bytes;

/// Everything a broker is told at start.
#[derive(Clone, Debug)]
pub struct BrokerConfig {
    /// 22 characters of base64url, the same on all brokers.
    pub cluster_id: String,
    /// This broker.
    pub broker: BrokerId,
    /// Voters of the controller group, ascending; in this version all brokers of the cluster.
    pub voters: Vec<BrokerId>,
    /// What clients are told to connect to.
    pub advertised_host: String,
    /// And its port.
    pub advertised_port: u16,
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

/// Timing and sizes of raft groups; the simulator draws them per seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RaftSettings {
    /// Milliseconds of one tick.
    pub tick_ms: u64,
    /// Ticks without a leader before an election; the timeout is drawn from `[n, 2n)`.
    pub election_ticks: usize,
    /// Ticks between heartbeats.
    pub heartbeat_ticks: usize,
    /// Ask before campaigning.
    pub pre_vote: bool,
    /// Step down without a quorum.
    pub check_quorum: bool,
    /// Append messages in flight per follower.
    pub inflight_max: usize,
    /// Bytes of entries per append message.
    pub message_bytes_max: usize,
    /// Bytes of entries kept in memory per group beyond those that must be.
    pub tail_bytes_max: usize,
    /// Bytes at which the meta log goes on in a new file.
    pub meta_bytes_max: u64,
}

impl Default for RaftSettings {
    fn default() -> Self {
        RaftSettings {
            tick_ms: 100,
            election_ticks: 10,
            heartbeat_ticks: 2,
            pre_vote: true,
            check_quorum: true,
            inflight_max: 32,
            message_bytes_max: crate::limits::PEER_APPEND_BYTES_MAX,
            tail_bytes_max: 8 * 1024 * 1024,
            meta_bytes_max: 16 * 1024 * 1024,
        }
    }
}

/// Rebuilds a broker from its disk, as values: poll, read, tell, until done.
#[derive(Debug)]
pub struct Recovery {}

/// What recovery wants next.
#[derive(Debug, PartialEq, Eq)]
pub enum RecoveryStep {
    /// Read exactly this and give it to [`Recovery::read_done`].
    Read {
        /// The file.
        file: FileName,
        /// Bytes from its start.
        position: u64,
        /// Bytes.
        length: u32,
    },
    /// Call [`Recovery::finish`].
    Done,
    /// Durable data is damaged: do not start.
    Halt(Fatal),
}

impl Recovery {
    /// Starts with what is on the disk; an empty inventory is a new broker.
    pub fn new(_config: BrokerConfig, _inventory: Inventory) -> Recovery {
        unimplemented!()
    }
    /// What to do next.
    pub fn poll(&mut self) -> RecoveryStep {
        unimplemented!()
    }
    /// What the last read found.
    pub fn read_done(&mut self, _data: Bytes) {
        unimplemented!()
    }
    /// The broker; repairs (cut tails, redone intents) are among the first outputs and gate what depends on them.
    pub fn finish(self, _now: Now, _out: &mut Outputs) -> Broker {
        unimplemented!()
    }
}

/// When the broker wants a [`Input::Tick`], and why.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Deadline {
    /// When.
    pub at: Instant,
    /// For a person who asks what it waits for.
    pub reason: &'static str,
}

/// One broker.
#[derive(Debug)]
pub struct Broker {}

impl Broker {
    /// Takes in one fact. Cheap: what can wait for the end of the round does.
    pub fn step(&mut self, _now: Now, _input: Input, _out: &mut Outputs) {
        unimplemented!()
    }
    /// Ends a round: visits every dirty group once and hands out all it wants of the world.
    pub fn end_round(&mut self, _now: Now, _out: &mut Outputs) {
        unimplemented!()
    }
    /// When to send a tick at the latest.
    pub fn next_deadline(&self) -> Option<Deadline> {
        unimplemented!()
    }
}
