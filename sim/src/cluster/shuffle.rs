//! Another order for the outputs of a round: any is right, says the contract of the core, as far as it does not promise one.

use super::n64;
use crate::dice::Draw;
use ottla_core::disk::{DiskAction, FileName};
use ottla_core::ids::BrokerId;
use ottla_core::output::{Output, PeerClass};
use std::collections::BTreeMap;

/// Any order, except that appends to one file keep theirs.
pub(super) fn shuffle(list: &mut Vec<Output>, dice: &mut Draw) {
    let count = list.len();
    if count < 2 {
        return;
    }
    let mut order: Vec<usize> = (0..count).collect();
    for n in (1..count).rev() {
        order.swap(n, usize::try_from(dice.below(n64(n) + 1)).expect("an index"));
    }
    let file_of = |output: &Output| match output {
        Output::Disk(op) => match &op.action {
            DiskAction::Append { file, .. } => Some(*file),
            DiskAction::CreateGroup { .. }
            | DiskAction::RemoveGroup { .. }
            | DiskAction::Read { .. }
            | DiskAction::Truncate { .. }
            | DiskAction::Remove { .. } => None,
        },
        Output::Reply { .. } | Output::Close { .. } | Output::Peer { .. } | Output::Halt(_) | Output::Stopped => None,
    };
    let mut per_file: BTreeMap<FileName, Vec<usize>> = BTreeMap::new();
    for (place, at) in order.iter().enumerate() {
        if let Some(file) = file_of(&list[*at]) {
            per_file.entry(file).or_default().push(place);
        }
    }
    // Frames of one class to one peer keep their order too: they share a connection.
    let mut per_lane: BTreeMap<(BrokerId, PeerClass), Vec<usize>> = BTreeMap::new();
    for (place, at) in order.iter().enumerate() {
        if let Output::Peer { to, class, .. } = &list[*at] {
            per_lane.entry((*to, *class)).or_default().push(place);
        }
    }
    for places in per_file.into_values().chain(per_lane.into_values()) {
        let mut originals: Vec<usize> = places.iter().map(|place| order[*place]).collect();
        originals.sort_unstable();
        for (place, original) in places.into_iter().zip(originals) {
            order[place] = original;
        }
    }
    let mut slots: Vec<Option<Output>> = list.drain(..).map(Some).collect();
    list.extend(order.into_iter().filter_map(|at| slots[at].take()));
}
