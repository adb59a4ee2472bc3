//! What a CreatePartitions request leads to: for each topic a command or a refusal.
//!
//! Source: Kafka `ReplicationControlManager.createPartitions`; the cases are named in golden `grow-*`. More partitions than one request
//! may ask for are told as in CreateTopics, where Kafka fails inside.

use super::command::{Command, NewPartition, RequestId};
use super::mentions::Mentions;
use super::placement::{candidates, check_reachable, check_replicas, place};
use super::request::{Growth, Refusal, TopicGrowth};
use super::state::{Change, ClusterState, TopicState};
use crate::ids::GroupId;
use crate::limits::PARTITIONS_PER_REQUEST_MAX;
use crate::protocol::ErrorCode;

/// Plans a request: one entry per distinct name, in the order of first mention, and the commands, which are already applied to `state`.
/// Validated only, `state` stays as it is.
pub(super) fn plan_grow(
    state: &mut ClusterState,
    topics: &[Growth],
    validate_only: bool,
    origin: RequestId,
) -> (Vec<TopicGrowth>, Vec<Command>) {
    let mut mentions = Mentions::of(topics.iter().map(|topic| topic.name.as_str()));
    let distinct = topics.iter().filter_map(|topic| Some((topic, mentions.first(&topic.name.as_str())?)));
    let checked: Vec<(&Growth, Result<usize, Refusal>)> = distinct
        .map(|(topic, times)| {
            let is_twice = times > 1;
            let refusal = || Refusal::new(ErrorCode::InvalidRequest, "Duplicate topic name.");
            (topic, if is_twice { Err(refusal()) } else { check(state, topic, origin) })
        })
        .collect();
    let added: usize = checked.iter().map(|(_, verdict)| verdict.as_ref().copied().unwrap_or(0)).sum();
    let is_excessive = added > PARTITIONS_PER_REQUEST_MAX;
    let mut commands = Vec::new();
    let mut growths = Vec::new();
    for (topic, verdict) in checked {
        let refusal = match verdict {
            Err(refusal) => Some(refusal),
            Ok(added) if is_excessive && added > 0 => {
                Some(Refusal::new(ErrorCode::PolicyViolation, "Excessively large number of partitions per request."))
            }
            Ok(0) => None,
            Ok(added) => {
                if !validate_only {
                    let command = command_for(state, topic, added, origin);
                    let change = state.apply(&command);
                    assert!(matches!(change, Change::PartitionsAdded { .. }), "it was checked: {command:?}");
                    commands.push(command);
                }
                None
            }
        };
        growths.push(TopicGrowth { name: topic.name.clone(), refusal });
    }
    (growths, commands)
}

fn factor_of(topic: &TopicState) -> usize {
    topic.partitions.first().map_or(1, |partition| partition.replicas.len())
}

/// How many partitions are to be added; 0 if this very request has already done it.
fn check(state: &ClusterState, growth: &Growth, origin: RequestId) -> Result<usize, Refusal> {
    let invalid = |message: String| Err(Refusal::new(ErrorCode::InvalidPartitions, message));
    let Some(topic) = state.topic(&growth.name) else {
        return Err(Refusal::new(ErrorCode::UnknownTopicOrPartition, ""));
    };
    let (name, now) = (&growth.name, topic.partitions.len());
    let asked = usize::try_from(growth.count).unwrap_or(0);
    if asked == now && topic.grown_by == origin {
        return Ok(0);
    }
    if asked == now {
        return invalid(format!("Topic already has {now} partition(s)."));
    }
    if asked < now {
        let count = growth.count;
        return invalid(format!("The topic {name} currently has {now} partition(s); {count} would not be an increase."));
    }
    let (added, factor) = (asked - now, factor_of(topic));
    match &growth.assignments {
        None => check_reachable(state, factor)?,
        Some(lists) if lists.len() != added => {
            let given = lists.len();
            let message =
                format!("Attempted to add {added} additional partition(s), but only {given} assignment(s) were specified.");
            return Err(Refusal::new(ErrorCode::InvalidReplicaAssignment, message));
        }
        Some(lists) => {
            for (partition, replicas) in (now..).zip(lists) {
                check_replicas(state, partition, replicas, Some(factor))?;
            }
        }
    }
    Ok(added)
}

fn command_for(state: &ClusterState, growth: &Growth, added: usize, origin: RequestId) -> Command {
    let topic = state.topic(&growth.name).expect("it was checked");
    let groups = (state.next_group().0..).map(GroupId);
    let partitions: Vec<NewPartition> = match &growth.assignments {
        Some(lists) => groups.zip(lists.clone()).map(|(group, replicas)| NewPartition { group, replicas }).collect(),
        None => {
            let (live, fenced) = candidates(state);
            let factor = factor_of(topic);
            groups.take(added).map(|group| NewPartition { group, replicas: place(group, factor, &live, &fenced) }).collect()
        }
    };
    Command::AddPartitions { id: topic.id, partitions, origin }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{registration, state_of};
    use super::*;
    use crate::ids::{BrokerId, TopicId};

    fn state(brokers: i32, partitions: u64) -> ClusterState {
        let mut commands: Vec<Command> = (1..=brokers).map(|id| Command::RegisterBroker(registration(id))).collect();
        let replicas: Vec<BrokerId> = (1..=brokers).map(BrokerId).collect();
        let partitions =
            (1..=partitions).map(|group| NewPartition { group: GroupId(group), replicas: replicas.clone() }).collect();
        let (name, id) = ("c2".into(), TopicId(2));
        commands.push(Command::CreateTopic { name, id, configs: vec![], partitions, origin: RequestId::default() });
        state_of(&commands)
    }

    fn growth(name: &str, count: i32, lists: Option<&[&[i32]]>) -> Growth {
        let ids = |list: &&[i32]| list.iter().map(|id| BrokerId(*id)).collect();
        Growth { name: name.into(), count, assignments: lists.map(|lists| lists.iter().map(ids).collect()) }
    }

    fn grow(state: &mut ClusterState, topics: &[Growth], validate_only: bool, number: u64) -> (Vec<String>, usize) {
        let (growths, commands) = plan_grow(state, topics, validate_only, RequestId { incarnation: 9, number });
        state.check_invariants();
        let shown = growths.into_iter().map(|g| match g.refusal {
            None => format!("{} ok", g.name),
            Some(refusal) => format!("{} {} {}", g.name, refusal.code.code(), refusal.message),
        });
        (shown.collect(), commands.len())
    }

    #[track_caller]
    fn check_one(growth: Growth, expect: &str) {
        assert_eq!(grow(&mut state(1, 2), &[growth], false, 1).0, [expect]);
    }

    #[test]
    fn grow_counts() {
        check_one(growth("c2", 1, None), "c2 37 The topic c2 currently has 2 partition(s); 1 would not be an increase.");
        check_one(growth("c2", 2, None), "c2 37 Topic already has 2 partition(s).");
        check_one(growth("c2", 0, None), "c2 37 The topic c2 currently has 2 partition(s); 0 would not be an increase.");
        check_one(growth("c2", -1, None), "c2 37 The topic c2 currently has 2 partition(s); -1 would not be an increase.");
        check_one(growth("absent", 3, None), "absent 3 ");
        check_one(growth("c2", 20_000, None), "c2 44 Excessively large number of partitions per request.");
    }

    #[test]
    fn grow_bad_assignment() {
        let prefix = "c2 39 The manual partition assignment includes";
        check_one(
            growth("c2", 4, Some(&[&[1]])),
            "c2 39 Attempted to add 2 additional partition(s), but only 1 assignment(s) were specified.",
        );
        check_one(growth("c2", 3, Some(&[&[99]])), &format!("{prefix} broker 99, but no such broker is registered."));
        check_one(growth("c2", 3, Some(&[&[]])), &format!("{prefix} an empty replica list."));
        check_one(growth("c2", 3, Some(&[&[1, 1]])), &format!("{prefix} the broker 1 more than once."));
        let mut two = state(2, 2);
        let (shown, _) = grow(&mut two, &[growth("c2", 3, Some(&[&[1]]))], false, 1);
        assert!(
            shown[0].starts_with(&format!("{prefix} a partition with 1 replica(s), but this is not consistent")),
            "{shown:?}"
        );
    }

    #[test]
    fn grow_ok_assigned_validate_twice() {
        let mut state = state(1, 2);
        let before = state.clone();
        assert_eq!(grow(&mut state, &[growth("c2", 4, None)], true, 1), (vec!["c2 ok".into()], 0));
        assert_eq!(state, before);
        assert_eq!(grow(&mut state, &[growth("c2", 3, None)], false, 2), (vec!["c2 ok".into()], 1));
        assert_eq!(grow(&mut state, &[growth("c2", 4, Some(&[&[1]]))], false, 3), (vec!["c2 ok".into()], 1));
        let groups: Vec<u64> = state.topic("c2").expect("there").partitions.iter().map(|p| p.group.0).collect();
        assert_eq!(groups, [1, 2, 3, 4]);
        let twice = [growth("c2", 5, None), growth("c2", 6, None)];
        assert_eq!(grow(&mut state, &twice, false, 4), (vec!["c2 42 Duplicate topic name.".into()], 0));
    }

    #[test]
    fn the_same_request_again_finds_its_own_work() {
        let mut state = state(1, 2);
        assert_eq!(grow(&mut state, &[growth("c2", 3, None)], false, 1), (vec!["c2 ok".into()], 1));
        assert_eq!(grow(&mut state, &[growth("c2", 3, None)], false, 1), (vec!["c2 ok".into()], 0));
        assert_eq!(grow(&mut state, &[growth("c2", 3, None)], false, 2).0, ["c2 37 Topic already has 3 partition(s)."]);
    }

    #[test]
    fn new_partitions_have_as_many_replicas_as_the_others() {
        let mut state = state(3, 1);
        assert_eq!(grow(&mut state, &[growth("c2", 4, None)], false, 1).0, ["c2 ok"]);
        let topic = state.topic("c2").expect("there");
        assert!(topic.partitions.iter().all(|p| p.replicas.len() == 3));
        let leaders: std::collections::BTreeSet<_> = topic.partitions[1..].iter().map(|p| p.replicas[0]).collect();
        assert_eq!(leaders.len(), 3, "leaders are spread");
    }
}
