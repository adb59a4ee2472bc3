//! The effective settings of a topic on this broker, parsed.

/// Overrides of the topic over this broker's settings over the defaults.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TopicSettings {
    /// `max.message.bytes`: bytes of one batch, compressed.
    pub max_message_bytes: i32,
    /// `min.insync.replicas`.
    pub min_insync_replicas: i32,
    /// `segment.bytes`.
    pub segment_bytes: i32,
    /// `segment.ms`.
    pub segment_ms: i64,
    /// `retention.bytes`, -1: no limit.
    pub retention_bytes: i64,
    /// `retention.ms`, -1: no limit.
    pub retention_ms: i64,
    /// `cleanup.policy`.
    pub cleanup_policy: CleanupPolicy,
    /// `compression.type`.
    pub compression_type: CompressionType,
    /// `message.timestamp.type`.
    pub timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`.
    pub timestamp_before_max_ms: i64,
    /// `message.timestamp.after.max.ms`.
    pub timestamp_after_max_ms: i64,
    /// `delete.retention.ms`.
    pub delete_retention_ms: i64,
    /// `file.delete.delay.ms`.
    pub file_delete_delay_ms: i64,
    /// `index.interval.bytes`.
    pub index_interval_bytes: i32,
    /// `unclean.leader.election.enable`; accepted and described, never acted upon: raft has no unclean election.
    pub unclean_leader_election: bool,
}

/// `cleanup.policy`, a set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CleanupPolicy {
    /// Old segments are deleted.
    pub delete: bool,
    /// Older records of a key are removed.
    pub compact: bool,
}

/// `compression.type`: what batches are stored as.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CompressionType {
    /// As the producer sent them.
    Producer,
    /// Uncompressed.
    Uncompressed,
    /// Gzip.
    Gzip,
    /// Snappy.
    Snappy,
    /// LZ4.
    Lz4,
    /// Zstandard.
    Zstd,
}

/// `message.timestamp.type`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TimestampType {
    /// The producer's.
    CreateTime,
    /// The leader's wall clock at the append.
    LogAppendTime,
}
