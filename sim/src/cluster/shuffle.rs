//! Another order for the outputs of a round: any is right, says the contract of the core, as far as it does not promise one.

use super::n64;
use crate::dice::Draw;
use ottla_core::disk::{DiskAction, FileName};
use ottla_core::ids::BrokerId;
use ottla_core::output::{Output, PeerClass};

/// What keeps its order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Sequence {
    File(FileName),
    Lane(BrokerId, PeerClass),
}

fn sequence_of(output: &Output) -> Option<Sequence> {
    match output {
        Output::Disk(op) => match &op.action {
            DiskAction::Append { file, .. } => Some(Sequence::File(*file)),
            DiskAction::CreateGroup { .. }
            | DiskAction::RemoveGroup { .. }
            | DiskAction::Read { .. }
            | DiskAction::Truncate { .. }
            | DiskAction::Rename { .. }
            | DiskAction::Remove { .. } => None,
        },
        Output::Peer { to, class, .. } => Some(Sequence::Lane(*to, *class)),
        Output::Reply { .. }
        | Output::Close { .. }
        | Output::Search { .. }
        | Output::Codecs(_)
        | Output::Halt(_)
        | Output::Stopped => None,
    }
}

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
    // Appends to one file keep their order, and frames of one class to one peer, too: they share a connection.
    let mut bound: Vec<(Sequence, usize)> =
        order.iter().enumerate().filter_map(|(place, at)| Some((sequence_of(&list[*at])?, place))).collect();
    bound.sort_unstable();
    for run in bound.chunk_by(|a, b| a.0 == b.0).filter(|run| run.len() > 1) {
        let mut originals: Vec<usize> = run.iter().map(|(_, place)| order[*place]).collect();
        originals.sort_unstable();
        for ((_, place), original) in run.iter().zip(originals) {
            order[*place] = original;
        }
    }
    let mut slots: Vec<Option<Output>> = list.drain(..).map(Some).collect();
    list.extend(order.into_iter().filter_map(|at| slots[at].take()));
}
