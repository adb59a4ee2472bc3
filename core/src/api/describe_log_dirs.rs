//! DescribeLogDirs: what this broker's replicas take on its disk. There is one data folder, and no replica is ever on its way to another.
//!
//! Sizes are those of the segment files, raft's own entries included. A replica never lags behind its own high watermark. How large the
//! volume is and how much of it is free comes with the request; where it is not known it is -1, as Kafka says when it can't find out.
//!
//! Source: KIP-113, KIP-827 (volume), golden `log-dirs-*`.

use super::View;
use crate::controller::TopicState;
use crate::disk::Volume;
use crate::protocol::Text;
use crate::protocol::messages::describe_log_dirs::response::{Partitions, Results, Topics};
use crate::protocol::messages::describe_log_dirs::{DescribeLogDirsRequest, DescribeLogDirsResponse};
use std::collections::{BTreeMap, BTreeSet};

/// Answers a request about the data folder, given by its name and the volume it is on.
#[must_use]
pub fn respond(
    view: &View<'_>,
    (log_dir, volume): (&str, Option<Volume>),
    request: &DescribeLogDirsRequest,
) -> DescribeLogDirsResponse {
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
        total_bytes: volume.map_or(-1, |volume| as_i64(volume.total_bytes)),
        usable_bytes: volume.map_or(-1, |volume| as_i64(volume.usable_bytes)),
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
        partition_size: as_i64(raft.log().bytes()),
        offset_lag: 0,
        is_future_key: false,
    });
    Topics { name: Text::from(&topic.name), partitions: partitions.collect() }
}

/// What does not fit is as much as fits, as in Kafka.
fn as_i64(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
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

    #[test]
    fn the_volume_is_told_where_it_is_known() {
        let mut rig = Rig::new();
        let mut told = |volume: Option<Volume>, version: i16| {
            let number =
                rig.send_with(&DescribeLogDirsRequest { topics: None }, version, |request| request.tell_volume(|| volume));
            let answer = rig.answer::<DescribeLogDirsRequest>(number, version).expect("at once");
            (answer.results[0].total_bytes, answer.results[0].usable_bytes)
        };
        let volume = Some(Volume { total_bytes: 1000, usable_bytes: 300 });
        assert_eq!(told(volume, 4), (1000, 300));
        assert_eq!(told(volume, 3), (-1, -1), "KIP-827 came with version 4");
        assert_eq!(told(None, 5), (-1, -1));
        let huge = Some(Volume { total_bytes: u64::MAX, usable_bytes: u64::MAX });
        assert_eq!(told(huge, 5), (i64::MAX, i64::MAX));
    }
}
