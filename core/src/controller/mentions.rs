//! How often a request names what: a request may name millions of topics, so each is counted once and not compared with all others.

use std::collections::BTreeMap;

/// Counts of what is named, and what was taken.
pub(super) struct Mentions<K>(BTreeMap<K, (usize, bool)>);

impl<K: Ord> Mentions<K> {
    /// Counts all.
    pub(super) fn of(named: impl Iterator<Item = K>) -> Mentions<K> {
        let mut counts: BTreeMap<K, (usize, bool)> = BTreeMap::new();
        named.for_each(|key| counts.entry(key).or_default().0 += 1);
        Mentions(counts)
    }

    /// How often it is named, the first time this is asked for it; `None` later on.
    pub(super) fn first(&mut self, key: &K) -> Option<usize> {
        let (count, is_taken) = self.0.get_mut(key)?;
        (!std::mem::replace(is_taken, true)).then_some(*count)
    }

    /// Whether it is named.
    pub(super) fn contains(&self, key: &K) -> bool {
        self.0.contains_key(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_told_once_with_its_count() {
        let named = ["b", "a", "b"];
        let mut mentions = Mentions::of(named.into_iter());
        assert_eq!(named.map(|name| mentions.first(&name)), [Some(2), Some(1), None]);
        assert!(mentions.contains(&"a") && !mentions.contains(&"c"));
    }
}
