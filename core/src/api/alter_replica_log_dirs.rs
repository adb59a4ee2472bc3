//! AlterReplicaLogDirs: there is one data folder, so every replica is where it is asked to be, or the folder is unknown.
//!
//! Source: KIP-113; Kafka `ReplicaManager.alterReplicaLogDirs`; golden `alter-replica-log-dirs`.

use super::{TopicKey, View};
use crate::protocol::ErrorCode;
use crate::protocol::messages::alter_replica_log_dirs::response::{Partitions, Results};
use crate::protocol::messages::alter_replica_log_dirs::{AlterReplicaLogDirsRequest, AlterReplicaLogDirsResponse};

/// Answers a request on the broker whose data folder is named `log_dir`.
#[must_use]
pub fn respond(view: &View<'_>, log_dir: &str, request: &AlterReplicaLogDirsRequest) -> AlterReplicaLogDirsResponse {
    let look = |path: &str, topic: &str, number: i32| -> Result<(), ErrorCode> {
        if path != log_dir {
            return Err(ErrorCode::LogDirNotFound);
        }
        let group = view.group_of(TopicKey::Name(topic), number)?;
        view.replica(group).map(|_| ()).ok_or_else(|| view.why_no_replica(group))
    };
    let asked = request.dirs.iter().flat_map(|dir| dir.topics.iter().map(move |topic| (&dir.path, topic)));
    let results = asked.map(|(path, topic)| {
        let partitions = topic.partitions.iter().map(|number| Partitions {
            partition_index: *number,
            error_code: look(path, &topic.name, *number).map_or_else(ErrorCode::code, |()| 0),
        });
        Results { topic_name: topic.name.clone(), partitions: partitions.collect() }
    });
    AlterReplicaLogDirsResponse { results: results.collect(), ..AlterReplicaLogDirsResponse::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::rig::Rig;
    use crate::protocol::messages::alter_replica_log_dirs::request::{Dirs, Topics};
    use crate::protocol::messages::describe_log_dirs::DescribeLogDirsRequest;

    #[test]
    fn alter_replica_log_dirs() {
        let mut rig = Rig::new();
        rig.topic("dr", 2, &[]);
        let dirs = rig.ask(&DescribeLogDirsRequest { topics: None }, 4);
        let own = dirs.results[0].log_dir.to_string();
        let mut ask = |path: &str, topic: &str, numbers: &[i32]| -> Vec<i16> {
            let topics = vec![Topics { name: topic.into(), partitions: numbers.to_vec() }];
            let dirs = vec![Dirs { path: path.into(), topics }];
            let answer = rig.ask(&AlterReplicaLogDirsRequest { dirs }, 2);
            answer.results[0].partitions.iter().map(|p| p.error_code).collect()
        };
        assert_eq!(ask("/no/such/dir", "dr", &[0, 1]), [57, 57]);
        assert_eq!(ask("/no/such/dir", "absent", &[0]), [57], "the folder is looked at first");
        assert_eq!(ask(&own, "dr", &[0, 7]), [0, 3]);
        assert_eq!(ask(&own, "absent", &[0]), [3]);
    }
}
