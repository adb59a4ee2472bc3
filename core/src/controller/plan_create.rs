//! What a CreateTopics request leads to: for each topic a command or a refusal, with Kafka's precision.
//!
//! Decides on the leader, against a state that holds everything proposed so far, so of two requests for one name in flight one wins.
//! Knows nothing of raft or of answers on their way.
//!
//! Source: Kafka `ReplicationControlManager.createTopics`; the cases are named in golden `create-*`.

use super::command::{Command, NewPartition, RequestId};
use super::mentions::Mentions;
use super::placement::{candidates, check_reachable, check_replicas, place};
use super::request::{CreatedTopic, NewTopic, Refusal, TopicCreation};
use super::state::{ClusterState, TopicState};
use super::topic_name::{CLUSTER_METADATA, check_topic_name};
use crate::config::{BrokerSettings, check_overrides};
use crate::ids::{BrokerId, GroupId, TopicId};
use crate::limits::PARTITIONS_PER_REQUEST_MAX;
use crate::protocol::ErrorCode;
use std::collections::BTreeMap;

/// A checked topic: what is left is to place it.
struct Checked {
    configs: BTreeMap<String, String>,
    replicas: Replicas,
}

enum Replicas {
    Assigned(Vec<Vec<BrokerId>>),
    ToPlace { partitions: usize, factor: usize },
}

/// What stands between a check and its placement.
enum Verdict {
    Done(Box<CreatedTopic>),
    Go(Checked),
}

/// Plans a request: one entry per distinct name, in the order of first mention, and the commands, which are already applied to `state`.
/// Validated only, `state` stays as it is and the ids in the answer are those of no topic.
pub(super) fn plan_create(
    state: &mut ClusterState,
    topics: &[NewTopic],
    validate_only: bool,
    settings: &BrokerSettings,
    origin: RequestId,
    mut draw_id: impl FnMut() -> TopicId,
) -> (Vec<TopicCreation>, Vec<Command>) {
    let mut verdicts: Vec<(&NewTopic, Result<Verdict, Refusal>)> = Vec::new();
    let mut mentions = Mentions::of(topics.iter().map(|topic| topic.name.as_str()));
    for topic in topics {
        let Some(times) = mentions.first(&topic.name.as_str()) else { continue };
        let verdict = if times > 1 {
            Err(Refusal::new(ErrorCode::InvalidRequest, "Duplicate topic name."))
        } else {
            check(state, topic, settings, origin)
        };
        verdicts.push((topic, verdict));
    }
    let partitions: usize = verdicts.iter().map(|(_, verdict)| partitions_of(verdict)).sum();
    let is_excessive = partitions > PARTITIONS_PER_REQUEST_MAX;
    let mut commands = Vec::new();
    let mut creations = Vec::new();
    for (topic, verdict) in verdicts {
        let result = match verdict {
            Err(refusal) => Err(refusal),
            Ok(_) if is_excessive => {
                Err(Refusal::new(ErrorCode::PolicyViolation, "Excessively large number of partitions per request."))
            }
            Ok(Verdict::Done(created)) => Ok(*created),
            Ok(Verdict::Go(checked)) => check_name_is_free(state, &topic.name).and_then(|()| {
                let command = command_for(state, topic, checked, draw_id(), origin)?;
                let created = created_by(&command);
                if !validate_only {
                    let change = state.apply(&command);
                    assert!(
                        matches!(change, super::state::Change::TopicCreated(_)),
                        "what the leader proposes is legal against all it proposed before: {command:?}"
                    );
                    commands.push(command);
                }
                Ok(created)
            }),
        };
        creations.push(TopicCreation { name: topic.name.clone(), result });
    }
    (creations, commands)
}

/// A topic of the state, as CreateTopics tells it.
fn describe(topic: &TopicState) -> CreatedTopic {
    CreatedTopic {
        id: topic.id,
        partitions: count_i32(topic.partitions.len()),
        replication_factor: count_i16(topic.partitions.first().map_or(0, |p| p.replicas.len())),
        configs: topic.configs.clone().into_iter().collect(),
    }
}

fn created_by(command: &Command) -> CreatedTopic {
    let Command::CreateTopic { id, configs, partitions, .. } = command else {
        unreachable!("plan_create makes no other commands")
    };
    CreatedTopic {
        id: *id,
        partitions: count_i32(partitions.len()),
        replication_factor: count_i16(partitions.first().map_or(0, |p| p.replicas.len())),
        configs: configs.clone(),
    }
}

fn count_i32(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

fn count_i16(count: usize) -> i16 {
    i16::try_from(count).unwrap_or(i16::MAX)
}

fn partitions_of(verdict: &Result<Verdict, Refusal>) -> usize {
    match verdict {
        Ok(Verdict::Go(Checked { replicas: Replicas::Assigned(lists), .. })) => lists.len(),
        Ok(Verdict::Go(Checked { replicas: Replicas::ToPlace { partitions, .. }, .. })) => *partitions,
        Ok(Verdict::Done(_)) | Err(_) => 0,
    }
}

fn check(state: &ClusterState, topic: &NewTopic, settings: &BrokerSettings, origin: RequestId) -> Result<Verdict, Refusal> {
    if topic.name == CLUSTER_METADATA {
        let message = format!("Creation of internal topic {CLUSTER_METADATA} is prohibited.");
        return Err(Refusal::new(ErrorCode::InvalidRequest, message));
    }
    check_topic_name(&topic.name).map_err(|message| Refusal::new(ErrorCode::InvalidTopicException, message))?;
    if let Some(existing) = state.topic(&topic.name).filter(|existing| existing.created_by == origin) {
        // The same request again, because its answer was lost on the way: its own work is its success.
        return Ok(Verdict::Done(Box::new(describe(existing))));
    }
    check_name_is_free(state, &topic.name)?;
    let configs = check_overrides(&topic.configs).map_err(|message| Refusal::new(ErrorCode::InvalidConfig, message))?;
    let replicas = if topic.assignments.is_empty() {
        check_counts(state, topic, settings)?
    } else {
        Replicas::Assigned(check_assignments(state, topic)?)
    };
    Ok(Verdict::Go(Checked { configs, replicas }))
}

fn check_name_is_free(state: &ClusterState, name: &str) -> Result<(), Refusal> {
    if state.topic(name).is_some() {
        return Err(Refusal::new(ErrorCode::TopicAlreadyExists, format!("Topic '{name}' already exists.")));
    }
    match state.colliding(name) {
        Some(other) => {
            let message = format!("Topic '{name}' collides with existing topic: {other}");
            Err(Refusal::new(ErrorCode::InvalidTopicException, message))
        }
        None => Ok(()),
    }
}

fn check_counts(state: &ClusterState, topic: &NewTopic, settings: &BrokerSettings) -> Result<Replicas, Refusal> {
    let bad_factor = |message: String| Err(Refusal::new(ErrorCode::InvalidReplicationFactor, message));
    if topic.replication_factor == 0 || topic.replication_factor < -1 {
        return bad_factor("Replication factor must be larger than 0, or -1 to use the default value.".into());
    }
    if topic.partitions == 0 || topic.partitions < -1 {
        let message = "Number of partitions was set to an invalid non-positive value.";
        return Err(Refusal::new(ErrorCode::InvalidPartitions, message));
    }
    let or_default = |asked: i32, default: i32| usize::try_from(if asked == -1 { default } else { asked }).unwrap_or(1);
    let factor = or_default(topic.replication_factor.into(), settings.default_replication_factor.into());
    check_reachable(state, factor)?;
    Ok(Replicas::ToPlace { partitions: or_default(topic.partitions, settings.num_partitions), factor })
}

fn check_assignments(state: &ClusterState, topic: &NewTopic) -> Result<Vec<Vec<BrokerId>>, Refusal> {
    let prefix = "A manual partition assignment was specified, but";
    if topic.replication_factor != -1 {
        return Err(Refusal::new(ErrorCode::InvalidRequest, format!("{prefix} replication factor was not set to -1.")));
    }
    if topic.partitions != -1 {
        return Err(Refusal::new(ErrorCode::InvalidRequest, format!("{prefix} numPartitions was not set to -1.")));
    }
    let bad = |message: String| Err(Refusal::new(ErrorCode::InvalidReplicaAssignment, message));
    let mut lists: BTreeMap<i32, Vec<BrokerId>> = BTreeMap::new();
    for (partition, replicas) in &topic.assignments {
        if lists.contains_key(partition) {
            return bad(format!("Found multiple manual partition assignments for partition {partition}"));
        }
        check_replicas(state, partition, replicas, lists.values().next().map(Vec::len))?;
        lists.insert(*partition, replicas.clone());
    }
    if !lists.keys().copied().eq(0..count_i32(lists.len())) {
        return bad("partitions should be a consecutive 0-based integer sequence".into());
    }
    Ok(lists.into_values().collect())
}

fn command_for(
    state: &ClusterState,
    topic: &NewTopic,
    checked: Checked,
    id: TopicId,
    origin: RequestId,
) -> Result<Command, Refusal> {
    let groups = (state.next_group().0..).map(GroupId);
    let partitions: Vec<NewPartition> = match checked.replicas {
        Replicas::Assigned(lists) => groups.zip(lists).map(|(group, replicas)| NewPartition { group, replicas }).collect(),
        Replicas::ToPlace { partitions, factor } => {
            let (live, fenced) = candidates(state);
            groups.take(partitions).map(|group| NewPartition { group, replicas: place(group, factor, &live, &fenced) }).collect()
        }
    };
    assert!(partitions.iter().all(|p| !p.replicas.is_empty()), "the numbers of brokers were checked");
    let configs = checked.configs.into_iter().collect();
    Ok(Command::CreateTopic { name: topic.name.clone(), id, configs, partitions, origin })
}

#[cfg(test)]
mod tests {
    use super::super::command::ListenerEndpoint;
    use super::super::command::Registration;
    use super::*;

    fn cluster(brokers: i32) -> ClusterState {
        let mut state = ClusterState::default();
        for id in 1..=brokers {
            let id = BrokerId(id);
            state.apply(&Command::RegisterBroker(Registration {
                id,
                incarnation: 1,
                endpoints: ListenerEndpoint::alone("h", 1),
                rack: None,
                directory: 0,
            }));
        }
        state
    }

    fn topic(name: &str, partitions: i32, factor: i16) -> NewTopic {
        NewTopic { name: name.into(), partitions, replication_factor: factor, ..NewTopic::default() }
    }

    fn assigned(name: &str, partitions: i32, factor: i16, lists: &[(i32, &[i32])]) -> NewTopic {
        let assignments = lists.iter().map(|(p, brokers)| (*p, brokers.iter().map(|b| BrokerId(*b)).collect())).collect();
        NewTopic { assignments, ..topic(name, partitions, factor) }
    }

    fn create_as(state: &mut ClusterState, topics: &[NewTopic], validate_only: bool, number: u64) -> (Vec<String>, usize) {
        let mut next = u128::from(state.next_group().0) * 100;
        let origin = RequestId { incarnation: 9, number };
        let (creations, commands) = plan_create(state, topics, validate_only, &BrokerSettings::default(), origin, || {
            next += 1;
            TopicId(next)
        });
        let shown = creations
            .into_iter()
            .map(|creation| match creation.result {
                Ok(created) => format!("{} ok {}x{}", creation.name, created.partitions, created.replication_factor),
                Err(refusal) => format!("{} {} {}", creation.name, refusal.code.code(), refusal.message),
            })
            .collect();
        state.check_invariants();
        (shown, commands.len())
    }

    #[track_caller]
    fn check_one(topic: NewTopic, expect: &str) {
        let mut state = cluster(1);
        create_as(&mut state, &[super::super::request::NewTopic { ..self::topic("c7", 1, 1) }], false, 1);
        assert_eq!(create_as(&mut state, &[topic], false, 2).0, [expect]);
    }

    #[test]
    fn create_ok_defaults_and_exists() {
        check_one(topic("c2", 2, 1), "c2 ok 2x1");
        check_one(topic("cdef", -1, -1), "cdef ok 1x1");
        check_one(topic("c7", 1, 1), "c7 36 Topic 'c7' already exists.");
        check_one(topic("", 1, 1), " 17 Topic name is invalid: the empty string is not allowed");
        check_one(
            topic("__cluster_metadata", 1, 1),
            "__cluster_metadata 42 Creation of internal topic __cluster_metadata is prohibited.",
        );
    }

    #[test]
    fn create_rf_and_partitions() {
        check_one(topic("cx", 1, 0), "cx 38 Replication factor must be larger than 0, or -1 to use the default value.");
        check_one(topic("cx", 1, -2), "cx 38 Replication factor must be larger than 0, or -1 to use the default value.");
        check_one(
            topic("cx", 1, 100),
            "cx 38 Unable to replicate the partition 100 time(s): The target replication factor of 100 cannot be reached because only 1 broker(s) are registered or some brokers have all their log directories cordoned.",
        );
        check_one(topic("cx", 0, 1), "cx 37 Number of partitions was set to an invalid non-positive value.");
        check_one(topic("cx", -2, 1), "cx 37 Number of partitions was set to an invalid non-positive value.");
        check_one(topic("cx", 20_000, 1), "cx 44 Excessively large number of partitions per request.");
    }

    #[test]
    fn create_assigned() {
        check_one(assigned("cas", -1, -1, &[(0, &[1]), (1, &[1])]), "cas ok 2x1");
        check_one(
            assigned("cas", 2, 1, &[(0, &[1]), (1, &[1])]),
            "cas 42 A manual partition assignment was specified, but replication factor was not set to -1.",
        );
        check_one(
            assigned("cas", -1, 1, &[(0, &[1])]),
            "cas 42 A manual partition assignment was specified, but replication factor was not set to -1.",
        );
        check_one(
            assigned("cas", 1, -1, &[(0, &[1])]),
            "cas 42 A manual partition assignment was specified, but numPartitions was not set to -1.",
        );
        check_one(
            assigned("cas", -1, -1, &[(0, &[1]), (2, &[1])]),
            "cas 39 partitions should be a consecutive 0-based integer sequence",
        );
        check_one(
            assigned("cas", -1, -1, &[(0, &[1, 1])]),
            "cas 39 The manual partition assignment includes the broker 1 more than once.",
        );
        check_one(
            assigned("cas", -1, -1, &[(0, &[99])]),
            "cas 39 The manual partition assignment includes broker 99, but no such broker is registered.",
        );
        check_one(assigned("cas", -1, -1, &[(0, &[])]), "cas 39 The manual partition assignment includes an empty replica list.");
        check_one(
            assigned("cas", -1, -1, &[(0, &[1]), (0, &[1])]),
            "cas 39 Found multiple manual partition assignments for partition 0",
        );
    }

    #[test]
    fn create_duplicate_and_collision() {
        let mut state = cluster(1);
        let (shown, commands) =
            create_as(&mut state, &[topic("cdup", 1, 1), topic("cdup", 1, 1), topic("cother", 1, 1)], false, 1);
        assert_eq!(shown, ["cdup 42 Duplicate topic name.", "cother ok 1x1"]);
        assert_eq!(commands, 1);
        let (shown, _) = create_as(&mut state, &[topic("coll.a", 1, 1), topic("coll_a", 1, 1)], false, 2);
        assert_eq!(shown, ["coll.a ok 1x1", "coll_a 17 Topic 'coll_a' collides with existing topic: coll.a"]);
    }

    #[test]
    fn create_validate_changes_nothing() {
        let mut state = cluster(1);
        let before = state.clone();
        assert_eq!(create_as(&mut state, &[topic("cval", 3, 1)], true, 1), (vec!["cval ok 3x1".to_string()], 0));
        assert_eq!(state, before);
    }

    #[test]
    fn the_same_request_again_finds_its_own_work() {
        let mut state = cluster(1);
        assert_eq!(create_as(&mut state, &[topic("a", 2, 1)], false, 1), (vec!["a ok 2x1".to_string()], 1));
        assert_eq!(create_as(&mut state, &[topic("a", 2, 1)], false, 1), (vec!["a ok 2x1".to_string()], 0));
        assert_eq!(create_as(&mut state, &[topic("a", 2, 1)], false, 2).0, ["a 36 Topic 'a' already exists."]);
    }

    #[test]
    fn a_majority_of_the_replicas_must_be_live() {
        let mut state = cluster(3);
        state.apply(&Command::FenceBroker { id: BrokerId(3), incarnation: 1 });
        assert_eq!(create_as(&mut state, &[topic("a", 1, 3)], false, 1).0, ["a ok 1x3"]);
        let replicas = &state.topic("a").expect("created").partitions[0].replicas;
        assert_eq!(replicas.last(), Some(&BrokerId(3)), "the fenced one never leads first");
        state.apply(&Command::FenceBroker { id: BrokerId(2), incarnation: 1 });
        assert!(create_as(&mut state, &[topic("b", 1, 3)], false, 2).0[0].starts_with("b 38 "));
    }

    #[test]
    fn leadership_spreads_over_topics() {
        let mut state = cluster(3);
        for n in 0..9 {
            create_as(&mut state, &[topic(&format!("t{n}"), 1, 3)], false, n);
        }
        for id in 1..=3 {
            let leads = state.topics().filter(|t| t.partitions[0].replicas[0] == BrokerId(id)).count();
            assert_eq!(leads, 3, "broker {id}");
        }
    }
}
