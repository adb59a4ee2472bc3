//! ListOffsets: the offsets that stand for "earliest", "latest", "the newest timestamp" and "the first record at or after a time".
//!
//! A time is looked up by record, not by batch: the log names the first batch that may hold it, the batch is read (perhaps from
//! disk) and its records are walked. A batch whose header promises more than its records hold is passed over, so a look-up may read
//! several runs. Walking decompresses, so it is done beside the core ([`crate::log::TimeSearch`]), and what is true is looked at again afterwards:
//! who leads, and where the log starts.
//!
//! Source: Kafka `UnifiedLog.fetchOffsetByTimestamp`, KIP-79; KIP-207 for the time between an election and its first commit; KIP-734,
//! KIP-1005, KIP-1023 for the special timestamps. Nothing is tiered: "earliest local" is "earliest", tiered offsets are unknown.

use super::{TopicKey, View};
use crate::disk::FileName;
use crate::ids::{GroupId, LeaderEpoch, Offset};
use crate::limits::{TIME_LOOKUP_BYTES_MAX, TIME_LOOKUP_BYTES_PER_REQUEST_MAX};
use crate::log::{ReadPlan, RecordRun, SearchEnd, Sought, Stretch, TimeSearch, TimeSearched};
use crate::mutant::Mutant;
use crate::protocol::messages::list_offsets::{ListOffsetsRequest, ListOffsetsResponse, request, response};
use crate::protocol::{ErrorCode, Text};
use crate::raft::RaftGroup;
use bytes::Bytes;
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
    /// The part that is looked up, one after the other: what they may take all together is known, and no request reads much at once.
    present: usize,
    /// Bytes that look-ups may still take.
    bytes_left: usize,
    /// What partitions are told for which too little of them is left, and those whose leader does not know its newest commit.
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
    wanted: Wanted,
    sought: Sought,
    /// Where the next run starts.
    from: Offset,
    /// Exclusive.
    end: Offset,
    /// With what the range begins that is read from disk, if one is.
    stretch: Stretch,
}

/// What the client asked for, which may have to be sought elsewhere when the log's start moved.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Wanted {
    /// The first record at or after this time.
    AtOrAfter(i64),
    /// The first record with the greatest time.
    Newest,
}

/// What a look-up needs next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LookupStep {
    /// This range read, for [`ListOffsetsJob::read_done`].
    Read {
        /// The file.
        file: FileName,
        /// Where.
        position: u64,
        /// How much.
        length: u32,
    },
    /// This done, for [`ListOffsetsJob::searched`].
    Search(TimeSearch),
}

impl ListOffsetsJob {
    /// Answers what can be answered at once; the rest needs [`ListOffsetsJob::advance`].
    #[must_use]
    pub fn new(view: &View<'_>, version: i16, asked: ListOffsetsRequest) -> ListOffsetsJob {
        let mut named: BTreeMap<(Text, i32), u32> = BTreeMap::new();
        for topic in &asked.topics {
            for partition in &topic.partitions {
                *named.entry((topic.name.clone(), partition.partition_index)).or_default() += 1;
            }
        }
        let bytes_left = TIME_LOOKUP_BYTES_PER_REQUEST_MAX;
        let mut job = ListOffsetsJob { topics: Vec::new(), parts: Vec::new(), present: 0, bytes_left, not_now: not_now(version) };
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
                job.parts.push(Part { topic: job.topics.len(), partition: partition.partition_index, state });
            }
            job.topics.push(topic.name);
        }
        job
    }

    /// Goes on to what must be done elsewhere; `None`: the answer can be made.
    pub fn advance(&mut self, view: &View<'_>) -> Option<LookupStep> {
        while self.present < self.parts.len() {
            let Some(lookup) = self.lookup() else {
                self.present += 1;
                continue;
            };
            let Some(raft) = self.leader(view, lookup) else { continue };
            if lookup.from < raft.log().log_start() {
                // What was sought may be gone.
                let is_known = raft.is_serving();
                let state = if is_known { lookup.wanted.seek(raft) } else { State::Found(Found::failed(self.not_now)) };
                self.parts[self.present].state = state;
                continue;
            }
            match raft.log().plan_read(lookup.from, lookup.end, TIME_LOOKUP_BYTES_MAX) {
                ReadPlan::Empty => self.found(Found::NOTHING),
                ReadPlan::Ready(run) => return Some(self.search(lookup, run)),
                ReadPlan::Disk { file, position, length, stretch } => {
                    self.parts[self.present].state = State::Looking(Lookup { stretch, ..lookup });
                    return Some(LookupStep::Read { file, position, length });
                }
            }
        }
        None
    }

    /// A read came in: goes on as [`ListOffsetsJob::advance`].
    ///
    /// # Errors
    /// The log is damaged there: a sentence. Nothing of it may be told.
    pub fn read_done(&mut self, view: &View<'_>, data: &Bytes) -> Result<Option<LookupStep>, String> {
        if let Some(lookup) = self.lookup()
            && let Some(raft) = self.leader(view, lookup)
            && lookup.from >= raft.log().log_start()
        {
            let run =
                raft.log().finish_read(lookup.from, lookup.end, TIME_LOOKUP_BYTES_MAX, lookup.stretch, data, view.mutant)?;
            return Ok(Some(self.search(lookup, run)));
        }
        Ok(self.advance(view))
    }

    /// A search is done: goes on as [`ListOffsetsJob::advance`]. Meanwhile anything may have happened; what was found counts as far as it is
    /// still true.
    pub fn searched(&mut self, view: &View<'_>, done: TimeSearched) -> Option<LookupStep> {
        self.bytes_left = done.bytes_left;
        if let Some(lookup) = self.lookup()
            && let Some(raft) = self.leader(view, lookup)
        {
            let start = raft.log().log_start();
            match done.end {
                SearchEnd::TooFewBytes => self.found(Found::failed(self.not_now)),
                SearchEnd::Found { offset, timestamp, epoch } if offset >= start => {
                    self.found(Found { error: None, timestamp, offset, epoch });
                }
                // A run without a whole batch: nothing more can be found.
                SearchEnd::Passed(from) if from == lookup.from && from >= start => self.found(Found::NOTHING),
                SearchEnd::Passed(from) => self.parts[self.present].state = State::Looking(Lookup { from, ..lookup }),
                // It was deleted.
                SearchEnd::Found { .. } => {}
            }
        }
        self.advance(view)
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

    /// The look-up that is under way.
    fn lookup(&self) -> Option<Lookup> {
        let State::Looking(lookup) = self.parts.get(self.present)?.state else { return None };
        Some(lookup)
    }

    /// The group in which it looks, as long as this broker leads there: else that is what the client is told.
    fn leader<'a>(&mut self, view: &View<'a>, lookup: Lookup) -> Option<&'a RaftGroup> {
        match view.leader_replica(lookup.group, -1) {
            Ok((_, raft)) => Some(raft),
            Err(error) => {
                self.found(Found::failed(error));
                None
            }
        }
    }

    fn found(&mut self, found: Found) {
        self.parts[self.present].state = State::Found(found);
    }

    fn search(&self, lookup: Lookup, run: RecordRun) -> LookupStep {
        LookupStep::Search(TimeSearch { run, sought: lookup.sought, from: lookup.from, bytes_left: self.bytes_left })
    }
}

impl Wanted {
    /// Where to look for it in a log that this broker leads.
    fn seek(self, raft: &RaftGroup) -> State {
        let (log, end) = (raft.log(), raft.high_watermark());
        let place = match self {
            Wanted::Newest => log.max_timestamp_batch(end).map(|(from, time)| (from, Sought::Exactly(time))),
            Wanted::AtOrAfter(time) => log.first_batch_at_time(time, end).map(|from| (from, Sought::AtOrAfter(time))),
        };
        match place {
            Some((from, sought)) => {
                State::Looking(Lookup { group: raft.id(), wanted: self, sought, from, end, stretch: Stretch::default() })
            }
            None => State::Found(Found::NOTHING),
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
        MAX_TIMESTAMP => Wanted::Newest.seek(raft),
        LATEST_TIERED | EARLIEST_PENDING_UPLOAD => State::Found(Found::NOTHING),
        time => Wanted::AtOrAfter(time).seek(raft),
    })
}

/// "Ask again", as a version has it.
fn not_now(version: i16) -> ErrorCode {
    if version >= 5 { ErrorCode::OffsetNotAvailable } else { ErrorCode::LeaderNotAvailable }
}

#[cfg(test)]
#[path = "list_offsets_tests.rs"]
mod tests;
