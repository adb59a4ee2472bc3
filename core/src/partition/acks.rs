//! Produce requests that wait for their batch, in log order.
//!
//! A waiter is one batch of one request. It is released by the first of: its index was written here (acks=1), its index is
//! committed and enough replicas hold it (acks=all) or can't be expected to, or it is lost: this broker stopped leading, or the entry was
//! cut away.
//! Knows nothing of connections or wire formats.
//!
//! A repeated batch waits like the one it repeats, for the same index.
//!
//! Invariants: indexes ascend within a queue, strictly but for repeated batches; a waiter leaves exactly once.
//! Source: Kafka's `DelayedProduce`; here order makes a queue enough, no watch lists.

use crate::ids::{Index, Offset, Term};
use std::collections::VecDeque;

/// Names a part of a parked request: the request and the number of the part in it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Waiter {
    /// The parked request.
    pub park: u64,
    /// Number of the part in the request.
    pub part: usize,
}

/// What an append came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Appended {
    /// Who waits.
    pub waiter: Waiter,
    /// Raft index of the entry.
    pub index: Index,
    /// Term of the leadership that appended it.
    pub term: Term,
    /// Kafka offset of the first record.
    pub base_offset: Offset,
}

/// Waiters of one partition.
#[derive(Debug, Default)]
pub struct AckQueue {
    written: VecDeque<Appended>,
    committed: VecDeque<Appended>,
}

impl AckQueue {
    /// Waits for the page cache of this broker.
    pub fn wait_written(&mut self, appended: Appended) {
        push(&mut self.written, appended);
    }

    /// Waits for the commit.
    pub fn wait_committed(&mut self, appended: Appended) {
        push(&mut self.committed, appended);
    }

    /// As [`AckQueue::wait_written`], for an entry that is in the log already and may be written, too: release what is due next.
    pub fn wait_written_again(&mut self, appended: Appended) {
        push_repeated(&mut self.written, appended);
    }

    /// As [`AckQueue::wait_committed`], for an entry that is in the log already and may be committed, too: release what is due next.
    pub fn wait_committed_again(&mut self, appended: Appended) {
        push_repeated(&mut self.committed, appended);
    }

    /// Entries up to `index` are in the page cache.
    pub fn release_written(&mut self, index: Index, released: &mut Vec<Appended>) {
        release(&mut self.written, index, released);
    }

    /// Entries up to `index` are committed and held by as many replicas as the topic demands.
    pub fn release_committed(&mut self, index: Index, released: &mut Vec<Appended>) {
        // A commit proves a quorum wrote it; whether this broker's own page-cache completion was reported does not matter.
        release(&mut self.written, index, released);
        release(&mut self.committed, index, released);
    }

    /// Entries up to `index` are committed, and fewer replicas are in sync than the topic demands: those who wait for them, in log order.
    pub fn give_up_committed(&mut self, index: Index) -> Vec<Appended> {
        let mut given_up = Vec::new();
        release(&mut self.committed, index, &mut given_up);
        given_up
    }

    /// Index of the first waiter that needs the commit.
    #[must_use]
    pub fn first_uncommitted(&self) -> Option<Index> {
        self.committed.front().map(|a| a.index)
    }

    /// Index of the first waiter after `index` that needs the commit.
    #[must_use]
    pub fn next_uncommitted(&self, index: Index) -> Option<Index> {
        self.committed.get(self.committed.partition_point(|a| a.index <= index)).map(|a| a.index)
    }

    /// Waiters whose entries were appended before `term`, in log order.
    pub fn lose_before(&mut self, term: Term) -> Vec<Appended> {
        let mut lost = Vec::new();
        for queue in [&mut self.written, &mut self.committed] {
            let keep = queue.partition_point(|a| a.term < term);
            lost.extend(queue.drain(..keep));
        }
        lost.sort_by_key(|a| a.index);
        lost
    }

    /// Entries from `index` on are gone: their waiters, in log order.
    pub fn lose_from(&mut self, index: Index) -> Vec<Appended> {
        let mut lost = Vec::new();
        for queue in [&mut self.written, &mut self.committed] {
            let keep = queue.partition_point(|a| a.index < index);
            lost.extend(queue.drain(keep..));
        }
        lost.sort_by_key(|a| a.index);
        lost
    }

    /// Number of waiters.
    #[must_use]
    pub fn len(&self) -> usize {
        self.written.len() + self.committed.len()
    }

    /// Whether nobody waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All waiters; those of one kind in log order.
    pub fn iter(&self) -> impl Iterator<Item = &Appended> {
        self.written.iter().chain(&self.committed)
    }

    /// Indexes ascend. Called by the invariants.
    ///
    /// # Panics
    /// When they do not.
    pub fn check_order(&self) {
        for queue in [&self.written, &self.committed] {
            let mut last = Index(0);
            for waiter in queue {
                assert!(last <= waiter.index, "produce waiters out of order: one at {last} before {waiter:?}");
                last = waiter.index;
            }
        }
    }
}

fn push(queue: &mut VecDeque<Appended>, appended: Appended) {
    if let Some(last) = queue.back() {
        assert!(last.index < appended.index, "a waiter at {:?} came after one at {:?}", appended.index, last.index);
    }
    queue.push_back(appended);
}

fn push_repeated(queue: &mut VecDeque<Appended>, appended: Appended) {
    queue.insert(queue.partition_point(|a| a.index <= appended.index), appended);
}

fn release(queue: &mut VecDeque<Appended>, index: Index, released: &mut Vec<Appended>) {
    while queue.front().is_some_and(|a| a.index <= index) {
        released.extend(queue.pop_front());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(index: u64) -> Appended {
        Appended { waiter: Waiter { park: index, part: 0 }, index: Index(index), term: Term(2), base_offset: Offset(0) }
    }

    #[test]
    fn waiters_leave_in_log_order_and_once() {
        let mut acks = AckQueue::default();
        acks.wait_written(at(2));
        acks.wait_committed(at(3));
        acks.wait_written(at(4));
        let mut out = Vec::new();
        acks.release_written(Index(4), &mut out);
        assert_eq!(out, vec![at(2), at(4)]);
        assert_eq!(acks.first_uncommitted(), Some(Index(3)));
        out.clear();
        acks.release_committed(Index(9), &mut out);
        assert_eq!(out, vec![at(3)]);
        assert!(acks.is_empty());
    }

    #[test]
    fn only_who_needs_the_replicas_is_given_up() {
        let mut acks = AckQueue::default();
        acks.wait_written(at(2));
        acks.wait_committed(at(3));
        acks.wait_committed(at(5));
        assert_eq!(acks.give_up_committed(Index(4)), vec![at(3)]);
        assert_eq!(acks.iter().copied().collect::<Vec<_>>(), vec![at(2), at(5)]);
    }

    #[test]
    fn a_repeated_batch_leaves_with_the_one_it_repeats() {
        let mut acks = AckQueue::default();
        acks.wait_committed(at(2));
        acks.wait_committed(at(4));
        let again = Appended { waiter: Waiter { park: 9, part: 0 }, ..at(2) };
        acks.wait_committed_again(again);
        acks.check_order();
        let mut out = Vec::new();
        acks.release_committed(Index(2), &mut out);
        assert_eq!(out, vec![at(2), again]);
    }

    #[test]
    fn a_cut_log_loses_only_the_waiters_above_the_cut() {
        let mut acks = AckQueue::default();
        acks.wait_committed(at(2));
        acks.wait_written(at(3));
        acks.wait_committed(at(4));
        assert_eq!(acks.lose_from(Index(3)), vec![at(3), at(4)]);
        assert_eq!(acks.len(), 1);
    }
}
