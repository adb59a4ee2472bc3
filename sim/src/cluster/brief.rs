//! Inputs and disk operations in a few words, for the transcript.

use super::contiguous;
use crate::check::promises;
use bytes::Bytes;
use ottla_core::disk::{DiskAction, DiskStage, FileName};
use ottla_core::ids::DiskId;
use ottla_core::input::Input;

/// One line about an input.
pub(super) fn brief(input: &Input) -> String {
    match input {
        Input::Tick => "tick".into(),
        Input::Opened { connection } => format!("opened {connection}"),
        Input::Closed { connection } => format!("closed {connection}"),
        Input::Request { connection, number, .. } => format!("request {connection}/{number}"),
        Input::Peer { from, frame } => format!("from b{from} {}", promises::brief(frame)),
        Input::PeerUp { peer } => format!("peer {peer} up"),
        Input::PeerDown { peer } => format!("peer {peer} down"),
        Input::Disk(done) => match &done.stage {
            DiskStage::Written => format!("written {}", done.id),
            DiskStage::Durable => format!("durable {}", done.id),
            DiskStage::Read(data) => format!("read {} {} bytes", done.id, data.len()),
            DiskStage::Failed(what) => format!("failed {} {what}", done.id),
        },
        Input::Searched { token, found } => format!("searched {token}: {:?}", found.end),
        Input::DiskFull { is_full } => (if *is_full { "disk full" } else { "disk has room" }).into(),
        Input::Stop => "stop".into(),
    }
}

/// One line about a disk operation.
pub(super) fn brief_op(id: DiskId, action: &DiskAction) -> String {
    match action {
        DiskAction::Append { file, position, data, .. } => {
            let bytes: usize = data.iter().map(Bytes::len).sum();
            let crc = match file {
                FileName::Segment { .. } | FileName::Copy { .. } => {
                    format!(" crc {:08x}", crate::batch::crc_of(&contiguous(data.clone())))
                }
                FileName::Meta(_) | FileName::Producers { .. } | FileName::Index { .. } => String::new(),
            };
            format!("append {id} {file:?} at {position} {bytes} bytes{crc}")
        }
        DiskAction::CreateGroup { .. }
        | DiskAction::RemoveGroup { .. }
        | DiskAction::Read { .. }
        | DiskAction::Truncate { .. }
        | DiskAction::Rename { .. }
        | DiskAction::Remove { .. } => format!("{id} {action:?}"),
    }
}
