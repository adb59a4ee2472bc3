//! DescribeLogDirs: what this broker's replicas take on its disk. There is one data folder, and no replica is ever on its way to another.
//!
//! Sizes are those of the segment files, raft's own entries included. A replica never lags behind its own high watermark. How large the
//! volume is and how much of it is free is not known here: -1, as Kafka says when it can't find out.
//!
//! Source: KIP-113, KIP-827 (volume), golden `log-dirs-*`.

use super::View;
use crate::controller::TopicState;
use crate::protocol::Text;
use crate::protocol::messages::describe_log_dirs::response::{Partitions, Results, Topics};
use crate::protocol::messages::describe_log_dirs::{DescribeLogDirsRequest, DescribeLogDirsResponse};
use std::collections::{BTreeMap, BTreeSet};

/// Answers a request about the data folder named `log_dir`.
#[must_use]
pub fn respond(view: &View<'_>, log_dir: &str, request: &DescribeLogDirsRequest) -> DescribeLogDirsResponse {
    let topics: Vec<Topics> = match &request.topics {
        None => view.cluster.topics().map(|topic| describe(view, topic, |_| true)).collect(),
        Some(asked) => {
            let mut wanted: BTreeMap<&str, BTreeSet<i32>> = BTreeMap::new();
            for topic in asked {
                wanted.entry(topic.topic.as_str()).or_default().extend(&topic.partitions);
            }
            let known = wanted.into_iter().filter_map(|(name, partitions)| Some((view.cluster.topic(name)?, partitions)));
            known.map(|(topic, partitions)| describe(view, topic, |number| partitions.contains(&number))).collect()
        }
    };
    let result = Results {
        log_dir: log_dir.into(),
        topics: topics.into_iter().filter(|topic| !topic.partitions.is_empty()).collect(),
        total_bytes: -1,
        usable_bytes: -1,
        ..Results::default()
    };
    DescribeLogDirsResponse { results: vec![result], ..DescribeLogDirsResponse::default() }
}

/// The replicas of a topic on this broker.
fn describe(view: &View<'_>, topic: &TopicState, is_wanted: impl Fn(i32) -> bool) -> Topics {
    let numbered = (0..).zip(&topic.partitions).filter(|(number, _)| is_wanted(*number));
    let here = numbered.filter_map(|(number, partition)| Some((number, view.replica(partition.group)?.1)));
    let partitions = here.map(|(partition_index, raft)| Partitions {
        partition_index,
        partition_size: i64::try_from(raft.log().bytes()).unwrap_or(i64::MAX),
        offset_lag: 0,
        is_future_key: false,
    });
    Topics { name: Text::from(&topic.name), partitions: partitions.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::produce::tests::{hello, to};
    use crate::broker::rig::Rig;
    use crate::protocol::messages::describe_log_dirs::request;

    fn shown(rig: &mut Rig, topics: Option<&[(&str, &[i32])]>, version: i16) -> Vec<(String, Vec<i32>)> {
        let topics = topics.map(|topics| {
            let one =
                |(name, partitions): &(&str, &[i32])| request::Topics { topic: (*name).into(), partitions: partitions.to_vec() };
            topics.iter().map(one).collect()
        });
        let answer = rig.ask(&DescribeLogDirsRequest { topics }, version);
        assert_eq!((answer.error_code, answer.results.len()), (0, 1));
        let numbers = |topic: Topics| topic.partitions.iter().map(|p| p.partition_index).collect();
        answer.results[0].topics.iter().cloned().map(|topic| (topic.name.to_string(), numbers(topic))).collect()
    }

    #[test]
    fn log_dirs() {
        let mut rig = Rig::new();
        rig.topic("dr", 2, &[]);
        rig.topic("a", 1, &[]);
        let named = |pairs: &[(&str, &[i32])]| pairs.iter().map(|(n, p)| ((*n).to_string(), p.to_vec())).collect::<Vec<_>>();
        for version in 1..=5 {
            assert_eq!(shown(&mut rig, Some(&[("dr", &[0, 1])]), version), named(&[("dr", &[0, 1])]));
        }
        assert_eq!(shown(&mut rig, None, 4), named(&[("a", &[0]), ("dr", &[0, 1])]));
        assert_eq!(shown(&mut rig, Some(&[]), 4), named(&[]));
        assert_eq!(shown(&mut rig, Some(&[("absent", &[0]), ("dr", &[1, 9, 1])]), 4), named(&[("dr", &[1])]));
        assert_eq!(shown(&mut rig, Some(&[("a", &[5])]), 4), named(&[]), "a topic without partitions is left out");
    }

    #[test]
    fn sizes_grow_with_records() {
        let mut rig = Rig::new();
        rig.topic("dr", 1, &[]);
        let size = |rig: &mut Rig| {
            let answer = rig.ask(&DescribeLogDirsRequest { topics: None }, 5);
            (answer.results[0].topics[0].partitions[0].partition_size, answer.results[0].total_bytes)
        };
        let before = size(&mut rig);
        let batch = hello();
        let bytes = i64::try_from(batch.len()).expect("small");
        rig.ask(&to("dr", -1, &[(0, Some(batch))]), 9);
        assert_eq!(size(&mut rig), (before.0 + bytes, -1));
    }
}
