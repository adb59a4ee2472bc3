//! What a node tells who watches it: the core's counters and those of the shell, as values.
//!
//! The shell counts what it moves and measures all times. Nothing here knows a format.

use crate::timing::Timing;
use futures_channel::oneshot;
use ottla_core::broker::BrokerMetrics;
use ottla_core::disk::{DiskDone, DiskStage};
use ottla_core::input::Input;
use ottla_core::protocol::ApiKey;
use ottla_core::time::Instant;
use std::collections::BTreeMap;

/// A node at one moment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeMetrics {
    /// What the core says.
    pub broker: BrokerMetrics,
    /// Its clients.
    pub clients: ClientMetrics,
    /// Its connections to other brokers.
    pub peers: PeerMetrics,
    /// Its disk.
    pub disk: DiskMetrics,
    /// Rounds of the loop.
    pub rounds: u64,
}

/// Clients and their requests.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ClientMetrics {
    /// Open connections.
    pub connections: u64,
    /// Connections that were let in.
    pub connections_accepted: u64,
    /// Connections that were closed before they were let in, because there were as many as `max.connections`.
    pub refused_for_all: u64,
    /// The same for `max.connections.per.ip`.
    pub refused_for_address: u64,
    /// Connections that were closed because of what their client did, or did not do.
    pub sent_away: u64,
    /// Bytes that clients sent.
    pub bytes_in: u64,
    /// Bytes that were written to clients.
    pub bytes_out: u64,
    /// Bytes of requests that are here, see [`crate::Connection::request_bytes`].
    pub queued_bytes: u64,
    /// Requests in the core.
    pub requests_open: u64,
    /// Requests that were given to the core, by API and version; -1 for a version that is not served.
    pub requests: BTreeMap<(ApiKey, i16), u64>,
    /// From the arrival of a request's last byte to the core's answer; requests that have none included.
    pub times: BTreeMap<ApiKey, Timing>,
}

/// Connections between brokers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PeerMetrics {
    /// Brokers in the book, this one apart.
    pub peers: u64,
    /// Those this broker is connected to.
    pub connected: u64,
    /// Bytes of frames given to be sent.
    pub bytes_out: u64,
    /// Bytes of frames that came.
    pub bytes_in: u64,
    /// Frames that were dropped because a peer was not there or too slow.
    pub frames_dropped: u64,
}

/// The disk as the node's loop sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct DiskMetrics {
    /// Operations under way.
    pub open: u64,
    /// Operations that ended.
    pub done: u64,
    /// Milliseconds since the disk last ended one, or was last idle; 0 while it is idle, and while operations wait for room on the volume.
    pub silent_ms: u64,
    /// Whether the volume has so little room that new records are refused.
    pub is_full: bool,
}

/// What the node's loop notes besides: operations of the disk, so that one that is stuck is noticed, and who wants to see the node.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    open: u64,
    done: u64,
    since: Instant,
    is_full: bool,
    /// Whether operations wait for room on the volume.
    is_waiting: bool,
    pub(crate) rounds: u64,
    /// Answered after the round.
    pub(crate) looks: Vec<oneshot::Sender<NodeMetrics>>,
}

impl Watch {
    /// A round is over; who wants to see the node?
    pub(crate) fn end_round(&mut self) -> Vec<oneshot::Sender<NodeMetrics>> {
        self.rounds += 1;
        std::mem::take(&mut self.looks)
    }

    /// A fact goes to the core.
    pub(crate) fn sees(&mut self, input: &Input, now: Instant) {
        match input {
            // The append is not durable yet.
            Input::Disk(DiskDone { stage: DiskStage::Written, .. }) => {}
            Input::Disk(_) => self.ended(now),
            Input::Tick
            | Input::Opened { .. }
            | Input::Closed { .. }
            | Input::Request { .. }
            | Input::Peer { .. }
            | Input::PeerUp { .. }
            | Input::PeerDown { .. }
            | Input::Searched { .. }
            | Input::Stop => {}
            Input::DiskFull { is_full } => self.is_full = *is_full,
        }
    }

    pub(crate) fn issued(&mut self, count: usize, now: Instant) {
        if self.open == 0 {
            self.since = now;
        }
        self.open += count as u64;
    }

    /// Whether operations wait for room on the volume: then the disk is not to blame for its silence, and no restart would help.
    pub(crate) fn waits_for_room(&mut self, is_waiting: bool, now: Instant) {
        if std::mem::replace(&mut self.is_waiting, is_waiting) && !is_waiting {
            self.since = now;
        }
    }

    fn ended(&mut self, now: Instant) {
        // What the core asked for before the node ran is not counted.
        self.open = self.open.saturating_sub(1);
        self.done += 1;
        self.since = now;
    }

    pub(crate) fn disk(&self, now: Instant) -> DiskMetrics {
        let silent_ms = if self.open == 0 || self.is_waiting { 0 } else { now.since_us(self.since) / 1000 };
        DiskMetrics { open: self.open, done: self.done, silent_ms, is_full: self.is_full }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_silent_while_something_is_open_and_nothing_ends() {
        let at = |ms: u64| Instant(0).plus_ms(ms);
        let mut watch = Watch::default();
        assert_eq!(watch.disk(at(9000)).silent_ms, 0);
        watch.issued(2, at(9000));
        watch.issued(1, at(9500));
        assert_eq!(watch.disk(at(10_000)), DiskMetrics { open: 3, silent_ms: 1000, ..DiskMetrics::default() });
        watch.ended(at(10_000));
        assert_eq!(watch.disk(at(10_100)).silent_ms, 100);
        watch.ended(at(10_100));
        watch.ended(at(10_100));
        assert_eq!(watch.disk(at(99_000)), DiskMetrics { done: 3, ..DiskMetrics::default() });
    }

    #[test]
    fn a_disk_without_room_is_not_silent() {
        let at = |ms: u64| Instant(0).plus_ms(ms);
        let mut watch = Watch::default();
        watch.issued(1, at(1000));
        watch.sees(&Input::DiskFull { is_full: true }, at(1000));
        watch.waits_for_room(true, at(1000));
        assert_eq!(watch.disk(at(60_000)), DiskMetrics { open: 1, is_full: true, ..DiskMetrics::default() });
        watch.waits_for_room(false, at(60_000));
        watch.sees(&Input::DiskFull { is_full: false }, at(60_000));
        assert_eq!(watch.disk(at(61_000)), DiskMetrics { open: 1, silent_ms: 1000, ..DiskMetrics::default() });
    }
}
