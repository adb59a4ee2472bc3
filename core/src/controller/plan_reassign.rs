//! What an AlterPartitionReassignments request leads to: a command for each topic whose replicas get another order, and a refusal for each
//! partition that can't have what is asked.
//!
//! The replicas of a partition are the voters of its raft group, which stay the same for life. So a target may name them in another order, the
//! preferred leader first, and that is done at once; other brokers are refused. Nothing is ever under way, so there is nothing to give up.
//!
//! Source: Kafka `ReplicationControlManager.alterPartitionReassignments`, KIP-455, KIP-860; the cases are named in golden `reassign-*`. A request
//! that is sent again finds the order it asked for, which is a success.

use super::command::Command;
use super::placement::check_list;
use super::request::{Reassignment, Refusal};
use super::state::{Change, ClusterState, TopicState};
use crate::ids::BrokerId;
use crate::limits::PARTITIONS_PER_REQUEST_MAX;
use crate::protocol::ErrorCode;

/// Plans a request: what stands against each partition, in order, and the commands, which are already applied to `state`.
pub(super) fn plan_reassign(
    state: &mut ClusterState,
    topics: &[Reassignment],
    allow_factor_change: bool,
) -> (Vec<Option<Refusal>>, Vec<Command>) {
    let (mut verdicts, mut commands) = (Vec::new(), Vec::new());
    for asked in topics {
        let topic = state.topic(&asked.name);
        let mut orders = Vec::new();
        for (number, target) in &asked.targets {
            let verdict = match topic {
                // No message: it would be repeated for millions.
                _ if verdicts.len() >= PARTITIONS_PER_REQUEST_MAX => Err(Refusal::new(ErrorCode::PolicyViolation, "")),
                None => Err(unknown(format!("Unable to find a topic named {}.", asked.name))),
                Some(topic) => check(state, topic, *number, target.as_deref(), allow_factor_change),
            };
            orders.extend(verdict.as_ref().ok().and_then(|order| *order).map(|order| (*number, order.to_vec())));
            verdicts.push(verdict.err());
        }
        if let Some(id) = topic.map(|topic| topic.id).filter(|_| !orders.is_empty()) {
            let command = Command::OrderReplicas { id, orders };
            let change = state.apply(&command);
            assert_eq!(change, Change::Quiet, "it was checked: {command:?}");
            commands.push(command);
        }
    }
    (verdicts, commands)
}

fn unknown(message: String) -> Refusal {
    Refusal::new(ErrorCode::UnknownTopicOrPartition, message)
}

/// The order the replicas of a partition shall have; `None` if they have it.
fn check<'a>(
    state: &ClusterState,
    topic: &TopicState,
    number: i32,
    target: Option<&'a [BrokerId]>,
    allow_factor_change: bool,
) -> Result<Option<&'a [BrokerId]>, Refusal> {
    let name = &topic.name;
    let partition = topic.partition(number).ok_or_else(|| unknown(format!("Unable to find partition {name}:{number}.")))?;
    let target = target.ok_or_else(|| Refusal::new(ErrorCode::NoReassignmentInProgress, ""))?;
    check_list(state, target)?;
    let (now, asked) = (partition.replicas.len(), target.len());
    if now != asked && !allow_factor_change {
        let message = format!("The replication factor is changed from {now} to {asked}");
        return Err(Refusal::new(ErrorCode::InvalidReplicationFactor, message));
    }
    if !partition.is_order(target) {
        let stay: Vec<String> = partition.replicas.iter().map(|broker| broker.0.to_string()).collect();
        let message =
            format!("Replicas can not be moved to other brokers yet: {name}-{number} stays on {}, in any order.", stay.join(","));
        return Err(Refusal::new(ErrorCode::InvalidReplicaAssignment, message));
    }
    Ok((partition.replicas != target).then_some(target))
}

#[cfg(test)]
mod tests {
    use super::super::command::{NewPartition, RequestId};
    use super::super::testing::{registration, state_of};
    use super::*;
    use crate::ids::{GroupId, TopicId};

    /// Four brokers; topic `a` has two partitions on 1, 2 and 3.
    fn state() -> ClusterState {
        let mut commands: Vec<Command> = (1..=4).map(|id| Command::RegisterBroker(registration(id))).collect();
        let replicas = [1, 2, 3].map(BrokerId).to_vec();
        let partitions = (1..=2).map(|group| NewPartition { group: GroupId(group), replicas: replicas.clone() }).collect();
        let (name, id, origin) = ("a".into(), TopicId(7), RequestId::default());
        commands.push(Command::CreateTopic { name, id, configs: vec![], partitions, origin });
        state_of(&commands)
    }

    fn topic(name: &str, targets: &[(i32, Option<&[i32]>)]) -> Reassignment {
        let ids = |list: &[i32]| list.iter().map(|id| BrokerId(*id)).collect();
        Reassignment { name: name.into(), targets: targets.iter().map(|(number, list)| (*number, list.map(ids))).collect() }
    }

    fn plan(state: &mut ClusterState, topics: &[Reassignment], allow: bool) -> (Vec<String>, usize) {
        let (verdicts, commands) = plan_reassign(state, topics, allow);
        state.check_invariants();
        let shown = verdicts.into_iter().map(|v| v.map_or("ok".into(), |r| format!("{} {}", r.code.code(), r.message)));
        (shown.collect(), commands.len())
    }

    fn lists(state: &ClusterState) -> Vec<Vec<i32>> {
        let partitions = &state.topic("a").expect("there").partitions;
        partitions.iter().map(|p| p.replicas.iter().map(|b| b.0).collect()).collect()
    }

    #[track_caller]
    fn check_one(name: &str, number: i32, target: Option<&[i32]>, allow: bool, expect: &str) {
        let mut after = state();
        assert_eq!(plan(&mut after, &[topic(name, &[(number, target)])], allow), (vec![expect.to_string()], 0));
        assert_eq!(after, state());
    }

    #[test]
    fn reassign_as_kafka_refuses() {
        check_one("a", 0, Some(&[1, 2, 3]), true, "ok");
        let prefix = "39 The manual partition assignment includes";
        check_one("a", 0, Some(&[99]), true, &format!("{prefix} broker 99, but no such broker is registered."));
        check_one("a", 0, Some(&[1, 1]), true, &format!("{prefix} the broker 1 more than once."));
        check_one("a", 0, Some(&[]), true, &format!("{prefix} an empty replica list."));
        check_one("a", 0, None, true, "85 ");
        check_one("a", 9, Some(&[1]), true, "3 Unable to find partition a:9.");
        check_one("a", -1, Some(&[1]), true, "3 Unable to find partition a:-1.");
        check_one("absent", 0, Some(&[1]), true, "3 Unable to find a topic named absent.");
        check_one("a", 0, Some(&[1, 2]), false, "38 The replication factor is changed from 3 to 2");
    }

    #[test]
    fn replicas_do_not_move() {
        let sentence = "39 Replicas can not be moved to other brokers yet: a-0 stays on 1,2,3, in any order.";
        check_one("a", 0, Some(&[1, 2, 4]), true, sentence);
        check_one("a", 0, Some(&[1, 2]), true, sentence);
        check_one("a", 0, Some(&[1, 2, 3, 4]), true, sentence);
        check_one("a", 0, Some(&[4, 2, 1]), false, sentence);
    }

    #[test]
    fn replicas_get_another_order_each_for_itself() {
        let mut state = state();
        let asked = [topic("a", &[(0, Some(&[2, 1, 3])), (1, Some(&[4])), (1, Some(&[3, 2, 1])), (0, None)])];
        let (shown, commands) = plan(&mut state, &asked, true);
        assert_eq!(shown.iter().map(|line| line.split(' ').next().unwrap_or("")).collect::<Vec<_>>(), ["ok", "39", "ok", "85"]);
        assert_eq!(commands, 1, "one for a topic");
        assert_eq!(lists(&state), [[2, 1, 3], [3, 2, 1]]);
        let again = [topic("a", &[(0, Some(&[2, 1, 3])), (1, Some(&[3, 2, 1]))])];
        assert_eq!(plan(&mut state, &again, false), (vec!["ok".into(), "ok".into()], 0), "it has that order");
    }

    #[test]
    fn very_many_partitions_are_refused() {
        let targets = vec![(0, None); PARTITIONS_PER_REQUEST_MAX + 1];
        let (shown, _) = plan(&mut state(), &[topic("a", &targets), topic("a", &[(0, Some(&[2, 1, 3]))])], true);
        assert_eq!(shown[PARTITIONS_PER_REQUEST_MAX - 1..], ["85 ", "44 ", "44 "]);
    }
}
