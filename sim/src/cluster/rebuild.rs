//! I14: what a broker keeps up to date is what it would find if it started now from what its disk shows.
//!
//! Every so many rounds a second broker is built in the shadow from the page cache of one that runs, which is what `kill -9` would leave at that
//! moment, and is thrown away after its judges looked at it. Nothing it says reaches anybody, so that the checks can't change a run.

use super::{Cluster, n64};
use crate::check::told::Rebuilt;
use crate::check::watch::{Breach, breach};
use crate::dice::{Stream, draw};
use crate::panics::catch;
use crate::report::FailureKind;
use crate::views;
use ottla_core::disk::{DiskAction, DiskDone, DiskOp, DiskStage, Inventory};
use ottla_core::ids::{GroupId, Index};
use ottla_core::input::Input;
use ottla_core::log::GroupLog;
use ottla_core::output::{Output, Outputs};
use ottla_core::time::Now;
use ottla_core::{Broker, Recovery, RecoveryStep};
use std::collections::BTreeMap;

/// Rounds of the cluster between two looks.
const ROUNDS: u64 = 1_000;

impl Cluster {
    /// Rebuilds a broker by the draw, now and then.
    pub(super) fn rebuild_sometimes(&mut self) {
        if !self.counters.rounds.is_multiple_of(ROUNDS) {
            return;
        }
        let mut dice = draw(self.seed, Stream::Checks, &[self.counters.rounds]);
        let node = usize::try_from(dice.below(n64(self.shape.brokers))).expect("an index");
        if self.nodes[node].broker.is_none() || self.nodes[node].disk.is_rotten() {
            return;
        }
        let config = self.config(node, 0);
        let this = &self.nodes[node];
        let mut inventory: Inventory = this.disk.inventory();
        // A folder that is not there has no files, whatever is on its way to it.
        let groups = inventory.groups.clone();
        inventory.files.retain(|(name, _)| name.group().is_none_or(|group| groups.contains(&group)));
        let now = this.clock.now(self.now);
        let disk = &this.disk;
        let mut outputs = Outputs::default();
        let built = catch(|| {
            let mut recovery = Recovery::new(config, inventory);
            loop {
                match recovery.poll() {
                    RecoveryStep::Read { file, position, length } => recovery.read_done(disk.read_now(file, position, length)?),
                    RecoveryStep::Done => {
                        let mut shadow = recovery.finish(now, &mut outputs);
                        let found = shadow.logs().map(|(group, log)| (group, log.settled())).collect::<BTreeMap<_, _>>();
                        repair(&mut shadow, now, &mut outputs);
                        return Ok((shadow, found));
                    }
                    RecoveryStep::Halt(fatal) => return Err(fatal.to_string()),
                }
            }
        });
        let verdict = match built {
            Err(what) | Ok(Err(what)) => breach(
                "I14",
                format!("A broker can start at any moment from what its disk shows, but broker {node} can't: {what}."),
            ),
            Ok(Ok((shadow, found))) => {
                self.counters.rebuilt += 1;
                let same = this.broker.as_ref().map_or(Ok(()), |live| same_logs(node, live, &shadow));
                let found: Vec<Rebuilt> = shadow
                    .logs()
                    .filter(|(group, log)| found.get(group) == Some(&log.settled()))
                    .map(|(group, log)| rebuilt(&shadow, group, log))
                    .collect();
                same.and_then(|()| self.watch.rebuilt(node, &found))
            }
        };
        if let Err(Breach { check, what }) = verdict {
            self.fail(FailureKind::Safety, check, what);
        }
    }
}

/// Lets the repairs be durable that a group waits for before it takes part and says what it found. What a broker alone may commit then is none
/// of our business.
fn repair(shadow: &mut Broker, now: Now, outputs: &mut Outputs) {
    for _ in 0..4 {
        shadow.end_round(now, outputs);
        let operations: Vec<DiskOp> =
            outputs.drain().filter_map(|output| if let Output::Disk(op) = output { Some(op) } else { None }).collect();
        for DiskOp { id, action } in operations {
            let stages: &[DiskStage] = match action {
                DiskAction::Append { .. } => &[DiskStage::Written, DiskStage::Durable],
                DiskAction::Read { .. } => &[],
                DiskAction::CreateGroup { .. }
                | DiskAction::RemoveGroup { .. }
                | DiskAction::Truncate { .. }
                | DiskAction::Rename { .. }
                | DiskAction::Remove { .. } => &[DiskStage::Durable],
            };
            for stage in stages {
                shadow.step(now, Input::Disk(DiskDone { id, stage: stage.clone() }), outputs);
            }
        }
    }
}

fn rebuilt(shadow: &Broker, group: GroupId, log: &GroupLog) -> Rebuilt {
    let commit = log.settled();
    Rebuilt { group, commit, chain: log.chain_at(commit), producers: views::producers(shadow, group) }
}

/// Epochs and starts of what both call committed.
fn same_logs(node: usize, live: &Broker, shadow: &Broker) -> Result<(), Breach> {
    for (group, here) in live.logs() {
        let Some((_, there)) = shadow.logs().find(|(other, _)| *other == group) else { continue };
        let first = here.first_index().max(there.first_index());
        let last = here.settled().min(there.settled());
        let differing = (first.0..=last.0).map(Index).find(|index| here.term(*index) != there.term(*index));
        if let Some(index) = differing {
            return breach(
                "I14",
                format!(
                    "Epochs follow from the log, but broker {node} has epoch {} at index {index} of group {group} and would find {}.",
                    here.term(index).leader_epoch(),
                    there.term(index).leader_epoch()
                ),
            );
        }
        if there.log_start() < here.log_start() {
            return breach(
                "I14",
                format!(
                    "A log start that is shown is found again, but broker {node} shows {} in group {group} and would start at {}.",
                    here.log_start(),
                    there.log_start()
                ),
            );
        }
    }
    Ok(())
}
