//! The start of the log: decided by the leader, recorded by every replica, shown when the record is durable.
//!
//! The order is what makes it survive crashes: the entry is committed, the record is durable, the start is shown, files are deleted. A
//! crash between any two leaves a start that never goes back and files that the next start deletes.

use super::{GroupEvent, RaftGroup, Round};
use crate::ids::{Index, Offset};
use crate::log::{LogStart, MetaRecord, StartCommand};
use crate::mutant::Mutant;

impl RaftGroup {
    /// Leader only: the last entry that every replica durably holds, so that none is needed for another.
    pub(super) fn spare(&self) -> Index {
        Index(self.raw.raft.prs().iter().map(|(_, progress)| progress.matched).min().unwrap_or(0))
    }

    /// Leader only: whether a log start entry with this offset would move the start, or make records go that a replica needed before.
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

    /// Records what the log start entries that are committed, and durable here, decide.
    pub(super) fn decide_start(&mut self, round: &mut Round<'_>) {
        let last = self.shown_commit.min(self.pipeline.durable());
        let mut commit = Index::BIRTH;
        let mut decided: Option<StartCommand> = None;
        while let Some((index, command)) = self.starts.pop_front_if(|(index, _)| *index <= last) {
            commit = index;
            let before = decided.unwrap_or(command);
            decided = Some(StartCommand { offset: command.offset.max(before.offset), spare: command.spare.max(before.spare) });
        }
        let Some(command) = decided else { return };
        let before = self.starting.back().map_or(self.log().start(), |(_, start)| *start);
        let mut start = self.log().plan_start(command.offset.max(before.offset), command.spare);
        if start.index < before.index {
            start = LogStart { offset: start.offset, ..before };
        }
        if start != before {
            let recorded = round.meta.record(&MetaRecord::Started { group: self.id, start, commit });
            round.waiting.push_back((recorded, self.id));
            self.starting.push_back((recorded, start));
        }
    }

    /// Shows what is recorded for good, and lets files go.
    pub(super) fn show_starts(&mut self, round: &mut Round<'_>) {
        let durable = round.meta.round_durable();
        while let Some((_, start)) = self.starting.pop_front_if(|(recorded, _)| *recorded <= durable) {
            let files = self.log_mut().set_start(start);
            self.pipeline.remove(files, round.disk);
            self.events.push(GroupEvent::LogStart(start.offset));
        }
    }
}
