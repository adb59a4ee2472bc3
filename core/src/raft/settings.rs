//! Timing and sizes of raft groups, and what the replication engine of one broker is told at start.
//!
//! Knows nothing of where the values come from. `heartbeat_ticks < election_ticks` is asserted when a group is made.

use crate::ids::BrokerId;
use crate::log::ProducerRules;
use crate::mutant::Mutant;

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
    /// Bytes beyond which no segment grows by another batch, whatever the settings say. Kafka's least `segment.bytes` is 1 MiB; the
    /// simulator draws less, because seams between segments are where bugs live.
    pub segment_bytes_cap: u64,
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
            segment_bytes_cap: u64::MAX,
        }
    }
}

/// What the replication engine is told at start.
#[derive(Clone, Debug)]
pub struct ReplicasConfig {
    /// This broker.
    pub broker: BrokerId,
    /// Voters of the controller group, ascending.
    pub voters: Vec<BrokerId>,
    /// Seed of all randomness of this life.
    pub seed: u64,
    /// Timing and sizes.
    pub raft: RaftSettings,
    /// Bytes at which a segment is full unless a group says otherwise: Kafka's `log.segment.bytes`.
    pub segment_bytes_max: u64,
    /// When producers are forgotten.
    pub producers: ProducerRules,
    /// The active deliberate bug.
    pub mutant: Mutant,
}
