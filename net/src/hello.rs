//! The bytes between brokers: a checked frame, and the hello that opens every stream.
//!
//! Knows neither sockets nor what later frames carry. All numbers are little-endian.
//!
//! ```text
//! frame   | 0..4 size of the rest | 4..8 CRC-32C of the payload | 8.. payload, empty for a sign of life |
//! hello   | 0..8 "ottla-p2" | 8..10 version, 2 | 10 class: 0 control, 1 data | 11 0 | 12..16 from: broker id
//!         | 16..20 to: broker id | 20..28 boot: a number of this life | 28.. cluster id, UTF-8, to the end |
//! ```
//!
//! A later version may add fields only after raising the version; versions are not negotiated: brokers of one cluster run
//! versions that understand each other or refuse each other in plain words.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use crc_fast::{CrcAlgorithm, Digest, checksum};
use ottla_core::ids::BrokerId;
use ottla_core::limits::PEER_FRAME_BYTES_MAX;
use ottla_core::output::PeerClass;

const MAGIC: &[u8; 8] = b"ottla-p2";
const VERSION: u16 = 2;
const HELLO_BYTES: usize = 28;
const CRC_BYTES: usize = 4;

/// Who opens a stream, to whom and for what.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Hello {
    pub(crate) class: PeerClass,
    pub(crate) from: BrokerId,
    pub(crate) to: BrokerId,
    pub(crate) boot: u64,
    pub(crate) cluster_id: String,
}

impl Hello {
    pub(crate) fn encode(&self) -> Bytes {
        let mut bytes = BytesMut::with_capacity(HELLO_BYTES + self.cluster_id.len());
        bytes.put_slice(MAGIC);
        bytes.put_u16_le(VERSION);
        bytes.put_u8(match self.class {
            PeerClass::Control => 0,
            PeerClass::Data => 1,
        });
        bytes.put_u8(0);
        bytes.put_i32_le(self.from.0);
        bytes.put_i32_le(self.to.0);
        bytes.put_u64_le(self.boot);
        bytes.put_slice(self.cluster_id.as_bytes());
        bytes.freeze()
    }

    /// A plain sentence says what is wrong.
    pub(crate) fn decode(mut bytes: &[u8]) -> Result<Hello, String> {
        if !bytes.starts_with(MAGIC) {
            return Err("it does not speak as an Ottla broker does".to_string());
        }
        bytes.advance(MAGIC.len());
        let version = bytes.try_get_u16_le().map_err(|_| "its hello is cut short")?;
        if version != VERSION {
            return Err(format!("it speaks version {version} of the protocol between brokers, this broker speaks {VERSION}"));
        }
        if bytes.len() < HELLO_BYTES - MAGIC.len() - 2 {
            return Err("its hello is cut short".to_string());
        }
        let class = match bytes.get_u8() {
            0 => PeerClass::Control,
            1 => PeerClass::Data,
            other => return Err(format!("{other} is no class of connections")),
        };
        bytes.advance(1);
        let (from, to) = (BrokerId(bytes.get_i32_le()), BrokerId(bytes.get_i32_le()));
        let boot = bytes.get_u64_le();
        let cluster_id = std::str::from_utf8(bytes).map_err(|_| "its cluster id is no text")?.to_string();
        Ok(Hello { class, from, to, boot, cluster_id })
    }

    /// Whether this hello answers or opens the stream that `ours` is about.
    pub(crate) fn check(&self, ours: &Hello) -> Result<(), String> {
        if self.cluster_id != ours.cluster_id {
            return Err(format!("it belongs to cluster {}, this broker to cluster {}", self.cluster_id, ours.cluster_id));
        }
        if self.to != ours.from {
            return Err(format!("it looks for broker {}, this is broker {}", self.to.0, ours.from.0));
        }
        if self.from != ours.to {
            return Err(format!("it is broker {}, not broker {}", self.from.0, ours.to.0));
        }
        if self.class != ours.class {
            return Err("it answers for another class of connections".to_string());
        }
        Ok(())
    }
}

/// A payload with its size and checksum in front.
///
/// # Panics
/// The payload is above [`PEER_FRAME_BYTES_MAX`].
pub fn encode_frame(payload: Vec<Bytes>) -> Vec<Bytes> {
    let size = CRC_BYTES + payload.iter().map(Bytes::len).sum::<usize>();
    assert!(size <= PEER_FRAME_BYTES_MAX, "a peer frame of {size} bytes is above the bound");
    let mut digest = Digest::new(CrcAlgorithm::Crc32Iscsi);
    for slice in &payload {
        digest.update(slice);
    }
    let mut head = BytesMut::with_capacity(CRC_BYTES * 2);
    head.put_u32_le(u32::try_from(size).expect("the bound of peer frames is below 4 GiB"));
    head.put_u32_le(crc(digest.finalize()));
    let mut frame = Vec::with_capacity(payload.len() + 1);
    frame.push(head.freeze());
    frame.extend(payload.into_iter().filter(|slice| !slice.is_empty()));
    frame
}

/// The payload of a frame that came without its size.
///
/// # Errors
/// The checksum is missing or wrong: a plain sentence. The connection that brought the frame is to be closed.
pub fn decode_frame(frame: BytesMut) -> Result<Bytes, String> {
    let mut frame = frame.freeze();
    let stored = frame.try_get_u32_le().map_err(|_| "a frame without checksum")?;
    if crc(checksum(CrcAlgorithm::Crc32Iscsi, &frame)) != stored {
        return Err("a frame's checksum is wrong".to_string());
    }
    Ok(frame)
}

fn crc(value: u64) -> u32 {
    u32::try_from(value).expect("a CRC-32C has 32 bits")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello() -> Hello {
        Hello { class: PeerClass::Data, from: BrokerId(1), to: BrokerId(2), boot: 77, cluster_id: "abc".to_string() }
    }

    #[test]
    fn a_hello_survives_the_wire_and_any_cut_is_refused() {
        let bytes = hello().encode();
        assert_eq!(Hello::decode(&bytes), Ok(hello()));
        for end in 0..HELLO_BYTES {
            assert!(Hello::decode(&bytes[..end]).is_err(), "cut at {end}");
        }
    }

    #[test]
    fn strangers_are_refused_in_plain_words() {
        let ours = Hello { from: BrokerId(2), to: BrokerId(1), ..hello() };
        assert_eq!(hello().check(&ours), Ok(()));
        let other = Hello { cluster_id: "xyz".to_string(), ..hello() };
        assert_eq!(other.check(&ours), Err("it belongs to cluster xyz, this broker to cluster abc".to_string()));
        let lost = Hello { to: BrokerId(3), ..hello() };
        assert_eq!(lost.check(&ours), Err("it looks for broker 3, this is broker 2".to_string()));
        let mut newer = hello().encode().to_vec();
        newer[8] = 9;
        let refused = Hello::decode(&newer).expect_err("unknown version");
        assert!(refused.starts_with("it speaks version 9 "), "{refused}");
    }

    #[test]
    fn a_damaged_frame_is_refused() {
        let frame = encode_frame(vec![Bytes::from_static(b"hello "), Bytes::new(), Bytes::from_static(b"world")]).concat();
        let whole = BytesMut::from(&frame[4..]);
        assert_eq!(decode_frame(whole.clone()), Ok(Bytes::from_static(b"hello world")));
        for position in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[position] ^= 1;
            assert!(decode_frame(damaged).is_err(), "byte {position}");
        }
        assert_eq!(decode_frame(BytesMut::from(&encode_frame(Vec::new()).concat()[4..])), Ok(Bytes::new()));
    }
}
