//! DescribeQuorum: the controller group as its leader sees it. Only that leader knows how far the others are, so the question goes to it.
//!
//! The topic's name is Kafka's. Voters have no directory ids (all brokers vote, `core/decisions`), so theirs are zero, as in a Kafka
//! cluster with a fixed quorum; there are no observers. A voter is reached where `controller.quorum.voters` says, at the first listener of
//! `controller.listener.names`.
//!
//! Source: KIP-595, KIP-836, KIP-853; golden `quorum-*`, `cli/*/quorum-*`.

use crate::controller::ControllerResponse;
use crate::ids::BrokerId;
use crate::protocol::messages::describe_quorum::response::{CurrentVoters, Listeners, Nodes, Partitions, Topics};
use crate::protocol::messages::describe_quorum::{DescribeQuorumRequest, DescribeQuorumResponse};
use crate::protocol::{ErrorCode, Text};
use crate::raft::Quorum;
use std::collections::BTreeMap;

const METADATA_TOPIC: &str = "__cluster_metadata";
const ELSEWHERE: &str = "This server does not host this topic-partition.";

/// Whether exactly the metadata partition is asked for; anything else is answered by [`refuse`].
#[must_use]
pub fn is_known(request: &DescribeQuorumRequest) -> bool {
    let [topic] = request.topics.as_slice() else { return false };
    let [partition] = topic.partitions.as_slice() else { return false };
    topic.topic_name == *METADATA_TOPIC && partition.partition_index == 0
}

/// The answer to a request for any other partition: no partition in it is there.
#[must_use]
pub fn refuse(request: &DescribeQuorumRequest) -> DescribeQuorumResponse {
    let topics = request.topics.iter().map(|topic| Topics {
        topic_name: topic.topic_name.clone(),
        partitions: topic.partitions.iter().map(|partition| elsewhere(partition.partition_index)).collect(),
    });
    DescribeQuorumResponse { error_message: Some(Text::default()), topics: topics.collect(), ..DescribeQuorumResponse::default() }
}

/// Where a voter listens, by broker id.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VoterEndpoints {
    listener: Text,
    by_id: BTreeMap<BrokerId, (Text, u16)>,
}

impl VoterEndpoints {
    /// From the settings `controller.listener.names` and `controller.quorum.voters`; what is not like `id@host:port` is left out.
    #[must_use]
    pub fn of(listeners: &str, voters: &str) -> VoterEndpoints {
        let one = |voter: &str| {
            let (id, address) = voter.trim().split_once('@')?;
            let (host, port) = address.rsplit_once(':')?;
            Some((BrokerId(id.parse().ok()?), (Text::from(host), port.parse().ok()?)))
        };
        let listener = Text::from(listeners.split(',').next().unwrap_or_default().trim());
        VoterEndpoints { listener, by_id: voters.split(',').filter_map(one).collect() }
    }
}

/// What the client is told.
#[must_use]
pub fn respond(endpoints: &VoterEndpoints, response: ControllerResponse) -> DescribeQuorumResponse {
    let failure = response.failure();
    let ControllerResponse::Quorum(quorum) = response else {
        let error_message = Some(Text::from("The controller did not answer in time."));
        return DescribeQuorumResponse { error_code: failure.code(), error_message, ..DescribeQuorumResponse::default() };
    };
    let nodes = quorum.voters.iter().filter_map(|voter| {
        let (host, port) = endpoints.by_id.get(&voter.broker)?;
        let listener = Listeners { name: endpoints.listener.clone(), host: host.clone(), port: *port };
        Some(Nodes { node_id: voter.broker.0, listeners: vec![listener] })
    });
    DescribeQuorumResponse {
        error_code: 0,
        error_message: Some(Text::default()),
        nodes: nodes.collect(),
        topics: vec![Topics { topic_name: METADATA_TOPIC.into(), partitions: vec![describe(&quorum)] }],
    }
}

fn describe(quorum: &Quorum) -> Partitions {
    let voters = quorum.voters.iter().map(|voter| CurrentVoters {
        replica_id: voter.broker.0,
        log_end_offset: voter.log_end,
        last_fetch_timestamp: voter.heard_ms,
        last_caught_up_timestamp: voter.caught_up_ms,
        ..CurrentVoters::default()
    });
    Partitions {
        partition_index: 0,
        error_message: Some(Text::default()),
        leader_id: quorum.leader.0,
        leader_epoch: quorum.epoch.0,
        high_watermark: quorum.high_watermark,
        current_voters: voters.collect(),
        ..Partitions::default()
    }
}

fn elsewhere(partition_index: i32) -> Partitions {
    let error_code = ErrorCode::UnknownTopicOrPartition.code();
    Partitions { partition_index, error_code, error_message: Some(ELSEWHERE.into()), ..Partitions::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::LeaderEpoch;
    use crate::protocol::messages::describe_quorum::request;
    use crate::raft::Voter;

    fn ask(topics: &[(&str, &[i32])]) -> DescribeQuorumRequest {
        let partition = |index: &i32| request::Partitions { partition_index: *index };
        let topics = topics.iter().map(|(name, partitions)| request::Topics {
            topic_name: (*name).into(),
            partitions: partitions.iter().map(partition).collect(),
        });
        DescribeQuorumRequest { topics: topics.collect() }
    }

    #[test]
    fn quorum_wrong_topic() {
        assert!(is_known(&ask(&[("__cluster_metadata", &[0])])));
        for asked in [
            ask(&[("dr", &[0])]),
            ask(&[("__cluster_metadata", &[7])]),
            ask(&[("__cluster_metadata", &[0, 1])]),
            ask(&[("__cluster_metadata", &[0]), ("dr", &[0])]),
            ask(&[]),
        ] {
            assert!(!is_known(&asked));
            let answer = refuse(&asked);
            assert_eq!((answer.error_code, answer.topics.len(), answer.nodes.len()), (0, asked.topics.len(), 0));
            let mut partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
            assert!(partitions.all(|p| p.error_code == 3 && p.error_message.as_deref() == Some(ELSEWHERE) && p.leader_id == 0));
        }
    }

    #[test]
    fn a_quorum_is_described() {
        let endpoints = VoterEndpoints::of("CONTROLLER,X", "1@a:9093, 2@[::1]:9095,nonsense");
        let voter = |id, log_end| Voter { broker: BrokerId(id), log_end, heard_ms: 5, caught_up_ms: 4 };
        let voters = vec![voter(1, 12), voter(2, 10), voter(3, 2)];
        let quorum = Quorum { leader: BrokerId(1), epoch: LeaderEpoch(3), high_watermark: 10, voters };
        let answer = respond(&endpoints, ControllerResponse::Quorum(quorum));
        let partition = &answer.topics[0].partitions[0];
        assert_eq!((partition.leader_id, partition.leader_epoch, partition.high_watermark), (1, 3, 10));
        let voters: Vec<_> = partition.current_voters.iter().map(|v| (v.replica_id, v.log_end_offset)).collect();
        assert_eq!(voters, [(1, 12), (2, 10), (3, 2)]);
        assert_eq!(partition.current_voters[0].last_caught_up_timestamp, 4);
        let nodes = answer.nodes.iter().map(|n| (n.node_id, &*n.listeners[0].name, &*n.listeners[0].host, n.listeners[0].port));
        assert_eq!(
            nodes.collect::<Vec<_>>(),
            [(1, "CONTROLLER", "a", 9093), (2, "CONTROLLER", "[::1]", 9095)],
            "nobody knows the third"
        );
        assert_eq!(respond(&endpoints, ControllerResponse::Failed(ErrorCode::RequestTimedOut)).error_code, 7);
    }
}
