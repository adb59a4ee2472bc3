//! What clients do in a run: topics, the mix of requests, sizes and patience. Drawn per seed, without knowledge of faults.

use crate::batch;
use crate::dice::Draw;
use bytes::Bytes;

/// Name of the topic that idempotent producers write to.
pub(crate) const ONCE: &str = "once";

/// A topic that the clients create and use.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct TopicPlan {
    /// Its name.
    pub(crate) name: String,
    /// Number of partitions.
    pub(crate) partitions: i32,
    /// Replicas of each.
    pub(crate) replicas: usize,
    /// Settings other than the defaults.
    pub(crate) configs: Vec<(String, String)>,
    /// Whether it is deleted and created again now and then. Clients name it by id only: a name would reach whichever life is there.
    pub(crate) is_mortal: bool,
    /// Whether clients delete its records now and then.
    pub(crate) is_shortened: bool,
}

impl TopicPlan {
    /// A batch as it is sent: where the broker takes the compression off, it comes with some. What is stored is the batch as it was built.
    pub(crate) fn sent(&self, batch: &Bytes, version: i16) -> Bytes {
        let is_unpacked = self.configs.iter().any(|(name, value)| name == "compression.type" && value == "uncompressed");
        if is_unpacked { batch::compressed(batch, version) } else { batch.clone() }
    }

    /// Whether retention may delete its records.
    pub(crate) fn has_retention(&self) -> bool {
        self.configs.iter().any(|(name, _)| name == "retention.bytes")
    }
}

/// The mix of requests.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Workload {
    /// How often a client that may act does, in percent; otherwise it thinks.
    pub(crate) busy_percent: u64,
    /// Longest thought.
    pub(crate) think_us_max: u64,
    /// Share of Produce, in percent.
    pub(crate) produce_percent: u64,
    /// Share of Fetch; the rest are ListOffsets.
    pub(crate) fetch_percent: u64,
    /// Share of acks=0 among Produce.
    pub(crate) acks_none_percent: u64,
    /// Share of acks=1.
    pub(crate) acks_leader_percent: u64,
    /// Records per batch at most.
    pub(crate) batch_values_max: u64,
    /// Bytes of a value at most.
    pub(crate) value_bytes_max: u64,
    /// How long a client waits for an acknowledgement.
    pub(crate) patience_us: u64,
    /// How many clients are idempotent producers, if there are so many beside the first.
    pub(crate) idempotent: usize,
}

impl Workload {
    /// A mix.
    pub(crate) fn of(dice: &mut Draw) -> Workload {
        let produce = dice.between(30, 75);
        let has_none = dice.below(2) == 0;
        let has_leader = dice.below(2) == 0;
        Workload {
            busy_percent: dice.between(20, 60),
            think_us_max: dice.log_between(50_000, 1_000_000),
            produce_percent: produce,
            fetch_percent: (97 - produce).min(dice.between(20, 60)),
            acks_none_percent: if has_none { dice.between(1, 20) } else { 0 },
            acks_leader_percent: if has_leader { dice.between(1, 40) } else { 0 },
            batch_values_max: dice.log_between(1, 12),
            value_bytes_max: dice.log_between(16, 1500),
            patience_us: dice.log_between(300_000, 3_000_000),
            idempotent: usize::try_from(dice.below(3)).expect("small"),
        }
    }
}
