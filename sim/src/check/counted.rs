//! A leader counts a voter for what this voter acknowledged to it in its term, and for nothing else.
//!
//! That acknowledgements are true is I6. Answers to what the same broker sent as leader of an earlier term may arrive late, and speak of entries that
//! were cut away since. Looked at when a leader's commit index moves, for each voter: a wrong count need not have had a part in that, but it is
//! there to be seen.
//!
//! Source: Raft paper figure 2 (`matchIndex`: reinitialised after election).

use super::watch::{Breach, Watch, breach};
use ottla_core::ids::{BrokerId, GroupId, Index, Term};
use std::collections::BTreeMap;

/// The highest index that a voter acknowledged to a broker in the latest term in which it did, by group, voter and broker.
#[derive(Debug, Default)]
pub(super) struct Acknowledged(BTreeMap<(GroupId, usize, usize), (Term, Index)>);

impl Watch {
    /// A voter acknowledges everything up to `index` to the leader of `term`.
    pub(super) fn acknowledged(&mut self, voter: usize, leader: usize, group: GroupId, term: Term, index: Index) {
        let known = self.acknowledged.0.entry((group, voter, leader)).or_default();
        *known = (*known).max((term, index));
    }

    /// The leader of `group` in `term` counts these voters for so much of its log.
    pub(crate) fn counted(
        &self,
        leader: usize,
        group: GroupId,
        term: Term,
        counts: impl Iterator<Item = (BrokerId, Index)>,
    ) -> Result<(), Breach> {
        let others = counts.filter_map(|(voter, matched)| Some((usize::try_from(voter.0).ok()?, matched)));
        for (voter, matched) in others.filter(|(voter, matched)| *voter != leader && matched.0 > 0) {
            let told = self.acknowledged.0.get(&(group, voter, leader)).copied().unwrap_or_default();
            // Who acknowledged something in a later term stopped being led by this one: what it said before is not remembered here.
            if told.0 <= term && told < (term, matched) {
                return breach(
                    "counted",
                    format!(
                        "A leader counts a voter for what it acknowledged in this term, but broker {leader}, leader of group {group} in term \
                         {term}, counts broker {voter} for everything up to index {matched}, while that one acknowledged index {} in term {}.",
                        told.1, told.0
                    ),
                );
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_this_term_count() {
        let mut watch = Watch::new(2);
        watch.acknowledged(1, 0, GroupId(3), Term(4), Index(9));
        watch.acknowledged(1, 0, GroupId(3), Term(5), Index(6));
        watch.acknowledged(1, 0, GroupId(3), Term(5), Index(5));
        let is_legal = |term: u64, matched: u64| {
            let counts = [(BrokerId(0), Index(20)), (BrokerId(1), Index(matched))];
            watch.counted(0, GroupId(3), Term(term), counts.into_iter()).is_ok()
        };
        assert!(is_legal(5, 6), "it was told");
        assert!(!is_legal(5, 7), "it was not");
        assert!(!is_legal(6, 6), "it was told in an earlier term");
        assert!(is_legal(6, 0), "nothing is counted");
        assert!(is_legal(4, 20), "the voter is in a later term already");
    }
}
