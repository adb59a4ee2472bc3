//! [`Traffic`]: what went through a partition, or through all of them, since this broker started.
//!
//! Counted by the broker while it leads, or serves consumers from a replica; nothing is decided by it. Source: Kafka `BrokerTopicMetrics`.

/// Counters; they only grow.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Traffic {
    /// Records that clients appended. A batch that an idempotent producer sent again is not counted again.
    pub records_in: u64,
    /// Bytes of the batches they are in.
    pub bytes_in: u64,
    /// Bytes of batches in Fetch answers.
    pub bytes_out: u64,
    /// Times a Produce request named a partition, whatever came of it.
    pub produce_requests: u64,
    /// Times a Fetch request named a partition and was answered.
    pub fetch_requests: u64,
}

impl Traffic {
    /// Adds what another one counted.
    pub fn add(&mut self, other: Traffic) {
        self.records_in += other.records_in;
        self.bytes_in += other.bytes_in;
        self.bytes_out += other.bytes_out;
        self.produce_requests += other.produce_requests;
        self.fetch_requests += other.fetch_requests;
    }
}
