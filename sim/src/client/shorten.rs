//! What a client does about logs that lose their front: it deletes records, and starts over where a log starts when its position is gone.

use super::{Client, Doing};
use crate::action::Action;
use crate::check::history::Key;
use crate::check::promises::Note;
use crate::check::watch::{Breach, breach};
use crate::client::Shared;
use crate::wire::{self, error};
use bytes::Bytes;

impl Client {
    /// Now and then the first client deletes records of a topic that is made for it.
    pub(super) fn shorten(&mut self, shared: &mut Shared) -> Option<Action> {
        if self.id != 0 || !shared.topics.iter().any(|plan| plan.is_shortened) || !self.random.chance(1, 16) {
            return None;
        }
        let keys: Vec<Key> = self.leaders.keys().copied().filter(|key| shared.plan(*key).is_shortened).collect();
        let count = u64::try_from(keys.len()).expect("few");
        let key = *keys.get(usize::try_from(self.random.below(count.max(1))).expect("an index"))?;
        let end = u64::try_from(shared.history.known_end(key)).expect("not negative");
        let offset = if self.random.chance(1, 2) { end } else { self.random.below(end + 2) };
        let offset = i64::try_from(offset).expect("small");
        shared.history.deleting(key, offset);
        let (broker, version, correlation) = (self.broker_of(key), self.version(0, 2), self.correlation());
        let frame = wire::delete_records(&shared.plan(key).name, key.partition, offset, version, correlation);
        self.doing = Doing::DeleteRecords { key, offset, version };
        Some(Action::Ask { broker, frame, note: Note::Other, wait_us: 1_500_000 })
    }

    pub(super) fn records_deleted(
        &mut self,
        shared: &mut Shared,
        key: Key,
        offset: i64,
        answer: Option<(i16, i64)>,
    ) -> Result<(), Breach> {
        match answer {
            Some((error::NONE, start)) if start < offset => breach(
                "delete-records",
                format!("Deletion is answered when it is done, but {key:?} was to start at {offset} and starts at {start}."),
            ),
            Some((error::NONE, _)) => {
                shared.counters.records_deleted += 1;
                Ok(())
            }
            other => {
                self.is_stale = true;
                self.last_trouble = format!("DeleteRecords of {key:?} answered {other:?}");
                Ok(())
            }
        }
    }

    /// A position is not in the log: if its front may be gone, the client asks where it starts.
    pub(super) fn out_of_range(&mut self, shared: &mut Shared, key: Key) {
        let plan = shared.plan(key);
        if plan.is_shortened || plan.has_retention() {
            shared.counters.out_of_range += 1;
            self.to_restart.push(key);
        }
    }

    /// The question of a consumer that starts over.
    pub(super) fn restart(&mut self, shared: &Shared) -> Option<Action> {
        let key = self.to_restart.pop().filter(|key| self.leaders.contains_key(key))?;
        Some(self.ask_offsets(shared, key, false, false))
    }

    /// Where a log starts.
    pub(super) fn started(&mut self, shared: &mut Shared, key: Key, told: usize, epoch: i32, offset: i64) -> Result<(), Breach> {
        if shared.plan(key).has_retention() {
            shared.history.deleting(key, i64::MAX);
        }
        shared.history.earliest(key, epoch, offset, told)?;
        let positions = if self.to_read.contains_key(&key) { &mut self.to_read } else { &mut self.positions };
        if let Some(position) = positions.get_mut(&key) {
            *position = offset.max(*position);
        } else if offset > 0 {
            positions.insert(key, offset);
        }
        Ok(())
    }

    /// The answer to DeleteRecords in a frame.
    pub(super) fn deletion_replied(
        &mut self,
        shared: &mut Shared,
        key: Key,
        offset: i64,
        version: i16,
        frame: Bytes,
    ) -> Result<(), Breach> {
        let malformed = |_| Breach { check: "codec", what: "A response is well formed, but one to DeleteRecords is not.".into() };
        let answer = wire::delete_records_answer(frame, version).map_err(malformed)?;
        self.records_deleted(shared, key, offset, answer)
    }
}
