//! Metadata: brokers, topics, and who leads each partition, as this broker knows it.
//!
//! Brokers and replica sets come from the controller's state, leaders from the leader table. A partition without a known live leader
//! says LEADER_NOT_AVAILABLE, which clients retry. Fenced brokers are not listed and their replicas are offline.
//!
//! Changes nothing: unknown topics that are to be created come back in [`Answer::create`], and the client asks again.
//!
//! Source: Kafka `KafkaApis.handleTopicMetadataRequest`, KIP-516 (topic ids); golden README 1, 33, 34 and `metadata-*`.

use crate::controller::{BrokerState, ClusterState, NewTopic, PartitionState, TopicState, check_topic_name, is_internal_topic};
use crate::ids::{BrokerId, TopicId};
use crate::partition::LeaderTable;
use crate::protocol::messages::metadata::request::Topics as AskedTopic;
use crate::protocol::messages::metadata::response::{Brokers, Partitions, Topics};
use crate::protocol::messages::metadata::{MetadataRequest, MetadataResponse};
use crate::protocol::{ErrorCode, Text, Uuid};
use std::collections::BTreeSet;

/// What everyone may do with a topic where there is no authorizer: a bit per ACL operation.
pub(super) const TOPIC_OPERATIONS: i32 = 3576;
/// The same for the cluster.
pub(super) const CLUSTER_OPERATIONS: i32 = 8096;
/// Not asked for.
pub(super) const OPERATIONS_NOT_ASKED: i32 = i32::MIN;

/// Version since which LISTENER_NOT_FOUND is told; before it is LEADER_NOT_AVAILABLE.
const LISTENER_NOT_FOUND_SINCE: i16 = 6;

/// What the answer is made of.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// The listener by which the client came: it is told the addresses of this one.
    pub listener: &'a str,
    /// 22 characters of base64url.
    pub cluster_id: &'a str,
    /// This broker.
    pub broker: BrokerId,
    /// Brokers, topics, partitions.
    pub cluster: &'a ClusterState,
    /// Who leads what.
    pub leaders: &'a LeaderTable,
    /// `auto.create.topics.enable`.
    pub auto_create: bool,
}

#[cfg(test)]
impl<'a> Known<'a> {
    /// What broker 1 of cluster `c` knows, for tests of what it tells.
    pub(crate) fn by_broker_one(cluster: &'a ClusterState, leaders: &'a LeaderTable) -> Known<'a> {
        Known { listener: "PLAINTEXT", cluster_id: "c", broker: BrokerId(1), cluster, leaders, auto_create: true }
    }
}

/// The answer, and what the broker does besides.
#[derive(Debug, Default)]
pub struct Answer {
    /// For the client.
    pub response: MetadataResponse,
    /// Topics to be created with default numbers; nobody waits for it.
    pub create: Vec<NewTopic>,
}

/// Answers a request.
#[must_use]
pub fn respond(known: &Known<'_>, request: &MetadataRequest, version: i16) -> Answer {
    if let Some(code) = fault(request, version) {
        return Answer { response: refuse(request, code), create: Vec::new() };
    }
    let operations = if request.include_topic_authorized_operations { TOPIC_OPERATIONS } else { OPERATIONS_NOT_ASKED };
    let mut answer = Answer::default();
    let topics = &mut answer.response.topics;
    match asked_topics(request, version) {
        AskedTopics::All => topics.extend(known.cluster.topics().map(|topic| found(known, topic, version, operations))),
        AskedTopics::Names(names) => {
            for name in names {
                match known.cluster.topic(name) {
                    Some(topic) => topics.push(found(known, topic, version, operations)),
                    None => {
                        let is_legal = check_topic_name(name).is_ok();
                        let code = if is_legal { ErrorCode::UnknownTopicOrPartition } else { ErrorCode::InvalidTopicException };
                        topics.push(missing(code, Some(name.into()), TopicId(0), operations));
                        if is_legal && request.allow_auto_topic_creation && known.auto_create {
                            answer.create.push(default_topic(name));
                        }
                    }
                }
            }
        }
        AskedTopics::Ids(ids) => topics.extend(ids.into_iter().map(|id| match known.cluster.topic_by_id(id) {
            Some(topic) => found(known, topic, version, operations),
            None => missing(ErrorCode::UnknownTopicId, None, id, OPERATIONS_NOT_ASKED),
        })),
    }
    let response = &mut answer.response;
    response.brokers = known.cluster.live_brokers().filter_map(|broker| describe_broker(broker, known.listener)).collect();
    response.cluster_id = Some(known.cluster_id.into());
    response.controller_id = any_live_broker(known.cluster, known.broker);
    let is_cluster_asked = request.include_cluster_authorized_operations;
    response.cluster_authorized_operations = if is_cluster_asked { CLUSTER_OPERATIONS } else { OPERATIONS_NOT_ASKED };
    answer
}

/// The broker clients send requests for the controller to: any will do, since each forwards. This one, if it is live.
#[must_use]
pub(super) fn any_live_broker(cluster: &ClusterState, broker: BrokerId) -> i32 {
    let is_live = cluster.broker(broker).is_some_and(|b| !b.is_fenced);
    let first = cluster.live_brokers().next().map_or(-1, |b| b.registration.id.0);
    if is_live { broker.0 } else { first }
}

/// The topics that the answer will show.
#[must_use]
pub fn shown_topics<'a>(cluster: &'a ClusterState, request: &MetadataRequest, version: i16) -> Vec<&'a TopicState> {
    if fault(request, version).is_some() {
        return Vec::new();
    }
    match asked_topics(request, version) {
        AskedTopics::All => cluster.topics().collect(),
        AskedTopics::Names(names) => names.into_iter().filter_map(|name| cluster.topic(name)).collect(),
        AskedTopics::Ids(ids) => ids.into_iter().filter_map(|id| cluster.topic_by_id(id)).collect(),
    }
}

enum AskedTopics<'a> {
    All,
    Names(Vec<&'a str>),
    Ids(Vec<TopicId>),
}

/// As soon as one id is asked for, names beside ids do not count (`metadata-wrong-id-and-name`). Repetitions count once.
fn asked_topics(request: &MetadataRequest, version: i16) -> AskedTopics<'_> {
    let Some(topics) = request.topics.as_deref().filter(|topics| version > 0 || !topics.is_empty()) else {
        return AskedTopics::All;
    };
    if topics.iter().any(|topic| !topic.topic_id.is_zero()) {
        let mut seen = BTreeSet::new();
        let ids = topics.iter().map(|topic| TopicId::from(topic.topic_id)).filter(|id| *id != TopicId(0));
        return AskedTopics::Ids(ids.filter(|id| seen.insert(*id)).collect());
    }
    let mut seen = BTreeSet::new();
    AskedTopics::Names(topics.iter().filter_map(|topic| topic.name.as_deref()).filter(|name| seen.insert(*name)).collect())
}

/// Requests that are refused as a whole.
fn fault(request: &MetadataRequest, version: i16) -> Option<ErrorCode> {
    let topics = request.topics.as_deref().unwrap_or_default();
    if version < 12 {
        let is_by_id = |topic: &AskedTopic| topic.name.is_none() || !topic.topic_id.is_zero();
        return topics.iter().any(is_by_id).then_some(ErrorCode::InvalidRequest);
    }
    // Kafka breaks here and answers with its word for it; clients never ask so (`metadata-no-id-no-name`).
    let is_nothing = |topic: &AskedTopic| topic.name.is_none() && topic.topic_id.is_zero();
    topics.iter().any(is_nothing).then_some(ErrorCode::UnknownServerError)
}

fn refuse(request: &MetadataRequest, code: ErrorCode) -> MetadataResponse {
    let topics = request.topics.iter().flatten();
    MetadataResponse {
        topics: topics
            .map(|topic| {
                let name = topic.name.clone().unwrap_or_default();
                missing(code, Some(name), topic.topic_id.into(), OPERATIONS_NOT_ASKED)
            })
            .collect(),
        cluster_id: None,
        controller_id: -1,
        cluster_authorized_operations: OPERATIONS_NOT_ASKED,
        ..MetadataResponse::default()
    }
}

fn missing(code: ErrorCode, name: Option<Text>, id: TopicId, operations: i32) -> Topics {
    Topics {
        error_code: code.code(),
        name,
        topic_id: Uuid::from(id),
        topic_authorized_operations: operations,
        ..Topics::default()
    }
}

fn found(known: &Known<'_>, topic: &TopicState, version: i16, operations: i32) -> Topics {
    Topics {
        error_code: 0,
        name: Some(Text::from(&topic.name)),
        topic_id: topic.id.into(),
        is_internal: is_internal_topic(&topic.name),
        partitions: (0..)
            .zip(&topic.partitions)
            .map(|(number, partition)| describe_partition(known, number, partition, version >= LISTENER_NOT_FOUND_SINCE))
            .collect(),
        topic_authorized_operations: operations,
    }
}

/// `tells_listeners`: whether the client knows the error of a leader that has no listener of the name by which the client came.
pub(super) fn describe_partition(
    known: &Known<'_>,
    number: i32,
    partition: &PartitionState,
    tells_listeners: bool,
) -> Partitions {
    let is_live = |id: BrokerId| known.cluster.broker(id).is_some_and(|b| !b.is_fenced);
    let leadership = known.leaders.get(partition.group);
    // A leader that is not listed among the brokers is of no use to a client.
    let leader = leadership.and_then(|l| l.leader).filter(|id| is_live(*id));
    let has_listener = |id: BrokerId| known.cluster.broker(id).is_some_and(|b| b.registration.endpoint(known.listener).is_some());
    let reached = leader.filter(|id| has_listener(*id));
    let code = match (leader, reached) {
        (_, Some(_)) => ErrorCode::None,
        (Some(_), None) if tells_listeners => ErrorCode::ListenerNotFound,
        (_, None) => ErrorCode::LeaderNotAvailable,
    };
    // A leader begins with everybody in sync, and says so as its first word.
    let told = leadership.map_or(&[][..], |l| &l.in_sync);
    let told = if told.is_empty() && leader.is_some() { &partition.replicas[..] } else { told };
    // A fenced broker is out of sync at once, as in Kafka; the leader drops it only after replica.lag.time.max.ms. Without a leader
    // the last word stands: it tells who may lead again.
    let mut in_sync: Vec<i32> = told.iter().filter(|id| leader.is_none() || is_live(**id)).map(|id| id.0).collect();
    if let Some(leader) = leader.filter(|id| !in_sync.contains(&id.0)) {
        // The leader itself is always in sync; its own word has not come yet.
        in_sync.push(leader.0);
    }
    Partitions {
        error_code: code.code(),
        partition_index: number,
        leader_id: reached.map_or(-1, |id| id.0),
        leader_epoch: leadership.map_or(-1, |l| l.epoch().0),
        replica_nodes: partition.replicas.iter().map(|id| id.0).collect(),
        isr_nodes: in_sync,
        offline_replicas: partition.replicas.iter().filter(|id| !is_live(**id)).map(|id| id.0).collect(),
    }
}

/// A broker without a listener of that name is not shown, as in Kafka: the client could not reach it.
fn describe_broker(broker: &BrokerState, listener: &str) -> Option<Brokers> {
    let registration = &broker.registration;
    let endpoint = registration.endpoint(listener)?;
    Some(Brokers {
        node_id: registration.id.0,
        host: Text::from(&endpoint.host),
        port: endpoint.port.into(),
        rack: registration.rack.as_ref().map(Text::from),
    })
}

fn default_topic(name: &str) -> NewTopic {
    NewTopic { name: name.to_string(), partitions: -1, replication_factor: -1, ..NewTopic::default() }
}

#[cfg(test)]
mod tests;
