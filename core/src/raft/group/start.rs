//! The start of the log: decided by the leader, recorded by every replica, shown when the record is durable.
//!
//! The order is what makes it survive crashes: the entry is committed, what is known of producers is durable in a file of its own if batches
//! are to go, the record is durable, the start is shown, files are deleted. A crash between any two leaves a start that never goes back
//! and files that the next start deletes.
//!
//! A segment that is complete and committed is written down in a file of its own, so that a start needn't read it; and what is known of
//! producers is recorded then too, as if segments were to go. The file is not written before every log start entry up to the segment's end
//! is recorded.
//!
//! Nobody waits for a replica that lacks what goes; it is made whole by a snapshot. Source: KIP-107; the file about producers is Kafka's
//! `.snapshot` beside its segments, which outlives them too (KAFKA-7190).

use super::{GroupEvent, RaftGroup, Round};
use crate::disk::DiskAction;
use crate::ids::{DiskId, GroupId, Index, Offset};
use crate::log::{LogStart, MetaRecord, StartCommand};
use crate::mutant::Mutant;
use crate::raft::disk_queue::Owner;
use bytes::Bytes;

/// A start that waits until what is known of producers is on the disk.
#[derive(Debug)]
pub(super) struct StartDue {
    start: LogStart,
    /// Entries up to here are committed and durable; nothing behind them goes.
    commit: Index,
    producers: Due,
}

#[derive(Debug)]
enum Due {
    /// Asked for.
    Wanted,
    /// Known, of entries up to the index.
    Known(Index, Bytes),
    /// Being written.
    Writing(Index, DiskId),
    /// Written, or nobody is known.
    Written(Option<Index>),
}

impl RaftGroup {
    /// Up to which entry files may go: raft asks for none of them again.
    fn spare(&self) -> Index {
        Index(self.raw.raft.raft_log.applied()).min(self.pipeline.durable())
    }

    /// Leader only: whether a log start entry with this offset would move the start, or make segments go that had to stay before.
    #[must_use]
    pub fn is_start_news(&self, offset: Offset) -> bool {
        let (now, planned) = (self.log().start(), self.log().plan_start(offset, self.spare()));
        planned.offset > now.offset || planned.base_offset > now.base_offset
    }

    pub(super) fn start_appended(&mut self, index: Index, payload: &[u8], round: &Round<'_>) {
        let command = StartCommand::parse(payload).expect("it was parsed where it came in");
        if round.config.mutant.is(Mutant::StartBeforeCommit) {
            let start = self.log().plan_start(command.offset, Index(0));
            self.log_mut().set_start(start);
        }
        self.starts.push_back((index, command));
    }

    /// Writes down what is in the next segment that is complete, if a start may pass it over: its entries are committed and durable here, and
    /// what they say of the log's start is recorded for good. Commands are read at every start.
    pub(super) fn write_index(&mut self, round: &mut Round<'_>) {
        let Some(last) = self.log().index_due() else { return };
        let is_recorded = self.start_due.is_none()
            && self.starting.is_empty()
            && self.starts.front().is_none_or(|(index, _)| *index > last)
            && self.cuts == self.cuts_closed;
        if !is_recorded || last > self.pipeline.durable() || self.id == GroupId::CONTROLLER || self.index_id.is_some() {
            return;
        }
        if let Some((file, data)) = self.log_mut().write_index() {
            let action = DiskAction::Append { file, position: 0, data: vec![data], is_awaited: true };
            let id = round.disk.issue(Owner::Copy(self.id), action, round.out);
            // Files are deleted when nobody uses them any more.
            self.pipeline.read_started(id);
            self.index_id = Some(id);
        }
    }

    /// Decides and records what the log start entries say that are committed, and durable here.
    pub(super) fn decide_start(&mut self, round: &mut Round<'_>) {
        if self.copies.is_installing() {
            return;
        }
        if self.start_due.is_none() {
            self.plan_start();
        }
        let Some(due) = &mut self.start_due else { return };
        if let Due::Known(index, bytes) = &mut due.producers {
            let (index, bytes) = (*index, core::mem::take(bytes));
            due.producers = match self.copies.write_producers(index, bytes, self.id, round) {
                Some(id) => Due::Writing(index, id),
                None => Due::Written(Some(index)),
            };
        }
        if let Due::Writing(index, id) = due.producers
            && !self.copies.is_under_way(id)
        {
            due.producers = Due::Written(Some(index));
        }
        // Entries that the file knows of must not be lost while the file stays.
        let durable = self.pipeline.durable();
        if let Due::Written(file) = due.producers
            && file.is_none_or(|index| index <= durable)
        {
            let commit = due.commit.max(file.unwrap_or(due.commit));
            let start = due.start;
            self.start_due = None;
            self.producers_file = file;
            self.record_start(start, commit, round);
        }
    }

    fn plan_start(&mut self) {
        let last = self.shown_commit.min(self.spare());
        let mut decided: Option<Offset> = None;
        while let Some((_, command)) = self.starts.pop_front_if(|(index, _)| *index <= last) {
            decided = decided.max(Some(command.offset));
        }
        let before = self.starting.back().map_or(self.log().start(), |(_, start)| *start);
        let start = match decided {
            None => before,
            Some(offset) => match self.log().plan_start(offset.max(before.offset), last) {
                start if start.index < before.index => LogStart { offset: start.offset, ..before },
                start => start,
            },
        };
        let is_segment_complete = self.id != GroupId::CONTROLLER && {
            let end = self.log().sealed_end();
            end <= last && end > self.producers_file.unwrap_or(before.index)
        };
        if start == before && !is_segment_complete {
            return;
        }
        let is_wanted = start.index > before.index || is_segment_complete;
        let producers = if is_wanted { Due::Wanted } else { Due::Written(self.producers_file) };
        if matches!(producers, Due::Wanted) {
            self.ask_producers();
        }
        // Segments behind the entry that decided it may go too, if they have no records.
        self.start_due = Some(StartDue { start, commit: last, producers });
    }

    /// What is known of the producers of everything that is committed.
    pub(super) fn start_producers(&mut self, bytes: Bytes) {
        let index = self.shown_commit;
        if let Some(due) = self.start_due.as_mut().filter(|due| matches!(due.producers, Due::Wanted)) {
            due.producers = Due::Known(index, bytes);
        }
    }

    fn record_start(&mut self, start: LogStart, commit: Index, round: &mut Round<'_>) {
        let record = MetaRecord::Started { group: self.id, start, commit, producers: self.producers_file };
        let recorded = round.meta.record(&record);
        round.waiting.push_back((recorded, self.id));
        self.starting.push_back((recorded, start));
    }

    /// Shows what is recorded for good, and lets files go.
    pub(super) fn show_starts(&mut self, round: &mut Round<'_>) {
        let durable = round.meta.round_durable();
        while let Some((_, start)) = self.starting.pop_front_if(|(recorded, _)| *recorded <= durable) {
            let is_moved = start != self.log().start();
            let files = self.log_mut().set_start(start);
            let mut files = self.lending.keep(self.id, files);
            // A file that a later start is about to name stays.
            if self.starting.is_empty() && self.start_due.is_none() {
                files.extend(self.copies.forget_producers(self.producers_file, self.shown_commit, self.id));
            }
            self.pipeline.remove(files, round.disk);
            if is_moved {
                self.events.push(GroupEvent::LogStart(start.offset));
            }
        }
    }
}
