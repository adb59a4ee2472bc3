//! Kafka's topic settings, in the order in which a Kafka broker lists them.
//!
//! One line per setting: name, type, default, the broker setting that stands in for a missing override, the valid range, what it does here.
//!
//! Source: DescribeConfigs of Apache Kafka 4.3.1 for names, types, defaults, synonyms and order; the sentences are ours.

use super::setting::Kind::{Boolean, Double, Int, List, Long, Text};
use super::setting::{CLEANUP, COMPRESSION, Setting, TIMESTAMP_TYPE, rw};

/// All of them.
#[rustfmt::skip]
pub static TOPIC_SETTINGS: [Setting; 33] = [
    rw("compression.type", Text, "producer").synonym("compression.type").one_of(COMPRESSION).used("How batches are stored; producer: as they came."),
    rw("remote.log.delete.on.disable", Boolean, "false").idle("There is no tiered storage."),
    rw("leader.replication.throttled.replicas", List, "").throttled_replicas().idle("Replication is not throttled."),
    rw("remote.storage.enable", Boolean, "false").idle("There is no tiered storage."),
    rw("min.insync.replicas", Int, "1").synonym("min.insync.replicas").at_least(1).used("Replicas that must hold a batch before acks=all is answered; never less than a majority of the replicas."),
    rw("segment.jitter.ms", Long, "0").synonym("log.roll.jitter.ms").at_least(0).idle("Segments are closed without jitter."),
    rw("remote.log.copy.disable", Boolean, "false").idle("There is no tiered storage."),
    rw("local.retention.ms", Long, "-2").synonym("log.local.retention.ms").at_least(-2).idle("There is no tiered storage."),
    rw("cleanup.policy", List, "delete").synonym("log.cleanup.policy").one_of(CLEANUP).used("What happens to old records: delete, compact or both. With compact, records must have keys; they are kept, since compaction is not performed yet."),
    rw("flush.ms", Long, "9223372036854775807").synonym("log.flush.interval.ms").at_least(0).idle("Every acknowledged batch is flushed."),
    rw("follower.replication.throttled.replicas", List, "").throttled_replicas().idle("Replication is not throttled."),
    rw("compression.lz4.level", Int, "9").synonym("compression.lz4.level").between(1, 17).idle("Where the broker compresses with lz4, there is one level."),
    rw("segment.bytes", Int, "1073741824").synonym("log.segment.bytes").at_least(1_048_576).used("A segment is closed before it grows beyond this many bytes."),
    rw("retention.ms", Long, "604800000").synonym("log.retention.ms").at_least(-1).used("Milliseconds that records are kept; -1 for ever."),
    rw("compression.gzip.level", Int, "-1").synonym("compression.gzip.level").gzip_level().used("Level where the broker compresses with gzip."),
    rw("flush.messages", Long, "9223372036854775807").synonym("log.flush.interval.messages").at_least(1).idle("Every acknowledged batch is flushed."),
    rw("compression.zstd.level", Int, "3").synonym("compression.zstd.level").between(-131_072, 22).used("Level where the broker compresses with zstd; above 12 counts as 12."),
    rw("max.compaction.lag.ms", Long, "9223372036854775807").synonym("log.cleaner.max.compaction.lag.ms").at_least(1).idle("Compaction is not performed yet."),
    rw("file.delete.delay.ms", Long, "60000").synonym("log.segment.delete.delay.ms").at_least(0).idle("Files of removed segments are deleted at once."),
    rw("max.message.bytes", Int, "1048588").synonym("message.max.bytes").at_least(0).used("Largest record batch, after compression."),
    rw("min.compaction.lag.ms", Long, "0").synonym("log.cleaner.min.compaction.lag.ms").at_least(0).idle("Compaction is not performed yet."),
    rw("message.timestamp.type", Text, "CreateTime").synonym("log.message.timestamp.type").one_of(TIMESTAMP_TYPE).used("Whose clock stamps records: the producer (CreateTime) or the leader (LogAppendTime)."),
    rw("local.retention.bytes", Long, "-2").synonym("log.local.retention.bytes").at_least(-2).idle("There is no tiered storage."),
    rw("preallocate", Boolean, "false").synonym("log.preallocate").idle("Segments grow as they are written."),
    rw("index.interval.bytes", Int, "4096").synonym("log.index.interval.bytes").at_least(0).idle("The index is kept in memory and its entries are as far apart as suits it."),
    rw("min.cleanable.dirty.ratio", Double, "0.5").synonym("log.cleaner.min.cleanable.ratio").between(0, 1).idle("Compaction is not performed yet."),
    rw("unclean.leader.election.enable", Boolean, "false").synonym("unclean.leader.election.enable").idle("A leader always holds all committed records."),
    rw("retention.bytes", Long, "-1").synonym("log.retention.bytes").used("Bytes per partition that are kept; -1 for all."),
    rw("delete.retention.ms", Long, "86400000").synonym("log.cleaner.delete.retention.ms").at_least(0).idle("Compaction is not performed yet."),
    rw("message.timestamp.after.max.ms", Long, "3600000").synonym("log.message.timestamp.after.max.ms").at_least(0).used("How far a timestamp may lie after the leader's clock."),
    rw("message.timestamp.before.max.ms", Long, "9223372036854775807").synonym("log.message.timestamp.before.max.ms").at_least(0).used("How far a timestamp may lie before the leader's clock."),
    rw("segment.ms", Long, "604800000").synonym("log.roll.ms").at_least(1).used("Milliseconds after which a segment is closed."),
    rw("segment.index.bytes", Int, "10485760").synonym("log.index.size.max.bytes").at_least(4).idle("The index is kept in memory."),
];
