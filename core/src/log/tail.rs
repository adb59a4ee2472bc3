//! The newest entries in memory, as the very bytes that came in: what followers and tailing consumers read without a disk.
//!
//! Holds a contiguous run that ends at the last entry of the log. Bound: entries beyond the byte budget are dropped from the front,
//! but never one that is not in the page cache yet, because nobody else has it.

use crate::ids::{Index, Offset};
use bytes::Bytes;
use std::collections::VecDeque;

#[derive(Debug)]
pub(crate) struct TailEntry {
    pub data: Bytes,
    /// Offset after it.
    pub end: Offset,
    /// Whether it takes no offset.
    pub is_private: bool,
}

/// The run.
#[derive(Debug)]
pub(crate) struct Tail {
    first: u64,
    start: Offset,
    entries: VecDeque<TailEntry>,
    bytes: usize,
    bytes_max: usize,
}

impl Tail {
    /// Empty, before the entry `next`, whose base offset is `start`.
    pub(crate) fn new(next: Index, start: Offset, bytes_max: usize) -> Tail {
        Tail { first: next.0, start, entries: VecDeque::new(), bytes: 0, bytes_max }
    }

    pub(crate) fn bytes_max(&self) -> usize {
        self.bytes_max
    }

    /// Index of the first entry; one past the last if empty.
    pub(crate) fn first(&self) -> Index {
        Index(self.first)
    }

    pub(crate) fn push(&mut self, entry: TailEntry, written: Index) {
        self.bytes += entry.data.len();
        self.entries.push_back(entry);
        self.evict(written);
    }

    /// Drops what exceeds the budget and is in the page cache (up to `written`).
    pub(crate) fn evict(&mut self, written: Index) {
        while self.bytes > self.bytes_max && self.first <= written.0 {
            let Some(entry) = self.entries.pop_front() else { break };
            self.bytes -= entry.data.len();
            self.start = entry.end;
            self.first += 1;
        }
    }

    /// The bound of the module doc.
    ///
    /// # Panics
    /// When it is broken.
    pub(crate) fn check(&self, written: Index) {
        let is_bound = self.bytes <= self.bytes_max || self.first > written.0;
        assert!(is_bound, "I16: a tail of {} bytes begins at {} although {written} is written", self.bytes, self.first);
    }

    /// Forgets entries from `index` on; the log then ends before it, at `end`.
    pub(crate) fn cut(&mut self, index: Index, end: Offset) {
        if index.0 <= self.first {
            self.entries.clear();
            self.bytes = 0;
            self.first = index.0;
            self.start = end;
            return;
        }
        let keep = usize::try_from(index.0 - self.first).expect("a tail fits memory");
        for entry in self.entries.drain(keep..) {
            self.bytes -= entry.data.len();
        }
    }

    pub(crate) fn get(&self, index: Index) -> Option<&TailEntry> {
        self.entries.get(usize::try_from(index.0.checked_sub(self.first)?).ok()?)
    }

    /// Entries from `low` on; empty if `low` is before the tail.
    pub(crate) fn from(&self, low: Index) -> impl Iterator<Item = &TailEntry> {
        let skip = low.0.checked_sub(self.first).map_or(usize::MAX, |skip| usize::try_from(skip).unwrap_or(usize::MAX));
        self.entries.range(skip.min(self.entries.len())..)
    }

    /// Entries from the one that contains `offset` on, if it is in the tail.
    pub(crate) fn at_offset(&self, offset: Offset) -> Option<impl Iterator<Item = &TailEntry>> {
        if offset < self.start {
            return None;
        }
        let at = self.entries.partition_point(|entry| entry.end <= offset);
        (at < self.entries.len()).then(|| self.entries.range(at..))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tail(written: u64) -> Tail {
        let mut tail = Tail::new(Index(5), Offset(0), 10);
        let entry = TailEntry { data: Bytes::from_static(&[0; 20]), end: Offset(1), is_private: false };
        tail.bytes += entry.data.len();
        tail.entries.push_back(entry);
        tail.check(Index(written));
        tail
    }

    #[test]
    fn what_nobody_else_has_stays_over_the_budget_until_it_is_written() {
        let mut tail = tail(4);
        tail.evict(Index(5));
        tail.check(Index(5));
        assert_eq!((tail.first(), tail.bytes), (Index(6), 0));
    }

    #[test]
    #[should_panic(expected = "I16")]
    fn a_tail_over_its_budget_is_noticed() {
        tail(5);
    }
}
