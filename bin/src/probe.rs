//! Asks a broker of this machine whether its cluster is up.
//!
//! Blocking, with short limits, one question per connection: for `ottla dev`, which has nothing else to do meanwhile.

use bytes::Bytes;
use ottla_core::protocol::messages::metadata::{MetadataRequest, MetadataResponse};
use ottla_core::protocol::{decode_response, encode_request};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

const VERSION: i16 = 8;
const PATIENCE: Duration = Duration::from_secs(1);
/// A cluster of a few brokers says less than this.
const ANSWER_BYTES_MAX: u32 = 1 << 20;

/// The controller that the broker behind `port` knows and how many brokers it sees alive; `None` while it can't say.
#[must_use]
pub fn controller_of(port: u16) -> Option<(i32, usize)> {
    let mut stream = TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)), PATIENCE).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.set_write_timeout(Some(PATIENCE)).ok()?;
    // No topics: only the cluster itself.
    let request =
        encode_request(&MetadataRequest { topics: Some(Vec::new()), ..MetadataRequest::default() }, VERSION, 1, "ottla-dev")
            .concat();
    let size = u32::try_from(request.len()).ok()?;
    stream.write_all(&[&size.to_be_bytes(), request.as_slice()].concat()).ok()?;
    let mut field = [0; 4];
    stream.read_exact(&mut field).ok()?;
    let size = u32::from_be_bytes(field);
    if size > ANSWER_BYTES_MAX {
        return None;
    }
    let mut answer = vec![0; usize::try_from(size).ok()?];
    stream.read_exact(&mut answer).ok()?;
    let (_, metadata) = decode_response::<MetadataResponse>(Bytes::from(answer), VERSION).ok()?;
    (metadata.controller_id >= 0).then_some((metadata.controller_id, metadata.brokers.len()))
}
