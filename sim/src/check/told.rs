//! What a broker may know and tell, measured by what all brokers together committed: I14 for one that is rebuilt, I18 for latest offsets.
//!
//! Source: KIP-207 for the offsets: a new leader tells none before it committed in its own term.

use super::watch::{Breach, Watch, breach};
use ottla_core::ids::{GroupId, Index, LeaderEpoch};

impl Watch {
    /// I18: a leader that tells the latest offset has committed in its own term, so it tells at least the end of all that was committed in
    /// earlier ones.
    pub(crate) fn latest_told(&mut self, node: usize, group: GroupId, epoch: i32, offset: i64) -> Result<(), Breach> {
        let Some(truth) = self.truth.get(&group).filter(|_| !self.removed.contains(&group)) else { return Ok(()) };
        let term = LeaderEpoch(epoch).term();
        let Some((entry, in_term)) = truth.committed.iter().rev().find(|(_, in_term)| *in_term < term) else { return Ok(()) };
        self.counters.latest_told += 1;
        if offset >= entry.offset_end.0 {
            return Ok(());
        }
        breach(
            "I18",
            format!(
                "A leader tells offsets when it has committed in its own term, but broker {node}, leader of group {group} in epoch {epoch}, told \
                 {offset} as the latest while {} had been committed in epoch {}.",
                entry.offset_end,
                in_term.leader_epoch()
            ),
        )
    }

    /// I14 for a broker that was rebuilt in the shadow of the one that runs: at the commit it finds it knows what was known there.
    pub(crate) fn rebuilt(&mut self, node: usize, found: &[Rebuilt]) -> Result<(), Breach> {
        for seen in found {
            let Some(truth) = self.truth.get(&seen.group).filter(|_| !self.removed.contains(&seen.group)) else { continue };
            let what = if truth.chains.get(&seen.commit).is_some_and(|(chain, _)| *chain != seen.chain) {
                "the entries"
            } else if truth.producers.get(&seen.commit).is_some_and(|(digest, _)| *digest != seen.producers) {
                "the producers"
            } else {
                self.counters.rebuilt_producers += u64::from(seen.producers != 0 && truth.producers.contains_key(&seen.commit));
                continue;
            };
            return breach(
                "I14",
                format!(
                    "What a broker knows follows from its log, but broker {node}, rebuilt from its disk, knows {what} of group {} up to index {} \
                     otherwise than they were known live.",
                    seen.group, seen.commit
                ),
            );
        }
        Ok(())
    }
}

/// What a broker would know of a group if it started now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Rebuilt {
    pub(crate) group: GroupId,
    /// The commit index that its meta log tells.
    pub(crate) commit: Index,
    /// Hash of all entries up to there.
    pub(crate) chain: u64,
    /// Digest of its producers, 0 for none.
    pub(crate) producers: u64,
}

#[cfg(test)]
mod tests {
    use super::super::log_mirror::tests::{batch, segment};
    use super::*;
    use ottla_core::ids::Term;

    const GROUP: GroupId = GroupId(3);

    /// One record at offset 0, committed in term 3, epoch 1.
    fn watch() -> Watch {
        let mut watch = Watch::new(1);
        watch.grown(0, segment(3, 2), &batch(0, 0, 1, 7)).expect("legal");
        let entry = watch.mirror(0).group(GROUP).and_then(|log| log.entry(Index(2))).expect("written").0;
        watch.truth.entry(GROUP).or_default().committed.push((entry, Term(3)));
        watch
    }

    fn check_of(result: Result<(), Breach>) -> &'static str {
        result.map_or_else(|b| b.check, |()| "none")
    }

    #[test]
    fn a_leader_tells_at_least_what_was_committed_before_it() {
        let mut watch = watch();
        assert_eq!(check_of(watch.latest_told(0, GROUP, 2, 0)), "I18");
        assert_eq!(watch.latest_told(0, GROUP, 2, 1), Ok(()));
        assert_eq!(watch.latest_told(0, GROUP, 1, 0), Ok(()), "it leads in that very term, or led before");
        assert_eq!(watch.counters.latest_told, 2);
    }

    #[test]
    fn what_is_rebuilt_is_what_was_known() {
        let mut watch = watch();
        let truth = watch.truth.entry(GROUP).or_default();
        truth.chains.insert(Index(2), (55, 0));
        truth.producers.insert(Index(2), (66, 0));
        let view = |chain: u64, producers: u64| Rebuilt { group: GROUP, commit: Index(2), chain, producers };
        assert_eq!(watch.rebuilt(0, &[view(55, 66)]), Ok(()));
        assert_eq!(watch.counters.rebuilt_producers, 1);
        assert_eq!(check_of(watch.rebuilt(0, &[view(54, 66)])), "I14");
        assert_eq!(check_of(watch.rebuilt(0, &[view(55, 65)])), "I14");
    }
}
