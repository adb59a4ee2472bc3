//! Collects what goes to each peer in a round, one frame per peer and class, so that heartbeats and acknowledgements of thousands of
//! groups share a frame.

use super::frame::FrameBuilder;
use crate::ids::{BrokerId, GroupId};
use crate::output::{Output, Outputs, PeerClass};
use bytes::Bytes;
use raft::eraftpb::{Message, MessageType};
use std::collections::BTreeMap;

/// A frame is closed when it has so many bytes, so that no single frame makes a peer wait for long.
const FRAME_BYTES_TARGET: usize = 4 * 1024 * 1024;

#[derive(Debug, Default)]
struct PeerFrames {
    control: FrameBuilder,
    data: FrameBuilder,
    full: Vec<Vec<Bytes>>,
}

/// The frames of a round.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    peers: BTreeMap<BrokerId, PeerFrames>,
}

impl Outbox {
    pub(crate) fn raft(&mut self, group: GroupId, mut message: Message, payload: impl Fn(u64) -> Bytes) {
        let Some(to) = BrokerId::from_peer(message.to) else { return };
        let peer = self.peers.entry(to).or_default();
        if matches!(message.get_msg_type(), MessageType::MsgAppend | MessageType::MsgSnapshot) {
            peer.data.raft(group, &mut message, payload);
            if peer.data.bytes() >= FRAME_BYTES_TARGET {
                peer.full.push(peer.data.finish());
            }
        } else {
            peer.control.raft(group, &mut message, payload);
        }
    }

    pub(crate) fn other(&mut self, to: BrokerId, kind: u8, body: Bytes) {
        self.peers.entry(to).or_default().control.other(kind, body);
    }

    /// A part of a snapshot: it must not be in the way of what is urgent.
    pub(crate) fn bulk(&mut self, to: BrokerId, kind: u8, body: Bytes) {
        let peer = self.peers.entry(to).or_default();
        peer.data.other(kind, body);
        if peer.data.bytes() >= FRAME_BYTES_TARGET {
            peer.full.push(peer.data.finish());
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.peers.values().all(|peer| peer.control.is_empty() && peer.data.is_empty() && peer.full.is_empty())
    }

    pub(crate) fn flush(&mut self, out: &mut Outputs) {
        for (to, peer) in &mut self.peers {
            let to = *to;
            if !peer.control.is_empty() {
                out.push(Output::Peer { to, class: PeerClass::Control, frame: peer.control.finish() });
            }
            for frame in peer.full.drain(..) {
                out.push(Output::Peer { to, class: PeerClass::Data, frame });
            }
            if !peer.data.is_empty() {
                out.push(Output::Peer { to, class: PeerClass::Data, frame: peer.data.finish() });
            }
        }
    }
}
