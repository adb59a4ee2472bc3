//! A client that speaks the protocol itself, byte by byte if need be.

use crate::broker::Broker;
use bytes::Bytes;
use ottla_core::protocol::messages::api_versions::ApiVersionsRequest;
use ottla_core::protocol::{Request, decode_response, encode_request};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Less than the minute after which a broker sends a dawdler away by itself.
pub const PATIENCE: Duration = Duration::from_secs(45);

/// A connection that may misbehave.
pub struct Client(pub TcpStream);

impl Client {
    pub fn connect(broker: &Broker) -> Client {
        Client::to(&broker.address)
    }

    /// By any of its listeners.
    pub fn to(address: &str) -> Client {
        let stream = TcpStream::connect(address).expect("the broker listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        stream.set_write_timeout(Some(PATIENCE)).expect("a socket");
        Client(stream)
    }

    pub fn write(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).expect("the broker reads");
    }

    pub fn read(&mut self) -> Bytes {
        let mut size = [0; 4];
        self.0.read_exact(&mut size).expect("an answer");
        let mut frame = vec![0; u32::from_be_bytes(size) as usize];
        self.0.read_exact(&mut frame).expect("a whole answer");
        frame.into()
    }

    pub fn ask<R: Request>(&mut self, request: &R, version: i16) -> R::Response {
        self.write(&framed(request, version, 7));
        decode_response(self.read(), version).expect("an answer of its version").1
    }

    /// Asks for what every broker tells everybody.
    pub fn greet(&mut self) {
        assert_eq!(self.ask(&ApiVersionsRequest::default(), 0).error_code, 0);
    }

    /// Waits until the broker ends the connection; it says nothing before.
    pub fn is_closed(&mut self) -> bool {
        let mut byte = [0];
        match self.0.read(&mut byte) {
            Ok(count) => count == 0,
            Err(error) => error.kind() == ErrorKind::ConnectionReset,
        }
    }
}

/// A request as it is sent.
pub fn framed<R: Request>(request: &R, version: i16, correlation: i32) -> Vec<u8> {
    sized(&encode_request(request, version, correlation, "test").concat())
}

pub fn sized(frame: &[u8]) -> Vec<u8> {
    [&u32::try_from(frame.len()).expect("small").to_be_bytes()[..], frame].concat()
}
