//! [`knock`]: dials one address and finds out what is behind it: Kafka, TLS, HTTP, something else, or nothing.
//!
//! It asks ApiVersions, which every Kafka broker answers before anybody has shown who he is, and looks at the first bytes that come back.
//! Where none come it says hello as a TLS client would, on a second connection.

use super::trouble::Trouble;
use crate::configuration::Address;
use ottla_core::protocol::messages::api_versions::ApiVersionsRequest;
use ottla_core::protocol::{ApiKey, encode_request};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

/// A TLS 1.2 ClientHello with two common ciphers: enough for a server to show that it speaks TLS, by agreeing or by an alert.
const CLIENT_HELLO: [u8; 54] = [
    0x16, 3, 1, 0, 49, // a handshake record of 49 bytes
    1, 0, 0, 45, 3, 3, // a ClientHello of 45 bytes, TLS 1.2
    7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, // "random"
    0, // no session
    0, 4, 0xc0, 0x2f, 0, 0x9c, // two ciphers
    1, 0, 0, 0, // no compression, no extensions
];
/// Bytes of an answer that are looked at.
const LOOK_BYTES: usize = 4096;
/// How much of the patience is left for the second question.
const TLS_MAX: Duration = Duration::from_secs(1);

/// What was found at an address.
#[derive(Debug)]
pub struct Answer {
    /// What the name resolves to.
    pub resolved: Vec<SocketAddr>,
    /// `None`: a Kafka broker answered.
    pub trouble: Option<Trouble>,
}

/// The first bytes that came back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Heard {
    /// These.
    Bytes(Vec<u8>),
    /// None: the connection was closed.
    Closed,
    /// None, in all the time.
    Nothing,
}

/// Dials.
pub fn knock(address: &Address, patience: Duration) -> Answer {
    let resolved: Vec<SocketAddr> = match (address.host.as_str(), address.port).to_socket_addrs() {
        Ok(found) => found.collect(),
        Err(error) => return Answer { resolved: Vec::new(), trouble: Some(Trouble::no_such_name(address, &error)) },
    };
    let mut last = std::io::Error::new(ErrorKind::NotFound, "the name has no address");
    for place in &resolved {
        match TcpStream::connect_timeout(place, patience) {
            Ok(stream) => {
                let trouble = speak(stream, place, address, patience);
                return Answer { resolved, trouble };
            }
            Err(error) => last = error,
        }
    }
    Answer { resolved, trouble: Some(Trouble::not_connected(address, &last)) }
}

fn speak(stream: TcpStream, place: &SocketAddr, address: &Address, patience: Duration) -> Option<Trouble> {
    const CORRELATION: i32 = 0x0d0c;
    // Version 0 has the same form for everybody.
    let frame = encode_request(&ApiVersionsRequest::default(), 0, CORRELATION, "ottla-doctor").concat();
    let size = u32::try_from(frame.len()).expect("a few bytes");
    let heard = listen(stream, &[&size.to_be_bytes(), frame.as_slice()].concat(), patience);
    if let Heard::Bytes(bytes) = &heard
        && let Some(keys) = api_keys(bytes, CORRELATION)
    {
        // Controllers of Kafka answer as well, on a port that is not for clients.
        return (!keys.contains(&ApiKey::Metadata.code())).then(|| Trouble::controller(address));
    }
    let speaks_tls = match &heard {
        Heard::Bytes(bytes) => is_tls(bytes),
        Heard::Closed | Heard::Nothing => {
            let second = TcpStream::connect_timeout(place, patience).ok();
            let answer = second.map(|stream| listen(stream, &CLIENT_HELLO, patience.min(TLS_MAX)));
            matches!(answer, Some(Heard::Bytes(bytes)) if is_tls(&bytes))
        }
    };
    Some(if speaks_tls { Trouble::tls(address) } else { Trouble::not_kafka(address, &heard) })
}

/// Whether these are the first bytes of a TLS handshake or of an alert.
fn is_tls(bytes: &[u8]) -> bool {
    matches!(bytes, [0x15 | 0x16, 3, minor, ..] if *minor <= 4)
}

/// The APIs that an answer of version 0 names; as many as came so far. `None` if it is no such answer.
fn api_keys(bytes: &[u8], correlation: i32) -> Option<Vec<i16>> {
    let size = i32::from_be_bytes(*bytes.first_chunk()?);
    let body = bytes.get(4..)?.strip_prefix(correlation.to_be_bytes().as_slice())?;
    let (error, keys) = (body.first_chunk::<2>()?, body.get(6..)?);
    if size < 10 || *error != [0, 0] {
        return None;
    }
    Some(keys.chunks_exact(6).map(|key| i16::from_be_bytes([key[0], key[1]])).collect())
}

/// Says something and waits for an answer: all of it if it is a frame, otherwise what comes at once.
fn listen(mut stream: TcpStream, says: &[u8], patience: Duration) -> Heard {
    let prepared = stream.set_read_timeout(Some(patience)).and_then(|()| stream.set_write_timeout(Some(patience)));
    if prepared.and_then(|()| stream.write_all(says)).is_err() {
        return Heard::Closed;
    }
    let mut heard = Vec::new();
    let mut buffer = [0; LOOK_BYTES];
    loop {
        let wanted = heard.first_chunk().map_or(4, |size| {
            let claimed = usize::try_from(u32::from_be_bytes(*size)).unwrap_or(usize::MAX);
            claimed.saturating_add(4)
        });
        if heard.len() >= wanted || heard.len() >= LOOK_BYTES {
            return Heard::Bytes(heard);
        }
        match stream.read(&mut buffer) {
            Ok(0) if heard.is_empty() => return Heard::Closed,
            Ok(0) => return Heard::Bytes(heard),
            Ok(count) => heard.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) if !heard.is_empty() => return Heard::Bytes(heard),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return Heard::Nothing,
            Err(_) => return Heard::Closed,
        }
        // What can't be a frame of ours is not waited for.
        if !heard.starts_with(&[0]) && heard.len() >= 4 {
            return Heard::Bytes(heard);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hello_has_the_lengths_it_claims() {
        assert_eq!(CLIENT_HELLO.len() - 5, usize::from(CLIENT_HELLO[4]));
        assert_eq!(CLIENT_HELLO.len() - 9, usize::from(CLIENT_HELLO[8]));
    }

    #[test]
    fn an_answer_is_told_from_noise() {
        let answer = [0, 0, 0, 22, 0, 0, 0, 7, 0, 0, 0, 0, 0, 2, 0, 18, 0, 0, 0, 4, 0, 3, 0, 0, 0, 13];
        assert_eq!(api_keys(&answer, 7), Some(vec![18, 3]));
        assert_eq!(api_keys(&answer, 8), None);
        assert_eq!(api_keys(b"HTTP/1.1 400 Bad Request\r\n", 7), None);
        assert_eq!(api_keys(&answer[..5], 7), None);
        assert!(is_tls(&[0x15, 3, 3, 0, 2, 2, 40]) && is_tls(&[0x16, 3, 1]) && !is_tls(b"HTTP") && !is_tls(&[0x15]));
    }
}
