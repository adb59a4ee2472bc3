//! Replicas that lack what the others have let go are made whole.

use super::cluster::{Cluster, GROUP};
use super::stories::{chaos_with, write};
use crate::disk::FileName;
use crate::ids::{GroupId, Index, Offset};
use crate::limits::SNAPSHOT_COPIES_MAX;
use crate::mutant::Mutant;
use crate::raft::Proposal;
use bytes::Bytes;

/// A cluster whose broker `.1` is down, and whose others, led by `.2`, have let go what it lacks.
fn with_one_behind(seed: u64) -> (Cluster, usize, usize) {
    let mut cluster = Cluster::new(seed, 3, Mutant::None);
    let leader = cluster.elect();
    write(&mut cluster, 10);
    let behind = (leader + 1) % 3;
    cluster.crash(behind, true);
    write(&mut cluster, 120);
    let leader = cluster.elect();
    let end = cluster.group(leader).high_watermark();
    delete(&mut cluster, leader, end);
    (cluster, behind, leader)
}

/// Deletes the records before `end` and waits until their files are gone from the leader.
fn delete(cluster: &mut Cluster, leader: usize, end: Offset) {
    let node = cluster.nodes[leader].as_mut().expect("it runs");
    node.replicas.propose(GROUP, vec![Proposal::LogStart(end)]).expect("it leads");
    cluster.round(leader);
    for _ in 0..20_000 {
        cluster.step();
    }
    assert!(cluster.group(leader).log().first_index() > Index(60), "{:?}", cluster.group(leader).view());
    let first = cluster.group(leader).log().first_index();
    let is_gone = |file: &FileName| matches!(*file, FileName::Segment { base_index, .. } if base_index < first);
    assert!(!cluster.segments(leader).iter().any(is_gone), "files are deleted although a replica lacks what was in them");
}

#[test]
fn a_replica_below_the_leaders_window_is_made_whole() {
    for seed in 0..10 {
        let (mut cluster, behind, _) = with_one_behind(seed);
        write(&mut cluster, 30);
        cluster.settle();
        assert!(cluster.snapshots > 0, "seed {seed}");
        assert!(cluster.group(behind).log().first_index() > Index(60));
        // It lives on, also after losing power.
        cluster.crash(behind, true);
        write(&mut cluster, 30);
        cluster.settle();
    }
}

#[test]
fn a_copy_that_is_interrupted_anywhere_harms_nobody() {
    let mut snapshots = 0;
    for seed in 0..40 {
        let (mut cluster, behind, leader) = with_one_behind(seed);
        write(&mut cluster, 40);
        cluster.start(behind).expect("its disk is fine");
        for round in 0..6 {
            let steps = usize::try_from(cluster.random.below(3_000)).expect("small");
            cluster.run(steps);
            let who = if round % 3 == 2 { leader } else { behind };
            if cluster.nodes[who].is_some() {
                let power_cut = cluster.random.chance(1, 2);
                cluster.crash(who, power_cut);
            }
            cluster.start(who).unwrap_or_else(|what| panic!("seed {seed}, broker {who} does not start: {what}"));
        }
        cluster.settle();
        snapshots += cluster.snapshots;
        for number in 0..3 {
            let copies = cluster.disks[number].files.keys().filter(|file| matches!(file, FileName::Copy { .. }));
            assert_eq!(copies.count(), 0, "seed {seed}: copies are left on broker {number}");
        }
    }
    assert!(snapshots >= 40, "{snapshots}");
}

#[test]
fn snapshots_in_chaos() {
    let mut snapshots = 0;
    for seed in 200..240 {
        let mut cluster = chaos_with(seed, Mutant::None, 20_000, true);
        cluster.settle();
        snapshots += cluster.snapshots;
    }
    assert!(snapshots > 20, "{snapshots}");
}

#[test]
fn partitions_are_copied_a_few_at_a_time() {
    let mut cluster = Cluster::new(5, 3, Mutant::None);
    let groups: Vec<GroupId> = (20..32).map(GroupId).collect();
    for number in 0..3 {
        for group in &groups {
            cluster.create_group(number, *group);
        }
    }
    let everywhere = |cluster: &mut Cluster, group: GroupId, proposal: fn() -> Proposal| {
        for _ in 0..100_000 {
            for number in 0..3 {
                let Some(node) = cluster.nodes[number].as_mut() else { continue };
                let Some(replica) = node.replicas.group(group).filter(|replica| replica.is_serving()) else { continue };
                if replica.log().last_index() == replica.view().commit {
                    node.replicas.propose(group, vec![proposal()]).expect("it leads");
                    cluster.round(number);
                    return;
                }
            }
            cluster.step();
        }
        panic!("nobody leads {group}");
    };
    cluster.crash(2, true);
    for group in &groups {
        for _ in 0..12 {
            everywhere(&mut cluster, *group, || Proposal::Command(Bytes::from(vec![7; 1000])));
        }
        everywhere(&mut cluster, *group, || Proposal::LogStart(Offset(0)));
    }
    cluster.run(20_000);
    cluster.start(2).expect("its disk is fine");
    for group in &groups {
        cluster.create_group(2, *group);
    }
    let (mut most, mut whole) = (0, 0);
    for _ in 0..200_000 {
        cluster.step();
        let node = cluster.nodes[2].as_ref().expect("it runs");
        most = most.max(node.replicas.copies_under_way());
        let is_whole =
            |group: &&GroupId| node.replicas.group(**group).is_some_and(|replica| replica.log().first_index() > Index(2));
        whole = groups.iter().filter(is_whole).count();
        if whole == groups.len() {
            break;
        }
    }
    assert_eq!((whole, most), (groups.len(), SNAPSHOT_COPIES_MAX));
}
