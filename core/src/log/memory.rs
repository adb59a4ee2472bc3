//! What a replica still knows of its own promises, and positions in logs by which such promises are compared.
//!
//! A replica that is made on an empty disk may have had an earlier self, which voted and acknowledged entries before the disk was lost. How
//! it comes back is in `raft/recalls.rs`; here is what of that must survive a crash.

use crate::ids::{Index, Term};

/// The end of a log. In raft's order: a later term is further whatever the index (Raft section 5.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    pub term: Term,
    pub index: Index,
}

/// What a replica remembers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Memory {
    /// All it ever promised.
    Whole,
    /// Nothing, and it does not know yet what it may have promised: it has no rights.
    Asking,
    /// Its earlier self may have acknowledged entries up to here, and its log does not reach there yet: whoever leads must have them, so
    /// it votes for nobody whose log ends before, and does not run itself.
    Below(Position),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_term_is_further_whatever_the_index() {
        let at = |term, index| Position { term: Term(term), index: Index(index) };
        assert!(at(3, 5) > at(2, 900) && at(3, 6) > at(3, 5) && at(3, 5) <= at(3, 5));
    }
}
