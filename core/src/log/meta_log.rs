//! The meta log: one small file per broker that remembers terms, votes, memberships and cuts of all groups.
//!
//! Group commit: the records of a round leave as one append. A file begins with a checkpoint of everything; when it is full, the next
//! file begins with the next checkpoint, and the old one is removed once that is durable. Knows nothing of raft.
//!
//! A file on a byte ruler, little-endian:
//!
//! ```text
//!  0        8         12       16       24          28       32
//!  | magic  | version | number | salt   | records   | CRC    | frames…
//!  |OTTLMETA| u32 = 1 | u32    | u64    | u32       | 0..28  |
//!
//!  a frame:
//!  0        4        8          16        24
//!  | length | CRC    | sequence | durable | record…
//!  | u32    | u32    | u64      | u64     | `length` bytes
//! ```
//!
//! `records`: how many frames the checkpoint has; without all of them the file does not count. `salt`: random, mixed into every frame's
//! CRC, so that bytes of another file are never taken for a frame of this one. `sequence`: frames of the file, from 0, without holes.
//! `durable`: how many frames of the file were known to be durable when this one was written: a valid frame behind a damaged one that it
//! calls durable proves that the damage is no torn tail. A frame's CRC field is the upper half of a hash of
//! (salt, CRC-32C, length) of everything after it.
//!
//! Invariant: rounds become durable in order, also across files.

use super::meta_state::{MetaRecord, MetaState};
use crate::disk::FileName;
use crate::ids::DiskId;
use crate::random::keyed;
use bytes::{BufMut, Bytes, BytesMut};
use crc_fast::crc32_iscsi as crc32c;
use std::collections::VecDeque;

const MAGIC: &[u8; 8] = b"OTTLMETA";
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 32;
const FRAME_BYTES: usize = 24;
/// Bytes of one record: a label and a voter list at their longest stay far below.
const RECORD_BYTES_MAX: usize = 1 << 20;

/// An append the meta log wants.
#[derive(Debug)]
pub(crate) struct MetaAppend {
    pub file: FileName,
    pub position: u64,
    pub data: Bytes,
}

#[derive(Debug)]
struct Flight {
    id: DiskId,
    round: u64,
    /// Number of its file and frames in it after this append.
    file: u32,
    sequence: u64,
    is_durable: bool,
}

/// The writer.
#[derive(Debug)]
pub(crate) struct MetaLog {
    state: MetaState,
    seed: u64,
    bytes_max: u64,
    file: u32,
    salt: u64,
    position: u64,
    sequence: u64,
    sequence_durable: u64,
    buffer: BytesMut,
    /// Whether somebody waits for what is in the buffer.
    is_urgent: bool,
    must_start_file: bool,
    /// Number of the round that is being collected.
    round: u64,
    round_durable: u64,
    flights: VecDeque<Flight>,
    /// Files to remove when the round beside them is durable.
    old: Vec<(u64, FileName)>,
}

impl MetaLog {
    /// Goes on from `state`; the first flush starts file `number`, and `old` files go when it is durable.
    pub(crate) fn new(state: MetaState, number: u32, old: Vec<FileName>, seed: u64, bytes_max: u64) -> MetaLog {
        let round = 1;
        MetaLog {
            state,
            seed,
            bytes_max,
            file: number,
            salt: 0,
            position: 0,
            sequence: 0,
            sequence_durable: 0,
            buffer: BytesMut::new(),
            is_urgent: true,
            must_start_file: true,
            round,
            round_durable: 0,
            flights: VecDeque::new(),
            old: old.into_iter().map(|file| (round, file)).collect(),
        }
    }

    pub(crate) fn state(&self) -> &MetaState {
        &self.state
    }

    /// Adds a record that somebody waits for: it is durable when the returned round is.
    pub(crate) fn record(&mut self, record: &MetaRecord) -> u64 {
        self.is_urgent = true;
        self.add(record);
        self.round
    }

    /// Adds a record that leaves with the next one that somebody waits for, or with [`MetaLog::hurry`].
    pub(crate) fn record_lazily(&mut self, record: &MetaRecord) {
        self.add(record);
    }

    fn add(&mut self, record: &MetaRecord) {
        self.state.apply(record);
        if !self.must_start_file {
            put_frame(&mut self.buffer, self.salt, self.sequence, self.sequence_durable, record);
            self.sequence += 1;
        }
    }

    /// Whether there are records that no one has asked to write yet.
    pub(crate) fn has_lazy(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// Lets the next flush write what is there.
    pub(crate) fn hurry(&mut self) {
        self.is_urgent = true;
    }

    /// Whether [`MetaLog::flush`] has something to do.
    pub(crate) fn wants_flush(&self) -> bool {
        self.is_urgent && (self.must_start_file || !self.buffer.is_empty())
    }

    /// The round's append; `id` names it in its completion.
    pub(crate) fn flush(&mut self, id: DiskId) -> Option<MetaAppend> {
        if !self.wants_flush() {
            return None;
        }
        if !self.must_start_file && self.position + self.buffer.len() as u64 > self.bytes_max {
            self.old.push((self.round, FileName::Meta(self.file)));
            self.file += 1;
            self.must_start_file = true;
        }
        if self.must_start_file {
            self.start_file();
        }
        let data = self.buffer.split().freeze();
        let append = MetaAppend { file: FileName::Meta(self.file), position: self.position, data };
        self.position += append.data.len() as u64;
        let flight = Flight { id, round: self.round, file: self.file, sequence: self.sequence, is_durable: false };
        self.flights.push_back(flight);
        self.round += 1;
        self.is_urgent = false;
        Some(append)
    }

    /// Replaces the buffer by header and checkpoint; the state has all records that were in the buffer.
    fn start_file(&mut self) {
        let records = self.state.checkpoint();
        self.salt = keyed(self.seed, &[0x4d45_5441, u64::from(self.file), self.round]);
        self.position = 0;
        self.sequence = 0;
        self.sequence_durable = 0;
        self.buffer.clear();
        self.buffer.put_slice(MAGIC);
        self.buffer.put_u32_le(VERSION);
        self.buffer.put_u32_le(self.file);
        self.buffer.put_u64_le(self.salt);
        self.buffer.put_u32_le(u32::try_from(records.len()).expect("a broker has fewer groups than that"));
        let crc = crc32c(&self.buffer[..]);
        self.buffer.put_u32_le(crc);
        for record in &records {
            put_frame(&mut self.buffer, self.salt, self.sequence, 0, record);
            self.sequence += 1;
        }
        self.must_start_file = false;
        // A checkpoint that alone fills a file would start a new file each round.
        self.bytes_max = self.bytes_max.max(2 * self.buffer.len() as u64);
    }

    /// An append of the meta log is durable. Tells whether the durable round moved.
    pub(crate) fn durable(&mut self, id: DiskId) -> bool {
        let before = self.round_durable;
        for flight in &mut self.flights {
            flight.is_durable |= flight.id == id;
        }
        while self.flights.front().is_some_and(|flight| flight.is_durable) {
            let flight = self.flights.pop_front().expect("looked at above");
            self.round_durable = flight.round;
            if flight.file == self.file {
                self.sequence_durable = flight.sequence;
            }
        }
        self.round_durable > before
    }

    /// Everything recorded in rounds up to this one is durable.
    pub(crate) fn round_durable(&self) -> u64 {
        self.round_durable
    }

    /// Old files that nobody needs any more.
    pub(crate) fn take_old_files(&mut self) -> Vec<FileName> {
        let durable = self.round_durable;
        let mut files = Vec::new();
        self.old.retain(|(round, file)| {
            let is_needed = *round > durable;
            if !is_needed {
                files.push(*file);
            }
            is_needed
        });
        files
    }
}

fn put_frame(out: &mut BytesMut, salt: u64, sequence: u64, durable: u64, record: &MetaRecord) {
    let start = out.len();
    out.put_bytes(0, 8);
    out.put_u64_le(sequence);
    out.put_u64_le(durable);
    record.encode(out);
    let length = out.len() - start - FRAME_BYTES;
    assert!(length <= RECORD_BYTES_MAX, "a record of {length} bytes");
    let crc = frame_crc(salt, &out[start + 8..]);
    out[start..start + 4].copy_from_slice(&u32::try_from(length).expect("bounded above").to_le_bytes());
    out[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
}

fn frame_crc(salt: u64, bytes: &[u8]) -> u32 {
    let folded = keyed(salt, &[u64::from(crc32c(bytes)), bytes.len() as u64]);
    u32::try_from(folded >> 32).expect("half of 64 bits")
}

/// Why a meta file can't be used.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum MetaFault {
    /// Its checkpoint is not complete: it never counted, the file before it does.
    Unfinished,
    /// Records that were durable are damaged: a sentence.
    Corrupt(String),
}

/// The state that a whole meta file holds; a torn tail is passed over.
pub(crate) fn read_meta_file(number: u32, bytes: &Bytes) -> Result<MetaState, MetaFault> {
    if bytes.len() < HEADER_BYTES || &bytes[..8] != MAGIC {
        return Err(MetaFault::Unfinished);
    }
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
    if crc32c(&bytes[..28]) != word(28) {
        return Err(MetaFault::Unfinished);
    }
    if word(8) != VERSION || word(12) != number {
        return Err(MetaFault::Corrupt(format!("meta file {number} has version {} and calls itself {}", word(8), word(12))));
    }
    let salt = u64::from_le_bytes(bytes[16..24].try_into().expect("eight bytes"));
    let checkpoint = u64::from(word(24));
    let mut state = MetaState::default();
    let (mut at, mut sequence) = (HEADER_BYTES, 0);
    while let Some(frame) = frame_at(salt, bytes, at).filter(|frame| frame.sequence == sequence) {
        let Some(record) = MetaRecord::decode(frame.record) else {
            return Err(MetaFault::Corrupt(format!("meta file {number} position {at}: a record of an unknown form")));
        };
        state.apply(&record);
        at = frame.end;
        sequence += 1;
    }
    // Behind a torn tail nothing may claim that what is missing was durable.
    let behind = (at + 1..bytes.len()).filter_map(|at| frame_at(salt, bytes, at));
    if let Some(frame) = behind.into_iter().find(|frame| frame.durable > sequence) {
        return Err(MetaFault::Corrupt(format!(
            "meta file {number} position {at}: record {sequence} is not readable, but record {} says that it was durable",
            frame.sequence
        )));
    }
    if sequence < checkpoint { Err(MetaFault::Unfinished) } else { Ok(state) }
}

struct Frame {
    sequence: u64,
    durable: u64,
    record: Bytes,
    end: usize,
}

fn frame_at(salt: u64, bytes: &Bytes, at: usize) -> Option<Frame> {
    let header = bytes.get(at..at + FRAME_BYTES)?;
    let length = usize::try_from(u32::from_le_bytes(header[0..4].try_into().expect("four bytes"))).ok()?;
    if length == 0 || length > RECORD_BYTES_MAX {
        return None;
    }
    let end = at + FRAME_BYTES + length;
    let covered = bytes.get(at + 8..end)?;
    let crc = u32::from_le_bytes(header[4..8].try_into().expect("four bytes"));
    if frame_crc(salt, covered) != crc {
        return None;
    }
    let sequence = u64::from_le_bytes(header[8..16].try_into().expect("eight bytes"));
    let durable = u64::from_le_bytes(header[16..24].try_into().expect("eight bytes"));
    Some(Frame { sequence, durable, record: bytes.slice(at + FRAME_BYTES..end), end })
}
