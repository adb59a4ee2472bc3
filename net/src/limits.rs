//! The bounds of the shell: unit, where each comes from, what happens when it is reached. Those of requests and peer frames are in
//! [`ottla_core::limits`].

/// Open client connections of a broker, whatever `max.connections` says. About half of the 20,000 file handles a broker plans with. What
/// happens at the bound: [`crate::ClientLimits::connections_max`].
pub const CONNECTIONS_MAX: usize = 10_000;
/// Milliseconds a started frame, or the first frame of a connection, may take to arrive; no longer than `connections.max.idle.ms`. A slow drip
/// or a half-open connection holds its memory no longer than this, then it is closed.
pub const FRAME_MS_MAX: u64 = 60_000;
/// Milliseconds a write to a client may make no end: a client that asks and never reads is closed.
pub const WRITE_MS_MAX: u64 = 60_000;
/// Bytes of requests of one connection that may be in the core before the shell stops reading from it; one frame may exceed it.
pub const REQUEST_BYTES_IN_FLIGHT_MAX: usize = 16 * 1024 * 1024;
/// Bytes of answers that one connection is owed: those that its client has not read, and those that requests in the core may still give. A
/// request that could exceed it waits until the earlier answers are written; one always goes.
pub const ANSWER_BYTES_IN_FLIGHT_MAX: usize = 64 * 1024 * 1024;
/// Bytes read from a socket at once; a connection keeps a buffer of this size while it speaks; one that was silent for a second
/// or two keeps none.
pub const READ_BYTES: usize = 64 * 1024;
/// Bytes a frame buffer starts with, whatever size the frame claims: it grows as bytes arrive.
pub const FRAME_BYTES_FIRST: usize = 256 * 1024;
/// Bytes of replies gathered into one vectored write.
pub const WRITE_BYTES: usize = 1024 * 1024;
/// Slices of one vectored write, Linux's `IOV_MAX`.
pub const WRITE_SLICES: usize = 1024;
/// Requests whose batches are compressed anew, and searches of look-ups by time, that are worked on beside the core at once, all connections
/// together: each takes a core of the machine, and one batch of [`ottla_core::limits::DECOMPRESSED_BYTES_MAX`] once or twice. What is more
/// waits for its turn: of a connection one request to be compressed, which is not followed by others, and one search for each of its look-ups.
pub const WORK_AT_ONCE_MAX: usize = 2;
/// Inputs taken in one round before outputs are handed out; under load a round is a batch.
pub const ROUND_INPUTS_MAX: usize = 1024;
/// Bytes of frames waiting for one peer and class. More: frames are dropped and the core is told that the peer was lost, so that
/// raft starts over by probing.
pub const PEER_OUTBOX_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Bytes of frames of one peer connection that the core has not taken yet; at the bound the shell stops reading from it.
pub const PEER_UNREAD_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Bytes of a hello between brokers. Larger: the connection is closed.
pub const HELLO_BYTES_MAX: usize = 4096;
/// Connections that said no hello yet, on the peers' port. More: the next one is closed at once.
pub const STRANGERS_MAX: usize = 64;
/// Milliseconds for connecting to a peer and exchanging hellos.
pub const HELLO_MS_MAX: u64 = 3_000;
/// Milliseconds between signs of life on a peer connection.
pub const PEER_PING_MS: u64 = 500;
/// Milliseconds without a sign of life after which a peer connection is made anew.
pub const PEER_SILENCE_MS_MAX: u64 = 3_000;
/// Milliseconds before the first try to reach a lost peer again; doubles up to [`PEER_RETRY_MS_MAX`].
pub const PEER_RETRY_MS_MIN: u64 = 50;
/// Milliseconds between tries at most.
pub const PEER_RETRY_MS_MAX: u64 = 1_000;
