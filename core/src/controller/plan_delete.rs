//! What a DeleteTopics request leads to: for each topic a command or a refusal.
//!
//! Source: Kafka `ControllerApis.deleteTopics`; the cases are named in golden `delete-*`.

use super::command::{Command, RequestId};
use super::mentions::Mentions;
use super::request::{Refusal, TopicDeletion, TopicRef};
use super::state::{Change, ClusterState};
use crate::ids::TopicId;
use crate::protocol::ErrorCode;

/// Plans a request: one entry per distinct topic, in the order of first mention, and the commands, which are already applied to `state`.
pub(super) fn plan_delete(
    state: &mut ClusterState,
    topics: &[TopicRef],
    origin: RequestId,
) -> (Vec<TopicDeletion>, Vec<Command>) {
    let mut mentions = Mentions::of(topics.iter().map(key));
    let distinct: Vec<(&TopicRef, usize)> =
        topics.iter().filter_map(|topic| Some((topic, mentions.first(&key(topic))?))).collect();
    let verdicts: Vec<Found> = distinct.iter().map(|(topic, times)| find(state, &mentions, topic, *times, origin)).collect();
    let mut commands = Vec::new();
    let mut deletions = Vec::new();
    for ((topic, _), verdict) in distinct.into_iter().zip(verdicts) {
        deletions.push(match verdict {
            Err((code, message)) => {
                TopicDeletion { name: topic.name.clone(), id: topic.id, refusal: Some(Refusal::new(code, message)) }
            }
            Ok((name, id)) => {
                if state.topic_by_id(id).is_some() {
                    let command = Command::DeleteTopic { id, origin };
                    let change = state.apply(&command);
                    assert!(matches!(change, Change::TopicDeleted(_)), "the topic is there");
                    commands.push(command);
                }
                TopicDeletion { name: Some(name), id, refusal: None }
            }
        });
    }
    (deletions, commands)
}

type Found = Result<(String, TopicId), (ErrorCode, &'static str)>;

/// How a request names a topic.
type Key<'a> = (Option<&'a str>, TopicId);

fn key(topic: &TopicRef) -> Key<'_> {
    (topic.name.as_deref(), topic.id)
}

fn find(state: &ClusterState, all: &Mentions<Key<'_>>, topic: &TopicRef, times: usize, origin: RequestId) -> Found {
    let is_twice = times > 1;
    match (&topic.name, topic.id) {
        (Some(_), id) if id != TopicId(0) => {
            Err((ErrorCode::InvalidRequest, "You may not specify both topic name and topic id."))
        }
        (None, TopicId(0)) => Err((ErrorCode::InvalidRequest, "Neither topic name nor id were specified.")),
        (Some(_), _) if is_twice => Err((ErrorCode::InvalidRequest, "Duplicate topic name.")),
        (None, _) if is_twice => Err((ErrorCode::InvalidRequest, "Duplicate topic id.")),
        (Some(name), _) => {
            if let Some(known) = state.topic(name) {
                if all.contains(&(None, known.id)) {
                    let message = "The provided topic name maps to an ID that was already supplied.";
                    return Err((ErrorCode::InvalidRequest, message));
                }
                return Ok((known.name.clone(), known.id));
            }
            let own_work = state.deleted_by(origin, |gone| gone.name == *name);
            own_work
                .map(|gone| (gone.name.clone(), gone.id))
                .ok_or((ErrorCode::UnknownTopicOrPartition, "This server does not host this topic-partition."))
        }
        (None, id) => {
            let known = state.topic_by_id(id).map(|known| (known.name.clone(), known.id));
            known
                .or_else(|| state.deleted_by(origin, |gone| gone.id == id).map(|gone| (gone.name.clone(), gone.id)))
                .ok_or((ErrorCode::UnknownTopicId, "This server does not host this topic ID."))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::command::ListenerEndpoint;
    use super::super::command::{NewPartition, Registration};
    use super::*;
    use crate::ids::{BrokerId, GroupId};

    fn state() -> ClusterState {
        let mut state = ClusterState::default();
        let id = BrokerId(1);
        state.apply(&Command::RegisterBroker(Registration {
            id,
            incarnation: 1,
            endpoints: ListenerEndpoint::alone("h", 1),
            rack: None,
            directory: 0,
        }));
        for (name, id, group) in [("c4", 4, 1), ("c7", 7, 2)] {
            let partitions = vec![NewPartition { group: GroupId(group), replicas: vec![BrokerId(1)] }];
            state.apply(&Command::CreateTopic {
                name: name.into(),
                id: TopicId(id),
                configs: vec![],
                partitions,
                origin: RequestId::default(),
            });
        }
        state
    }

    fn by(name: Option<&str>, id: u128) -> TopicRef {
        TopicRef { name: name.map(str::to_string), id: TopicId(id) }
    }

    #[track_caller]
    fn check(topics: &[TopicRef], expect: &[(Option<&str>, u128, i16)]) {
        let mut state = state();
        let (deletions, commands) = plan_delete(&mut state, topics, RequestId { incarnation: 5, number: 1 });
        let got: Vec<_> =
            deletions.iter().map(|d| (d.name.as_deref(), d.id.0, d.refusal.as_ref().map_or(0, |r| r.code.code()))).collect();
        assert_eq!(got, expect);
        assert_eq!(commands.len(), expect.iter().filter(|(_, _, code)| *code == 0).count());
        state.check_invariants();
    }

    #[test]
    fn delete_rules() {
        check(&[by(Some("absent"), 0)], &[(Some("absent"), 0, 3)]);
        check(&[by(None, 99)], &[(None, 99, 100)]);
        check(&[by(Some("c4"), 7)], &[(Some("c4"), 7, 42)]);
        check(&[by(None, 0)], &[(None, 0, 42)]);
        check(&[by(None, 7)], &[(Some("c7"), 7, 0)]);
        check(&[by(Some("c4"), 0), by(None, 7)], &[(Some("c4"), 4, 0), (Some("c7"), 7, 0)]);
        check(&[by(Some("c4"), 0), by(Some("c4"), 0)], &[(Some("c4"), 0, 42)]);
        check(&[by(Some("c7"), 0), by(None, 7)], &[(Some("c7"), 0, 42), (Some("c7"), 7, 0)]);
        check(&[], &[]);
    }

    #[test]
    fn the_same_request_again_finds_its_own_work() {
        let mut state = state();
        let origin = RequestId { incarnation: 5, number: 1 };
        let first = plan_delete(&mut state, &[by(Some("c4"), 0)], origin);
        let again = plan_delete(&mut state, &[by(Some("c4"), 0)], origin);
        assert_eq!(first.0, again.0);
        assert_eq!((first.1.len(), again.1.len()), (1, 0));
        let other = plan_delete(&mut state, &[by(Some("c4"), 0)], RequestId { incarnation: 5, number: 2 });
        assert_eq!(other.0[0].refusal.as_ref().map(|r| r.code), Some(ErrorCode::UnknownTopicOrPartition));
    }
}
