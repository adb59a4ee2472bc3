//! One file per Kafka API: the handler and its tests. This file is the way in: frames to checked requests.
//!
//! [`decode`] is pure and runs on connection tasks: everything that costs per byte (CRCs, decompression) happens there and the
//! core's thread only decides. It knows nothing of topics, leaders or settings.

use bytes::BytesMut;

/// A decoded and checked request.
#[derive(Debug)]
pub struct ClientRequest {}

/// Why a frame is not answered: the connection is closed, as Kafka does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// No such API, or one that this broker does not serve.
    UnknownApi,
    /// The API is served, but not at this version.
    UnsupportedVersion,
    /// Header or body can't be read.
    Malformed,
}

impl Refusal {
    /// For the log and [`crate::output::Output::Close`].
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Refusal::UnknownApi => "unknown API key",
            Refusal::UnsupportedVersion => "unsupported API version",
            Refusal::Malformed => "malformed request",
        }
    }
}

/// Decodes one frame (without its size field) and checks the records in it. The frame should be the only owner of its memory:
/// then record batches are checked, patched and written without a copy.
///
/// # Errors
/// The connection must be closed without an answer.
pub fn decode(_frame: BytesMut) -> Result<ClientRequest, Refusal> {
    Err(Refusal::UnknownApi)
}
