//! DescribeProducers: who wrote to a partition with a producer id, as far as this broker's replica remembers it. Any replica answers.
//!
//! There are no transactions here: no coordinator epoch and no start of an open transaction is told.
//!
//! Source: KIP-664; Kafka `ReplicaManager.activeProducerState`; golden `describe-producers*`, `follower-describe-producers`.

use super::{TopicKey, View};
use crate::ids::GroupId;
use crate::limits::DESCRIBED_PRODUCERS_MAX;
use crate::partition::Producers;
use crate::protocol::messages::describe_producers::response::{ActiveProducers, Partitions, Topics};
use crate::protocol::messages::describe_producers::{DescribeProducersRequest, DescribeProducersResponse};
use crate::protocol::{ErrorCode, Text};
use std::collections::BTreeMap;

/// Told of a topic that nobody knows; of a partition that a known topic does not have, nothing is said beside the code.
const ELSEWHERE: &str = "This server does not host this topic-partition.";
/// Told where the answer is full.
const TOO_MANY: &str = "Too many producers for one answer; ask for fewer partitions at once.";

/// Answers a request; `producers` are those of this broker's replicas.
#[must_use]
pub fn respond(
    view: &View<'_>,
    producers: &BTreeMap<GroupId, Producers>,
    request: &DescribeProducersRequest,
) -> DescribeProducersResponse {
    let mut left = DESCRIBED_PRODUCERS_MAX;
    let topics = request.topics.iter().map(|topic| {
        let is_known = view.topic(TopicKey::Name(&topic.name)).is_ok();
        let partitions = topic.partition_indexes.iter().map(|number| {
            let partition = Partitions { partition_index: *number, ..Partitions::default() };
            let failed = |error: ErrorCode, message: Option<&str>| Partitions {
                error_code: error.code(),
                error_message: message.map(Text::from),
                ..partition.clone()
            };
            let group = match group_here(view, &topic.name, *number) {
                Ok(group) => group,
                Err(error) => return failed(error, (!is_known).then_some(ELSEWHERE)),
            };
            let active: Vec<_> = producers.get(&group).map(describe).into_iter().flatten().take(left + 1).collect();
            if active.len() > left {
                left = 0;
                return failed(ErrorCode::InvalidRequest, Some(TOO_MANY));
            }
            left -= active.len();
            Partitions { active_producers: active, ..partition }
        });
        Topics { name: topic.name.clone(), partitions: partitions.collect() }
    });
    DescribeProducersResponse { topics: topics.collect(), ..DescribeProducersResponse::default() }
}

/// The group of a partition that this broker has a replica of.
fn group_here(view: &View<'_>, topic: &str, number: i32) -> Result<GroupId, ErrorCode> {
    let group = view.group_of(TopicKey::Name(topic), number)?;
    view.replica(group).map(|_| group).ok_or_else(|| view.why_no_replica(group))
}

fn describe(producers: &Producers) -> impl Iterator<Item = ActiveProducers> {
    producers.newest().map(|(producer_id, epoch, batch)| ActiveProducers {
        producer_id,
        producer_epoch: epoch.into(),
        last_sequence: batch.sequence_last,
        last_timestamp: batch.timestamp_ms,
        coordinator_epoch: -1,
        current_txn_start_offset: -1,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::produce::tests::to;
    use crate::broker::rig::Rig;
    use crate::protocol::messages::describe_producers::request::Topics as Asked;
    use crate::record::BatchBuilder;

    type Seen = Vec<(i64, i32, i32, i64)>;

    fn ask(rig: &mut Rig, topic: &str, numbers: &[i32]) -> Vec<(i16, Option<String>, Seen)> {
        let asked = Asked { name: topic.into(), partition_indexes: numbers.to_vec() };
        let answer = rig.ask(&DescribeProducersRequest { topics: vec![asked] }, 0);
        let seen = |p: &ActiveProducers| {
            assert_eq!((p.coordinator_epoch, p.current_txn_start_offset), (-1, -1));
            (p.producer_id, p.producer_epoch, p.last_sequence, p.last_timestamp)
        };
        let partition = |p: &Partitions| {
            let message = p.error_message.as_ref().map(ToString::to_string);
            (p.error_code, message, p.active_producers.iter().map(seen).collect())
        };
        answer.topics[0].partitions.iter().map(partition).collect()
    }

    fn write(rig: &mut Rig, producer: i64, epoch: i16, sequence: i32, records: i64) {
        let mut builder = BatchBuilder::new().producer(producer, epoch, sequence);
        for n in 0..records {
            builder.push(1_700_000_000_000 + n, None, Some(b"v"));
        }
        let answer = rig.ask(&to("id", -1, &[(1, Some(builder.build().freeze()))]), 9);
        assert_eq!(answer.responses[0].partition_responses[0].error_code, 0);
    }

    #[test]
    fn describe_producers() {
        let mut rig = Rig::new();
        rig.topic("id", 2, &[]);
        write(&mut rig, 7, 3, 0, 5);
        write(&mut rig, 5, 0, 0, 1);
        write(&mut rig, 5, 0, 1, 2);
        let t = 1_700_000_000_000;
        assert_eq!(
            ask(&mut rig, "id", &[1, 9, 0]),
            [(0, None, vec![(5, 0, 2, t + 1), (7, 3, 4, t + 4)]), (3, None, vec![]), (0, None, vec![])]
        );
    }

    #[test]
    fn describe_producers_unknown() {
        let unknown = (3, Some(ELSEWHERE.to_string()), vec![]);
        assert_eq!(ask(&mut Rig::new(), "absent", &[0, -1]), [unknown.clone(), unknown]);
    }

    #[test]
    fn an_answer_is_bounded_however_often_a_partition_is_named() {
        let mut rig = Rig::new();
        rig.topic("id", 2, &[]);
        write(&mut rig, 7, 0, 0, 1);
        let answer = ask(&mut rig, "id", &vec![1; DESCRIBED_PRODUCERS_MAX + 2]);
        let told = answer.iter().filter(|(code, ..)| *code == 0).count();
        assert_eq!(told, DESCRIBED_PRODUCERS_MAX);
        assert_eq!(answer[told..], vec![(42, Some(TOO_MANY.to_string()), vec![]); 2]);
    }
}
