//! One replica of a partition on this broker: its place in a topic, its settings, and who waits for it.
//!
//! The log, the high watermark and the role are its raft group's and never copied here, so they can't disagree. A partition
//! collects the batches of a round so that a round makes one raft proposal of them, and holds those who wait: produce requests
//! for their index, fetch requests for the high watermark.
//!
//! Invariant: a batch is in the round's collection or in the log or answered, never two of these.

use super::acks::{AckQueue, Waiter};
use super::traffic::Traffic;
use crate::config::{CompressionType, TimestampType, TopicSettings};
use crate::ids::{BrokerId, GroupId, TopicId, TopicPartition};
use crate::limits::ROUND_PROPOSE_BYTES_MAX;
use crate::record::{CheckedBatch, Codec, TimestampKind, TopicRules};
use std::collections::{BTreeSet, VecDeque};

/// What the producer wants to wait for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Acks {
    /// acks=0: nothing; an error closes the connection.
    None,
    /// acks=1: the leader's page cache.
    Leader,
    /// acks=all (-1): the commit.
    All,
}

/// A batch that was admitted and waits for the end of the round.
#[derive(Debug)]
pub struct PendingBatch {
    /// What to append.
    pub batch: CheckedBatch,
    /// What its producer waits for.
    pub acks: Acks,
    /// Who is told.
    pub waiter: Waiter,
}

/// A replica of a partition.
#[derive(Debug)]
pub struct Partition {
    /// Its raft group.
    pub group: GroupId,
    /// Its topic.
    pub topic: TopicId,
    /// Its number in the topic.
    pub partition: i32,
    /// For people: `<topic>-<partition>`.
    pub label: String,
    /// All replicas, ascending.
    pub voters: Vec<BrokerId>,
    /// Those who wait for an index.
    pub acks: AckQueue,
    /// Parked fetches, by request.
    pub fetchers: BTreeSet<u64>,
    /// What went through it.
    pub traffic: Traffic,
    pending: VecDeque<PendingBatch>,
    settings: TopicSettings,
    rules: TopicRules,
}

impl Partition {
    /// A partition nobody waits for, with the effective settings of its topic.
    #[must_use]
    pub fn new(place: TopicPartition, group: GroupId, label: String, voters: Vec<BrokerId>, settings: TopicSettings) -> Self {
        Partition {
            group,
            topic: place.topic,
            partition: place.partition,
            label,
            voters,
            acks: AckQueue::default(),
            fetchers: BTreeSet::new(),
            traffic: Traffic::default(),
            pending: VecDeque::new(),
            rules: rules_of(&settings),
            settings,
        }
    }

    /// Effective settings of the topic.
    #[must_use]
    pub fn settings(&self) -> &TopicSettings {
        &self.settings
    }

    /// The topic's settings changed: they count for every batch that is judged from here on.
    pub fn set_settings(&mut self, settings: TopicSettings) {
        self.rules = rules_of(&settings);
        self.settings = settings;
    }

    /// Those settings that decide about a batch.
    #[must_use]
    pub fn rules(&self) -> &TopicRules {
        &self.rules
    }

    /// Collects a batch for this round's proposal.
    pub fn collect(&mut self, batch: PendingBatch) {
        self.pending.push_back(batch);
    }

    /// Takes what one proposal may carry: at least one batch, then while they fit.
    pub fn take_round(&mut self) -> Vec<PendingBatch> {
        let mut bytes = 0;
        let mut taken = Vec::new();
        while let Some(next) = self.pending.front() {
            bytes += next.batch.bytes.len();
            if bytes > ROUND_PROPOSE_BYTES_MAX && !taken.is_empty() {
                break;
            }
            taken.extend(self.pending.pop_front());
        }
        taken
    }

    /// Whether batches are left for a later proposal.
    #[must_use]
    pub fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Who waits for what is collected.
    pub fn pending_waiters(&self) -> impl Iterator<Item = Waiter> {
        self.pending.iter().map(|pending| pending.waiter)
    }

    /// Takes out everything collected: it will not be appended.
    pub fn drop_pending(&mut self) -> Vec<PendingBatch> {
        self.pending.drain(..).collect()
    }

    /// How many replicas must hold a batch for acks=all, and how many must be in sync to take it at all. Never more than there are:
    /// min.insync.replicas above the number of replicas does not block, as in Kafka.
    #[must_use]
    pub fn replicas_min(&self) -> usize {
        usize::try_from(self.settings.min_insync_replicas).unwrap_or(1).clamp(1, self.voters.len().max(1))
    }

    /// Whether a commit alone is not enough for acks=all because min.insync.replicas is above a majority.
    #[must_use]
    pub fn wants_more_than_quorum(&self) -> bool {
        self.replicas_min() > self.voters.len() / 2 + 1
    }
}

fn rules_of(settings: &TopicSettings) -> TopicRules {
    TopicRules {
        message_bytes_max: usize::try_from(settings.max_message_bytes).unwrap_or(0),
        segment_bytes: usize::try_from(settings.segment_bytes).unwrap_or(0),
        timestamps: match settings.timestamp_type {
            TimestampType::CreateTime => TimestampKind::CreateTime,
            TimestampType::LogAppendTime => TimestampKind::LogAppendTime,
        },
        before_ms_max: settings.timestamp_before_max_ms,
        after_ms_max: settings.timestamp_after_max_ms,
        is_compacted: settings.cleanup_policy.compact,
        codec: match settings.compression_type {
            CompressionType::Producer => None,
            CompressionType::Uncompressed => Some(Codec::None),
            CompressionType::Gzip => Some(Codec::Gzip),
            CompressionType::Snappy => Some(Codec::Snappy),
            CompressionType::Lz4 => Some(Codec::Lz4),
            CompressionType::Zstd => Some(Codec::Zstd),
        },
        level: match settings.compression_type {
            CompressionType::Gzip => Some(settings.gzip_level),
            CompressionType::Zstd => Some(settings.zstd_level),
            CompressionType::Producer | CompressionType::Uncompressed | CompressionType::Snappy | CompressionType::Lz4 => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{BatchBuilder, CheckLimits, check};
    use bytes::BytesMut;

    #[test]
    fn one_proposal_carries_so_much_and_a_larger_batch_alone() {
        let place = TopicPartition { topic: TopicId(1), partition: 0 };
        let mut partition =
            Partition::new(place, GroupId(1), "orders-0".to_string(), vec![BrokerId(1)], TopicSettings::default());
        let collect = |partition: &mut Partition, bytes: usize| {
            let mut batch = BatchBuilder::new();
            batch.push(0, None, Some(&vec![b'x'; bytes]));
            let batch = check(BytesMut::from(batch.build().as_ref()), &CheckLimits::default()).expect("a good batch");
            partition.collect(PendingBatch { batch, acks: Acks::All, waiter: Waiter { park: 0, part: 0 } });
        };
        for bytes in [
            ROUND_PROPOSE_BYTES_MAX / 2,
            ROUND_PROPOSE_BYTES_MAX / 4,
            ROUND_PROPOSE_BYTES_MAX / 2,
            2 * ROUND_PROPOSE_BYTES_MAX,
            1,
        ] {
            collect(&mut partition, bytes);
        }
        let rounds: Vec<usize> = std::iter::repeat_with(|| partition.take_round().len()).take_while(|taken| *taken > 0).collect();
        assert_eq!(rounds, [2, 1, 1, 1], "what does not fit waits, and nothing waits for ever");
        assert!(!partition.has_pending());
    }
}
