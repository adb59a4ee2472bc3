//! What the owner of a group is told after a visit.

use super::{GroupEvent, RaftGroup, Role, Round, Shown};
use crate::ids::Index;
use crate::mutant::Mutant;

impl RaftGroup {
    /// Tells what changed since the last visit.
    pub(super) fn report(&mut self, round: &mut Round<'_>) {
        let shown = Shown { term: self.term(), leader: self.leader(), role: self.role() };
        let leads = shown.role == Role::Leader;
        if shown != self.shown {
            if shown.role != self.shown.role || shown.term != self.shown.term {
                self.is_serving = false;
                if leads {
                    let me = self.me;
                    let followers = self.voters.iter().copied().filter(|voter| *voter != me);
                    let last = Index(self.raw.raft.raft_log.last_index());
                    self.lag.begin(followers, last, round.now.monotonic);
                }
            }
            let led = self.shown.role == Role::Leader;
            if shown.leader != self.shown.leader || shown.term != self.shown.term || leads != led {
                self.events.push(GroupEvent::Leadership { term: shown.term, leader: shown.leader });
            }
            self.shown = shown;
        }
        let written = self.pipeline.written();
        if written > self.shown_written {
            self.shown_written = written;
            self.events.push(GroupEvent::Written(written));
        }
        let committed = Index(self.raw.raft.raft_log.committed);
        let mut commit = committed;
        if round.config.mutant.is(Mutant::CommitOldTerm) && leads {
            commit = commit.max(Index(self.raw.raft.mut_prs().maximal_committed_index().0)).min(self.log().last_index());
        }
        assert!(committed <= self.log().last_index(), "what is committed here is in the log");
        if commit > self.shown_commit {
            while self.commands.front().is_some_and(|(index, _)| *index <= commit) {
                let (index, payload) = self.commands.pop_front().expect("looked at above");
                self.events.push(GroupEvent::Command { index, payload });
            }
            let offset_end = self.log().offset_end_at(commit);
            assert!(
                offset_end >= self.high_watermark || round.config.mutant != Mutant::None,
                "the high watermark never goes back: {} from {} to {offset_end}",
                self.id,
                self.high_watermark
            );
            self.shown_commit = commit;
            self.high_watermark = self.high_watermark.max(offset_end);
            self.events.push(GroupEvent::Committed { index: commit, offset_end: self.high_watermark });
            self.log_mut().settle(committed);
        }
        self.decide_start(round);
        self.write_index(round);
        if leads && !self.is_serving && self.log().term(committed) == shown.term {
            self.is_serving = true;
            self.events.push(GroupEvent::Serving);
        }
    }
}
