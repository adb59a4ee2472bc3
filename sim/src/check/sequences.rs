//! I10: along a committed log the sequences of each producer are contiguous within an epoch, epochs never go back, and each but the first
//! that is seen starts at 0.
//!
//! Reads batch headers, knows nothing of what brokers remember; its arithmetic is its own on purpose. Source: KIP-98.

use super::watch::{Breach, breach};
use ottla_core::ids::{GroupId, Index};
use std::collections::BTreeMap;

/// The producer's part of a batch header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Produced {
    /// Producer id, 0 or more.
    pub(crate) producer: i64,
    /// Its epoch.
    pub(crate) epoch: i16,
    /// Sequence of the first record.
    pub(crate) sequence: i32,
    /// Number of records.
    pub(crate) records: i32,
}

impl Produced {
    /// From a batch header of 61 bytes; `None` without a producer.
    pub(crate) fn of(header: &[u8]) -> Option<Produced> {
        let producer = i64::from_be_bytes(header.get(43..51)?.try_into().ok()?);
        let epoch = i16::from_be_bytes(header.get(51..53)?.try_into().ok()?);
        let sequence = i32::from_be_bytes(header.get(53..57)?.try_into().ok()?);
        let records = i32::from_be_bytes(header.get(57..61)?.try_into().ok()?);
        (producer >= 0).then_some(Produced { producer, epoch, sequence, records })
    }
}

/// How far the producers of one group are: epoch and the sequence that must follow.
#[derive(Debug, Default)]
pub(crate) struct Sequences(BTreeMap<i64, (i16, i64)>);

const SEQUENCES: i64 = 1 << 31;

impl Sequences {
    /// The next committed batch that has a producer.
    pub(crate) fn committed(&mut self, group: GroupId, index: Index, batch: Produced) -> Result<(), Breach> {
        let sequence = i64::from(batch.sequence);
        let expected = match self.0.get(&batch.producer) {
            None => Some(sequence),
            Some((epoch, next)) if *epoch == batch.epoch => Some(*next),
            Some((epoch, _)) if *epoch < batch.epoch => Some(0),
            Some(_) => None,
        };
        if expected != Some(sequence) {
            return breach(
                "I10",
                format!(
                    "Sequences of a producer are contiguous along a log and epochs never go back, but index {index} of group {group} has \
                     {batch:?} after {:?} (epoch, next sequence).",
                    self.0.get(&batch.producer)
                ),
            );
        }
        self.0.insert(batch.producer, (batch.epoch, (sequence + i64::from(batch.records)) % SEQUENCES));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(batches: &[(i16, i32, i32)]) -> bool {
        let mut sequences = Sequences::default();
        batches.iter().all(|(epoch, sequence, records)| {
            let batch = Produced { producer: 7, epoch: *epoch, sequence: *sequence, records: *records };
            sequences.committed(GroupId(3), Index(2), batch).is_ok()
        })
    }

    #[test]
    fn gaps_repetitions_and_old_epochs_are_caught() {
        assert!(check(&[(0, 5, 2), (0, 7, 1), (2, 0, 1), (2, 1, 1)]));
        assert!(check(&[(0, i32::MAX - 1, 3), (0, 1, 1)]));
        assert!(check(&[(0, i32::MAX, 1), (0, 0, 1)]));
        assert!(!check(&[(0, 0, 1), (0, 2, 1)]), "a gap");
        assert!(!check(&[(0, 0, 1), (0, 0, 1)]), "a repetition");
        assert!(!check(&[(0, 0, 1), (1, 1, 1)]), "an epoch that starts late");
        assert!(!check(&[(1, 0, 1), (0, 1, 1)]), "an epoch that is over");
    }
}
