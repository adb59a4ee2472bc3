//! [`Link`]: one blocking connection to one broker, with the versions it speaks.
//!
//! A frame is a size as int32, then header and body. Which version is spoken: the newest that the broker offers in ApiVersions and we
//! can fill. Produce and Fetch are spoken by topic name, which ends with version 12 (topic ids since 13, KIP-516).

use super::Failure;
use ottla_core::protocol::messages::api_versions::{ApiVersionsRequest, ApiVersionsResponse};
use ottla_core::protocol::{ApiKey, Bytes, ErrorCode, Request, Text, decode_response, encode_request};
use std::collections::BTreeMap;
use std::io::{Error, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

/// Time for one address to accept a connection; a host that is down must not use up the patience for the others.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Bytes of the largest answer that is read: larger ones are nonsense, since we never ask for so much.
const RESPONSE_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Newest version of Produce and Fetch that names topics instead of giving their ids.
const VERSION_LAST_BY_NAME: i16 = 12;

/// A connection.
#[derive(Debug)]
pub struct Link {
    address: String,
    stream: TcpStream,
    correlation_id: i32,
    versions: BTreeMap<i16, (i16, i16)>,
}

impl Link {
    /// Connects and asks what the broker speaks.
    pub fn connect(address: &str, patience: Duration) -> Result<Link, Failure> {
        let fail = |why| Failure::Unreachable { address: address.to_owned(), why };
        let mut last = Error::new(ErrorKind::NotFound, "the name has no address");
        for resolved in address.to_socket_addrs().map_err(fail)? {
            match TcpStream::connect_timeout(&resolved, patience.min(CONNECT_TIMEOUT)) {
                Ok(stream) => {
                    stream.set_nodelay(true).map_err(fail)?;
                    let mut link = Link { address: address.to_owned(), stream, correlation_id: 0, versions: BTreeMap::new() };
                    link.learn_versions(patience)?;
                    return Ok(link);
                }
                Err(why) => last = why,
            }
        }
        Err(fail(last))
    }

    fn learn_versions(&mut self, patience: Duration) -> Result<(), Failure> {
        let request = ApiVersionsRequest {
            client_software_name: Text::from("ottla"),
            client_software_version: Text::from(env!("CARGO_PKG_VERSION")),
        };
        let mut answer: ApiVersionsResponse = self.exchange(&request, 3, patience)?;
        if answer.error_code == ErrorCode::UnsupportedVersion.code() {
            answer = self.exchange(&request, 0, patience)?;
        }
        Failure::check(answer.error_code, None, || format!("{} does not say what it speaks", self.address))?;
        self.versions = answer.api_keys.iter().map(|api| (api.api_key, (api.min_version, api.max_version))).collect();
        Ok(())
    }

    /// The version in which both sides speak a request.
    pub fn version<R: Request>(&self) -> Result<i16, Failure> {
        let by_name = matches!(R::KEY, ApiKey::Produce | ApiKey::Fetch);
        let ours = (R::KEY.versions().0, if by_name { VERSION_LAST_BY_NAME } else { R::KEY.version_last_stable() });
        let both = self.versions.get(&R::KEY.code()).map(|theirs| (ours.0.max(theirs.0), ours.1.min(theirs.1)));
        match both {
            Some((first, last)) if first <= last => Ok(last),
            Some(_) | None => Err(Failure::Unspoken { key: R::KEY, address: self.address.clone() }),
        }
    }

    /// Sends a request and waits for its answer.
    pub fn ask<R: Request>(&mut self, request: &R, patience: Duration) -> Result<R::Response, Failure> {
        let version = self.version::<R>()?;
        self.exchange(request, version, patience)
    }

    /// Sends a request that has no answer.
    pub fn tell<R: Request>(&mut self, request: &R) -> Result<(), Failure> {
        let version = self.version::<R>()?;
        self.send(request, version)
    }

    /// A broker that does not know our version of ApiVersions answers in version 0.
    fn exchange<R: Request>(&mut self, request: &R, version: i16, patience: Duration) -> Result<R::Response, Failure> {
        self.send(request, version)?;
        self.stream.set_read_timeout(Some(patience)).map_err(|why| self.broken(why))?;
        let frame = self.receive().map_err(|why| self.broken(why))?;
        let decoded = decode_response::<R::Response>(frame.clone(), version)
            .or_else(|error| if R::KEY == ApiKey::ApiVersions { decode_response(frame, 0) } else { Err(error) });
        let (correlation_id, response) = decoded.map_err(|error| Failure::unreadable(&self.address, error))?;
        if correlation_id != self.correlation_id {
            return Err(Failure::Nonsense(format!("{} answered another question than was asked", self.address)));
        }
        Ok(response)
    }

    fn send<R: Request>(&mut self, request: &R, version: i16) -> Result<(), Failure> {
        self.correlation_id = self.correlation_id.wrapping_add(1);
        let frame = encode_request(request, version, self.correlation_id, "ottla").concat();
        let size = i32::try_from(frame.len()).map_err(|_| Failure::Nonsense("a request of 2 GiB".to_owned()))?;
        let mut bytes = Vec::with_capacity(frame.len() + 4);
        bytes.extend_from_slice(&size.to_be_bytes());
        bytes.extend_from_slice(&frame);
        self.stream.write_all(&bytes).map_err(|why| self.broken(why))
    }

    fn receive(&mut self) -> Result<Bytes, Error> {
        let mut size = [0; 4];
        self.stream.read_exact(&mut size)?;
        let size = usize::try_from(i32::from_be_bytes(size)).ok().filter(|size| *size <= RESPONSE_BYTES_MAX);
        let size =
            size.ok_or_else(|| Error::new(ErrorKind::InvalidData, "it sent a frame of senseless size; is it a Kafka port?"))?;
        let mut frame = vec![0; size];
        self.stream.read_exact(&mut frame)?;
        Ok(frame.into())
    }

    fn broken(&self, why: Error) -> Failure {
        let is_late = matches!(why.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
        let why = if is_late {
            Error::new(ErrorKind::TimedOut, "it took too long")
        } else if why.kind() == ErrorKind::UnexpectedEof {
            Error::new(ErrorKind::UnexpectedEof, "it closed the connection")
        } else {
            why
        };
        Failure::Unreachable { address: self.address.clone(), why }
    }
}
