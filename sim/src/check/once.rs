//! Exactly once, per idempotent producer, on what consumers read: nothing twice, nothing missing, nothing out of order, and nothing that
//! was sent after its epoch was over or with a sequence that left others out.
//!
//! Looks at the end of a run, when everything was read. Knows nothing of brokers. Source: KIP-98.

use super::watch::{Breach, breach};
use std::collections::{BTreeMap, BTreeSet};

/// What idempotent producers sent.
#[derive(Debug, Default)]
pub(crate) struct Once {
    /// Values of each producer, in the order of their sequences. One producer writes to one partition.
    producers: BTreeMap<i64, Vec<u64>>,
    /// Values that no broker may take.
    fenced: BTreeSet<u64>,
}

impl Once {
    /// The next values of a producer.
    pub(crate) fn numbered(&mut self, producer: i64, values: &[u64]) {
        self.producers.entry(producer).or_default().extend(values);
    }

    /// These are not to be taken by any broker.
    pub(crate) fn fence(&mut self, values: &[u64]) {
        self.fenced.extend(values);
    }

    /// After the final reads; `offsets` tells where a value was read, `may_be_gone` whether its partition lost its front.
    pub(crate) fn finish<'a>(
        &self,
        offsets: impl Fn(u64) -> Option<&'a BTreeSet<i64>>,
        may_be_gone: impl Fn(u64) -> bool,
    ) -> Result<(), Breach> {
        for (producer, values) in &self.producers {
            let mut before = -1;
            for value in values {
                let found: Vec<i64> = offsets(*value).into_iter().flatten().copied().collect();
                if self.fenced.contains(value) {
                    if !found.is_empty() {
                        return breach(
                            "zombie-fencing",
                            format!(
                                "Nothing is stored of an epoch that is over or after what is missing, but value {value} of producer {producer} stands at {found:?}."
                            ),
                        );
                    }
                    continue;
                }
                if found.is_empty() && may_be_gone(*value) {
                    continue;
                }
                let &[offset] = found.as_slice() else {
                    return breach(
                        "exactly-once",
                        format!(
                            "What an idempotent producer sent is stored once, but value {value} of producer {producer} stands at {found:?}."
                        ),
                    );
                };
                if offset <= before {
                    return breach(
                        "producer-order",
                        format!(
                            "A producer's records stand in the order of their sequences, but value {value} of producer {producer} stands at \
                             {offset}, after {before} was taken by an earlier one."
                        ),
                    );
                }
                before = offset;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(places: &[(u64, &[i64])]) -> &'static str {
        checked(places, false)
    }

    fn checked(places: &[(u64, &[i64])], is_short: bool) -> &'static str {
        let mut once = Once::default();
        once.numbered(7, &[1, 2, 3]);
        once.fence(&[3]);
        let places: BTreeMap<u64, BTreeSet<i64>> =
            places.iter().map(|(value, offsets)| (*value, offsets.iter().copied().collect())).collect();
        once.finish(|value| places.get(&value), |_| is_short).map_or_else(|b| b.check, |()| "none")
    }

    #[test]
    fn each_anomaly_is_caught_by_its_name() {
        assert_eq!(check(&[(1, &[0]), (2, &[4])]), "none");
        assert_eq!(check(&[(1, &[0, 1]), (2, &[4])]), "exactly-once");
        assert_eq!(check(&[(1, &[0])]), "exactly-once");
        assert_eq!(checked(&[(2, &[0])], true), "none", "its partition lost its front");
        assert_eq!(checked(&[(1, &[0, 1]), (2, &[4])], true), "exactly-once");
        assert_eq!(check(&[(1, &[4]), (2, &[0])]), "producer-order");
        assert_eq!(check(&[(1, &[0]), (2, &[4]), (3, &[5])]), "zombie-fencing");
    }
}
