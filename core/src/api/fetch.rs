//! Fetch: what each partition may give, when the answer is due, and the answer.
//!
//! A request is evaluated against the present state, as often as needed: when it comes, when a partition it names moves its high
//! watermark, when its patience ends. An evaluation reads nothing from disk; it makes a plan per partition. Once the answer is due,
//! the plans that need the disk are read and the answer goes out when the last read is in.
//!
//! Which partitions a request is about when it goes on with a session is known to [`super::fetch_session`].
//! Without transactions the last stable offset is the high watermark.
//!
//! Source: Kafka `ReplicaManager.readFromLog`, `DelayedFetch`, `FetchRequest`; KIP-74 for the first batch, KIP-392 for followers,
//! KIP-320 and KIP-595 for epochs. Differences: a follower that is behind the asked offset says NOT_LEADER_OR_FOLLOWER instead of
//! OFFSET_OUT_OF_RANGE, which would make a client with old metadata reset its position.

use super::fetch_session::SessionUse;
use super::{TopicKey, View, check_epoch};
use crate::disk::FileName;
use crate::ids::{BrokerId, GroupId, LeaderEpoch, Offset, TopicId};
use crate::log::{ReadPlan, RecordRun, Stretch};
use crate::protocol::messages::fetch::{FetchRequest, FetchResponse, request, response};
use crate::protocol::{self, ErrorCode, Text, Uuid};
use crate::raft::RaftGroup;
use crate::record::BatchHeader;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};

/// One partition as it was asked for.
#[derive(Debug)]
struct Wanted {
    topic: usize,
    partition: i32,
    leader_epoch: i32,
    offset: i64,
    last_fetched_epoch: i32,
    bytes_max: i32,
    /// Its group and whether there is such a partition at all.
    group: Result<GroupId, ErrorCode>,
}

/// A fetch request on its way to its answer.
#[derive(Debug)]
pub struct FetchJob {
    version: i16,
    topics: Vec<(Text, Uuid)>,
    wanted: Vec<Wanted>,
    session: SessionUse,
    bytes_min: usize,
    bytes_max: i32,
    isolation: i8,
    replica: i32,
    /// Where the consumer is; empty if it does not say.
    rack: Text,
    /// Set once the answer is due; the parts then only wait for their reads.
    due: Option<Vec<Answer>>,
    reads_open: usize,
}

/// What one partition answers.
#[derive(Debug, Default)]
struct Answer {
    error: Option<ErrorCode>,
    high_watermark: i64,
    log_start: i64,
    diverging: Option<(LeaderEpoch, Offset)>,
    /// Who should be asked instead, because it is nearer.
    preferred: Option<BrokerId>,
    records: Records,
    aborted: Aborted,
}

#[derive(Debug, Default)]
enum Records {
    #[default]
    None,
    Ready(RecordRun),
    Disk(DiskRead),
}

/// Kafka answers null or an empty list of aborted transactions depending on where in its code the answer was made; clients see it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Aborted {
    #[default]
    Null,
    Empty,
}

/// A range that must be read from disk for one partition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DiskRead {
    /// Of which group.
    pub group: GroupId,
    /// The file.
    pub file: FileName,
    /// Where.
    pub position: u64,
    /// How much.
    pub length: u32,
    from: Offset,
    end: Offset,
    bytes_max: u32,
    /// What the range begins with.
    stretch: Stretch,
    /// Whether the first batch is given even if it is larger than allowed.
    whole_first: bool,
}

/// Whether a request is answered now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Patience {
    /// It may wait for more data.
    Left,
    /// Its time is over (or it had none).
    Over,
}

impl FetchJob {
    /// A request, its partitions resolved. A partition named twice keeps its first place and its last position.
    #[must_use]
    pub fn new(view: &View<'_>, version: i16, request: FetchRequest, session: SessionUse) -> FetchJob {
        let mut topics: Vec<(Text, Uuid)> = Vec::with_capacity(request.topics.len());
        let mut topic_places: BTreeMap<(Text, Uuid), usize> = BTreeMap::new();
        let mut wanted: Vec<Wanted> = Vec::new();
        let mut places: BTreeMap<(usize, i32), usize> = BTreeMap::new();
        for entry in request.topics {
            let topic = *topic_places.entry((entry.topic, entry.topic_id)).or_insert_with_key(|named| {
                topics.push(named.clone());
                topics.len() - 1
            });
            let key = if version >= 13 { TopicKey::Id(TopicId(topics[topic].1.0)) } else { TopicKey::Name(&topics[topic].0) };
            for asked in entry.partitions {
                let group = view.group_of(key, asked.partition);
                let one = Wanted::new(topic, &asked, group);
                match places.get(&(topic, asked.partition)) {
                    Some(place) => wanted[*place] = one,
                    None => {
                        places.insert((topic, asked.partition), wanted.len());
                        wanted.push(one);
                    }
                }
            }
        }
        FetchJob {
            version,
            topics,
            wanted,
            session,
            bytes_min: usize::try_from(request.min_bytes).unwrap_or(0),
            bytes_max: request.max_bytes.min(view.fetch_bytes_max),
            isolation: request.isolation_level,
            rack: request.rack_id,
            replica: if version >= 15 { request.replica_state.replica_id } else { request.replica_id },
            due: None,
            reads_open: 0,
        }
    }

    /// The replicas of this broker that it waits for.
    pub fn groups(&self) -> impl Iterator<Item = GroupId> {
        self.wanted.iter().filter_map(|w| w.group.ok())
    }

    /// Looks at all partitions. `Some`: the answer is due; these reads must be made for it, each with its part number.
    /// `None`: it goes on waiting.
    pub fn evaluate(&mut self, view: &View<'_>, patience: Patience) -> Option<Vec<(usize, DiskRead)>> {
        assert!(self.due.is_none(), "a due fetch is not evaluated again");
        let mut answers = Vec::with_capacity(self.wanted.len());
        let mut found = 0;
        let mut left = i64::from(self.bytes_max);
        let mut is_urgent = self.wanted.iter().all(|w| w.group.is_err());
        for wanted in &self.wanted {
            let answer = self.look(view, wanted, left, found == 0);
            let is_elsewhere = answer.error.is_some() || answer.diverging.is_some() || answer.preferred.is_some();
            is_urgent |= wanted.group.is_ok() && is_elsewhere;
            let bytes = answer.records.bytes();
            found += bytes;
            left -= i64::try_from(bytes).unwrap_or(i64::MAX);
            answers.push(answer);
        }
        if patience == Patience::Left && found < self.bytes_min && !is_urgent {
            return None;
        }
        let reads: Vec<(usize, DiskRead)> = answers
            .iter()
            .enumerate()
            .filter_map(|(part, answer)| match &answer.records {
                Records::Disk(read) => Some((part, read.clone())),
                Records::None | Records::Ready(_) => None,
            })
            .collect();
        self.reads_open = reads.len();
        self.due = Some(answers);
        Some(reads)
    }

    /// A read of [`FetchJob::evaluate`] came in.
    ///
    /// # Errors
    /// The log is damaged there: a sentence. Nothing of it may be told.
    pub fn read_done(&mut self, view: &View<'_>, part: usize, data: &Bytes) -> Result<(), String> {
        let answers = self.due.as_mut().expect("only a due fetch reads");
        let Records::Disk(read) = std::mem::take(&mut answers[part].records) else {
            unreachable!("part {part} of a fetch was read twice");
        };
        self.reads_open -= 1;
        match view.replicas.group(read.group) {
            Some(raft) => {
                let run = raft.log().finish_read(read.from, read.end, read.bytes_max, read.stretch, data, view.mutant)?;
                answers[part].records = cut(run, read.bytes_max, read.whole_first);
            }
            // The topic was deleted meanwhile.
            None => answers[part] = Answer::failed(ErrorCode::UnknownTopicOrPartition, Aborted::Empty),
        }
        Ok(())
    }

    /// Whether the answer can be made.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.due.is_some() && self.reads_open == 0
    }

    /// Whether the answer is decided and only reads are missing.
    #[must_use]
    pub fn is_due(&self) -> bool {
        self.due.is_some()
    }

    fn look(&self, view: &View<'_>, wanted: &Wanted, left: i64, is_first: bool) -> Answer {
        if self.isolation != 0 && self.isolation != 1 {
            return Answer::failed(ErrorCode::UnknownServerError, Aborted::Empty);
        }
        let group = match wanted.group {
            Ok(group) => group,
            Err(error) => return Answer::failed(error, Aborted::Empty),
        };
        match self.read(view, wanted, group, left, is_first) {
            Ok(mut answer) => {
                answer.aborted = if self.isolation == 1 { Aborted::Empty } else { Aborted::Null };
                answer
            }
            Err(error) => Answer::failed(error, Aborted::Null),
        }
    }

    fn read(&self, view: &View<'_>, wanted: &Wanted, group: GroupId, left: i64, is_first: bool) -> Result<Answer, ErrorCode> {
        // Other brokers replicate through raft, never through Fetch; one that tries is not a replica.
        if self.replica >= 0 {
            return Err(ErrorCode::NotLeaderOrFollower);
        }
        let (_, raft) = view.replica(group).ok_or_else(|| view.why_no_replica(group))?;
        check_epoch(wanted.leader_epoch, raft.term().leader_epoch())?;
        // Clients from v11 on may read from any replica (KIP-392); older ones expect the leader.
        if self.version < 11 && !raft.is_leader() {
            return Err(ErrorCode::NotLeaderOrFollower);
        }
        if self.bytes_max < 0 || wanted.bytes_max < 0 {
            return Err(ErrorCode::UnknownServerError);
        }
        let log = raft.log();
        let (log_start, log_end, high_watermark) = (log.log_start(), log.log_end(), raft.high_watermark());
        let answer = Answer { high_watermark: high_watermark.0, log_start: log_start.0, ..Answer::default() };
        if wanted.last_fetched_epoch >= 0 {
            let (epoch, end) = log.epoch_end(LeaderEpoch(wanted.last_fetched_epoch));
            if end == Offset::NONE {
                return Err(ErrorCode::OffsetOutOfRange);
            }
            if epoch.0 < wanted.last_fetched_epoch || end.0 < wanted.offset {
                return Ok(Answer { diverging: Some((epoch, end)), ..answer });
            }
        }
        if wanted.offset > log_end.0 && !raft.is_leader() {
            return Err(ErrorCode::NotLeaderOrFollower);
        }
        if wanted.offset < log_start.0 || wanted.offset > log_end.0 {
            return Err(ErrorCode::OffsetOutOfRange);
        }
        if raft.is_leader()
            && wanted.offset <= high_watermark.0
            && let Some(nearer) = self.nearer(view, raft)
        {
            return Ok(Answer { preferred: Some(nearer), ..answer });
        }
        let from = Offset(wanted.offset);
        let limit = i64::from(wanted.bytes_max).min(left).max(0);
        if from >= high_watermark || (limit == 0 && !is_first) {
            return Ok(answer);
        }
        let bytes_max = u32::try_from(limit).expect("a limit of 0 to i32::MAX fits");
        let records = match log.plan_read(from, high_watermark, bytes_max) {
            ReadPlan::Empty => Records::None,
            ReadPlan::Ready(run) => cut(run, bytes_max, is_first),
            ReadPlan::Disk { file, position, length, stretch } => Records::Disk(DiskRead {
                group,
                file,
                position,
                length,
                from,
                end: high_watermark,
                bytes_max,
                stretch,
                whole_first: is_first,
            }),
        };
        Ok(Answer { records, ..answer })
    }

    /// A replica in the consumer's rack that is in sync, unless the leader itself is there (Kafka `RackAwareReplicaSelector`).
    fn nearer(&self, view: &View<'_>, raft: &RaftGroup) -> Option<BrokerId> {
        if !view.is_rack_aware || self.version < 11 || self.rack.is_empty() {
            return None;
        }
        let is_near = |broker: BrokerId| view.rack(broker).is_some_and(|rack| self.rack.as_str() == rack);
        if is_near(view.broker) {
            return None;
        }
        raft.in_sync(view.now, view.replica_lag_ms_max).into_iter().find(|broker| is_near(*broker))
    }

    /// The group of every partition that is answered, as far as there are such partitions, and the bytes of records its answer has.
    pub fn traffic(&self) -> impl Iterator<Item = (GroupId, u64)> {
        let answers = self.due.iter().flatten();
        self.wanted.iter().zip(answers).filter_map(|(wanted, answer)| Some((wanted.group.ok()?, answer.records.bytes() as u64)))
    }

    /// The answer with all partitions, and what its session makes of it.
    ///
    /// # Panics
    /// When it is not ready.
    #[must_use]
    pub fn respond(self, view: &View<'_>) -> (FetchResponse, SessionUse) {
        assert_eq!(self.reads_open, 0, "a fetch is answered when all its reads are in");
        let answers = self.due.expect("a fetch is answered when it is due");
        let mut leaders = BTreeSet::new();
        let mut responses: Vec<response::Responses> = self
            .topics
            .into_iter()
            .map(|(topic, topic_id)| response::Responses { topic, topic_id, ..Default::default() })
            .collect();
        for (wanted, answer) in self.wanted.iter().zip(answers) {
            let mut entry = answer.into_response(wanted.partition);
            if self.version >= 16
                && let Some((leader, epoch)) = hint(view, wanted, entry.error_code)
            {
                entry.current_leader = response::CurrentLeader { leader_id: leader.0, leader_epoch: epoch.0 };
                leaders.insert(leader);
            }
            responses[wanted.topic].partitions.push(entry);
        }
        let bad_isolation = self.isolation != 0 && self.isolation != 1;
        let response = FetchResponse {
            error_code: if bad_isolation { ErrorCode::UnknownServerError.code() } else { 0 },
            session_id: 0,
            responses,
            node_endpoints: leaders.into_iter().filter_map(|leader| view.endpoint(leader)).map(node_endpoint).collect(),
            ..Default::default()
        };
        (response, self.session)
    }
}

impl Wanted {
    fn new(topic: usize, asked: &request::Partitions, group: Result<GroupId, ErrorCode>) -> Wanted {
        Wanted {
            topic,
            partition: asked.partition,
            leader_epoch: asked.current_leader_epoch,
            offset: asked.fetch_offset,
            last_fetched_epoch: asked.last_fetched_epoch,
            bytes_max: asked.partition_max_bytes,
            group,
        }
    }
}

impl Records {
    fn bytes(&self) -> usize {
        match self {
            Records::None => 0,
            Records::Ready(run) => run.bytes,
            Records::Disk(read) => usize::try_from(read.length).unwrap_or(usize::MAX),
        }
    }
}

impl Answer {
    fn failed(error: ErrorCode, aborted: Aborted) -> Answer {
        Answer { error: Some(error), high_watermark: -1, log_start: -1, aborted, ..Answer::default() }
    }

    fn into_response(self, partition: i32) -> response::Partitions {
        let records = match self.records {
            Records::None => protocol::Records::default(),
            Records::Ready(run) => run.slices.into(),
            Records::Disk(_) => unreachable!("all reads are in"),
        };
        let mut entry = response::Partitions {
            partition_index: partition,
            error_code: self.error.map_or(0, ErrorCode::code),
            high_watermark: self.high_watermark,
            last_stable_offset: self.high_watermark,
            log_start_offset: self.log_start,
            aborted_transactions: match self.aborted {
                Aborted::Null => None,
                Aborted::Empty => Some(Vec::new()),
            },
            preferred_read_replica: self.preferred.map_or(-1, |broker| broker.0),
            // Never null: librdkafka rejects an answer whose records are.
            records: Some(records),
            ..Default::default()
        };
        if let Some((epoch, end)) = self.diverging {
            entry.diverging_epoch = response::DivergingEpoch { epoch: epoch.0, end_offset: end.0 };
        }
        entry
    }
}

/// Whom to ask instead: told where clients act on it (KIP-951).
fn hint(view: &View<'_>, wanted: &Wanted, error: i16) -> Option<(BrokerId, LeaderEpoch)> {
    let is_hinted = error == ErrorCode::NotLeaderOrFollower.code() || error == ErrorCode::FencedLeaderEpoch.code();
    if is_hinted { view.hint(wanted.group.ok()?) } else { None }
}

/// Cuts a run to `bytes_max`, in the middle of a batch if need be, as Kafka does; clients drop the incomplete one. The first batch stays
/// whole where `whole_first` says so, otherwise a run whose first batch does not fit is empty.
fn cut(mut run: RecordRun, bytes_max: u32, whole_first: bool) -> Records {
    let limit = usize::try_from(bytes_max).unwrap_or(usize::MAX);
    if run.bytes <= limit {
        return Records::Ready(run);
    }
    let first = first_batch_length(&run);
    if first > limit && !whole_first {
        return Records::None;
    }
    let mut left = limit.max(first);
    for slice in &mut run.slices {
        slice.truncate(left);
        left -= slice.len();
    }
    run.slices.retain(|slice| !slice.is_empty());
    run.bytes = run.slices.iter().map(Bytes::len).sum();
    Records::Ready(run)
}

fn first_batch_length(run: &RecordRun) -> usize {
    run.slices.first().and_then(|slice| BatchHeader::parse(slice).ok()).map_or(0, |header| header.total_len())
}

fn node_endpoint(endpoint: super::Endpoint) -> response::NodeEndpoints {
    response::NodeEndpoints {
        node_id: endpoint.broker.0,
        host: Text::from(endpoint.host),
        port: i32::from(endpoint.port),
        rack: endpoint.rack.map(Text::from),
    }
}

#[cfg(test)]
#[path = "fetch_tests.rs"]
pub(crate) mod tests;
