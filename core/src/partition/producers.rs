//! Producers of one partition, as its leader judges them: what is committed, and over it what is in the log but not yet committed.
//!
//! The committed part is a [`ProducerTable`]; the rest is a list of deltas by raft index, so that a commit folds the oldest into the table
//! and a truncation drops the newest, and nothing is ever rebuilt. Followers keep it too and never judge: what is in the log is there.
//! A leader's own log is the truth of its term, so it judges by both parts, in the order of the log, batches of the same round included.
//!
//! Does not know who waits, nor the log: it is told of every batch with a producer id, and of commits and truncations.
//!
//! Invariants: `commit < index of the first delta < … < index of the last ≤ last index of the log`; `newest` names exactly the producers that have a delta.
//!
//! Source: KIP-98, KIP-360; Kafka `ProducerAppendInfo`, `ProducerStateEntry`. Rules as observed of Kafka 4.3.1 (`idem-*` of the wire
//! goldens):
//!
//! | the producer's newest batch here | the batch | verdict |
//! |---|---|---|
//! | none | any sequence, epoch 0 or more | new |
//! | of a newer epoch, or the batch has none | any | INVALID_PRODUCER_EPOCH |
//! | of an older epoch | sequence 0 | new |
//! | of an older epoch | any other | OUT_OF_ORDER_SEQUENCE_NUMBER |
//! | of the same epoch | first and last sequence of one of the last five | repeated |
//! | of the same epoch | the next sequence; 0 follows 2147483647 | new |
//! | of the same epoch | any other | OUT_OF_ORDER_SEQUENCE_NUMBER |

use crate::ids::Index;
use crate::limits::BATCHES_PER_PRODUCER;
use crate::log::{ProducedBatch, ProducerRules, ProducerTable, sequence_plus};
use crate::mutant::Mutant;
use crate::protocol::ErrorCode;
use crate::record::BatchHeader;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// What to do with a batch that has a producer id.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Append it.
    New,
    /// It is in the log already; the producer is told what was told, or would have been, the first time.
    Repeated(ProducedBatch),
    /// Nothing is appended.
    Refused(ErrorCode),
}

/// A batch that is not committed.
#[derive(Clone, Copy, Debug)]
struct Delta {
    producer: i64,
    epoch: i16,
    batch: ProducedBatch,
    /// Number of this producer's delta before it; it may be committed by now.
    before: Option<u64>,
}

/// The producers of one partition.
#[derive(Debug)]
pub struct Producers {
    committed: ProducerTable,
    /// The commit told last.
    commit: Index,
    /// As many at most as there are uncommitted entries.
    deltas: VecDeque<Delta>,
    /// Number of the delta at the front; they are numbered in the order of the log.
    first: u64,
    /// Each producer's newest delta.
    newest: BTreeMap<i64, u64>,
}

impl Producers {
    /// Of an empty log.
    #[must_use]
    pub fn new(rules: ProducerRules) -> Producers {
        Producers::recovered(ProducerTable::new(rules))
    }

    /// Of a log whose committed entries say this.
    #[must_use]
    pub fn recovered(committed: ProducerTable) -> Producers {
        Producers { committed, commit: Index(0), deltas: VecDeque::new(), first: 0, newest: BTreeMap::new() }
    }

    /// What the committed entries say.
    #[must_use]
    pub fn committed(&self) -> &ProducerTable {
        &self.committed
    }

    /// Decides about a batch that would be the next of the log. Its producer id is 0 or more.
    #[must_use]
    pub fn judge(&self, header: &BatchHeader, mutant: Mutant) -> Verdict {
        if header.producer_epoch < 0 {
            return Verdict::Refused(ErrorCode::InvalidProducerEpoch);
        }
        let mut known = self.newest_first(header.producer_id);
        let Some((epoch, newest)) = known.next() else { return Verdict::New };
        if header.producer_epoch < epoch && !mutant.is(Mutant::OldEpochNotFenced) {
            return Verdict::Refused(ErrorCode::InvalidProducerEpoch);
        }
        if header.producer_epoch != epoch {
            let is_start = header.base_sequence == 0 || mutant.is(Mutant::OldEpochNotFenced);
            return if is_start { Verdict::New } else { Verdict::Refused(ErrorCode::OutOfOrderSequenceNumber) };
        }
        let window = if mutant.is(Mutant::DedupWindowShort) { BATCHES_PER_PRODUCER - 1 } else { BATCHES_PER_PRODUCER };
        let same_epoch = known.take_while(|(of, _)| *of == epoch).map(|(_, batch)| batch);
        let mut remembered = std::iter::once(newest).chain(same_epoch).take(window);
        if let Some(first_time) = remembered.find(|batch| batch.is_repeated_by(header)) {
            return Verdict::Repeated(first_time);
        }
        let expected = match newest.sequence_last.checked_add(1) {
            None if mutant.is(Mutant::SequenceNotWrapped) => i32::MIN,
            Some(_) | None => sequence_plus(newest.sequence_last, 1),
        };
        if header.base_sequence == expected { Verdict::New } else { Verdict::Refused(ErrorCode::OutOfOrderSequenceNumber) }
    }

    /// Batches of a producer with their epochs, newest first.
    fn newest_first(&self, producer: i64) -> impl Iterator<Item = (i16, ProducedBatch)> {
        let mut next = self.newest.get(&producer).copied();
        let uncommitted = std::iter::from_fn(move || {
            let delta = self.delta(next?)?;
            next = delta.before;
            Some((delta.epoch, delta.batch))
        });
        let committed = self.committed.get(producer).into_iter();
        uncommitted.chain(committed.flat_map(|window| window.newest_first().map(|batch| (window.epoch(), *batch))))
    }

    /// Everybody who is remembered, by id, ascending, with epoch and newest batch, committed or not.
    pub fn newest(&self) -> impl Iterator<Item = (i64, i16, ProducedBatch)> {
        let committed = self.committed.iter().map(|(id, _)| id);
        let ids: BTreeSet<i64> = committed.chain(self.newest.keys().copied()).collect();
        ids.into_iter().filter_map(|id| self.newest_first(id).next().map(|(epoch, batch)| (id, epoch, batch)))
    }

    /// A delta by its number, if it is not committed yet.
    fn delta(&self, number: u64) -> Option<&Delta> {
        self.deltas.get(usize::try_from(number.checked_sub(self.first)?).ok()?)
    }

    /// A batch with a producer id is in the log at `index`; its offset is final.
    ///
    /// # Panics
    /// When a batch at this index or above is known already: a truncation was not told.
    pub fn append(&mut self, index: Index, header: &BatchHeader) {
        if let Some(last) = self.deltas.back() {
            assert!(last.batch.index < index, "a batch at {index:?} came after one at {:?}", last.batch.index);
        }
        let number = self.first + self.deltas.len() as u64;
        let before = self.newest.insert(header.producer_id, number);
        let batch = ProducedBatch::of(index, header);
        self.deltas.push_back(Delta { producer: header.producer_id, epoch: header.producer_epoch, batch, before });
    }

    /// Entries up to `index` are committed.
    pub fn commit(&mut self, index: Index) {
        self.commit = self.commit.max(index);
        while let Some(delta) = self.deltas.pop_front_if(|delta| delta.batch.index <= index) {
            if self.newest.get(&delta.producer) == Some(&self.first) {
                self.newest.remove(&delta.producer);
            }
            self.first += 1;
            self.committed.apply(delta.producer, delta.epoch, delta.batch);
        }
    }

    /// Entries from `index` on are gone.
    pub fn cut(&mut self, index: Index) {
        while let Some(delta) = self.deltas.pop_back_if(|delta| delta.batch.index >= index) {
            match delta.before.filter(|before| *before >= self.first) {
                Some(before) => self.newest.insert(delta.producer, before),
                None => self.newest.remove(&delta.producer),
            };
        }
    }

    /// What this file promises. Called by the invariants.
    ///
    /// # Panics
    /// When it does not hold.
    pub fn check(&self, log_last: Index) {
        if self.deltas.is_empty() {
            assert!(self.commit <= log_last, "producers' batches are committed up to {:?}, beyond the log", self.commit);
            assert!(self.newest.is_empty(), "each producer's newest batch is known");
            return;
        }
        let mut newest = BTreeMap::new();
        let mut last = self.commit;
        for (number, delta) in (self.first..).zip(&self.deltas) {
            assert!(last < delta.batch.index, "producers' batches out of order: {:?} after {last:?}", delta.batch);
            last = delta.batch.index;
            newest.insert(delta.producer, number);
        }
        assert!(last <= log_last, "a producer's batch at {last:?} is not in the log");
        assert_eq!(newest, self.newest, "each producer's newest batch is known");
    }
}

#[cfg(test)]
#[path = "producers_tests.rs"]
mod tests;
