//! Everything the world can tell a broker.
//!
//! The promise the shell makes: requests of one connection come in the order of their numbers; frames of one peer and one
//! [`crate::output::PeerClass`] come in the order in which that peer sent them, possibly with holes, never damaged (the shell checks
//! the frame checksum); completions of appends to one file come in the order of issue. Nothing else is promised.

use crate::api::ClientRequest;
use crate::disk::DiskDone;
use crate::ids::{BrokerId, ConnectionId, RequestNumber};
use crate::log::TimeSearched;
use bytes::Bytes;

/// One fact from the world.
#[derive(Debug)]
pub enum Input {
    /// Time passed: sent when [`crate::Broker::next_deadline`] is reached, harmless at any other time.
    Tick,
    /// A client connected.
    Opened {
        /// The connection.
        connection: ConnectionId,
    },
    /// A client is gone; its parked requests are dropped.
    Closed {
        /// The connection.
        connection: ConnectionId,
    },
    /// A decoded and checked request.
    Request {
        /// The connection.
        connection: ConnectionId,
        /// Its number on the connection.
        number: RequestNumber,
        /// What is asked.
        request: Box<ClientRequest>,
    },
    /// A frame from another broker.
    Peer {
        /// Who sent it; the shell has checked the hello of its connection.
        from: BrokerId,
        /// The frame without the shell's length and checksum.
        frame: Bytes,
    },
    /// The connections to a peer were made anew: what was sent before may be lost.
    PeerUp {
        /// The peer.
        peer: BrokerId,
    },
    /// A peer can't be reached.
    PeerDown {
        /// The peer.
        peer: BrokerId,
    },
    /// A disk operation got further.
    Disk(DiskDone),
    /// A search that was asked for is done; each is answered once, in any order.
    Searched {
        /// Which, as [`crate::output::Output::Search`] named it.
        token: u64,
        /// What came of it.
        found: TimeSearched,
    },
    /// The volume of the data folder is (almost) full, or has room again. Appends that find no room are neither lost nor failed: they complete
    /// when there is some.
    DiskFull {
        /// Whether new records are to be refused.
        is_full: bool,
    },
    /// The operator asks for a graceful stop: hand leadership over, then [`crate::output::Output::Stopped`].
    Stop,
}
