//! What is remembered of one producer: its epoch and its last batches, by sequence number.
//!
//! A repeated batch is known by its exact range of sequences within the newest epoch. A batch of a newer epoch forgets those of the
//! older ones. Does not decide what is written: a log holds what a leader let in, and this takes it as it is.
//!
//! Sequences are numbered per producer id, epoch and partition, from 0 to 2147483647 and then from 0 again; a batch may lie across that
//! border. Source: KIP-98; Kafka `ProducerStateEntry`, `DefaultRecordBatch.incrementSequence`.

use crate::ids::{Index, Offset};
use crate::limits::BATCHES_PER_PRODUCER;
use crate::record::BatchHeader;

/// One batch of a producer in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct ProducedBatch {
    /// Its entry.
    pub index: Index,
    /// Offset of its first record.
    pub base_offset: Offset,
    /// Sequence of its first record.
    pub sequence_first: i32,
    /// Sequence of its last record, inclusive; below the first where the numbers wrap within the batch.
    pub sequence_last: i32,
    /// Its greatest timestamp, ms; -1 for none.
    pub timestamp_ms: i64,
}

impl ProducedBatch {
    /// The batch of a header whose offset is final.
    #[must_use]
    pub fn of(index: Index, header: &BatchHeader) -> ProducedBatch {
        ProducedBatch {
            index,
            base_offset: header.base_offset,
            sequence_first: header.base_sequence,
            sequence_last: sequence_plus(header.base_sequence, header.last_offset_delta),
            timestamp_ms: header.max_timestamp,
        }
    }

    /// Whether it is the batch of this header, sent before: the same first and last sequence.
    #[must_use]
    pub fn is_repeated_by(&self, header: &BatchHeader) -> bool {
        self.sequence_first == header.base_sequence
            && self.sequence_last == sequence_plus(header.base_sequence, header.last_offset_delta)
    }
}

/// The sequence `delta` (0 or more) after `sequence`: 0 follows 2147483647.
#[must_use]
pub fn sequence_plus(sequence: i32, delta: i32) -> i32 {
    let sum = i64::from(sequence) + i64::from(delta);
    i32::try_from(sum % (i64::from(i32::MAX) + 1)).expect("the remainder is in the range of sequences")
}

/// The last batches of one producer, all of one epoch.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ProducerWindow {
    epoch: i16,
    /// Log time when it was last heard of, ms.
    heard_ms: i64,
    /// Oldest first; only the first `len` count, the others are zero.
    batches: [ProducedBatch; BATCHES_PER_PRODUCER],
    len: usize,
}

impl ProducerWindow {
    pub(super) fn new(epoch: i16) -> ProducerWindow {
        ProducerWindow { epoch, heard_ms: 0, batches: [ProducedBatch::default(); BATCHES_PER_PRODUCER], len: 0 }
    }

    /// The epoch of its newest batch.
    #[must_use]
    pub fn epoch(&self) -> i16 {
        self.epoch
    }

    /// Its last batches of that epoch, newest first.
    pub fn newest_first(&self) -> impl ExactSizeIterator<Item = &ProducedBatch> {
        self.batches[..self.len].iter().rev()
    }

    /// The log's time when it was last heard of, ms.
    #[must_use]
    pub fn heard_ms(&self) -> i64 {
        self.heard_ms
    }

    /// Index of its newest batch.
    pub(super) fn last_index(&self) -> Index {
        self.newest_first().next().map_or(Index(0), |batch| batch.index)
    }

    /// Takes in the next batch of the log; `now_ms` is the log's time.
    pub(super) fn push(&mut self, epoch: i16, batch: ProducedBatch, now_ms: i64) {
        if epoch != self.epoch {
            *self = ProducerWindow::new(epoch);
        }
        self.heard_ms = now_ms;
        if self.len == BATCHES_PER_PRODUCER {
            self.batches.rotate_left(1);
            self.len -= 1;
        }
        self.batches[self.len] = batch;
        self.len += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_follows_the_greatest_sequence() {
        assert_eq!(sequence_plus(5, 0), 5);
        assert_eq!(sequence_plus(i32::MAX, 1), 0);
        assert_eq!(sequence_plus(i32::MAX - 1, 1), i32::MAX);
        assert_eq!(sequence_plus(i32::MAX - 1, 3), 1);
        assert_eq!(sequence_plus(i32::MAX, i32::MAX), i32::MAX - 1);
    }

    #[test]
    fn the_last_five_of_the_newest_epoch_are_kept() {
        let mut window = ProducerWindow::new(0);
        let batch = |n: i32| ProducedBatch { index: Index(7), sequence_first: n, sequence_last: n, ..ProducedBatch::default() };
        for n in 0..7 {
            window.push(0, batch(n), 0);
        }
        assert_eq!(window.newest_first().map(|b| b.sequence_first).collect::<Vec<_>>(), vec![6, 5, 4, 3, 2]);
        window.push(3, batch(0), 0);
        assert_eq!((window.epoch(), window.newest_first().count()), (3, 1));
    }
}
