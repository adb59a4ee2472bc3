//! Brokers whose disk was lost come back, and nothing that they had promised is broken.

use super::cluster::{Cluster, GROUP};
use super::stories::write;
use crate::ids::{BrokerId, GroupId, Index, Term};
use crate::log::{Memory, Position};
use crate::mutant::Mutant;
use crate::raft::frame::FrameBuilder;
use crate::raft::recall::{KIND_RECALL, RecallMessage, Tell, Told};
use bytes::Bytes;

/// Runs until a broker's replica remembers what is asked for; panics after very long.
fn run_until(cluster: &mut Cluster, number: usize, is_it: impl Fn(Memory) -> bool) {
    for _ in 0..400_000 {
        if is_it(cluster.memory(number)) {
            return;
        }
        cluster.step();
    }
    panic!("broker {number} remembers {:?}", cluster.memory(number));
}

/// Whether a broker runs and all its replicas know what they promised.
fn is_whole(cluster: &Cluster, number: usize) -> bool {
    let node = cluster.nodes[number].as_ref();
    let memory = |id| node.and_then(|node| node.replicas.group(id)).map(|group| group.memory());
    [GROUP, GroupId::CONTROLLER].into_iter().all(|id| memory(id) == Some(Memory::Whole))
}

/// Runs until a broker is whole; panics after very long.
fn make_whole(cluster: &mut Cluster, number: usize) {
    for _ in 0..400_000 {
        if is_whole(cluster, number) {
            return;
        }
        cluster.step();
    }
    panic!("broker {number} is not whole");
}

fn cut(cluster: &mut Cluster, a: usize, b: usize) {
    let id = |number: usize| i32::try_from(number).expect("few");
    cluster.cut_links.insert((id(a), id(b)));
    cluster.cut_links.insert((id(b), id(a)));
}

/// A cluster of three whose broker `.1` lacks what the other two, led by `.0`, acknowledged last; `.2` lost its disk then. All are down but `.1`.
fn with_one_behind_and_one_wiped(seed: u64, mutant: Mutant) -> (Cluster, usize, usize, usize) {
    let mut cluster = Cluster::new(seed, 3, mutant);
    let leader = cluster.elect();
    write(&mut cluster, 10);
    cluster.run(20_000);
    let leader = cluster.leader().unwrap_or(leader);
    let (behind, wiped) = ((leader + 1) % 3, (leader + 2) % 3);
    cut(&mut cluster, behind, leader);
    cut(&mut cluster, behind, wiped);
    write(&mut cluster, 20);
    let leader = cluster.leader().expect("somebody acknowledged");
    assert_ne!(leader, behind, "it reaches nobody");
    let wiped = 3 - leader - behind;
    cluster.wipe(wiped);
    (cluster, leader, behind, wiped)
}

#[test]
fn a_broker_that_lost_its_disk_comes_back_whole() {
    for (seed, brokers) in (0..24).zip([3, 2, 3, 5].into_iter().cycle()) {
        let mut cluster = Cluster::new(seed, brokers, Mutant::None);
        let leader = cluster.elect();
        write(&mut cluster, 40);
        let count = usize::try_from(brokers).expect("few");
        let wiped = if seed % 2 == 0 { leader } else { (leader + 1) % count };
        cluster.wipe(wiped);
        if brokers > 2 {
            write(&mut cluster, 10);
        }
        cluster.come_back(wiped);
        make_whole(&mut cluster, wiped);
        write(&mut cluster, 10);
        cluster.settle();
        // Another one loses its disk: what is whole again is as good as what was never lost.
        let other = (wiped + 1) % count;
        cluster.wipe(other);
        cluster.come_back(other);
        make_whole(&mut cluster, other);
        write(&mut cluster, 10);
        cluster.settle();
        assert_eq!(cluster.memory(other), Memory::Whole, "seed {seed}");
    }
}

#[test]
fn who_forgot_has_no_rights_before_all_others_told() {
    for seed in 0..12 {
        let (mut cluster, leader, behind, wiped) = with_one_behind_and_one_wiped(seed, Mutant::None);
        cluster.crash(leader, true);
        cluster.cut_links.clear();
        cluster.come_back(wiped);
        cluster.run(40_000);
        assert_eq!(cluster.memory(wiped), Memory::Asking, "seed {seed}");
        assert_eq!(cluster.leader(), None, "seed {seed}: the one that is left lacks what was acknowledged");
        // It goes on asking in its next life.
        cluster.crash(wiped, true);
        cluster.come_back(wiped);
        cluster.run(5_000);
        assert_eq!(cluster.memory(wiped), Memory::Asking, "seed {seed}");
        cluster.start(leader).expect("its disk is fine");
        cluster.settle();
        assert_eq!(cluster.memory(wiped), Memory::Whole, "seed {seed}");
        assert!(cluster.group(behind).view().commit > Index(20));
    }
}

#[test]
fn who_has_not_caught_up_votes_for_nobody_that_lacks_what_it_may_have_acknowledged() {
    for seed in 0..12 {
        let (mut cluster, leader, behind, wiped) = with_one_behind_and_one_wiped(seed, Mutant::None);
        cluster.cut_links.clear();
        cut(&mut cluster, behind, leader);
        let term = cluster.group(leader).term();
        cluster.come_back(wiped);
        run_until(&mut cluster, wiped, |memory| memory != Memory::Asking);
        let Memory::Below(floor) = cluster.memory(wiped) else { panic!("seed {seed}: it can't have caught up yet") };
        assert!(floor.index > Index(20), "seed {seed}: {floor:?}");
        assert!(cluster.group(wiped).term() >= term, "seed {seed}: it may have voted in {term}");
        cluster.crash(leader, true);
        cluster.cut_links.clear();
        cluster.run(20_000);
        assert_eq!(cluster.leader(), None, "seed {seed}");
        // Nor does it in its next life.
        cluster.crash(wiped, true);
        cluster.start(wiped).expect("its disk is fine");
        cluster.run(20_000);
        assert_eq!((cluster.memory(wiped), cluster.leader()), (Memory::Below(floor), None), "seed {seed}");
        cluster.start(leader).expect("its disk is fine");
        cluster.settle();
        assert_eq!(cluster.memory(wiped), Memory::Whole, "seed {seed}");
    }
}

#[test]
fn a_floor_that_was_lost_with_power_is_asked_for_anew() {
    // Of two, the one that is left loses what it had told of, unacknowledged: without a new floor nobody could ever lead.
    for seed in 0..10 {
        let mut cluster = Cluster::new(seed, 2, Mutant::None);
        let leader = cluster.elect();
        write(&mut cluster, 20);
        cluster.run(20_000);
        let leader = cluster.leader().unwrap_or(leader);
        let wiped = 1 - leader;
        cluster.wipe(wiped);
        cluster.disks[leader].is_stalled = true;
        for _ in 0..5 {
            cluster.propose(leader);
        }
        cluster.come_back(wiped);
        run_until(&mut cluster, wiped, |memory| memory != Memory::Asking);
        cluster.crash(leader, true);
        cluster.disks[leader].is_stalled = false;
        cluster.start(leader).expect("its disk is fine");
        cluster.settle();
        assert_eq!(cluster.memory(wiped), Memory::Whole, "seed {seed}");
    }
}

#[test]
fn an_answer_to_an_earlier_life_does_not_count() {
    let (mut cluster, leader, _, wiped) = with_one_behind_and_one_wiped(1, Mutant::None);
    cluster.crash(leader, true);
    cluster.cut_links.clear();
    cluster.come_back(wiped);
    cluster.run(20_000);
    let last = Position { term: Term(1), index: Index::BIRTH };
    let told = Told::Something { term: Term(1), last, is_birth: false };
    for round in 1..4 {
        let told = vec![Tell { group: GROUP, round, told }];
        let mut frame = FrameBuilder::default();
        frame.other(KIND_RECALL, RecallMessage::Tell { folder: 3, life: 77, teller: 5, told }.encode());
        let id = |number: usize| BrokerId(i32::try_from(number).expect("few"));
        let frame = Bytes::from(frame.finish().concat());
        for _ in 0..5 {
            cluster.deliver(id(leader), id(wiped), frame.clone());
        }
    }
    cluster.run(5_000);
    assert_eq!(cluster.memory(wiped), Memory::Asking);
}

#[test]
fn crashes_and_lost_disks_one_at_a_time_lose_nothing() {
    let mut recalled = 0;
    for seed in 0..40 {
        let brokers = if seed % 4 == 3 { 2 } else { 3 };
        let mut cluster = Cluster::new(seed, brokers, Mutant::None);
        let count = usize::try_from(brokers).expect("few");
        write(&mut cluster, 10);
        for _ in 0..25 {
            let number = usize::try_from(cluster.random.below(count as u64)).expect("small");
            match cluster.random.below(8) {
                0 if (0..count).all(|other| other == number || is_whole(&cluster, other)) => {
                    cluster.wipe(number);
                    recalled += 1;
                }
                1 | 2 if cluster.nodes[number].is_some() => {
                    let power_cut = cluster.random.chance(1, 2);
                    cluster.crash(number, power_cut);
                }
                3 => cut(&mut cluster, number, (number + 1) % count),
                4 => cluster.cut_links.clear(),
                _ => {
                    if cluster.nodes[number].is_none() {
                        cluster.come_back(number);
                    }
                }
            }
            for _ in 0..cluster.random.below(3_000) {
                cluster.step();
                if cluster.random.chance(1, 40) {
                    cluster.propose(number);
                }
            }
        }
        cluster.settle();
        write(&mut cluster, 5);
        cluster.settle();
    }
    assert!(recalled > 20, "{recalled}");
}

#[test]
fn a_new_cluster_begins_without_one_of_three_and_that_one_comes_later() {
    let controller = |cluster: &Cluster| {
        let led = |number: &usize| {
            let node = cluster.nodes[*number].as_ref();
            node.and_then(|node| node.replicas.group(GroupId::CONTROLLER)).is_some_and(|group| group.is_serving())
        };
        (0..3).find(led)
    };
    for seed in 0..6 {
        let mut cluster = Cluster::new(seed, 3, Mutant::None);
        cluster.wipe(2);
        for _ in 0..200_000 {
            if controller(&cluster).is_some() {
                break;
            }
            cluster.step();
        }
        assert!(controller(&cluster).is_some(), "seed {seed}: two of three begin");
        assert!(cluster.now_us > 1_000_000 + 1000 * crate::limits::BOOTSTRAP_WAIT_MS, "seed {seed}: but not at once");
        write(&mut cluster, 5);
        cluster.come_back(2);
        cluster.settle();
        make_whole(&mut cluster, 2);
    }
}

#[test]
fn a_replica_that_nobody_else_has_comes_back_empty_and_is_counted() {
    let mut cluster = Cluster::new(1, 1, Mutant::None);
    cluster.wipe(0);
    cluster.come_back(0);
    cluster.elect();
    write(&mut cluster, 5);
    assert_eq!(cluster.memory(0), Memory::Whole);
    let recalling = cluster.nodes[0].as_ref().expect("it runs").replicas.recalling();
    assert_eq!((recalling.lost, recalling.asking), (1, 0));
}
