//! ElectLeaders: gives partitions back to their preferred leaders.
//!
//! A preferred election is a transfer of leadership to the first replica, done by the present leader, if that replica is live and in
//! sync. The request waits until every transfer it led to is seen in the leader table, at most for its timeout. An unclean election
//! does not exist: a leader holds all committed records, so where a majority is gone nobody is eligible.
//!
//! Source: KIP-460, KIP-183, Kafka `ReplicationControlManager.electLeaders` and `DelayedElectLeader`; golden `elect-*`.

use super::{TopicKey, View};
use crate::ids::{BrokerId, GroupId};
use crate::protocol::messages::elect_leaders::response::{PartitionResult, ReplicaElectionResults};
use crate::protocol::messages::elect_leaders::{ElectLeadersRequest, ElectLeadersResponse};
use crate::protocol::{ErrorCode, Text};

const PREFERRED: i8 = 0;
const UNCLEAN: i8 = 1;

/// A request and how far it is.
#[derive(Debug)]
pub struct ElectJob {
    error: ErrorCode,
    /// Without a list of partitions, those that need no election are not told.
    is_about_all: bool,
    topics: Vec<(Text, Vec<Slot>)>,
}

/// One asked partition.
#[derive(Debug)]
struct Slot {
    partition: i32,
    state: SlotState,
}

#[derive(Clone, Debug)]
enum SlotState {
    /// Its leader was asked to hand over.
    Waiting {
        group: GroupId,
        preferred: BrokerId,
    },
    Done(ErrorCode, Option<Text>),
}

use SlotState::{Done, Waiting};

fn done(code: ErrorCode, message: impl Into<Text>) -> SlotState {
    Done(code, Some(message.into()))
}

impl ElectJob {
    /// Looks at what is asked: what is wrong or not needed is settled at once, the rest waits.
    #[must_use]
    pub fn new(view: &View<'_>, request: &ElectLeadersRequest) -> ElectJob {
        let kind = request.election_type;
        let is_known = [PREFERRED, UNCLEAN].contains(&kind);
        let slot = |topic: &str, partition: i32| {
            let state = if is_known {
                look(view, topic, partition, kind)
            } else {
                done(ErrorCode::InvalidRequest, format!("Unknown election type {kind}"))
            };
            Slot { partition, state }
        };
        let topics = match &request.topic_partitions {
            Some(topics) => topics
                .iter()
                .map(|asked| (asked.topic.clone(), asked.partitions.iter().map(|number| slot(&asked.topic, *number)).collect()))
                .collect(),
            None => view
                .cluster
                .topics()
                .map(|topic| {
                    let numbers = (0..).zip(&topic.partitions).map(|(number, _)| number);
                    (Text::from(&topic.name), numbers.map(|number| slot(&topic.name, number)).collect())
                })
                .collect(),
        };
        let error = if is_known { ErrorCode::None } else { ErrorCode::InvalidRequest };
        ElectJob { error, is_about_all: request.topic_partitions.is_none(), topics }
    }

    /// Groups whose leaders have not handed over, in the order of the request.
    pub fn waiting(&self) -> impl Iterator<Item = GroupId> {
        self.topics.iter().flat_map(|(_, slots)| slots).filter_map(|slot| match slot.state {
            Waiting { group, .. } => Some(group),
            Done(..) => None,
        })
    }

    /// Settles what the leader table says is done by now.
    pub fn look_again(&mut self, view: &View<'_>) {
        for slot in self.topics.iter_mut().flat_map(|(_, slots)| slots) {
            let Waiting { group, preferred } = slot.state else { continue };
            if view.cluster.partition_of(group).is_none() {
                slot.state = Done(ErrorCode::UnknownTopicOrPartition, None);
            } else if view.leaders.get(group).and_then(|known| known.leader) == Some(preferred) {
                slot.state = Done(ErrorCode::None, None);
            }
        }
    }

    /// What the client is told; what still waits has timed out.
    #[must_use]
    pub fn respond(self) -> ElectLeadersResponse {
        let is_told = |code: ErrorCode| !self.is_about_all || code != ErrorCode::ElectionNotNeeded;
        let results = self.topics.into_iter().map(|(topic, slots)| ReplicaElectionResults {
            topic,
            partition_result: slots
                .into_iter()
                .map(|slot| match slot.state {
                    Waiting { .. } => (slot.partition, ErrorCode::RequestTimedOut, None),
                    Done(code, message) => (slot.partition, code, message),
                })
                .filter(|(_, code, _)| is_told(*code))
                .map(|(partition_id, code, error_message)| PartitionResult {
                    partition_id,
                    error_code: code.code(),
                    error_message,
                })
                .collect(),
        });
        ElectLeadersResponse {
            error_code: self.error.code(),
            replica_election_results: results.collect(),
            ..ElectLeadersResponse::default()
        }
    }
}

fn look(view: &View<'_>, topic: &str, number: i32, kind: i8) -> SlotState {
    let Ok(known) = view.topic(TopicKey::Name(topic)) else {
        return done(ErrorCode::UnknownTopicOrPartition, format!("No such topic as {topic}"));
    };
    let Some(partition) = usize::try_from(number).ok().and_then(|number| known.partitions.get(number)) else {
        return done(ErrorCode::UnknownTopicOrPartition, format!("No such partition as {topic}-{number}"));
    };
    let is_live = |id: BrokerId| view.cluster.broker(id).is_some_and(|broker| !broker.is_fenced);
    let leadership = view.leaders.get(partition.group);
    let leader = leadership.and_then(|known| known.leader).filter(|id| is_live(*id));
    let not_needed = "Leader election not needed for topic partition.";
    if kind == UNCLEAN {
        return match leader {
            Some(_) => done(ErrorCode::ElectionNotNeeded, not_needed),
            None => done(ErrorCode::EligibleLeadersNotAvailable, "Eligible topic partition leaders are not available."),
        };
    }
    let preferred = partition.replicas[0];
    if leader == Some(preferred) {
        return done(ErrorCode::ElectionNotNeeded, not_needed);
    }
    let is_in_sync = leadership.is_some_and(|known| known.in_sync.contains(&preferred));
    if leader.is_none() || !is_live(preferred) || !is_in_sync {
        return done(ErrorCode::PreferredLeaderNotAvailable, "The preferred leader was not available.");
    }
    Waiting { group: partition.group, preferred }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::rig::Rig;
    use crate::ids::Term;
    use crate::partition::{Leadership, Tell};
    use crate::protocol::messages::elect_leaders::request::TopicPartitions;

    fn ask(kind: i8, topics: Option<&[(&str, &[i32])]>) -> ElectLeadersRequest {
        let one =
            |(topic, partitions): &(&str, &[i32])| TopicPartitions { topic: (*topic).into(), partitions: partitions.to_vec() };
        let topic_partitions = topics.map(|topics| topics.iter().map(one).collect());
        ElectLeadersRequest { election_type: kind, topic_partitions, timeout_ms: 5000 }
    }

    /// `error; topic partition=code ...; ...`.
    fn shown(response: &ElectLeadersResponse) -> String {
        let mut parts = vec![response.error_code.to_string()];
        for topic in &response.replica_election_results {
            let partitions = topic.partition_result.iter().map(|p| format!(" {}={}", p.partition_id, p.error_code));
            parts.push(format!("{}{}", topic.topic, partitions.collect::<String>()));
        }
        parts.join("; ")
    }

    #[test]
    fn elect() {
        let mut rig = Rig::new();
        rig.topic("dr", 1, &[]);
        rig.topic("drc", 2, &[]);
        for version in 0..=2 {
            let answer = rig.ask(&ask(0, Some(&[("dr", &[0])])), version);
            assert_eq!(shown(&answer), "0; dr 0=84");
            let message = answer.replica_election_results[0].partition_result[0].error_message.as_deref();
            assert_eq!(message, Some("Leader election not needed for topic partition."));
        }
        let mut elect = |kind, topics| shown(&rig.ask(&ask(kind, topics), 2));
        assert_eq!(elect(1, Some(&[("dr", &[0])])), "0; dr 0=84", "elect-unclean");
        assert_eq!(elect(9, Some(&[("dr", &[0])])), "42; dr 0=42", "elect-type-9");
        assert_eq!(elect(0, Some(&[("absent", &[0]), ("dr", &[9])])), "0; absent 0=3; dr 9=3", "elect-unknown");
        assert_eq!(elect(0, None), "0; dr; drc", "elect-all");
        assert_eq!(elect(0, Some(&[])), "0", "elect-none");
        assert_eq!(elect(0, Some(&[("dr", &[0, 0])])), "0; dr 0=84 0=84");
    }

    /// A topic of this broker alone, and what the leader table says of it.
    fn job(leadership: Leadership, kind: i8, before: impl FnOnce(&mut Rig)) -> (Rig, ElectJob) {
        let mut rig = Rig::new();
        rig.topic("dr", 1, &[]);
        before(&mut rig);
        let group = rig.broker.local.controller.state().topic("dr").expect("there").partitions[0].group;
        rig.broker.local.leaders.observe(group, Leadership { term: Term(99), ..leadership }, Tell::Nobody);
        let job = ElectJob::new(&rig.broker.local.view(rig.now), &ask(kind, Some(&[("dr", &[0])])));
        (rig, job)
    }

    #[test]
    fn without_a_leader_nobody_is_eligible() {
        let none = || Leadership { leader: None, in_sync: vec![BrokerId(1)], ..Leadership::default() };
        assert_eq!(shown(&job(none(), 0, |_| ()).1.respond()), "0; dr 0=80");
        assert_eq!(shown(&job(none(), 1, |_| ()).1.respond()), "0; dr 0=83");
    }
}
