//! A client of one request at a time: encodes it, sends it on a connection of its own, decodes the answer.

use super::stage::{Received, Stage};
use bytes::Bytes;
use ottla_core::protocol::{ErrorCode, Message, Reader, Request, ResponseHeader, encode_request};

/// Why there is no answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Silence {
    /// The connection ended.
    Closed,
    /// Nothing came in time.
    Nothing,
}

const CORRELATION: i32 = 7;

/// Sends a request; [`answer`] takes its answer later.
pub fn send<R: Request>(stage: &mut dyn Stage, broker: i32, request: &R, version: i16) -> u64 {
    stage.send(broker, encode_request(request, version, CORRELATION, "story"))
}

/// Waits for the answer of a request that was sent as `R` in this version.
///
/// # Panics
/// When a broker sends something that can't be read: that is never part of a story.
pub fn answer<R: Request>(stage: &mut dyn Stage, request: u64, version: i16, ms: u64) -> Result<R::Response, Silence> {
    match stage.receive(request, ms) {
        Received::Closed => Err(Silence::Closed),
        Received::Nothing => Err(Silence::Nothing),
        Received::Frame(frame) => Ok(decode::<R>(frame, version)),
    }
}

/// [`send`] and [`answer`].
pub fn call<R: Request>(stage: &mut dyn Stage, broker: i32, request: &R, version: i16, ms: u64) -> Result<R::Response, Silence> {
    let sent = send(stage, broker, request, version);
    answer::<R>(stage, sent, version, ms)
}

fn decode<R: Request>(frame: Bytes, version: i16) -> R::Response {
    let mut reader = Reader::new(frame);
    let header = ResponseHeader::decode(R::KEY, version, &mut reader).expect("a response has a header");
    assert_eq!(header.correlation_id, CORRELATION, "a response carries the correlation id of its request");
    R::Response::decode(&mut reader, version).expect("a response has the layout of its version")
}

/// Kafka's name of an error code.
#[must_use]
pub fn error_name(code: i16) -> String {
    ErrorCode::from_code(code).map_or_else(|| format!("error {code}"), |code| code.name().to_string())
}
