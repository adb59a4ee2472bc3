//! Everything a broker asks of the world.
//!
//! Outputs may be performed in any order, in parallel or late, except that appends to one file keep their order and replies
//! of one connection leave in the order of their request numbers (the connection sees to that): what must wait for
//! something is withheld by the core until the completion of that thing came in. A simulation lane shuffles outputs to prove it.

use crate::disk::DiskOp;
use crate::error::Fatal;
use crate::ids::{BrokerId, ConnectionId, RequestNumber};
use crate::log::TimeSearch;
use crate::record::TopicCodec;
use bytes::Bytes;

/// Peer frames of one class keep their order; classes do not wait for each other.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum PeerClass {
    /// Votes, heartbeats, acknowledgements, leadership, controller requests: small and urgent.
    Control,
    /// Appended entries and snapshots.
    Data,
}

/// One request to the world.
#[derive(Debug)]
pub enum Output {
    /// The answer to a request.
    Reply {
        /// The connection.
        connection: ConnectionId,
        /// The request's number.
        number: RequestNumber,
        /// The response with its header, without the size field; slices to be written with one vectored write. `None`: the
        /// request has no response (Produce with acks=0), later ones need not wait for it.
        frame: Option<Vec<Bytes>>,
    },
    /// Close a connection after the replies before this request's number were written.
    Close {
        /// The connection.
        connection: ConnectionId,
        /// The request that ends it; it is not answered, nor is any after it.
        number: RequestNumber,
        /// For the log.
        reason: &'static str,
    },
    /// A frame for another broker; may be lost.
    Peer {
        /// To whom.
        to: BrokerId,
        /// Which connection.
        class: PeerClass,
        /// Slices of one frame.
        frame: Vec<Bytes>,
    },
    /// A disk operation.
    Disk(DiskOp),
    /// A search to be done beside the core, and answered with [`crate::input::Input::Searched`].
    Search {
        /// Its name in the answer.
        token: u64,
        /// What to do.
        search: TimeSearch,
    },
    /// What these topics want of their batches from now on, for [`crate::record::Codecs`]; at most once a round.
    Codecs(Vec<TopicCodec>),
    /// The broker must not go on: stop the process, plainly.
    Halt(Fatal),
    /// A graceful stop is complete.
    Stopped,
}

/// What one round asks of the world, in the order in which it was decided.
#[derive(Debug, Default)]
pub struct Outputs {
    list: Vec<Output>,
}

impl Outputs {
    /// Adds one.
    pub fn push(&mut self, output: Output) {
        self.list.push(output);
    }
    /// Takes all out, keeping the allocation.
    pub fn drain(&mut self) -> std::vec::Drain<'_, Output> {
        self.list.drain(..)
    }
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.list.len()
    }
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}
