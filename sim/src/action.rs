//! What a client wants of whoever carries its frames, and what comes back: the border of the sans-IO clients.
//!
//! Knows neither what is asked nor how frames travel.

use crate::check::promises::Note;
use bytes::Bytes;

/// What a client wants of its host.
#[derive(Debug)]
pub(crate) enum Action {
    /// Send to a broker and report the reply.
    Ask {
        /// To whom.
        broker: usize,
        /// The frame without its size.
        frame: Bytes,
        /// What may be checked about the answer.
        note: Note,
        /// Patience.
        wait_us: u64,
    },
    /// Send several back to back on one connection and report the first reply; the others come one by one to [`Action::Listen`].
    Volley {
        /// To whom.
        broker: usize,
        /// The frames without their sizes, and what may be checked about their answers.
        frames: Vec<(Bytes, Note)>,
        /// Patience.
        wait_us: u64,
    },
    /// Report the next reply on the connection of the last volley.
    Listen {
        /// From whom.
        broker: usize,
        /// Patience.
        wait_us: u64,
    },
    /// Send to a broker; there will be no reply.
    Tell {
        /// To whom.
        broker: usize,
        /// The frame without its size.
        frame: Bytes,
    },
    /// Wait.
    Sleep {
        /// How long.
        us: u64,
    },
    /// Nothing more to do.
    Done,
}

/// What came of the last action.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The first call, or a sleep or a tell is over.
    Ready,
    /// A response frame.
    Reply(Bytes),
    /// No reply in time, or the connection broke: the connection is not used again.
    Lost,
}
