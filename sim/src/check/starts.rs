//! What a log may lose at its front: segments of which everything is committed, whether every replica has it or not.
//!
//! Looked at when the start is durable in the meta log of a broker, which is before it deletes a file. Part of I3. A replica that lacks what
//! went is made whole by a snapshot.
//!
//! Source: `core/src/log/log_start.rs` for the promise.

use super::watch::{Breach, Watch, breach, slot};
use crate::views::GroupSeen;
use ottla_core::ids::{GroupId, Index, Offset};

impl Watch {
    /// A broker durably moved the start of a log.
    pub(super) fn started(&mut self, node: usize, group: GroupId, start: Index) -> Result<(), Breach> {
        if !self.removed.contains(&group) {
            self.check_front(node, group, start)?;
        }
        self.counters.retention += self.nodes[node].mirror.started(group, start);
        Ok(())
    }

    /// I8: a later start is shown when it is durable, or a crash would take it back.
    pub(super) fn start_shown(&self, node: usize, view: &GroupSeen) -> Result<(), Breach> {
        let durable = self.nodes[node].meta.group(view.group).map_or(Offset(0), |promised| promised.start_offset);
        if view.log_start <= durable {
            return Ok(());
        }
        breach(
            "I8",
            format!(
                "A log start is durable before it is shown, but broker {node} shows {} in group {} while its disk knows {durable}.",
                view.log_start, view.group
            ),
        )
    }

    fn check_front(&self, node: usize, group: GroupId, start: Index) -> Result<(), Breach> {
        let Some(log) = self.nodes[node].mirror.group(group) else { return Ok(()) };
        for index in (2..start.0).map(Index).filter(|index| !log.is_gone(*index)) {
            let committed = self.truth.get(&group).and_then(|truth| truth.committed.get(slot(index))).map(|(entry, _)| entry);
            // Behind a real shell nobody tells the watch what is committed.
            let is_told = self.counters.commits > 0;
            if is_told && committed.is_none() {
                return breach(
                    "I3",
                    format!(
                        "Only what is committed is let go, but broker {node} starts group {group} at index {start} and {index} is not."
                    ),
                );
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::log_mirror::tests::{batch, segment};
    use super::*;

    fn check_of(result: Result<(), Breach>) -> &'static str {
        result.map_or_else(|b| b.check, |()| "none")
    }

    #[test]
    fn only_what_is_committed_is_let_go() {
        let mut watch = Watch::new(2);
        let data = batch(0, 0, 1, 7);
        watch.grown(0, segment(3, 2), &data).expect("legal");
        watch.synced(0, segment(3, 2), 61, &data).expect("legal");
        watch.counters.commits = 1;
        assert_eq!(check_of(watch.started(0, GroupId(3), Index(3))), "I3", "nobody said that it is committed");
        let entry = watch.nodes[0].mirror.group(GroupId(3)).and_then(|log| log.entry(Index(2))).expect("written").0;
        watch.truth.entry(GroupId(3)).or_default().committed.push((entry, entry.term));
        assert_eq!(watch.started(0, GroupId(3), Index(3)), Ok(()), "though the other replica has nothing");
        assert!(
            watch.nodes[0].mirror.group(GroupId(3)).is_some_and(|log| log.is_gone(Index(2)) && log.is_durable_through(Index(2)))
        );
        assert_eq!(watch.counters.retention, 1);
    }
}
