//! One client connection as a value: bytes in become numbered requests, replies in any order leave in request order.
//!
//! Sans-IO: knows no socket, no task and no clock, and does not look into a request beyond decoding it. The shell and the event
//! heap of the simulator both drive it: read into [`Connection::space`], take requests out, put replies in, write out.
//! - numbers start at 0 and have no holes; replies leave in the order of numbers;
//! - a fault or a close takes effect after the replies to earlier requests were written, and nothing after it is answered;
//! - requests in the core ≤ [`REQUESTS_IN_FLIGHT_MAX`], their bytes ≤ [`REQUEST_BYTES_IN_FLIGHT_MAX`] + one frame: beyond that
//!   [`Connection::wants_bytes`] says no;
//! - answers that are there and those that may come ≤ [`ANSWER_BYTES_IN_FLIGHT_MAX`] or one request's: beyond that a request stays here.
//!
//! Source: Kafka protocol guide, "Network"; `SocketServer` answers one request after the other, and so do we as far as a client can see.

use crate::frame::{BadSize, FrameBuffer, SIZE_BYTES, SizeOrder};
use crate::limits::{ANSWER_BYTES_IN_FLIGHT_MAX, REQUEST_BYTES_IN_FLIGHT_MAX, WRITE_BYTES, WRITE_SLICES};
use bytes::{Bytes, BytesMut};
use ottla_core::api::{self, ClientRequest, Refusal};
use ottla_core::ids::{ListenerId, RequestNumber};
use ottla_core::limits::{REQUEST_BYTES_MAX, REQUESTS_IN_FLIGHT_MAX};
use std::collections::VecDeque;

/// Why a client's bytes are of no use: the connection ends without an answer to them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ConnectionFault {
    /// The size of a frame is negative or above the bound.
    Size(i32),
    /// The frame is no request that this broker answers.
    Refused(Refusal),
}

impl ConnectionFault {
    /// For the log.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            ConnectionFault::Size(_) => "impossible request size",
            ConnectionFault::Refused(refusal) => refusal.reason(),
        }
    }
}

/// A request in the core, or a reply that waits for earlier ones.
#[derive(Debug)]
struct Slot {
    /// Of its frame.
    bytes: usize,
    state: SlotState,
}

#[derive(Debug)]
enum SlotState {
    /// With the bytes that the answer may have.
    Waiting(usize),
    Answered(Option<Vec<Bytes>>),
}

/// One client connection.
#[derive(Debug)]
pub struct Connection {
    frames: FrameBuffer,
    /// By which the client came.
    listener: ListenerId,
    /// Number of `slots[0]`.
    first: u64,
    slots: VecDeque<Slot>,
    /// Sum of the slots' bytes.
    slot_bytes: usize,
    /// The next request, with the bytes of its frame, while its answer has no room.
    next: Option<(usize, Box<ClientRequest>)>,
    /// What may be written now, in order.
    ready: VecDeque<Bytes>,
    /// Bytes of answers that are there: in slots, ready or taken.
    answered_bytes: usize,
    /// Bytes of answers that may come.
    expected_bytes: usize,
    /// Bytes that were taken and may not be written yet.
    taken_bytes: usize,
    /// No request from this number on is answered.
    end: Option<(u64, &'static str)>,
}

impl Default for Connection {
    fn default() -> Self {
        Connection::new(REQUEST_BYTES_MAX)
    }
}

impl Connection {
    /// A fresh connection that takes frames of at most `request_bytes_max` bytes.
    #[must_use]
    pub fn new(request_bytes_max: usize) -> Connection {
        Connection::by(ListenerId::default(), request_bytes_max)
    }

    /// The same of a client that came by this listener.
    #[must_use]
    pub fn by(listener: ListenerId, request_bytes_max: usize) -> Connection {
        Connection {
            frames: FrameBuffer::new(SizeOrder::Big, request_bytes_max),
            listener,
            first: 0,
            slots: VecDeque::new(),
            slot_bytes: 0,
            next: None,
            ready: VecDeque::new(),
            answered_bytes: 0,
            expected_bytes: 0,
            taken_bytes: 0,
            end: None,
        }
    }

    /// Where the client's next bytes go: has spare capacity.
    pub fn space(&mut self) -> &mut BytesMut {
        self.frames.space()
    }

    /// Gives back memory that only waits for bytes.
    pub fn rest(&mut self) {
        self.frames.rest();
    }

    /// Bytes of memory that wait for bytes or hold parts of frames.
    #[must_use]
    pub fn buffer_bytes(&self) -> usize {
        self.frames.held_bytes()
    }

    /// Whether reading should go on: back-pressure towards the client.
    #[must_use]
    pub fn wants_bytes(&self) -> bool {
        self.end.is_none() && self.next.is_none() && self.has_room()
    }

    /// Whether the client began a frame and owes us the rest.
    #[must_use]
    pub fn is_inside_frame(&self) -> bool {
        self.frames.is_inside_frame()
    }

    /// Whether the size of that frame is known.
    #[must_use]
    pub fn has_claimed(&self) -> bool {
        self.frames.has_claimed()
    }

    /// Bytes of requests that are here, in the core or announced.
    #[must_use]
    pub fn request_bytes(&self) -> usize {
        self.frames.claimed_bytes() + self.slot_bytes + self.next.as_ref().map_or(0, |(bytes, _)| *bytes)
    }

    /// Whether the client waits for nothing.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.slots.is_empty() && self.next.is_none() && self.ready.is_empty()
    }

    /// The next whole request in what came in; `None` when there is none or when enough are in flight (ask again after a reply and after
    /// a write). A fault ends the connection as if the core had closed it, and is told once.
    ///
    /// # Errors
    /// The client sent something that no broker can answer.
    pub fn next_request(&mut self) -> Result<Option<(RequestNumber, Box<ClientRequest>)>, ConnectionFault> {
        if self.end.is_some() || !self.has_room() {
            return Ok(None);
        }
        let number = self.next_number();
        let (bytes, request) = match self.next.take() {
            Some(next) => next,
            None => match self.decode_next() {
                Ok(Some(next)) => next,
                Ok(None) => return Ok(None),
                Err(fault) => {
                    self.end = Some((number, fault.reason()));
                    return Err(fault);
                }
            },
        };
        let (owed, expected) = (self.answered_bytes + self.expected_bytes, request.answer_bytes_expected());
        if expected > 0 && owed > 0 && owed + expected > ANSWER_BYTES_IN_FLIGHT_MAX {
            self.next = Some((bytes, request));
            return Ok(None);
        }
        self.slots.push_back(Slot { bytes, state: SlotState::Waiting(expected) });
        self.slot_bytes += bytes;
        self.expected_bytes += expected;
        Ok(Some((RequestNumber(number), request)))
    }

    fn decode_next(&mut self) -> Result<Option<(usize, Box<ClientRequest>)>, ConnectionFault> {
        match self.frames.next_frame() {
            Ok(None) => Ok(None),
            Ok(Some(frame)) => {
                let bytes = frame.len();
                let request = api::decode(frame).map_err(ConnectionFault::Refused)?;
                Ok(Some((bytes, Box::new(ClientRequest { listener: self.listener, ..request }))))
            }
            Err(BadSize(size)) => Err(ConnectionFault::Size(size)),
        }
    }

    /// Takes the answer to a request; `None` for a request without one. An answer to a request from the end on is dropped.
    ///
    /// # Panics
    /// The request was never handed out or has its answer already: the core is wrong.
    pub fn reply(&mut self, number: RequestNumber, frame: Option<Vec<Bytes>>) {
        if self.end.is_some_and(|(end, _)| number.0 >= end) {
            return;
        }
        let slot = number.0.checked_sub(self.first).and_then(|slot| self.slots.get_mut(usize::try_from(slot).ok()?));
        let slot = slot.expect("a reply answers a request that was handed out and is not answered yet");
        let SlotState::Waiting(expected) = slot.state else { panic!("request {number} is answered twice") };
        self.expected_bytes -= expected;
        self.answered_bytes += written_bytes(frame.as_deref());
        slot.state = SlotState::Answered(frame);
        self.settle();
    }

    /// Ends the connection before request `number`, once the replies before it were written. The earliest end counts.
    pub fn close(&mut self, number: RequestNumber, reason: &'static str) {
        if self.end.is_none_or(|(end, _)| number.0 < end) {
            self.end = Some((number.0, reason));
            self.next = None;
            while self.next_number() > number.0
                && let Some(slot) = self.slots.pop_back()
            {
                self.slot_bytes -= slot.bytes;
                match slot.state {
                    SlotState::Waiting(expected) => self.expected_bytes -= expected,
                    SlotState::Answered(frame) => self.answered_bytes -= written_bytes(frame.as_deref()),
                }
            }
        }
    }

    /// What to write next, at most about [`WRITE_BYTES`]; empty when nothing is ready. What was taken before is written by now.
    pub fn take_writes(&mut self) -> Vec<Bytes> {
        self.wrote();
        let mut slices = Vec::new();
        let mut bytes = 0;
        while bytes < WRITE_BYTES
            && slices.len() < WRITE_SLICES
            && let Some(slice) = self.ready.pop_front()
        {
            bytes += slice.len();
            slices.push(slice);
        }
        self.taken_bytes = bytes;
        slices
    }

    /// What was taken is written.
    pub fn wrote(&mut self) {
        self.answered_bytes -= std::mem::take(&mut self.taken_bytes);
    }

    /// Whether anything can be written.
    #[must_use]
    pub fn has_writes(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Why to close the connection, once all that had to be written was taken.
    #[must_use]
    pub fn finished(&self) -> Option<&'static str> {
        self.end.filter(|_| self.is_idle()).map(|(_, reason)| reason)
    }

    fn has_room(&self) -> bool {
        // Replies that the client does not read count as well: they end its stream of requests.
        self.slots.len() < REQUESTS_IN_FLIGHT_MAX
            && self.slot_bytes < REQUEST_BYTES_IN_FLIGHT_MAX
            && self.answered_bytes < REQUEST_BYTES_IN_FLIGHT_MAX
    }

    fn next_number(&self) -> u64 {
        self.first + self.slots.len() as u64
    }

    /// Moves the answers whose turn it is to what may be written.
    fn settle(&mut self) {
        while let Some(Slot { state: SlotState::Answered(_), .. }) = self.slots.front() {
            let Some(Slot { bytes, state: SlotState::Answered(frame) }) = self.slots.pop_front() else { return };
            self.first += 1;
            self.slot_bytes -= bytes;
            if let Some(frame) = frame {
                self.queue(frame);
            }
        }
    }

    fn queue(&mut self, frame: Vec<Bytes>) {
        let size: usize = frame.iter().map(Bytes::len).sum();
        let field = i32::try_from(size).expect("a response is far below 2 GiB: fetches are bounded by fetch.max.bytes");
        self.ready.push_back(Bytes::copy_from_slice(&field.to_be_bytes()));
        self.ready.extend(frame.into_iter().filter(|slice| !slice.is_empty()));
    }
}

/// Bytes that an answer takes on its way to the client.
fn written_bytes(frame: Option<&[Bytes]>) -> usize {
    frame.map_or(0, |slices| SIZE_BYTES + slices.iter().map(Bytes::len).sum::<usize>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::BufMut;

    /// ApiVersions v0, correlation id as given, no client id.
    fn api_versions(correlation: i32) -> Vec<u8> {
        let mut body = vec![0, 18, 0, 0];
        body.extend(correlation.to_be_bytes());
        body.extend([0xff, 0xff]);
        let mut frame = u32::try_from(body.len()).expect("small").to_be_bytes().to_vec();
        frame.extend(body);
        frame
    }

    fn with_requests(count: i32) -> Connection {
        let mut connection = Connection::default();
        for correlation in 0..count {
            connection.space().put_slice(&api_versions(correlation));
        }
        for number in 0..count {
            let (given, _) = connection.next_request().expect("well-formed").expect("whole");
            assert_eq!(given.0, u64::try_from(number).expect("positive"));
        }
        connection
    }

    fn frame(text: &'static str) -> Option<Vec<Bytes>> {
        Some(vec![Bytes::from_static(text.as_bytes())])
    }

    fn written(connection: &mut Connection) -> Vec<u8> {
        connection.take_writes().concat()
    }

    #[test]
    fn replies_leave_in_request_order() {
        let mut connection = with_requests(3);
        connection.reply(RequestNumber(2), frame("c"));
        connection.reply(RequestNumber(1), None);
        assert!(!connection.has_writes());
        connection.reply(RequestNumber(0), frame("a"));
        assert_eq!(written(&mut connection), b"\0\0\0\x01a\0\0\0\x01c");
        assert!(connection.is_idle() && connection.finished().is_none());
    }

    #[test]
    fn a_close_waits_for_earlier_replies_and_drops_later_ones() {
        let mut connection = with_requests(3);
        connection.close(RequestNumber(1), "acks=0 failed");
        assert!(!connection.wants_bytes());
        connection.reply(RequestNumber(2), frame("c"));
        assert_eq!(connection.finished(), None);
        connection.reply(RequestNumber(0), frame("a"));
        assert_eq!(connection.finished(), None);
        assert_eq!(written(&mut connection), b"\0\0\0\x01a");
        assert_eq!(connection.finished(), Some("acks=0 failed"));
    }

    #[test]
    fn nonsense_ends_the_connection_after_what_was_asked_before_it() {
        let mut connection = with_requests(1);
        connection.space().put_slice(&(-5_i32).to_be_bytes());
        assert_eq!(connection.next_request().err(), Some(ConnectionFault::Size(-5)));
        assert!(connection.next_request().expect("told once").is_none());
        assert_eq!(connection.finished(), None);
        connection.reply(RequestNumber(0), frame("a"));
        assert_eq!(written(&mut connection), b"\0\0\0\x01a");
        assert_eq!(connection.finished(), Some("impossible request size"));
    }

    #[test]
    fn a_frame_that_is_no_request_is_refused() {
        let mut connection = Connection::default();
        connection.space().put_slice(b"\0\0\0\x03abc");
        assert_eq!(connection.next_request().err(), Some(ConnectionFault::Refused(Refusal::Malformed)));
        assert_eq!(connection.finished(), Some(Refusal::Malformed.reason()));
    }

    #[test]
    fn a_request_may_claim_so_much() {
        let claim = |bytes: usize| {
            let mut connection = Connection::default();
            connection.space().put_slice(&u32::try_from(bytes).expect("it fits").to_be_bytes());
            connection.next_request().map(|request| request.is_some())
        };
        assert_eq!(claim(REQUEST_BYTES_MAX), Ok(false), "it may come");
        let beyond = i32::try_from(REQUEST_BYTES_MAX + 1).expect("it fits");
        assert_eq!(claim(REQUEST_BYTES_MAX + 1), Err(ConnectionFault::Size(beyond)));
    }

    #[test]
    fn a_write_gathers_so_much() {
        let answered = |count: i32, bytes: usize| {
            let mut connection = with_requests(count);
            for number in 0..count {
                connection
                    .reply(RequestNumber(u64::try_from(number).expect("positive")), Some(vec![Bytes::from(vec![0; bytes])]));
            }
            let taken = connection.take_writes();
            (taken.len(), taken.concat().len())
        };
        let (_, bytes) = answered(8, WRITE_BYTES / 2);
        assert!((WRITE_BYTES..2 * WRITE_BYTES).contains(&bytes), "{bytes} bytes");
        let (slices, _) = answered(900, 1);
        assert_eq!(slices, WRITE_SLICES, "two of each answer: its size and itself");
    }

    /// Fetch v4 of nothing, for that many bytes.
    fn fetch(bytes_max: i32) -> Vec<u8> {
        let mut body = vec![0, 1, 0, 4, 0, 0, 0, 0, 0xff, 0xff];
        body.extend([0xff; 4]);
        body.extend([0; 8]);
        body.extend(bytes_max.to_be_bytes());
        body.extend([0; 5]);
        [&u32::try_from(body.len()).expect("small").to_be_bytes()[..], &body].concat()
    }

    #[test]
    fn who_does_not_read_answers_gets_no_more_of_them() {
        const ONE: usize = ANSWER_BYTES_IN_FLIGHT_MAX / 2 + 1;
        let mut connection = Connection::default();
        for _ in 0..100 {
            connection.space().put_slice(&fetch(i32::try_from(ONE).expect("small")));
        }
        let (first, _) = connection.next_request().expect("well-formed").expect("the first one always goes");
        assert!(connection.next_request().expect("well-formed").is_none() && !connection.wants_bytes());
        connection.reply(first, Some(vec![Bytes::from(vec![0; ONE])]));
        assert!(connection.next_request().expect("well-formed").is_none(), "nobody read the answer");
        assert_eq!(connection.take_writes().concat().len(), ONE + SIZE_BYTES);
        assert!(connection.next_request().expect("well-formed").is_none(), "it may still be on its way");
        connection.wrote();
        let (second, _) = connection.next_request().expect("well-formed").expect("there is room again");
        connection.close(second, "test");
        assert_eq!((connection.answered_bytes, connection.expected_bytes), (0, 0));
    }

    #[test]
    fn small_requests_pass_while_a_fetch_waits_for_records() {
        let mut connection = Connection::default();
        connection.space().put_slice(&fetch(i32::MAX));
        connection.space().put_slice(&api_versions(1));
        assert!(connection.next_request().expect("well-formed").is_some());
        assert!(connection.next_request().expect("well-formed").is_some());
        assert!(connection.wants_bytes() && !connection.is_idle());
    }

    #[test]
    fn request_bytes_are_counted_from_the_claim_to_the_answer() {
        let mut connection = Connection::new(1000);
        let frame = api_versions(1);
        connection.space().put_slice(&frame[..4]);
        assert!(connection.next_request().expect("well-formed").is_none() && connection.has_claimed());
        assert_eq!(connection.request_bytes(), frame.len());
        connection.space().put_slice(&frame[4..]);
        assert!(connection.next_request().expect("well-formed").is_some() && !connection.has_claimed());
        assert_eq!(connection.request_bytes(), frame.len() - SIZE_BYTES);
        connection.reply(RequestNumber(0), None);
        assert_eq!(connection.request_bytes(), 0);
        connection.space().put_slice(&1001_i32.to_be_bytes());
        assert_eq!(connection.next_request().err(), Some(ConnectionFault::Size(1001)));
    }

    #[test]
    fn large_requests_in_flight_stop_the_reading() {
        let mut connection = Connection::default();
        let mut frame = api_versions(1);
        frame.resize(REQUEST_BYTES_IN_FLIGHT_MAX / 2 + SIZE_BYTES, 0);
        frame[..SIZE_BYTES].copy_from_slice(&u32::try_from(REQUEST_BYTES_IN_FLIGHT_MAX / 2).expect("small").to_be_bytes());
        for _ in 0..2 {
            assert!(connection.wants_bytes());
            let mut rest = &frame[..];
            while !rest.is_empty() {
                let space = connection.space();
                let count = rest.len().min(space.capacity() - space.len());
                space.put_slice(&rest[..count]);
                rest = &rest[count..];
                if !rest.is_empty() {
                    assert!(connection.next_request().expect("well-formed").is_none());
                }
            }
            assert!(connection.next_request().expect("well-formed").is_some());
        }
        assert!(!connection.wants_bytes());
        connection.reply(RequestNumber(0), None);
        assert!(connection.wants_bytes());
    }

    #[test]
    fn at_the_bound_of_requests_in_flight_reading_stops_until_a_reply() {
        let bound = i32::try_from(REQUESTS_IN_FLIGHT_MAX).expect("small");
        let mut connection = with_requests(bound);
        assert!(!connection.wants_bytes());
        connection.space().put_slice(&api_versions(7));
        assert!(connection.next_request().expect("not looked at").is_none());
        connection.reply(RequestNumber(0), frame("a"));
        assert!(connection.wants_bytes());
        assert!(connection.next_request().expect("well-formed").is_some());
    }
}
