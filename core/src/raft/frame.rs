//! The frame that brokers exchange: many messages of many groups, and messages of other parts of the core, as one list of slices.
//!
//! Raft's protobuf form never leaves the process, so nothing from outside is ever parsed as protobuf. The frame comes from another
//! broker, but it is decoded as if it were hostile: every length is checked, every batch's structure and CRC is verified, and a frame with
//! anything wrong in it is dropped as a whole.
//!
//! On a byte ruler, little-endian:
//!
//! ```text
//!  0         1        2    4            8
//!  | version | 0      | 0  | headers    | headers…            | payloads…
//!  | u8 = 1  | u8     | u16| u32 bytes  | `headers` bytes     | in the order of their headers
//!
//!  a header of a raft message:
//!  0     1      2       3    4         8       16     24      32       40       48          56           64
//!  | tag | type | flags | 0  | payload | group | term | index | log    | commit | commit    | reject     |
//!  | = 1 |      |       |    | u32     | u64   | u64  | u64   | term   | u64    | term u64  | hint u64   |
//!
//!  a header of a message of others:
//!  0     1      2         4         8
//!  | tag | kind | u16 = 0 | payload |
//!  | = 2 |      |         | u32     |
//! ```
//!
//! `type`: the number of raft's message type. `flags`: 1 = rejected, 2 = campaign by transfer. `payload`: of an append, the batches of its
//! entries back to back, the very bytes of the leader's segment; entry k has index `index + 1 + k` and the term in its batch. Of a
//! snapshot, its manifest (`log/manifest.rs`), and `index` and `log term` are those of its last entry. Other raft messages have none. Sender
//! and receiver are those of the connection.

use super::ControlMessage;
use crate::ids::{BrokerId, GroupId};
use crate::limits::PEER_FRAME_BYTES_MAX;
use crate::log::walk_run;
use bytes::{BufMut, Bytes, BytesMut};
use raft::eraftpb::{Entry, Message, MessageType};

const VERSION: u8 = 1;
const FRAME_HEADER: usize = 8;
const RAFT_HEADER: usize = 64;
const OTHER_HEADER: usize = 8;
const TAG_RAFT: u8 = 1;
const TAG_OTHER: u8 = 2;
const FLAG_REJECT: u8 = 1;
const FLAG_TRANSFER: u8 = 2;
/// Raft's mark in the context of a vote request that comes from a transfer.
const TRANSFER_CONTEXT: &[u8] = b"CampaignTransfer";
/// Numbers beyond this are nonsense, and sums of two of them do not overflow.
const NUMBER_MAX: u64 = 1 << 62;
/// Runs below this size do not pin a frame above the other.
const SMALL_RUN_BYTES: usize = 4 * 1024;
const LARGE_FRAME_BYTES: usize = 64 * 1024;

/// Why a frame was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrameError(pub &'static str);

/// One decoded message.
#[derive(Debug)]
pub(crate) enum PeerMessage {
    /// For a group; `from` and `to` are set by the decoder.
    Raft(GroupId, Message),
    /// For another part of the core.
    Other(ControlMessage),
}

/// A frame under construction.
#[derive(Debug, Default)]
pub(crate) struct FrameBuilder {
    headers: BytesMut,
    payloads: Vec<Bytes>,
    bytes: usize,
}

impl FrameBuilder {
    pub(crate) fn is_empty(&self) -> bool {
        self.headers.is_empty()
    }

    /// Bytes so far.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    fn begin(&mut self) {
        if self.headers.is_empty() {
            // One message is the most common frame.
            self.headers.reserve(FRAME_HEADER + RAFT_HEADER);
            self.headers.put_slice(&[VERSION, 0, 0, 0, 0, 0, 0, 0]);
            self.bytes = FRAME_HEADER;
        }
    }

    /// Adds a raft message; `payload` looks up the batch of an entry that came without one. False if it is of a kind that brokers do
    /// not exchange.
    pub(crate) fn raft(&mut self, group: GroupId, message: &mut Message, payload: impl Fn(u64) -> Bytes) -> bool {
        let Some(kind) = kind_of(message.get_msg_type()) else { return false };
        self.begin();
        let mut length = 0;
        for entry in message.take_entries() {
            let data = if entry.data.is_empty() { payload(entry.index) } else { entry.data };
            length += data.len();
            self.payloads.push(data);
        }
        if message.get_msg_type() == MessageType::MsgSnapshot {
            let mut snapshot = message.take_snapshot();
            message.index = snapshot.get_metadata().index;
            message.log_term = snapshot.get_metadata().term;
            let manifest = snapshot.take_data();
            length = manifest.len();
            self.payloads.push(manifest);
        }
        let mut flags = 0;
        if message.reject {
            flags |= FLAG_REJECT;
        }
        if message.context[..] == *TRANSFER_CONTEXT {
            flags |= FLAG_TRANSFER;
        }
        let mut header = [0; RAFT_HEADER];
        header[..4].copy_from_slice(&[TAG_RAFT, kind, flags, 0]);
        let size = u32::try_from(length).expect("appends are bounded by settings and the largest batch");
        header[4..8].copy_from_slice(&size.to_le_bytes());
        let numbers =
            [group.0, message.term, message.index, message.log_term, message.commit, message.commit_term, message.reject_hint];
        for (field, number) in header[8..].chunks_exact_mut(8).zip(numbers) {
            field.copy_from_slice(&number.to_le_bytes());
        }
        self.headers.put_slice(&header);
        self.bytes += RAFT_HEADER + length;
        true
    }

    /// Adds a message of another part of the core.
    pub(crate) fn other(&mut self, kind: u8, body: Bytes) {
        self.begin();
        self.headers.put_slice(&[TAG_OTHER, kind, 0, 0]);
        self.headers.put_u32_le(u32::try_from(body.len()).expect("control messages are small"));
        self.bytes += OTHER_HEADER + body.len();
        if !body.is_empty() {
            self.payloads.push(body);
        }
    }

    /// The frame's slices; the builder is empty after it.
    pub(crate) fn finish(&mut self) -> Vec<Bytes> {
        let mut headers = self.headers.split();
        let length = u32::try_from(headers.len() - FRAME_HEADER).expect("a frame's headers are below 4 GiB");
        headers[4..8].copy_from_slice(&length.to_le_bytes());
        let mut slices = Vec::with_capacity(1 + self.payloads.len());
        slices.push(headers.freeze());
        slices.append(&mut self.payloads);
        self.bytes = 0;
        slices
    }
}

/// The messages of a frame from `from` to `to`, in order. All or nothing.
pub(crate) fn decode(from: BrokerId, to: BrokerId, frame: &Bytes) -> Result<Vec<PeerMessage>, FrameError> {
    if frame.len() > PEER_FRAME_BYTES_MAX {
        return Err(FrameError("it is too large"));
    }
    if frame.len() < FRAME_HEADER || frame[0] != VERSION || frame[1..4] != [0; 3] {
        return Err(FrameError("it has an unknown version"));
    }
    let headers_length = usize::try_from(u32_at(frame, 4)).map_err(|_| FrameError("its headers are too long"))?;
    if headers_length > frame.len() - FRAME_HEADER {
        return Err(FrameError("its headers are cut short"));
    }
    let headers = frame.slice(FRAME_HEADER..FRAME_HEADER + headers_length);
    let mut payloads = frame.slice(FRAME_HEADER + headers_length..);
    let mut messages = Vec::new();
    let mut at = 0;
    while at < headers.len() {
        let size = match headers[at] {
            TAG_RAFT => RAFT_HEADER,
            TAG_OTHER => OTHER_HEADER,
            _ => return Err(FrameError("a header has an unknown tag")),
        };
        if headers.len() - at < size {
            return Err(FrameError("a header is cut short"));
        }
        let header = &headers[at..at + size];
        at += size;
        let length = usize::try_from(u32_at(header, 4)).map_err(|_| FrameError("a payload is too long"))?;
        if length > payloads.len() {
            return Err(FrameError("a payload is cut short"));
        }
        let mut payload = payloads.split_to(length);
        if header[0] == TAG_OTHER {
            if header[2..4] != [0; 2] {
                return Err(FrameError("a header has unknown fields"));
            }
            messages.push(PeerMessage::Other(ControlMessage { kind: header[1], body: payload }));
            continue;
        }
        if length < SMALL_RUN_BYTES && frame.len() > LARGE_FRAME_BYTES {
            payload = Bytes::copy_from_slice(&payload);
        }
        let (group, mut message) = decode_raft(header, &payload)?;
        message.from = from.peer();
        message.to = to.peer();
        messages.push(PeerMessage::Raft(group, message));
    }
    if !payloads.is_empty() {
        return Err(FrameError("bytes are left over"));
    }
    Ok(messages)
}

fn decode_raft(header: &[u8], payload: &Bytes) -> Result<(GroupId, Message), FrameError> {
    let Some(kind) = message_type(header[1]) else { return Err(FrameError("a message is of an unknown type")) };
    let flags = header[2];
    if flags & !(FLAG_REJECT | FLAG_TRANSFER) != 0 || header[3] != 0 {
        return Err(FrameError("a header has unknown flags"));
    }
    let mut numbers = [0u64; 7];
    for (number, field) in numbers.iter_mut().zip(header[8..].chunks_exact(8)) {
        *number = u64::from_le_bytes(field.try_into().expect("chunks of eight"));
        if *number > NUMBER_MAX {
            return Err(FrameError("a number is out of range"));
        }
    }
    let [group, term, index, log_term, commit, commit_term, reject_hint] = numbers;
    if term == 0 {
        return Err(FrameError("a message has no term"));
    }
    let mut message = Message::default();
    message.set_msg_type(kind);
    message.term = term;
    message.index = index;
    message.log_term = log_term;
    message.commit = commit;
    message.commit_term = commit_term;
    message.reject = flags & FLAG_REJECT != 0;
    message.reject_hint = reject_hint;
    if flags & FLAG_TRANSFER != 0 {
        message.context = Bytes::from_static(TRANSFER_CONTEXT);
    }
    if kind == MessageType::MsgAppend {
        message.entries = decode_entries(&message, payload)?.into();
    } else if kind == MessageType::MsgSnapshot {
        if index == 0 || log_term == 0 || payload.is_empty() {
            return Err(FrameError("a snapshot is empty"));
        }
        let snapshot = message.mut_snapshot();
        snapshot.mut_metadata().index = index;
        snapshot.mut_metadata().term = log_term;
        snapshot.data = payload.clone();
    } else if !payload.is_empty() {
        return Err(FrameError("a message that has no payload comes with one"));
    }
    Ok((GroupId(group), message))
}

fn decode_entries(message: &Message, payload: &Bytes) -> Result<Vec<Entry>, FrameError> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut index = message.index;
    let mut last_term = message.log_term;
    let mut descends = false;
    walk_run(payload, |batch, bytes| {
        index += 1;
        descends |= batch.term.0 < last_term;
        last_term = batch.term.0;
        let mut entry = Entry::default();
        entry.index = index;
        entry.term = batch.term.0;
        entry.data = bytes;
        entries.push(entry);
    })
    .map_err(FrameError)?;
    if descends {
        return Err(FrameError("an entry is older than the one before it"));
    }
    if last_term > message.term {
        return Err(FrameError("an entry is newer than its sender's term"));
    }
    Ok(entries)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

/// The types that brokers exchange, by raft's numbers.
const TYPES: [(MessageType, u8); 10] = [
    (MessageType::MsgAppend, 3),
    (MessageType::MsgAppendResponse, 4),
    (MessageType::MsgRequestVote, 5),
    (MessageType::MsgRequestVoteResponse, 6),
    (MessageType::MsgSnapshot, 7),
    (MessageType::MsgHeartbeat, 8),
    (MessageType::MsgHeartbeatResponse, 9),
    (MessageType::MsgTimeoutNow, 14),
    (MessageType::MsgRequestPreVote, 17),
    (MessageType::MsgRequestPreVoteResponse, 18),
];

fn kind_of(wanted: MessageType) -> Option<u8> {
    TYPES.iter().find(|(kind, _)| *kind == wanted).map(|(_, number)| *number)
}

fn message_type(wanted: u8) -> Option<MessageType> {
    TYPES.iter().find(|(_, number)| *number == wanted).map(|(kind, _)| *kind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{Offset, Term};
    use crate::log::{encode_private, test_batch};
    use crate::random::Random;
    use crate::record::{PrivateKind, patch_offset_and_epoch};

    fn sample() -> Bytes {
        let mut data = test_batch(3, 40, -1, 5);
        patch_offset_and_epoch(&mut data, Offset(10), Term(4).leader_epoch());
        let empty = encode_private(PrivateKind::Noop, Offset(13), Term(5), &[]);
        let mut message = Message::default();
        message.set_msg_type(MessageType::MsgAppend);
        message.term = 5;
        message.index = 7;
        message.log_term = 4;
        message.commit = 6;
        let mut entries = Vec::new();
        for (number, (term, bytes)) in [(4, data.freeze()), (5, Bytes::new())].into_iter().enumerate() {
            let mut entry = Entry::default();
            entry.index = 8 + number as u64;
            entry.term = term;
            entry.data = bytes;
            entries.push(entry);
        }
        message.entries = entries.into();
        let mut vote = Message::default();
        vote.set_msg_type(MessageType::MsgRequestVote);
        vote.term = 9;
        vote.context = Bytes::from_static(TRANSFER_CONTEXT);
        let mut builder = FrameBuilder::default();
        assert!(builder.raft(GroupId(3), &mut message, |index| {
            assert_eq!(index, 9, "only the empty entry is looked up");
            empty.clone()
        }));
        builder.other(2, Bytes::from_static(b"table"));
        assert!(builder.raft(GroupId(4), &mut vote, |_| unreachable!("it has no entries")));
        let bytes = builder.bytes();
        let slices = builder.finish();
        let frame = Bytes::from(slices.concat());
        assert_eq!(frame.len(), bytes);
        frame
    }

    #[test]
    fn a_frame_gives_its_messages_back() {
        let messages = decode(BrokerId(0), BrokerId(1), &sample()).expect("it is a frame");
        let [PeerMessage::Raft(GroupId(3), append), PeerMessage::Other(other), PeerMessage::Raft(GroupId(4), vote)] =
            &messages[..]
        else {
            panic!("{messages:?}")
        };
        assert_eq!((append.from, append.to, append.index, append.commit), (1, 2, 7, 6));
        assert_eq!(append.entries.iter().map(|entry| (entry.index, entry.term)).collect::<Vec<_>>(), [(8, 4), (9, 5)]);
        assert_eq!(other, &ControlMessage { kind: 2, body: Bytes::from_static(b"table") });
        assert_eq!((vote.term, &vote.context[..]), (9, TRANSFER_CONTEXT));
    }

    #[test]
    fn a_frame_above_the_bound_is_refused_for_its_size() {
        let refused =
            |length: usize| decode(BrokerId(1), BrokerId(2), &Bytes::from(vec![0; length])).expect_err("zeros are no frame");
        assert_eq!(refused(PEER_FRAME_BYTES_MAX + 1).0, "it is too large");
        assert_ne!(refused(PEER_FRAME_BYTES_MAX).0, "it is too large");
    }

    #[test]
    fn no_cut_frame_is_taken() {
        let frame = sample();
        for length in 0..frame.len() {
            assert!(decode(BrokerId(0), BrokerId(1), &frame.slice(..length)).is_err(), "cut to {length}");
        }
    }

    #[test]
    fn random_bytes_and_flipped_bits_never_panic() {
        let frame = sample();
        let mut random = Random::stream(1, 1);
        for _ in 0..20_000 {
            let mut bytes = BytesMut::from(&frame[..]);
            for _ in 0..random.between(1, 4) {
                let at = usize::try_from(random.below(bytes.len() as u64)).expect("small");
                bytes[at] = u8::try_from(random.below(256)).expect("a byte");
            }
            let _ = decode(BrokerId(0), BrokerId(1), &bytes.freeze());
        }
    }
}
