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

pub use crate::raft::RaftSettings;

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
