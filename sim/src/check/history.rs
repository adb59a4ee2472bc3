//! What clients were told, and whether it can be true: the judge that knows nothing of brokers.
//!
//! Anomalies, named like Jepsen's where they match: `lost-write`, `unseen` (acknowledged, and no read got that far), `duplicate`, `inconsistent-offsets`, `nonmonotonic-poll`, `poll-skip`,
//! `realtime-order` (an acknowledged record comes before every record sent later, acknowledged or not: appends are linearizable), `ghost-read` (a value nobody sent, or sent elsewhere).
//! Values are unique; a value may stand at as many offsets as it was sent. Only acks=all acknowledgements and reads bind an offset:
//! what acks=1 acknowledged may be lost by definition. Offsets read are dense from where the log starts; it starts later only where a client
//! or retention may have said so (`early-start`), and never earlier again (`start-went-back`). A topic that is deleted and created again is
//! another one.
//!
//! Source: jepsen.tests.kafka for the anomalies and when they are allowed.

use super::once::Once;
use super::watch::{Breach, breach};
use crate::batch::RecordRead;
use crate::lives::Lives;
use std::collections::{BTreeMap, BTreeSet};

/// A partition of one life of a topic.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Key {
    /// Which life, by its number in `lives`.
    pub(crate) life: usize,
    /// Partition number.
    pub(crate) partition: i32,
}

#[derive(Debug)]
struct Sent {
    key: Key,
    sends: u64,
    /// Every offset at or below was acknowledged before this value was first sent.
    floor: i64,
    /// Offset told with acks=all.
    acked: Option<i64>,
    read_at: BTreeSet<i64>,
}

#[derive(Debug, Default)]
struct PartitionHistory {
    by_offset: BTreeMap<i64, u64>,
    acked_max: Option<i64>,
    read_end: i64,
    /// Latest offsets told by ListOffsets, with the epoch of the leader that told them.
    latest: Vec<(i32, i64)>,
    /// The same for earliest ones.
    earliest: Vec<(i32, i64)>,
    /// A log may start anywhere up to here: the highest offset that a client wanted all before gone of.
    start_max: i64,
    /// The highest start that was told.
    start_told: i64,
}

/// The history of all clients of a run.
#[derive(Debug, Default)]
pub(crate) struct History {
    next_value: u64,
    sent: BTreeMap<u64, Sent>,
    partitions: BTreeMap<Key, PartitionHistory>,
    /// Values acknowledged with acks=all.
    pub(crate) acked: u64,
    /// Records read.
    pub(crate) reads: u64,
    /// What idempotent producers sent.
    pub(crate) once: Once,
}

impl History {
    /// A value never sent before.
    pub(crate) fn new_value(&mut self, key: Key) -> u64 {
        self.next_value += 1;
        self.sent.insert(self.next_value, Sent { key, sends: 0, floor: -1, acked: None, read_at: BTreeSet::new() });
        self.next_value
    }

    /// A value leaves (again).
    pub(crate) fn sending(&mut self, value: u64) {
        if let Some(sent) = self.sent.get_mut(&value) {
            if sent.sends == 0 {
                sent.floor = self.partitions.get(&sent.key).and_then(|partition| partition.acked_max).unwrap_or(-1);
            }
            sent.sends += 1;
        }
    }

    /// A value was acknowledged with acks=all.
    pub(crate) fn acked(&mut self, value: u64, offset: i64) -> Result<(), Breach> {
        self.acked += 1;
        let Some(sent) = self.sent.get_mut(&value) else { return Ok(()) };
        sent.acked = Some(offset);
        let (key, floor) = (sent.key, sent.floor);
        self.bind(key, offset, value, "acknowledged")?;
        let partition = self.partitions.entry(key).or_default();
        partition.acked_max = Some(partition.acked_max.map_or(offset, |max| max.max(offset)));
        if offset <= floor {
            return out_of_time(key, value, offset, floor);
        }
        Ok(())
    }

    /// A consumer at `position` got these records.
    pub(crate) fn read(&mut self, who: usize, key: Key, position: i64, records: &[RecordRead]) -> Result<i64, Breach> {
        let mut next = position;
        let mut is_first = true;
        for record in records {
            // A batch that contains the position is returned whole, as in Kafka; clients skip what lies before.
            if record.offset < position && is_first {
                continue;
            }
            if record.offset < next {
                return breach(
                    "nonmonotonic-poll",
                    format!("A poll goes forward, but client {who} at {next} of {key:?} got offset {}.", record.offset),
                );
            }
            if record.offset > next {
                return breach(
                    "poll-skip",
                    format!("A poll leaves nothing out, but client {who} at {next} of {key:?} got offset {}.", record.offset),
                );
            }
            is_first = false;
            next += 1;
            self.reads += 1;
            self.bind(key, record.offset, record.value, "read")?;
            let Some(sent) = self.sent.get_mut(&record.value) else {
                return breach(
                    "ghost-read",
                    format!(
                        "Only what was sent is read, but client {who} read {} at offset {} of {key:?}.",
                        record.value, record.offset
                    ),
                );
            };
            if sent.key != key || sent.sends == 0 {
                return breach(
                    "ghost-read",
                    format!(
                        "A record is read where it was sent, but value {} of {:?} (sent {} times) was read at offset {} of {key:?}.",
                        record.value, sent.key, sent.sends, record.offset
                    ),
                );
            }
            if record.offset <= sent.floor {
                return out_of_time(key, record.value, record.offset, sent.floor);
            }
            sent.read_at.insert(record.offset);
            let places = u64::try_from(sent.read_at.len()).expect("small");
            if places > sent.sends {
                return breach(
                    "duplicate",
                    format!(
                        "A record sent once is stored once, but value {} of {key:?} was sent {} times and stands at offsets {:?}.",
                        record.value, sent.sends, sent.read_at
                    ),
                );
            }
        }
        let partition = self.partitions.entry(key).or_default();
        partition.read_end = partition.read_end.max(next);
        Ok(next)
    }

    /// How many answers of ListOffsets there are so far: to be handed to [`History::latest`] with the next one.
    pub(crate) fn latest_told(&self, key: Key) -> usize {
        self.partitions.get(&key).map_or(0, |p| p.latest.len())
    }

    /// ListOffsets told the latest offset, as the leader of `epoch`. Of what was told before it was asked (`before`) nothing of the same or
    /// an earlier leader may be beyond: consumers would be sent back (KIP-207).
    pub(crate) fn latest(&mut self, key: Key, epoch: i32, offset: i64, before: usize) -> Result<(), Breach> {
        let told = &mut self.partitions.entry(key).or_default().latest;
        if let Some((other, beyond)) = told[..before].iter().find(|(e, o)| *e <= epoch && *o > offset) {
            return breach(
                "offset-went-back",
                format!(
                    "The latest offset never goes back from one leader to the next, but {key:?} was told as {beyond} in epoch {other} and \
                     then as {offset} in epoch {epoch}."
                ),
            );
        }
        told.push((epoch, offset));
        Ok(())
    }

    /// A client asks for everything before `offset` to be deleted; retention may do so at any time up to the end (`i64::MAX`).
    pub(crate) fn deleting(&mut self, key: Key, offset: i64) {
        let partition = self.partitions.entry(key).or_default();
        partition.start_max = partition.start_max.max(offset);
    }

    /// How many earliest offsets were told so far: to be handed to [`History::earliest`] with the next one.
    pub(crate) fn earliest_told(&self, key: Key) -> usize {
        self.partitions.get(&key).map_or(0, |p| p.earliest.len())
    }

    /// ListOffsets told the earliest offset, as the leader of `epoch` (-1: not told). Of what was told before it was asked (`before`) nothing
    /// of the same or an earlier leader may be beyond: what was deleted would be back.
    pub(crate) fn earliest(&mut self, key: Key, epoch: i32, offset: i64, before: usize) -> Result<(), Breach> {
        let partition = self.partitions.entry(key).or_default();
        if offset < 0 || offset > partition.start_max {
            return breach(
                "early-start",
                format!(
                    "A log is shortened only as far as somebody asked, but {key:?} starts at {offset} and the most that was asked is {}.",
                    partition.start_max
                ),
            );
        }
        partition.start_told = partition.start_told.max(offset);
        if epoch < 0 {
            return Ok(());
        }
        if let Some((other, beyond)) = partition.earliest[..before].iter().find(|(e, o)| *e <= epoch && *o > offset) {
            return breach(
                "start-went-back",
                format!(
                    "A log never starts earlier again, but {key:?} was told to start at {beyond} in epoch {other} and then at {offset} in \
                     epoch {epoch}."
                ),
            );
        }
        partition.earliest.push((epoch, offset));
        Ok(())
    }

    fn bind(&mut self, key: Key, offset: i64, value: u64, how: &str) -> Result<(), Breach> {
        let known = *self.partitions.entry(key).or_default().by_offset.entry(offset).or_insert(value);
        if known != value {
            return breach(
                "inconsistent-offsets",
                format!(
                    "An offset has one record, but offset {offset} of {key:?} was {how} as value {value} and known as value {known}."
                ),
            );
        }
        Ok(())
    }

    /// End of what was acknowledged or read so far: final reads must get here.
    pub(crate) fn known_end(&self, key: Key) -> i64 {
        self.partitions.get(&key).map_or(0, |p| p.by_offset.keys().next_back().map_or(0, |last| last + 1))
    }

    /// After the final reads: everything acknowledged with acks=all was read at its offset, deleted topics aside.
    pub(crate) fn finish(&self, lives: &Lives) -> Result<(), Breach> {
        for (value, sent) in &self.sent {
            let Some(offset) = sent.acked else { continue };
            if self.partitions.get(&sent.key).is_some_and(|partition| offset < partition.start_told) {
                continue;
            }
            if sent.read_at.contains(&offset) || lives.is_gone(sent.key.life) {
                continue;
            }
            let read_end = self.partitions.get(&sent.key).map_or(0, |partition| partition.read_end);
            if sent.read_at.is_empty() && offset >= read_end {
                return breach(
                    "unseen",
                    format!(
                        "What was acknowledged with acks=all is read by the end, but value {value}, acknowledged at offset {offset} of {:?}, was                          read by nobody, and reads ended at {read_end}.",
                        sent.key
                    ),
                );
            }
            {
                return breach(
                    "lost-write",
                    format!(
                        "What was acknowledged with acks=all is there for ever, but value {value}, acknowledged at offset {offset} of {:?}, \
                         was not found there by the final reads (it was read at {:?}).",
                        sent.key, sent.read_at
                    ),
                );
            }
        }
        let has_lost_front = |value: u64| {
            let partition = self.sent.get(&value).and_then(|sent| self.partitions.get(&sent.key));
            partition.is_some_and(|partition| partition.start_told > 0)
        };
        self.once.finish(|value| self.sent.get(&value).map(|sent| &sent.read_at), has_lost_front)
    }
}

fn out_of_time<T>(key: Key, value: u64, offset: i64, floor: i64) -> Result<T, Breach> {
    breach(
        "realtime-order",
        format!(
            "What is sent after an acknowledgement comes after it, but value {value} stands at offset {offset} of {key:?} although offset              {floor} was acknowledged before it was sent."
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Key = Key { life: 0, partition: 0 };

    fn lives() -> Lives {
        let mut lives = Lives::default();
        lives.seen(0, ottla_core::ids::TopicId(7)).expect("the first");
        lives
    }

    fn history(values: usize) -> (History, Vec<u64>) {
        let mut history = History::default();
        let values = (0..values)
            .map(|_| {
                let value = history.new_value(KEY);
                history.sending(value);
                value
            })
            .collect();
        (history, values)
    }

    fn at(offset: i64, value: u64) -> RecordRead {
        RecordRead { offset, epoch: 0, value }
    }

    fn check_of<T>(result: Result<T, Breach>) -> &'static str {
        result.map_or_else(|b| b.check, |_| "none")
    }

    #[test]
    fn an_honest_history_passes() {
        let (mut history, v) = history(2);
        history.acked(v[0], 0).expect("true");
        assert_eq!(history.read(0, KEY, 0, &[at(0, v[0]), at(1, v[1])]), Ok(2));
        assert_eq!(history.finish(&lives()), Ok(()));
    }

    #[test]
    fn each_anomaly_is_caught_by_its_name() {
        let (mut h, v) = history(2);
        h.acked(v[0], 0).expect("true");
        assert_eq!(check_of(h.read(0, KEY, 0, &[at(0, v[1])])), "inconsistent-offsets");

        let (mut h, v) = history(1);
        assert_eq!(check_of(h.read(0, KEY, 0, &[at(0, v[0]), at(1, v[0])])), "duplicate");

        let (mut h, v) = history(2);
        assert_eq!(check_of(h.read(0, KEY, 0, &[at(1, v[0])])), "poll-skip");

        let (mut h, v) = history(2);
        assert_eq!(check_of(h.read(0, KEY, 0, &[at(0, v[0]), at(0, v[0])])), "nonmonotonic-poll");

        let (mut h, _) = history(1);
        assert_eq!(check_of(h.read(0, KEY, 0, &[at(0, 999)])), "ghost-read");

        let (mut h, _) = history(1);
        h.latest(KEY, 3, 7, 0).expect("the first");
        h.latest(KEY, 2, 5, 1).expect("an earlier leader may be late");
        h.latest(KEY, 4, 6, 0).expect("it was asked before");
        assert_eq!(check_of(h.latest(KEY, 4, 6, 3)), "offset-went-back");

        let (mut h, v) = history(2);
        h.acked(v[0], 0).expect("true");
        assert_eq!(check_of(h.earliest(KEY, 3, 1, 0)), "early-start");
        h.deleting(KEY, 1);
        h.earliest(KEY, 3, 1, 0).expect("as asked");
        h.earliest(KEY, 2, 0, 1).expect("an earlier leader may be late");
        assert_eq!(check_of(h.earliest(KEY, 4, 0, 1)), "start-went-back");
        assert_eq!(h.finish(&lives()), Ok(()), "what was deleted need not be read");
        h.acked(v[1], 1).expect("true");
        h.partitions.entry(KEY).or_default().read_end = 2;
        assert_eq!(check_of(h.finish(&lives())), "lost-write", "others read beyond it");

        let (mut h, v) = history(1);
        h.acked(v[0], 5).expect("true");
        let later = h.new_value(KEY);
        h.sending(later);
        assert_eq!(check_of(h.acked(later, 4)), "realtime-order");
        h.read(0, KEY, 5, &[at(5, v[0])]).expect("as acknowledged");
        let unacked = h.new_value(KEY);
        h.sending(unacked);
        assert_eq!(check_of(h.read(0, KEY, 3, &[at(3, unacked)])), "realtime-order");

        let (mut h, v) = history(2);
        h.acked(v[0], 0).expect("true");
        assert_eq!(check_of(h.finish(&lives())), "unseen");
        assert_eq!(h.read(0, KEY, 0, &[at(0, v[0])]), Ok(1));
        h.acked(v[1], 1).expect("true");
        assert_eq!(check_of(h.finish(&lives())), "unseen", "reads ended before it");
    }

    #[test]
    fn a_value_sent_twice_may_stand_twice() {
        let (mut h, v) = history(1);
        h.sending(v[0]);
        assert_eq!(h.read(0, KEY, 0, &[at(0, v[0]), at(1, v[0])]), Ok(2));
    }
}
