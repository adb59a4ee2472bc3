//! DescribeTopicPartitions: topics as in Metadata, but a bounded number of partitions per answer and a cursor to go on with.
//!
//! Topics come in the order of their names, so that a cursor (the topic and the partition to begin with) says where to go on even if
//! topics come or go in between. Authorized operations are always told. Kafka's lists of eligible leader replicas are empty: a leader
//! holds all committed records here, so nobody else is eligible.
//!
//! Source: KIP-966, Kafka `DescribeTopicPartitionsRequestHandler` and `KRaftMetadataCache.describeTopicResponse`; golden
//! `describe-topic-partitions*`, README 33, and what Kafka 4.3.1 said to cases beyond those.

use super::metadata::{Known, OPERATIONS_NOT_ASKED, TOPIC_OPERATIONS, describe_partition};
use crate::controller::{TopicState, check_topic_name, is_internal_topic};
use crate::protocol::messages::describe_topic_partitions::response::{NextCursor, Partitions, Topics};
use crate::protocol::messages::describe_topic_partitions::{DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse};
use crate::protocol::{ErrorCode, Text};
use std::collections::BTreeSet;

/// Answers a request with at most `partitions_max` partitions, and at least one if there is any.
#[must_use]
pub fn respond(
    known: &Known<'_>,
    request: &DescribeTopicPartitionsRequest,
    partitions_max: usize,
) -> DescribeTopicPartitionsResponse {
    let cursor = request.cursor.as_ref().map(|cursor| (cursor.topic_name.as_str(), cursor.partition_index));
    let named: BTreeSet<&str> = request.topics.iter().map(|topic| topic.name.as_str()).collect();
    let is_fault = cursor.is_some_and(|(name, partition)| partition < 0 || (!named.is_empty() && !named.contains(name)));
    if is_fault {
        return DescribeTopicPartitionsResponse {
            topics: request
                .topics
                .iter()
                .map(|topic| failed(&topic.name, ErrorCode::InvalidRequest, OPERATIONS_NOT_ASKED))
                .collect(),
            ..DescribeTopicPartitionsResponse::default()
        };
    }
    let names: BTreeSet<&str> =
        if named.is_empty() { known.cluster.topics().map(|topic| topic.name.as_str()).collect() } else { named };
    let mut room = usize::try_from(request.response_partition_limit).unwrap_or(0).min(partitions_max).max(1);
    let mut response = DescribeTopicPartitionsResponse::default();
    for name in names.into_iter().filter(|name| cursor.is_none_or(|(first, _)| *name >= first)) {
        if room == 0 {
            response.next_cursor = Some(NextCursor { topic_name: name.into(), partition_index: 0 });
            break;
        }
        let Some(topic) = known.cluster.topic(name) else {
            let is_legal = check_topic_name(name).is_ok();
            let code = if is_legal { ErrorCode::UnknownTopicOrPartition } else { ErrorCode::InvalidTopicException };
            response.topics.push(failed(name, code, TOPIC_OPERATIONS));
            continue;
        };
        let first = cursor.filter(|(first, _)| *first == name).map_or(0, |(_, partition)| partition);
        let partitions = partitions_from(known, topic, first, room);
        room -= partitions.len();
        let next = partitions.last().map_or(first, |last| last.partition_index + 1);
        response.topics.push(found(topic, partitions));
        if usize::try_from(next).is_ok_and(|next| next < topic.partitions.len()) {
            response.next_cursor = Some(NextCursor { topic_name: name.into(), partition_index: next });
            break;
        }
    }
    response
}

fn partitions_from(known: &Known<'_>, topic: &TopicState, first: i32, room: usize) -> Vec<Partitions> {
    let skipped = usize::try_from(first).unwrap_or(0);
    let numbered = (0..).zip(&topic.partitions).skip(skipped).take(room);
    let described = numbered.map(|(number, partition)| {
        let seen = describe_partition(known, number, partition, true);
        Partitions {
            error_code: seen.error_code,
            partition_index: number,
            leader_id: seen.leader_id,
            leader_epoch: seen.leader_epoch,
            replica_nodes: seen.replica_nodes,
            isr_nodes: seen.isr_nodes,
            eligible_leader_replicas: Some(Vec::new()),
            last_known_elr: Some(Vec::new()),
            offline_replicas: seen.offline_replicas,
        }
    });
    described.collect()
}

fn found(topic: &TopicState, partitions: Vec<Partitions>) -> Topics {
    Topics {
        error_code: 0,
        name: Some(Text::from(&topic.name)),
        topic_id: topic.id.into(),
        is_internal: is_internal_topic(&topic.name),
        partitions,
        topic_authorized_operations: TOPIC_OPERATIONS,
    }
}

fn failed(name: &str, code: ErrorCode, operations: i32) -> Topics {
    Topics { error_code: code.code(), name: Some(name.into()), topic_authorized_operations: operations, ..Topics::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::testing::{registration, state_of};
    use crate::controller::{Command, NewPartition, RequestId};
    use crate::ids::{BrokerId, GroupId, TopicId};
    use crate::partition::LeaderTable;
    use crate::protocol::messages::describe_topic_partitions::request;

    /// Topics m1 (one partition) and m3 (three), at most four partitions in an answer.
    fn ask(names: &[&str], limit: i32, cursor: Option<(&str, i32)>) -> DescribeTopicPartitionsResponse {
        let topic = |name: &str, id: u128, groups: &[u64]| {
            let partitions = groups.iter().map(|g| NewPartition { group: GroupId(*g), replicas: vec![BrokerId(1)] }).collect();
            let (name, configs, origin) = (name.into(), vec![], RequestId::default());
            Command::CreateTopic { name, id: TopicId(id), configs, partitions, origin }
        };
        let cluster = state_of(&[Command::RegisterBroker(registration(1)), topic("m1", 1, &[1]), topic("m3", 3, &[2, 3, 4])]);
        let leaders = LeaderTable::default();
        let known = Known::by_broker_one(&cluster, &leaders);
        let request = DescribeTopicPartitionsRequest {
            topics: names.iter().map(|name| request::Topics { name: (*name).into() }).collect(),
            response_partition_limit: limit,
            cursor: cursor.map(|(name, index)| request::Cursor { topic_name: name.into(), partition_index: index }),
        };
        respond(&known, &request, 4)
    }

    /// `name error partitions; ... > cursor`.
    #[track_caller]
    fn check(names: &[&str], limit: i32, cursor: Option<(&str, i32)>, expect: &str) {
        let response = ask(names, limit, cursor);
        let one = |t: &Topics| {
            let partitions: Vec<i32> = t.partitions.iter().map(|p| p.partition_index).collect();
            format!("{} {} {partitions:?}", t.name.as_deref().unwrap_or("null"), t.error_code)
        };
        let topics: Vec<String> = response.topics.iter().map(one).collect();
        let next = response.next_cursor.map_or("end".to_string(), |next| format!("{} {}", next.topic_name, next.partition_index));
        assert_eq!(format!("{} > {next}", topics.join("; ")), expect);
    }

    #[test]
    fn describe_topic_partitions() {
        check(&["m3", "m1", "m3"], 2000, None, "m1 0 [0]; m3 0 [0, 1, 2] > end");
        check(&[], 2000, None, "m1 0 [0]; m3 0 [0, 1, 2] > end");
        let response = ask(&["m1"], 2000, None);
        assert_eq!(response.topics[0].topic_authorized_operations, 3576);
        assert_eq!(response.topics[0].partitions[0].eligible_leader_replicas, Some(vec![]));
    }

    #[test]
    fn describe_topic_partitions_limit() {
        check(&["m3"], 2, None, "m3 0 [0, 1] > m3 2");
        check(&["m3"], 0, None, "m3 0 [0] > m3 1");
        check(&["m3"], -5, None, "m3 0 [0] > m3 1");
        check(&["m1"], 0, None, "m1 0 [0] > end");
        check(&[], 1, None, "m1 0 [0] > m3 0");
        check(&["a-absent", "m1", "m3"], 1, None, "a-absent 3 []; m1 0 [0] > m3 0");
        check(&["m3", "zz"], 3, None, "m3 0 [0, 1, 2] > zz 0");
        check(&["m1", "zz", "m3"], 2, None, "m1 0 [0]; m3 0 [0] > m3 1");
    }

    #[test]
    fn describe_topic_partitions_cursor() {
        check(&["m3"], 2000, Some(("m3", 2)), "m3 0 [2] > end");
        check(&["m3"], 2000, Some(("m3", 9)), "m3 0 [] > end");
        check(&[], 2000, Some(("m1", 1)), "m1 0 []; m3 0 [0, 1, 2] > end");
        check(&[], 2000, Some(("m2", 1)), "m3 0 [0, 1, 2] > end");
        check(&["m1", "m3"], 1, Some(("m1", 1)), "m1 0 []; m3 0 [0] > m3 1");
    }

    #[test]
    fn describe_topic_partitions_bad_cursor() {
        check(&["m1"], 2000, Some(("m1", -1)), "m1 42 [] > end");
        check(&["m3"], 2000, Some(("m1", 0)), "m3 42 [] > end");
        assert_eq!(ask(&["m1"], 2000, Some(("m1", -1))).topics[0].topic_authorized_operations, i32::MIN);
    }

    #[test]
    fn describe_topic_partitions_unknown_and_invalid() {
        check(&["absent"], 2000, None, "absent 3 [] > end");
        check(&["bad name!"], 2000, None, "bad name! 17 [] > end");
        assert_eq!(ask(&["absent"], 2000, None).topics[0].topic_authorized_operations, 3576);
    }

    #[test]
    fn an_answer_is_bounded_by_the_broker() {
        check(&["m1", "m3", "zz"], i32::MAX, None, "m1 0 [0]; m3 0 [0, 1, 2] > zz 0");
    }
}
