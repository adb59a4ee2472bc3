//! Which term began where: serves raft's `term(index)` and Kafka's `OffsetForLeaderEpoch`.
//!
//! Knows no entries. Invariants: terms strictly ascend; start indexes strictly ascend; start offsets never descend; the first row is
//! the birth of the group (term 1, index 1, offset 0), which no client sees. Source: KIP-101, `LeaderEpochFileCache`; like it, rows
//! whose epoch has no records (start offset equals the next row's) are passed over for clients.

use crate::ids::{Index, LeaderEpoch, Offset, Term};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Row {
    term: Term,
    index: Index,
    offset: Offset,
}

/// The table.
#[derive(Debug, Clone)]
pub(crate) struct Epochs {
    rows: Vec<Row>,
}

impl Epochs {
    pub(crate) fn born() -> Epochs {
        Epochs { rows: vec![Row { term: Term::BIRTH, index: Index::BIRTH, offset: Offset(0) }] }
    }

    /// Of a log whose first entries are gone: the one before `index`, whose records begin at `offset`, is of `term`.
    pub(crate) fn resumed(term: Term, index: Index, offset: Offset) -> Epochs {
        let mut epochs = Epochs::born();
        if term > Term::BIRTH {
            epochs.append(term, Index(index.0 - 1), offset);
        }
        epochs
    }

    /// The entry at `index` has `term` and the record after everything before it has `offset`.
    pub(crate) fn append(&mut self, term: Term, index: Index, offset: Offset) {
        let last = self.last();
        assert!(term >= last.term, "terms never descend along a log: {term} at {index} after {}", last.term);
        if term > last.term {
            assert!(index > last.index, "a term starts after the one before it");
            assert!(offset >= last.offset, "offsets never descend along a log");
            self.rows.push(Row { term, index, offset });
        }
    }

    /// The terms that began with an entry of `from..to`, and where.
    pub(crate) fn began(&self, from: Index, to: Index) -> impl Iterator<Item = (Term, Index, Offset)> {
        let rows = self.rows.iter().filter(move |row| (from..to).contains(&row.index));
        rows.map(|row| (row.term, row.index, row.offset))
    }

    /// Forgets entries from `index` on.
    pub(crate) fn cut(&mut self, index: Index) {
        while self.rows.len() > 1 && self.last().index >= index {
            self.rows.pop();
        }
    }

    fn last(&self) -> Row {
        *self.rows.last().expect("the birth row is never removed")
    }

    pub(crate) fn last_term(&self) -> Term {
        self.last().term
    }

    /// Term of the entry at `index`, which must be within the log.
    pub(crate) fn term(&self, index: Index) -> Term {
        let last = self.last();
        if index >= last.index {
            return last.term;
        }
        let after = self.rows.partition_point(|row| row.index <= index);
        assert!(after > 0, "index {index} is before the birth of the group");
        self.rows[after - 1].term
    }

    /// Epoch of the record at `offset`.
    pub(crate) fn epoch_at(&self, offset: Offset) -> LeaderEpoch {
        let after = self.rows.partition_point(|row| row.offset <= offset);
        self.rows[after.max(1) - 1].term.leader_epoch()
    }

    /// The largest epoch with records at or below `epoch`, and where it ends; (-1, -1) for an epoch of the future or none. Records before
    /// `log_start` are none.
    pub(crate) fn epoch_end(&self, epoch: LeaderEpoch, log_start: Offset, log_end: Offset) -> (LeaderEpoch, Offset) {
        let none = (LeaderEpoch::NONE, Offset::NONE);
        if epoch.0 < 0 || self.rows.len() < 2 {
            return none;
        }
        let rows = &self.rows[1..];
        let last = rows[rows.len() - 1];
        if epoch > last.term.leader_epoch() {
            return none;
        }
        if epoch == last.term.leader_epoch() {
            return (epoch, log_end);
        }
        let after = rows.partition_point(|row| row.term.leader_epoch() <= epoch);
        // Rows without records are those whose successor starts at the same offset; the last row is never passed over.
        let end = rows[after].offset.max(log_start);
        match rows[..after].iter().rposition(|row| row.offset.max(log_start) < end) {
            Some(at) => (rows[at].term.leader_epoch(), end),
            None => (epoch, end),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Epochs {
        let mut epochs = Epochs::born();
        epochs.append(Term(2), Index(2), Offset(0));
        epochs.append(Term(4), Index(9), Offset(5));
        epochs.append(Term(6), Index(10), Offset(5));
        epochs
    }

    #[test]
    fn terms_are_found_by_index() {
        let epochs = table();
        for (index, term) in [(1, 1), (2, 2), (8, 2), (9, 4), (10, 6), (99, 6)] {
            assert_eq!(epochs.term(Index(index)), Term(term), "index {index}");
        }
    }

    #[test]
    fn epoch_ends_are_those_of_kafka() {
        let epochs = table();
        for (asked, epoch, end) in [(-1, -1, -1), (0, 0, 5), (1, 0, 5), (2, 0, 5), (3, 0, 5), (4, 4, 8), (5, -1, -1)] {
            assert_eq!(
                epochs.epoch_end(LeaderEpoch(asked), Offset(0), Offset(8)),
                (LeaderEpoch(epoch), Offset(end)),
                "epoch {asked}"
            );
        }
    }

    #[test]
    fn epochs_without_records_behind_the_log_start_are_passed_over() {
        let mut live = Epochs::born();
        for (term, index, offset) in [(2, 2, 0), (3, 10, 4), (5, 20, 9)] {
            live.append(Term(term), Index(index), Offset(offset));
        }
        // The first segment, up to the entry before index 12 and offset 5, is deleted.
        let mut resumed = Epochs::resumed(Term(3), Index(12), Offset(5));
        resumed.append(Term(5), Index(20), Offset(9));
        for epochs in [live, resumed] {
            assert_eq!((epochs.term(Index(11)), epochs.term(Index(12)), epochs.term(Index(20))), (Term(3), Term(3), Term(5)));
            for (asked, epoch, end) in [(0, 0, 6), (1, 1, 9), (2, 1, 9), (3, 3, 12)] {
                let expected = (LeaderEpoch(epoch), Offset(end));
                assert_eq!(epochs.epoch_end(LeaderEpoch(asked), Offset(6), Offset(12)), expected, "epoch {asked}");
            }
        }
    }

    #[test]
    fn a_cut_forgets_later_terms() {
        let mut epochs = table();
        epochs.cut(Index(9));
        assert_eq!(epochs.last_term(), Term(2));
        epochs.append(Term(5), Index(9), Offset(5));
        assert_eq!(epochs.term(Index(9)), Term(5));
    }
}
