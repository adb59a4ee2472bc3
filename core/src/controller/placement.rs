//! Where the replicas of a new partition go.
//!
//! Group ids ascend by one per partition over the whole life of the cluster, so the group alone decides: leaders go round over all
//! brokers without a gap between topics, and the followers' distance from the leader grows by one each time the round is complete, so
//! that the load of a lost leader spreads. Racks are not shared while there is another one. Knows nothing of load or disk space.
//!
//! A client may place by hand; what is wrong about its lists is told here too.
//!
//! Source: Kafka `StripedReplicaPlacer` for the idea; it draws its start at random, we do not. `ReplicationControlManager` for the rules
//! about lists.

use super::request::Refusal;
use super::state::ClusterState;
use crate::ids::{BrokerId, GroupId};
use crate::protocol::ErrorCode;
use std::collections::BTreeSet;

/// A broker that may get replicas.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Candidate {
    pub(super) id: BrokerId,
    pub(super) rack: Option<String>,
}

/// `count` replicas for `group`, the preferred leader first: from `live`, and only when those do not suffice from `fenced`. Empty if
/// there are not enough of both.
pub(super) fn place(group: GroupId, count: usize, live: &[Candidate], fenced: &[Candidate]) -> Vec<BrokerId> {
    if count == 0 || live.is_empty() || live.len() + fenced.len() < count {
        return Vec::new();
    }
    let ring = alternate_racks(live);
    let size = u64::try_from(ring.len()).expect("a list's length");
    let at = |n: u64| ring[usize::try_from(n % size).expect("below the ring's length")];
    let (leader, turn) = (group.0 % size, group.0 / size);
    let mut order = vec![at(leader)];
    for step in 0..size - 1 {
        order.push(at(leader + 1 + (turn + step) % (size - 1)));
    }
    order.extend(fenced);
    let mut chosen: Vec<&Candidate> = Vec::new();
    while chosen.len() < count {
        let is_free = |c: &&&Candidate| !chosen.iter().any(|other| other.id == c.id);
        let is_new_rack = |c: &&&Candidate| c.rack.is_some() && !chosen.iter().any(|other| other.rack == c.rack);
        let next = order.iter().filter(is_free).find(is_new_rack).or_else(|| order.iter().find(is_free));
        chosen.push(next.expect("count is at most the number of candidates"));
    }
    chosen.into_iter().map(|candidate| candidate.id).collect()
}

/// All registered brokers: the live ones and the fenced ones.
pub(super) fn candidates(state: &ClusterState) -> (Vec<Candidate>, Vec<Candidate>) {
    let (mut live, mut fenced) = (Vec::new(), Vec::new());
    for broker in state.brokers() {
        let candidate = Candidate { id: broker.registration.id, rack: broker.registration.rack.clone() };
        if broker.is_fenced { &mut fenced } else { &mut live }.push(candidate);
    }
    (live, fenced)
}

/// Whether there are brokers for `factor` replicas, and enough of them live.
pub(super) fn check_reachable(state: &ClusterState, factor: usize) -> Result<(), Refusal> {
    let bad_factor = |message: String| Err(Refusal::new(ErrorCode::InvalidReplicationFactor, message));
    let (registered, live) = (state.brokers().count(), state.live_brokers().count());
    if registered < factor {
        return bad_factor(format!(
            "Unable to replicate the partition {factor} time(s): The target replication factor of {factor} cannot be reached \
             because only {registered} broker(s) are registered or some brokers have all their log directories cordoned."
        ));
    }
    // Fewer could never elect a leader; Kafka, whose controller names leaders, would take one.
    if live < factor / 2 + 1 {
        return bad_factor(format!(
            "Unable to replicate the partition {factor} time(s): a majority of the replicas must be on live brokers, but only \
             {live} of {registered} broker(s) are not fenced."
        ));
    }
    Ok(())
}

/// Whether a client's list names brokers that there are, each once.
pub(super) fn check_list(state: &ClusterState, replicas: &[BrokerId]) -> Result<(), Refusal> {
    let bad = |message: String| Err(Refusal::new(ErrorCode::InvalidReplicaAssignment, message));
    if replicas.is_empty() {
        return bad("The manual partition assignment includes an empty replica list.".into());
    }
    let mut seen = BTreeSet::new();
    for broker in replicas {
        if state.broker(*broker).is_none() {
            return bad(format!("The manual partition assignment includes broker {broker}, but no such broker is registered."));
        }
        if !seen.insert(broker) {
            return bad(format!("The manual partition assignment includes the broker {broker} more than once."));
        }
    }
    Ok(())
}

/// Whether a client's list may be the replicas of this new partition; `factor`: how many the other partitions have.
pub(super) fn check_replicas(
    state: &ClusterState,
    partition: impl core::fmt::Display,
    replicas: &[BrokerId],
    factor: Option<usize>,
) -> Result<(), Refusal> {
    check_list(state, replicas)?;
    let bad = |message: String| Err(Refusal::new(ErrorCode::InvalidReplicaAssignment, message));
    if let Some(factor) = factor.filter(|factor| *factor != replicas.len()) {
        return bad(format!(
            "The manual partition assignment includes a partition with {} replica(s), but this is not consistent with previous \
             partitions, which have {factor} replica(s).",
            replicas.len()
        ));
    }
    if replicas.iter().all(|broker| state.broker(*broker).is_none_or(|b| b.is_fenced)) {
        return bad(format!("All brokers specified in the manual partition assignment for partition {partition} are fenced."));
    }
    Ok(())
}

/// One of each rack in turn, racks and brokers ascending, so that neighbours are in different racks.
fn alternate_racks(live: &[Candidate]) -> Vec<&Candidate> {
    let mut sorted: Vec<(usize, &Candidate)> =
        live.iter().map(|c| (live.iter().filter(|other| other.rack == c.rack && other.id < c.id).count(), c)).collect();
    sorted.sort_by_key(|(rank, c)| (*rank, c.rack.clone(), c.id));
    sorted.into_iter().map(|(_, candidate)| candidate).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn brokers(racks: &[Option<&str>]) -> Vec<Candidate> {
        (1..).zip(racks).map(|(id, rack)| Candidate { id: BrokerId(id), rack: rack.map(str::to_string) }).collect()
    }

    #[test]
    fn leaders_and_followers_spread_evenly() {
        let live = brokers(&[None; 4]);
        let (mut leaders, mut pairs) = (BTreeMap::new(), BTreeMap::new());
        for group in 1..=24 {
            let replicas = place(GroupId(group), 2, &live, &[]);
            *leaders.entry(replicas[0]).or_insert(0) += 1;
            *pairs.entry((replicas[0], replicas[1])).or_insert(0) += 1;
        }
        assert!(leaders.values().all(|n| *n == 6), "{leaders:?}");
        assert_eq!(pairs.len(), 12, "every ordered pair of four brokers");
        assert!(pairs.values().all(|n| *n == 2), "{pairs:?}");
    }

    #[test]
    fn racks_are_not_shared_while_there_is_another() {
        let live = brokers(&[Some("a"), Some("a"), Some("b"), Some("b"), Some("c")]);
        for group in 1..100 {
            let replicas = place(GroupId(group), 3, &live, &[]);
            let mut racks: Vec<_> =
                replicas.iter().map(|id| live.iter().find(|c| c.id == *id).expect("live").rack.clone()).collect();
            racks.sort();
            racks.dedup();
            assert_eq!(racks.len(), 3, "group {group}: {replicas:?}");
        }
    }

    #[test]
    fn fenced_brokers_come_last() {
        let all = brokers(&[None; 3]);
        assert_eq!(place(GroupId(1), 3, &all[..2], &all[2..]).last(), Some(&BrokerId(3)));
        assert!(!place(GroupId(2), 2, &all[..2], &all[2..]).contains(&BrokerId(3)));
        assert!(place(GroupId(1), 4, &all, &[]).is_empty());
    }
}
