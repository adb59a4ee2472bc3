//! The shape of a simulated cluster: how many brokers and clients, with what settings. No faults.

use crate::disk::DiskSettings;
use crate::network::NetSettings;
use ottla_core::broker::RaftSettings;
use ottla_core::mutant::Mutant;

/// How a cluster is built.
#[derive(Clone, Debug)]
pub struct Shape {
    /// Number of brokers: ids 0, 1, …
    pub brokers: usize,
    /// Number of clients.
    pub clients: usize,
    /// Timing and sizes of raft groups.
    pub raft: RaftSettings,
    /// Kafka settings of every broker.
    pub settings: Vec<(String, String)>,
    /// The rack of each broker; those beyond the end have none.
    pub racks: Vec<String>,
    /// How links behave.
    pub net: NetSettings,
    /// How disks behave.
    pub disk: DiskSettings,
    /// Whether all clocks are right.
    pub has_exact_clocks: bool,
    /// Microseconds a broker may take to look at its inputs, at most; they are handled as one round.
    pub round_us_max: u64,
    /// Rounds out of a million that end with a crash between two of their outputs.
    pub crash_in_round_ppm: u64,
    /// Of the rounds that write the meta log and send a frame, how many out of a million crash with the frame out and the
    /// write lost.
    pub crash_at_promise_ppm: u64,
    /// Microseconds until a broker that crashed within a round is started again: lower and upper bound.
    pub restart_us: (u64, u64),
    /// The active deliberate bug.
    pub mutant: Mutant,
}

impl Shape {
    /// A cluster without faults.
    #[must_use]
    pub fn calm(brokers: usize, clients: usize) -> Shape {
        Shape {
            brokers,
            clients,
            raft: RaftSettings { tick_ms: 50, ..RaftSettings::default() },
            settings: Vec::new(),
            racks: Vec::new(),
            net: NetSettings::calm(),
            disk: DiskSettings::calm(),
            has_exact_clocks: true,
            round_us_max: 20,
            crash_in_round_ppm: 0,
            crash_at_promise_ppm: 0,
            restart_us: (1_000, 10_000),
            mutant: Mutant::None,
        }
    }
}
