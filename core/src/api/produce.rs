//! Produce: which batches are taken, and the answer once all of them are settled.
//!
//! The decision here is made per partition and never lets one bad partition fail another. Appending is the broker's: what is
//! admitted is collected and proposed at the end of the round. Sequences of idempotent producers are judged then, in the order of the log
//! (`broker::sequences`): they are the last thing Kafka looks at, too.
//!
//! Checks come in Kafka's order (`KafkaApis.handleProduceRequest`, `ReplicaManager.appendRecords`, `UnifiedLog.append`), because
//! the first one that fails names the error.

use super::{TopicKey, View};
use crate::ids::{GroupId, Offset, TopicId};
use crate::partition::Acks;
use crate::protocol::messages::produce::{ProduceRequest, ProduceResponse, response};
use crate::protocol::{ErrorCode, Text, Uuid};
use crate::record::{BatchFault, CheckedBatch};
use std::collections::{BTreeMap, BTreeSet};

/// What came of one partition's batch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// `None`: it is in the log.
    pub error: Option<ErrorCode>,
    /// Kafka offset of the first record, -1 for none.
    pub base_offset: i64,
    /// The broker's time if the topic wants that, else -1.
    pub log_append_time_ms: i64,
    /// First offset of the log, -1 where Kafka does not tell.
    pub log_start: i64,
    /// Records at fault: number in the batch, why.
    pub record_errors: Vec<(i32, String)>,
    /// For people.
    pub message: Option<String>,
}

impl Outcome {
    /// Nothing was appended.
    #[must_use]
    pub fn failed(error: ErrorCode) -> Outcome {
        Outcome {
            error: Some(error),
            base_offset: -1,
            log_append_time_ms: -1,
            log_start: -1,
            record_errors: Vec::new(),
            message: None,
        }
    }

    /// The batch itself is wrong.
    fn faulty(fault: &BatchFault, log_start: Offset) -> Outcome {
        let error = fault.error_code();
        Outcome {
            log_start: if fault.tells_log_start() { log_start.0 } else { -1 },
            record_errors: fault.record_errors().iter().map(|e| (e.batch_index, e.message.clone())).collect(),
            message: fault.message(),
            ..Outcome::failed(error)
        }
    }

    /// The batch does not follow its producer's last one.
    #[must_use]
    pub fn out_of_sequence(error: ErrorCode, log_start: Offset) -> Outcome {
        Outcome { log_start: log_start.0, ..Outcome::failed(error) }
    }

    /// It is in the log.
    #[must_use]
    pub fn appended(base_offset: Offset, log_append_time_ms: i64, log_start: Offset) -> Outcome {
        Outcome {
            error: None,
            base_offset: base_offset.0,
            log_append_time_ms,
            log_start: log_start.0,
            record_errors: Vec::new(),
            message: None,
        }
    }
}

/// One partition of a request.
#[derive(Debug)]
struct Part {
    /// Which of the topics.
    topic: usize,
    /// Partition number as the client wrote it.
    index: i32,
    /// Its group, if there is such a partition.
    group: Option<GroupId>,
    /// The broker's time, once stamped; -1 otherwise.
    log_append_time_ms: i64,
    /// How it ended; `None` while it waits.
    outcome: Option<Outcome>,
}

/// A produce request on its way to its answer.
#[derive(Debug)]
pub struct ProduceJob {
    /// What the producer waits for.
    pub acks: Acks,
    topics: Vec<(Text, Uuid)>,
    parts: Vec<Part>,
    unsettled: usize,
}

/// A batch that may be appended.
#[derive(Debug)]
pub struct Admitted {
    /// Where to.
    pub group: GroupId,
    /// Which part of the request.
    pub part: usize,
    /// What.
    pub batch: CheckedBatch,
}

/// Decides about every partition of a request. What is admitted must be appended or failed with [`ProduceJob::settle`].
#[must_use]
pub fn admit(
    view: &View<'_>,
    version: i16,
    request: ProduceRequest,
    batches: Vec<Result<CheckedBatch, BatchFault>>,
) -> (ProduceJob, Vec<Admitted>) {
    let acks = match request.acks {
        0 => Some(Acks::None),
        1 => Some(Acks::Leader),
        -1 => Some(Acks::All),
        _ => None,
    };
    let is_transactional = |batch: &Result<CheckedBatch, BatchFault>| batch.as_ref().is_ok_and(|b| b.header.is_transactional());
    // A transactional batch without a transactional id fails the request as a whole, as unauthorised (Kafka says 53 even without
    // an authorizer).
    let unauthorized = request.transactional_id.is_none() && batches.iter().any(is_transactional);
    let mut job = ProduceJob { acks: acks.unwrap_or(Acks::All), topics: Vec::new(), parts: Vec::new(), unsettled: 0 };
    let mut admitted = Vec::new();
    for (topic, index, batch) in flatten(&mut job.topics, request, batches) {
        let key = topic_key(&job.topics[topic], version);
        let part = job.parts.len();
        let group = view.group_of(key, index);
        job.parts.push(Part { topic, index, group: group.ok(), log_append_time_ms: -1, outcome: None });
        let verdict = match group {
            _ if unauthorized => Err(Outcome::failed(ErrorCode::TransactionalIdAuthorizationFailed)),
            Err(error) => Err(Outcome::failed(error)),
            Ok(group) => judge(view, acks, group, batch).map(|(batch, stamped)| (group, batch, stamped)),
        };
        match verdict {
            Ok((group, batch, stamped)) => {
                job.parts[part].log_append_time_ms = stamped;
                job.unsettled += 1;
                admitted.push(Admitted { group, part, batch });
            }
            Err(outcome) => job.parts[part].outcome = Some(outcome),
        }
    }
    (job, admitted)
}

fn topic_key(topic: &(Text, Uuid), version: i16) -> TopicKey<'_> {
    if version >= 13 { TopicKey::Id(TopicId(topic.1.0)) } else { TopicKey::Name(&topic.0) }
}

/// As many topics or partitions are looked through one after the other, which is cheaper than a map; a request may name millions.
const FEW: usize = 16;

/// Partitions in request order. A partition named twice keeps its first place and its last batch, as in Kafka's map.
fn flatten(
    topics: &mut Vec<(Text, Uuid)>,
    request: ProduceRequest,
    batches: Vec<Result<CheckedBatch, BatchFault>>,
) -> Vec<(usize, i32, Result<CheckedBatch, BatchFault>)> {
    let mut parts: Vec<(usize, i32, Result<CheckedBatch, BatchFault>)> = Vec::with_capacity(batches.len());
    let mut batches = batches.into_iter();
    let mut places: BTreeMap<(usize, i32), usize> = BTreeMap::new();
    let mut topic_places: BTreeMap<(Text, Uuid), usize> = BTreeMap::new();
    for entry in request.topic_data {
        let named = (entry.name, entry.topic_id);
        let known = if topics.len() <= FEW {
            topics.iter().position(|topic| *topic == named)
        } else {
            if topic_places.is_empty() {
                topic_places = topics.iter().cloned().zip(0..).collect();
            }
            topic_places.get(&named).copied()
        };
        let topic = known.unwrap_or_else(|| {
            if !topic_places.is_empty() {
                topic_places.insert(named.clone(), topics.len());
            }
            topics.push(named);
            topics.len() - 1
        });
        for data in entry.partition_data {
            let batch = batches.next().expect("decode gives one batch for every partition of the request");
            let place = if parts.len() <= FEW {
                parts.iter().position(|part| (part.0, part.1) == (topic, data.index))
            } else {
                if places.is_empty() {
                    places = parts.iter().map(|part| (part.0, part.1)).zip(0..).collect();
                }
                places.get(&(topic, data.index)).copied()
            };
            match place {
                Some(place) => parts[place].2 = batch,
                None => {
                    if !places.is_empty() {
                        places.insert((topic, data.index), parts.len());
                    }
                    parts.push((topic, data.index, batch));
                }
            }
        }
    }
    parts
}

/// Whether this broker takes the batch; the time it was stamped with, or -1.
fn judge(
    view: &View<'_>,
    acks: Option<Acks>,
    group: GroupId,
    batch: Result<CheckedBatch, BatchFault>,
) -> Result<(CheckedBatch, i64), Outcome> {
    if let Err(fault) = &batch
        && fault.outranks_leadership()
    {
        return Err(Outcome::faulty(fault, Offset::NONE));
    }
    let Some(acks) = acks else { return Err(Outcome::failed(ErrorCode::InvalidRequiredAcks)) };
    let (partition, raft) = view.leader_replica(group, -1).map_err(Outcome::failed)?;
    if acks == Acks::All && raft.in_sync(view.now, view.replica_lag_ms_max).len() < partition.replicas_min() {
        return Err(Outcome::failed(ErrorCode::NotEnoughReplicas));
    }
    if view.is_disk_full {
        return Err(Outcome::failed(ErrorCode::KafkaStorageError));
    }
    let log_start = raft.log().log_start();
    let mut batch = batch.map_err(|fault| Outcome::faulty(&fault, log_start))?;
    if batch.header.is_transactional() {
        // There is no transaction coordinator yet, so there is no transaction that this batch could be part of.
        return Err(Outcome::failed(ErrorCode::InvalidTxnState));
    }
    let stamped =
        batch.admit(partition.rules(), view.now.wall, &partition.label).map_err(|fault| Outcome::faulty(&fault, log_start))?;
    Ok((batch, stamped.map_or(-1, |time| time.0)))
}

impl ProduceJob {
    /// The groups of the partitions it names, as far as there are such partitions.
    pub fn groups(&self) -> impl Iterator<Item = GroupId> {
        self.parts.iter().filter_map(|part| part.group)
    }

    /// How one admitted batch ended.
    ///
    /// # Panics
    /// When it was settled before.
    pub fn settle(&mut self, part: usize, outcome: Outcome) {
        let slot = &mut self.parts[part].outcome;
        assert!(slot.is_none(), "part {part} of a produce request was settled twice");
        *slot = Some(outcome);
        self.unsettled -= 1;
    }

    /// An admitted batch is in the log as far as the producer asked.
    pub fn settle_appended(&mut self, part: usize, base_offset: Offset, log_start: Offset) {
        let stamped = self.parts[part].log_append_time_ms;
        self.settle(part, Outcome::appended(base_offset, stamped, log_start));
    }

    /// An admitted batch is in the log, and committed, but fewer replicas are in sync than the topic demands. As in Kafka the answer tells
    /// its offset all the same (`Partition.checkEnoughReplicasReachOffset`).
    pub fn settle_too_few(&mut self, part: usize, base_offset: Offset, log_start: Offset) {
        let stamped = self.parts[part].log_append_time_ms;
        let error = Some(ErrorCode::NotEnoughReplicasAfterAppend);
        self.settle(part, Outcome { error, ..Outcome::appended(base_offset, stamped, log_start) });
    }

    /// An admitted batch is one that is in the log already: its answer tells the batch's timestamp whatever the topic's timestamp type
    /// is, as Kafka's does (`idem-duplicate`).
    pub fn repeats(&mut self, part: usize, timestamp_ms: i64) {
        self.parts[part].log_append_time_ms = timestamp_ms;
    }

    /// The producer's patience is over: what waits may still be committed later.
    pub fn time_out(&mut self) {
        for part in &mut self.parts {
            if part.outcome.is_none() {
                part.outcome = Some(Outcome::failed(ErrorCode::RequestTimedOut));
            }
        }
        self.unsettled = 0;
    }

    /// Whether it can be answered.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.unsettled == 0
    }

    /// Parts that wait for their batch.
    pub fn unsettled_parts(&self) -> impl Iterator<Item = usize> {
        self.parts.iter().enumerate().filter(|(_, part)| part.outcome.is_none()).map(|(number, _)| number)
    }

    /// Whether any partition failed: with acks=0 that closes the connection, the only way to tell.
    #[must_use]
    pub fn has_error(&self) -> bool {
        self.parts.iter().any(|p| p.outcome.as_ref().is_some_and(|o| o.error.is_some()))
    }

    /// The answer.
    ///
    /// # Panics
    /// When a partition is not settled.
    #[must_use]
    pub fn respond(self, view: &View<'_>) -> ProduceResponse {
        let mut leaders = BTreeSet::new();
        let mut responses: Vec<response::Responses> = self
            .topics
            .into_iter()
            .map(|(name, topic_id)| response::Responses { name, topic_id, ..Default::default() })
            .collect();
        for part in self.parts {
            let outcome = part.outcome.expect("an answer is made when every partition is settled");
            let mut entry = response::PartitionResponses {
                index: part.index,
                error_code: outcome.error.map_or(0, ErrorCode::code),
                base_offset: outcome.base_offset,
                log_append_time_ms: outcome.log_append_time_ms,
                log_start_offset: outcome.log_start,
                record_errors: outcome.record_errors.into_iter().map(record_error).collect(),
                error_message: outcome.message.map(Text::from),
                ..Default::default()
            };
            if outcome.error == Some(ErrorCode::NotLeaderOrFollower)
                && let Some((leader, epoch)) = part.group.and_then(|group| view.hint(group))
            {
                entry.current_leader = response::CurrentLeader { leader_id: leader.0, leader_epoch: epoch.0 };
                leaders.insert(leader);
            }
            responses[part.topic].partition_responses.push(entry);
        }
        let node_endpoints = leaders.into_iter().filter_map(|leader| view.endpoint(leader)).map(node_endpoint).collect();
        ProduceResponse { responses, node_endpoints, ..Default::default() }
    }
}

fn record_error((index, message): (i32, String)) -> response::RecordErrors {
    response::RecordErrors { batch_index: index, batch_index_error_message: Some(Text::from(message)) }
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
#[path = "idempotence_tests.rs"]
mod idempotence_tests;
#[cfg(test)]
#[path = "produce_tests.rs"]
pub(crate) mod tests;
