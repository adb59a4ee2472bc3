//! Links between brokers: who believes to be connected to whom, and cuts.

use super::event::Event;
use super::{Cluster, broker_id, n64};
use crate::dice::{Stream, draw};
use crate::network::{End, Narrow};
use ottla_core::input::Input;

impl Cluster {
    pub(super) fn sessions_soon(&mut self, node: usize, peer: usize, within_us: u64) {
        if node == peer {
            return;
        }
        let mut dice = draw(self.seed, Stream::Net, &[n64(node), n64(peer), self.now, 3]);
        for (from, to) in [(node, peer), (peer, node)] {
            let at = self.now + 1 + dice.below(within_us);
            self.schedule(at, Event::Session { node: from, peer: to });
        }
    }

    pub(super) fn session_check(&mut self, node: usize, peer: usize) {
        if self.nodes[node].broker.is_none() {
            return;
        }
        let (a, b) = (End::Broker(node), End::Broker(peer));
        let is_possible =
            self.nodes[peer].broker.is_some() && !self.net.is_cut(a, b, self.now) && !self.net.is_cut(b, a, self.now);
        let life = if is_possible { self.nodes[peer].life } else { 0 };
        let before = std::mem::replace(&mut self.nodes[node].sessions[peer], life);
        if before == life {
            return;
        }
        let peer = broker_id(peer);
        if before != 0 {
            self.input(node, Input::PeerDown { peer }, 43, &peer.0.to_le_bytes());
        }
        if life != 0 {
            self.input(node, Input::PeerUp { peer }, 42, &peer.0.to_le_bytes());
        }
    }

    /// A connection between two brokers is closed by one of them; it is made anew soon.
    pub(super) fn drop_session(&mut self, one: usize, other: usize) {
        for (node, peer) in [(one, other), (other, one)] {
            let before = std::mem::replace(&mut self.nodes[node].sessions[peer], 0);
            if before != 0 && self.nodes[node].broker.is_some() {
                let peer = broker_id(peer);
                self.input(node, Input::PeerDown { peer }, 43, &peer.0.to_le_bytes());
            }
        }
        self.sessions_soon(one, other, 100_000);
    }

    /// Cuts one direction between two ends for a while.
    pub(crate) fn cut(&mut self, from: End, to: End, us: u64) {
        self.net.cut(from, to, self.now.saturating_add(us));
        self.counters.cuts += 1;
        if let (End::Broker(a), End::Broker(b)) = (from, to) {
            self.sessions_soon(a, b, 1_000_000);
            let mut dice = draw(self.seed, Stream::Net, &[n64(a), n64(b), self.now, 4]);
            let back = self.now.saturating_add(us).saturating_add(1 + dice.below(100_000));
            if us < u64::MAX / 4 {
                self.schedule(back, Event::Session { node: a, peer: b });
                self.schedule(back, Event::Session { node: b, peer: a });
            }
        }
    }

    /// Frames of one broker to another are lost more often for a while.
    pub(crate) fn lose(&mut self, from: usize, to: usize, us: u64, ppm: u64) {
        self.net.lose(from, to, ppm, self.now + us);
    }

    /// One direction between two ends is narrow for a while.
    pub(crate) fn narrow(&mut self, from: End, to: End, us: u64, narrow: Narrow) {
        self.net.queues.narrow(from, to, narrow, self.now + us);
    }

    /// Takes all cuts away, without healing anything else.
    pub(crate) fn mend_all(&mut self) {
        let ends: Vec<End> = (0..self.shape.brokers).map(End::Broker).chain((0..self.shape.clients).map(End::Client)).collect();
        for from in &ends {
            for to in &ends {
                self.net.mend(*from, *to);
            }
        }
        for node in 0..self.shape.brokers {
            for peer in 0..self.shape.brokers {
                self.sessions_soon(node, peer, 10_000);
            }
        }
    }
}
