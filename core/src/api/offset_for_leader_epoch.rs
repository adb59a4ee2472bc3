//! OffsetForLeaderEpoch: where an epoch ended, so that a client notices that what it read was truncated.
//!
//! Source: KIP-101, KIP-320; Kafka `Partition.lastOffsetForLeaderEpoch`.

use super::{TopicKey, View};
use crate::ids::LeaderEpoch;
use crate::protocol::messages::offset_for_leader_epoch::{
    OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse, request, response,
};

/// The answer.
#[must_use]
pub fn respond(view: &View<'_>, asked: OffsetForLeaderEpochRequest) -> OffsetForLeaderEpochResponse {
    let topics = asked
        .topics
        .into_iter()
        .map(|topic| {
            let partitions = topic.partitions.iter().map(|partition| one(view, &topic.topic, partition)).collect();
            response::Topics { topic: topic.topic, partitions }
        })
        .collect();
    OffsetForLeaderEpochResponse { topics, ..Default::default() }
}

fn one(view: &View<'_>, topic: &str, asked: &request::Partitions) -> response::Partitions {
    let answer = response::Partitions { partition: asked.partition, ..Default::default() };
    let found = view
        .group_of(TopicKey::Name(topic), asked.partition)
        .and_then(|group| view.leader_replica(group, asked.current_leader_epoch));
    match found {
        Err(error) => response::Partitions { error_code: error.code(), ..answer },
        Ok((_, raft)) if asked.leader_epoch < 0 => {
            debug_assert!(raft.is_leader());
            answer
        }
        Ok((_, raft)) if asked.leader_epoch == raft.term().leader_epoch().0 => {
            response::Partitions { leader_epoch: asked.leader_epoch, end_offset: raft.log().log_end().0, ..answer }
        }
        Ok((_, raft)) => {
            let (epoch, end) = raft.log().epoch_end(LeaderEpoch(asked.leader_epoch));
            response::Partitions { leader_epoch: epoch.0, end_offset: end.0, ..answer }
        }
    }
}
