//! ListOffsets: the offsets that stand for "earliest", "latest", "the newest timestamp" and "the first record at or after a time".
//!
//! A time is looked up by record, not by batch: the log names the first batch that may hold it, the batch is read (perhaps from
//! disk) and its records are walked. A batch whose header promises more than its records hold is passed over, so a look-up may read
//! several runs.
//!
//! Source: Kafka `UnifiedLog.fetchOffsetByTimestamp`, KIP-79; KIP-207 for the time between an election and its first commit; KIP-734,
//! KIP-1005, KIP-1023 for the special timestamps. Nothing is tiered: "earliest local" is "earliest", tiered offsets are unknown.

use super::{TopicKey, View};
use crate::disk::FileName;
use crate::ids::{GroupId, LeaderEpoch, Offset};
use crate::limits::{DECOMPRESSED_BYTES_MAX, TIME_LOOKUP_BYTES_MAX, TIME_LOOKUP_BYTES_PER_REQUEST_MAX};
use crate::log::{ReadPlan, RecordRun};
use crate::mutant::Mutant;
use crate::protocol::messages::list_offsets::{ListOffsetsRequest, ListOffsetsResponse, request, response};
use crate::protocol::{ErrorCode, Text};
use crate::record::{BatchHeader, Records, decompress_body};
use bytes::{Bytes, BytesMut};
use std::collections::BTreeMap;

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
const LATEST_TIERED: i64 = -5;
const EARLIEST_PENDING_UPLOAD: i64 = -6;

/// A request on its way to its answer.
#[derive(Debug)]
pub struct ListOffsetsJob {
    topics: Vec<Text>,
    parts: Vec<Part>,
    open: usize,
    /// Bytes that look-ups may still take.
    bytes_left: usize,
    /// What partitions are told for which too little of them is left.
    not_now: ErrorCode,
}

#[derive(Debug)]
struct Part {
    topic: usize,
    partition: i32,
    state: State,
}

#[derive(Debug)]
enum State {
    Found(Found),
    Looking(Lookup),
}

/// What one partition answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Found {
    error: Option<ErrorCode>,
    timestamp: i64,
    offset: Offset,
    epoch: LeaderEpoch,
}

impl Found {
    const NOTHING: Found = Found { error: None, timestamp: -1, offset: Offset::NONE, epoch: LeaderEpoch::NONE };

    fn failed(error: ErrorCode) -> Found {
        Found { error: Some(error), ..Found::NOTHING }
    }
}

/// A search for a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Lookup {
    group: GroupId,
    sought: Sought,
    /// Where the next run starts.
    from: Offset,
    /// Exclusive.
    end: Offset,
    /// Base offset of the batch with which the range begins that is read from disk.
    first: Offset,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Sought {
    /// The first record at or after this time.
    AtOrAfter(i64),
    /// The first record with exactly this time, the greatest of its batch.
    Exactly(i64),
}

/// A range that must be read from disk for one partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LookupRead {
    /// The file.
    pub file: FileName,
    /// Where.
    pub position: u64,
    /// How much.
    pub length: u32,
}

impl ListOffsetsJob {
    /// Answers what can be answered at once; the returned parts need [`ListOffsetsJob::advance`].
    #[must_use]
    pub fn new(view: &View<'_>, version: i16, asked: ListOffsetsRequest) -> (ListOffsetsJob, Vec<usize>) {
        let mut named: BTreeMap<(Text, i32), u32> = BTreeMap::new();
        for topic in &asked.topics {
            for partition in &topic.partitions {
                *named.entry((topic.name.clone(), partition.partition_index)).or_default() += 1;
            }
        }
        let bytes_left = TIME_LOOKUP_BYTES_PER_REQUEST_MAX;
        let mut job = ListOffsetsJob { topics: Vec::new(), parts: Vec::new(), open: 0, bytes_left, not_now: not_now(version) };
        let mut open = Vec::new();
        for topic in asked.topics {
            for partition in &topic.partitions {
                let is_twice = named.insert((topic.name.clone(), partition.partition_index), 0);
                let state = match is_twice {
                    // The second and later mentions of a partition were answered with the first.
                    Some(0) => continue,
                    Some(1) => begin(view, version, &topic.name, partition),
                    Some(_) | None => Err(ErrorCode::InvalidRequest),
                };
                let state = state.unwrap_or_else(|error| State::Found(Found::failed(error)));
                if let State::Looking(_) = state {
                    open.push(job.parts.len());
                }
                job.parts.push(Part { topic: job.topics.len(), partition: partition.partition_index, state });
            }
            job.topics.push(topic.name);
        }
        job.open = open.len();
        (job, open)
    }

    /// Goes on looking in what is in memory. `Some`: this must be read from disk and told to [`ListOffsetsJob::read_done`].
    pub fn advance(&mut self, view: &View<'_>, part: usize) -> Option<LookupRead> {
        loop {
            let State::Looking(lookup) = self.parts[part].state else { return None };
            let Some(raft) = view.replicas.group(lookup.group) else {
                self.found(part, Found::failed(ErrorCode::UnknownTopicOrPartition));
                return None;
            };
            match raft.log().plan_read(lookup.from, lookup.end, TIME_LOOKUP_BYTES_MAX) {
                ReadPlan::Empty => self.found(part, Found::NOTHING),
                ReadPlan::Ready(run) => self.walk(part, lookup, &run),
                ReadPlan::Disk { file, position, length, first } => {
                    self.parts[part].state = State::Looking(Lookup { first, ..lookup });
                    return Some(LookupRead { file, position, length });
                }
            }
        }
    }

    /// A read came in: goes on as [`ListOffsetsJob::advance`].
    ///
    /// # Errors
    /// The log is damaged there: a sentence. Nothing of it may be told.
    pub fn read_done(&mut self, view: &View<'_>, part: usize, data: &Bytes) -> Result<Option<LookupRead>, String> {
        let State::Looking(lookup) = self.parts[part].state else { return Ok(None) };
        match view.replicas.group(lookup.group) {
            Some(raft) => {
                let run =
                    raft.log().finish_read(lookup.from, lookup.end, TIME_LOOKUP_BYTES_MAX, lookup.first, data, view.mutant)?;
                self.walk(part, lookup, &run);
            }
            None => self.found(part, Found::failed(ErrorCode::UnknownTopicOrPartition)),
        }
        Ok(self.advance(view, part))
    }

    /// Whether the answer can be made.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.open == 0
    }

    /// The answer.
    ///
    /// # Panics
    /// When it is not ready.
    #[must_use]
    pub fn respond(self) -> ListOffsetsResponse {
        let mut topics: Vec<response::Topics> =
            self.topics.into_iter().map(|name| response::Topics { name, ..Default::default() }).collect();
        for part in self.parts {
            let State::Found(found) = part.state else { unreachable!("an answer is made when all look-ups ended") };
            topics[part.topic].partitions.push(response::Partitions {
                partition_index: part.partition,
                error_code: found.error.map_or(0, ErrorCode::code),
                timestamp: found.timestamp,
                offset: found.offset.0,
                leader_epoch: found.epoch.0,
            });
        }
        ListOffsetsResponse { topics, ..Default::default() }
    }

    fn found(&mut self, part: usize, found: Found) {
        self.parts[part].state = State::Found(found);
        self.open -= 1;
    }

    /// Looks through a run; without a hit the look-up moves behind it.
    fn walk(&mut self, part: usize, lookup: Lookup, run: &RecordRun) {
        let bytes = joined(run);
        self.bytes_left = self.bytes_left.saturating_sub(bytes.len());
        let mut rest = bytes.as_ref();
        let mut from = lookup.from;
        while let Ok(header) = BatchHeader::parse(rest) {
            let Some((batch, after)) = rest.split_at_checked(header.total_len()) else { break };
            if self.bytes_left == 0 {
                self.found(part, Found::failed(self.not_now));
                return;
            }
            if let Some(found) = search(&header, batch, lookup, &mut self.bytes_left) {
                self.found(part, found);
                return;
            }
            from = from.max(header.offset_end());
            rest = after;
        }
        if from == lookup.from {
            // A run without a whole batch: nothing more can be found.
            self.found(part, Found::NOTHING);
        } else {
            self.parts[part].state = State::Looking(Lookup { from, ..lookup });
        }
    }
}

fn begin(view: &View<'_>, version: i16, topic: &str, asked: &request::Partitions) -> Result<State, ErrorCode> {
    let group = view.group_of(TopicKey::Name(topic), asked.partition_index)?;
    let version_min = match asked.timestamp {
        LATEST | EARLIEST | 0.. => 1,
        MAX_TIMESTAMP => 7,
        EARLIEST_LOCAL => 8,
        LATEST_TIERED => 9,
        EARLIEST_PENDING_UPLOAD => 11,
        i64::MIN..EARLIEST_PENDING_UPLOAD => i16::MAX,
    };
    if version < version_min {
        return Err(ErrorCode::UnsupportedVersion);
    }
    let (_, raft) = view.leader_replica(group, asked.current_leader_epoch)?;
    if !raft.is_serving() && !view.mutant.is(Mutant::OffsetBeforeOwnTerm) {
        // Until an entry of this term is committed the leader may not know the newest commit: an offset told now could be behind
        // one that was told before (KIP-207).
        return Err(not_now(version));
    }
    let log = raft.log();
    let end = raft.high_watermark();
    let present = raft.term().leader_epoch();
    Ok(match asked.timestamp {
        LATEST => State::Found(Found { offset: end, epoch: present, ..Found::NOTHING }),
        EARLIEST | EARLIEST_LOCAL => {
            let start = log.log_start();
            let epoch = if start < log.log_end() { log.epoch_at(start) } else { present };
            State::Found(Found { offset: start, epoch, ..Found::NOTHING })
        }
        MAX_TIMESTAMP => match log.max_timestamp_batch(end) {
            Some((from, time)) => State::Looking(Lookup { group, sought: Sought::Exactly(time), from, end, first: from }),
            None => State::Found(Found::NOTHING),
        },
        LATEST_TIERED | EARLIEST_PENDING_UPLOAD => State::Found(Found::NOTHING),
        time => match log.first_batch_at_time(time, end) {
            Some(from) => State::Looking(Lookup { group, sought: Sought::AtOrAfter(time), from, end, first: from }),
            None => State::Found(Found::NOTHING),
        },
    })
}

/// "Ask again", as a version has it.
fn not_now(version: i16) -> ErrorCode {
    if version >= 5 { ErrorCode::OffsetNotAvailable } else { ErrorCode::LeaderNotAvailable }
}

/// The first record of a batch that fits. What is decompressed for it is taken from `bytes_left`.
fn search(header: &BatchHeader, batch: &[u8], lookup: Lookup, bytes_left: &mut usize) -> Option<Found> {
    let sought = lookup.sought;
    let is_it = |time: i64| match sought {
        Sought::AtOrAfter(wanted) => time >= wanted,
        Sought::Exactly(wanted) => time == wanted,
    };
    let found = |offset: i64, timestamp: i64| {
        Some(Found { error: None, timestamp, offset: Offset(offset), epoch: header.partition_leader_epoch })
    };
    if !is_it(header.max_timestamp) && matches!(sought, Sought::Exactly(_)) {
        return None;
    }
    if let Sought::AtOrAfter(wanted) = sought
        && header.max_timestamp < wanted
    {
        return None;
    }
    if header.is_log_append_time() {
        return found(header.base_offset.max(lookup.from).0, header.max_timestamp);
    }
    let body = decompress_body(header.codec().ok()?, &batch[BatchHeader::SIZE..], DECOMPRESSED_BYTES_MAX).ok()?;
    *bytes_left = bytes_left.saturating_sub(body.len());
    for record in Records::new(&body, header.record_count) {
        let record = record.ok()?;
        let time = header.base_timestamp.wrapping_add(record.timestamp_delta);
        let offset = header.base_offset.0 + i64::from(record.offset_delta);
        // The log may start within a batch.
        if is_it(time) && offset >= lookup.from.0 {
            return found(offset, time);
        }
    }
    None
}

fn joined(run: &RecordRun) -> Bytes {
    if let [one] = run.slices.as_slice() {
        return one.clone();
    }
    let mut whole = BytesMut::with_capacity(run.bytes);
    for slice in &run.slices {
        whole.extend_from_slice(slice);
    }
    whole.freeze()
}

#[cfg(test)]
#[path = "list_offsets_tests.rs"]
mod tests;
