//! What can happen, and when: ordered by time, then by number.

use bytes::Bytes;
use ottla_core::ids::{ConnectionId, DiskId};

/// What happens at a moment.
#[derive(Debug)]
pub(super) enum Event {
    Round { node: usize, life: u64 },
    Timer { node: usize, life: u64, number: u64 },
    Disk { node: usize, life: u64, id: DiskId, is_written: bool },
    Peer { from: usize, to: usize, life: u64, frame: Bytes },
    Desync { from: usize, to: usize },
    Session { node: usize, peer: usize },
    ToBroker { connection: ConnectionId, bytes: Bytes },
    ToClient { connection: ConnectionId, bytes: Bytes },
    CloseBroker { connection: ConnectionId },
    CloseClient { connection: ConnectionId },
    Restart { node: usize, life: u64 },
    PowerCut { node: usize, down_us: u64 },
    StopCheck { node: usize, life: u64, asked_at: u64 },
    Wake { token: u64 },
}

/// An event and its place in the order of all.
#[derive(Debug)]
pub(super) struct Scheduled {
    pub(super) at: u64,
    pub(super) number: u64,
    pub(super) event: Event,
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.number) == (other.at, other.number)
    }
}
impl Eq for Scheduled {}
impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}
