//! What a partition's log says about its producers: a fold over the batches up to an index, the same on every replica, and the same
//! whether it was kept up to date or rebuilt from the segments.
//!
//! Everything is decided by the log itself. The log's *time* is the greatest timestamp of any producer's batch so far; a producer is
//! stamped with it when it writes, whatever the timestamps of its own records are, so that old data do not make it forgotten at once
//! (KAFKA-9144). It is forgotten when that time has moved on by `expiration_ms`, checked at every sixteenth part of it; and where there are
//! too many, those that were silent longest are, a sixteenth at once. What is forgotten may start at any sequence, as in Kafka.
//! How far a client can push the log's time forward is what `message.timestamp.after.max.ms` bounds (an hour unless a topic says otherwise).
//!
//! Does not know what is committed: whoever keeps one feeds it only with what will never be cut.
//!
//! Invariant: `heard_ms ≤ time_ms` of every producer. Source: Kafka `ProducerStateManager`, which reads a local clock where this reads
//! the log.

use super::producer_window::{ProducedBatch, ProducerWindow};
use crate::ids::Index;
use std::collections::BTreeMap;

/// When producers are forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducerRules {
    /// Milliseconds of silence, `producer.id.expiration.ms`; 1 or more.
    pub expiration_ms: i64,
    /// Producers remembered at most.
    pub producers_max: usize,
}

/// The producers of one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProducerTable {
    producers: BTreeMap<i64, ProducerWindow>,
    time_ms: i64,
    rules: ProducerRules,
}

/// The part of `expiration_ms` and of `producers_max` by which producers are forgotten.
const PARTS: u8 = 16;

impl ProducerTable {
    /// Nobody wrote yet.
    #[must_use]
    pub fn new(rules: ProducerRules) -> ProducerTable {
        ProducerTable { producers: BTreeMap::new(), time_ms: 0, rules }
    }

    /// A table as it was.
    pub(super) fn found(producers: BTreeMap<i64, ProducerWindow>, time_ms: i64, rules: ProducerRules) -> ProducerTable {
        ProducerTable { producers, time_ms, rules }
    }

    /// The log's time.
    pub(super) fn time_ms(&self) -> i64 {
        self.time_ms
    }

    /// A producer by its id.
    #[must_use]
    pub fn get(&self, producer: i64) -> Option<&ProducerWindow> {
        self.producers.get(&producer)
    }

    /// All of them, by id, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (i64, &ProducerWindow)> {
        self.producers.iter().map(|(id, window)| (*id, window))
    }

    /// Whether nothing is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.producers.is_empty()
    }

    /// Takes in the next batch with a producer id, in the order of the log.
    pub fn apply(&mut self, producer: i64, epoch: i16, batch: ProducedBatch) {
        self.move_time(batch.timestamp_ms);
        let is_known = self.producers.contains_key(&producer);
        if !is_known && self.producers.len() >= self.rules.producers_max {
            self.forget_most_silent();
        }
        let window = self.producers.entry(producer).or_insert_with(|| ProducerWindow::new(epoch));
        window.push(epoch, batch, self.time_ms);
    }

    fn move_time(&mut self, timestamp_ms: i64) {
        if timestamp_ms <= self.time_ms {
            return;
        }
        let step = (self.rules.expiration_ms / i64::from(PARTS)).max(1);
        let before = self.time_ms / step;
        self.time_ms = timestamp_ms;
        if timestamp_ms / step > before {
            // Cut down to a whole step, so that who is forgotten does not depend on which batch moved the time.
            let now_ms = timestamp_ms / step * step;
            self.producers.retain(|_, window| now_ms - window.heard_ms() < self.rules.expiration_ms);
        }
    }

    fn forget_most_silent(&mut self) {
        let count = (self.rules.producers_max / usize::from(PARTS)).max(1);
        let mut silent: Vec<(Index, i64)> = self.producers.iter().map(|(id, window)| (window.last_index(), *id)).collect();
        silent.sort_unstable();
        for (_, producer) in silent.into_iter().take(count) {
            self.producers.remove(&producer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::PRODUCERS_PER_PARTITION_MAX;

    const DAY: i64 = 86_400_000;

    fn table(producers_max: usize) -> ProducerTable {
        ProducerTable::new(ProducerRules { expiration_ms: DAY, producers_max })
    }

    fn at(index: u64, timestamp_ms: i64) -> ProducedBatch {
        ProducedBatch { index: Index(index), timestamp_ms, ..ProducedBatch::default() }
    }

    fn known(table: &ProducerTable) -> Vec<i64> {
        table.iter().map(|(id, _)| id).collect()
    }

    #[test]
    fn a_producer_is_forgotten_when_the_log_moved_on_by_a_day() {
        let mut table = table(100);
        table.apply(1, 0, at(2, 50 * DAY));
        table.apply(2, 0, at(3, 50 * DAY + DAY / 2));
        table.apply(3, 0, at(4, 51 * DAY));
        assert_eq!(known(&table), vec![2, 3]);
        table.apply(2, 0, at(5, 51 * DAY));
        table.apply(3, 0, at(6, 51 * DAY + DAY - 1));
        assert_eq!(known(&table), vec![2, 3], "a day after the last batch, not after the first");
    }

    #[test]
    fn old_timestamps_forget_nobody() {
        let mut table = table(100);
        table.apply(1, 0, at(2, 50 * DAY));
        table.apply(2, 0, at(3, 3 * DAY));
        table.apply(3, 0, at(4, -1));
        table.apply(1, 0, at(5, 50 * DAY + 7));
        assert_eq!(known(&table), vec![1, 2, 3]);
    }

    #[test]
    fn at_the_bound_the_most_silent_are_forgotten() {
        let mut table = table(32);
        for id in 0..32 {
            table.apply(id, 0, at(2 + u64::try_from(id).expect("small"), DAY));
        }
        table.apply(0, 0, at(50, DAY));
        table.apply(99, 0, at(51, DAY));
        assert_eq!(table.iter().count(), 31, "two went, one came");
        assert!(table.get(0).is_some() && table.get(1).is_none() && table.get(2).is_none() && table.get(3).is_some());
    }

    #[test]
    fn a_partition_keeps_its_bound() {
        let mut table = table(PRODUCERS_PER_PARTITION_MAX);
        let bound = i64::try_from(PRODUCERS_PER_PARTITION_MAX).expect("few");
        for id in 0..=bound {
            table.apply(id, 0, at(2 + u64::try_from(id).expect("small"), DAY));
        }
        let kept = table.iter().count();
        assert!((PRODUCERS_PER_PARTITION_MAX / 2..=PRODUCERS_PER_PARTITION_MAX).contains(&kept), "{kept}");
        assert!(table.get(0).is_none() && table.get(bound).is_some());
    }
}
