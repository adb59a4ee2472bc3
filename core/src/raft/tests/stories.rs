//! What the engine promises, one story each.

use super::cluster::{Cluster, GROUP};
use crate::disk::FileName;
use crate::ids::{BrokerId, Index, Offset};
use crate::log::{ReadPlan, RecordRun};
use crate::mutant::Mutant;
use crate::raft::GroupEvent;
use bytes::{Bytes, BytesMut};
use std::collections::BTreeSet;

pub(super) fn write(cluster: &mut Cluster, count: usize) {
    let before = cluster.acked.len();
    for _ in 0..200_000 {
        if cluster.acked.len() >= before + count {
            return;
        }
        if let Some(leader) = cluster.leader()
            && cluster.random.chance(1, 20)
        {
            cluster.propose(leader);
        }
        cluster.step();
    }
    panic!("only {} of {count} entries were acknowledged", cluster.acked.len() - before);
}

#[test]
fn three_brokers_elect_replicate_and_agree() {
    let mut cluster = Cluster::new(1, 3, Mutant::None);
    cluster.elect();
    write(&mut cluster, 100);
    cluster.settle();
    assert!(cluster.acked.len() >= 100);
}

#[test]
fn a_single_broker_leads_at_once_and_keeps_its_log() {
    let mut cluster = Cluster::new(2, 1, Mutant::None);
    cluster.run(200);
    assert_eq!(cluster.leader(), Some(0));
    write(&mut cluster, 50);
    for power_cut in [false, true] {
        cluster.crash(0, power_cut);
        cluster.start(0).expect("its disk is fine");
        write(&mut cluster, 20);
    }
    cluster.settle();
}

#[test]
fn acknowledged_entries_survive_a_power_cut_of_all_brokers() {
    for seed in 0..20 {
        let mut cluster = Cluster::new(seed, 3, Mutant::None);
        write(&mut cluster, 30);
        for number in 0..3 {
            cluster.crash(number, true);
        }
        cluster.settle();
    }
}

#[test]
fn a_lagging_follower_catches_up_from_the_disk() {
    let mut cluster = Cluster::new(3, 3, Mutant::None);
    let leader = cluster.elect();
    let lagging = (leader + 1) % 3;
    cluster.crash(lagging, true);
    write(&mut cluster, 150);
    cluster.settle();
}

/// Chaos: crashes with and without power cuts, cut links, stalled disks, while entries are written.
fn chaos(seed: u64, mutant: Mutant, steps: usize) -> Cluster {
    chaos_with(seed, mutant, steps, false)
}

/// The same, with log starts that move.
pub(super) fn chaos_with(seed: u64, mutant: Mutant, steps: usize, deletes: bool) -> Cluster {
    let mut cluster = Cluster::new(seed, 3, mutant);
    for step in 0..steps {
        cluster.step();
        if cluster.random.chance(1, 15) {
            for number in 0..3 {
                cluster.propose(number);
            }
        }
        if deletes && cluster.random.chance(1, 300) {
            for number in 0..3 {
                cluster.propose_start(number);
            }
        }
        if step % 400 == 399 {
            let number = usize::try_from(cluster.random.below(3)).expect("small");
            let other = i32::try_from(cluster.random.below(3)).expect("small");
            let here = i32::try_from(number).expect("small");
            match cluster.random.below(8) {
                0 | 1 if cluster.nodes[number].is_some() => {
                    let power_cut = cluster.random.chance(2, 3);
                    cluster.crash(number, power_cut);
                }
                0..=3 if cluster.nodes[number].is_none() => {
                    cluster.start(number).unwrap_or_else(|what| panic!("broker {number} does not start: {what}"));
                    cluster.create(number);
                }
                4 => {
                    cluster.cut_links.insert((here, other));
                }
                5 => {
                    for other in 0..3 {
                        cluster.cut_links.insert((here, other));
                        cluster.cut_links.insert((other, here));
                    }
                }
                6 => cluster.disks[number].is_stalled = cluster.random.chance(1, 2),
                _ => cluster.cut_links.clear(),
            }
        }
    }
    cluster
}

#[test]
fn nothing_acknowledged_is_lost_in_chaos() {
    let mut cuts = 0;
    let mut acked = 0;
    for seed in 0..60 {
        let mut cluster = chaos(seed, Mutant::None, 20_000);
        cluster.settle();
        acked += cluster.acked.len();
        cuts += cluster.cuts;
    }
    assert!(acked > 5_000, "chaos leaves room for work: {acked}");
    assert!(cuts > 20, "conflicting suffixes are cut: {cuts}");
}

#[test]
fn log_starts_never_go_back_in_chaos() {
    let (mut moved, mut deleted) = (0, 0);
    for seed in 100..140 {
        let mut cluster = chaos_with(seed, Mutant::None, 20_000, true);
        cluster.settle();
        moved += cluster.starts.iter().filter(|start| start.0 > 0).count();
        let of_group = |file: &&FileName| matches!(file, FileName::Segment { group: GROUP, .. });
        let first = |number: usize| cluster.disks[number].files.keys().filter(of_group).min().copied();
        deleted +=
            (0..3).filter(|number| !matches!(first(*number), Some(FileName::Segment { base_index: Index(2), .. }))).count();
    }
    assert!(moved > 60 && deleted > 30, "log starts moved on {moved} replicas, segments were deleted on {deleted}");
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in [5, 6] {
        let (first, second) = (chaos(seed, Mutant::None, 20_000), chaos(seed, Mutant::None, 20_000));
        assert_eq!(first.trace, second.trace);
    }
    assert_ne!(chaos(5, Mutant::None, 2_000).trace, chaos(6, Mutant::None, 2_000).trace);
}

#[test]
fn damage_below_the_durable_mark_is_refused() {
    let mut cluster = Cluster::new(8, 1, Mutant::None);
    write(&mut cluster, 30);
    cluster.now_us += 3_000_000;
    cluster.run(3_000);
    cluster.crash(0, false);
    let clean = cluster.disks[0].files.clone();
    let segments: Vec<FileName> =
        clean.keys().copied().filter(|file| matches!(file, FileName::Segment { group: GROUP, .. })).collect();
    assert!(segments.len() > 1, "the log has several segments");
    cluster.disks[0].files.get_mut(&segments[0]).expect("it is there").data[700] ^= 1;
    cluster.disks[0].files.retain(|file, _| !matches!(file, FileName::Index { .. }));
    let what = cluster.start(0).expect_err("damage is not passed over");
    assert!(what.contains("were durable"), "{what}");
    cluster.disks[0].files = clean.clone();
    cluster.disks[0].files.remove(&segments[1]);
    cluster.start(0).expect_err("a missing segment is not passed over");
    cluster.disks[0].files = clean;
    cluster.start(0).expect("the undamaged disk is fine");
}

/// Equal as far as clients look: up to the last batch, if that is cut short.
fn assert_same_records(one: &RecordRun, other: &RecordRun) {
    let whole = |run: &RecordRun| -> Vec<Bytes> {
        run.slices.iter().filter(|slice| crate::log::Batch::parse_whole(slice).is_ok()).cloned().collect()
    };
    assert_eq!(whole(one), whole(other));
}

#[test]
fn records_come_back_as_they_were_written_from_memory_and_disk() {
    let mut cluster = Cluster::new(9, 1, Mutant::None);
    write(&mut cluster, 60);
    let node = cluster.nodes[0].as_ref().expect("it runs");
    let group = node.replicas.group(GROUP).expect("it was created");
    let (log, end) = (group.log(), group.high_watermark());
    let (mut from, mut from_disk, mut from_memory) = (Offset(0), 0, 0);
    while from < end {
        let run = match log.plan_read(from, end, 300) {
            ReadPlan::Empty => panic!("there are records at {from}"),
            ReadPlan::Ready(run) => {
                from_memory += 1;
                run
            }
            ReadPlan::Disk { file, position, length, stretch } => {
                from_disk += 1;
                let at = usize::try_from(position).expect("small");
                let data = &cluster.disks[0].files[&file].data[at..at + usize::try_from(length).expect("small")];
                for bit in (0..488).chain((488..8 * data.len()).step_by(61)).filter(|bit| *bit < 8 * data.len()) {
                    let mut damaged = data.to_vec();
                    damaged[bit / 8] ^= 1 << (bit % 8);
                    // Batches before the first wanted one and the last, cut one are given to nobody.
                    if let Ok(run) = log.finish_read(from, end, 300, stretch, &Bytes::from(damaged), Mutant::None) {
                        assert_same_records(
                            &run,
                            &log.finish_read(from, end, 300, stretch, &Bytes::copy_from_slice(data), Mutant::None)
                                .expect("whole"),
                        );
                    }
                }
                log.finish_read(from, end, 300, stretch, &Bytes::copy_from_slice(data), Mutant::None).expect("nothing is damaged")
            }
        };
        assert_eq!(run.bytes, run.slices.iter().map(Bytes::len).sum::<usize>());
        let first = crate::log::Batch::parse_whole(&run.slices[0]).expect("the first batch is whole");
        assert!(first.base_offset <= from && from < first.end_offset && !first.is_private);
        from = first.end_offset;
    }
    assert!(from_disk > 5 && from_memory > 1, "{from_disk} {from_memory}");
    for low in (2..log.last_index().0).map(Index).filter(|low| !log.has_in_tail(*low)) {
        let plan = log.plan_fetch(low, 300);
        let at = usize::try_from(plan.position).expect("small");
        let data = &cluster.disks[0].files[&plan.file].data[at..at + usize::try_from(plan.length).expect("small")];
        let entries = log.parse_fetch(&plan, low, &Bytes::copy_from_slice(data), Mutant::None).expect("nothing is damaged");
        for bit in (0..8 * data.len()).step_by(31) {
            let mut damaged = data.to_vec();
            damaged[bit / 8] ^= 1 << (bit % 8);
            if let Ok(taken) = log.parse_fetch(&plan, low, &Bytes::from(damaged), Mutant::None) {
                assert!(entries.starts_with(&taken), "bit {bit} of {plan:?}");
            }
        }
    }
    assert_eq!(log.max_timestamp_batch(end), Some((Offset(0), 1000)));
    assert_eq!(log.first_batch_at_time(1001, end), None);
    assert_eq!(log.first_batch_at_time(1000, end), Some(Offset(0)));
}

#[test]
fn segments_that_are_written_down_are_not_read_at_a_start() {
    let mut cluster = Cluster::new(8, 1, Mutant::None);
    write(&mut cluster, 60);
    cluster.now_us += 3_000_000;
    cluster.run(3_000);
    let before = format!("{:?}", cluster.group(0).log());
    cluster.crash(0, false);
    let clean = cluster.disks[0].files.clone();
    let of = |index: FileName| match index {
        FileName::Index { group: GROUP, base_offset, base_index } => {
            Some(FileName::Segment { group: GROUP, base_offset, base_index })
        }
        FileName::Meta(_)
        | FileName::Segment { .. }
        | FileName::Producers { .. }
        | FileName::Index { .. }
        | FileName::Copy { .. } => None,
    };
    let written_down: Vec<FileName> = clean.keys().copied().filter_map(of).collect();
    assert!(written_down.len() > 3, "{written_down:?}");
    for file in &written_down {
        cluster.disks[0].files.get_mut(file).expect("it is there").data.fill(0xee);
    }
    cluster.start(0).expect("their bytes are of no interest");
    let tail = |text: &str| text.split("tail: ").next().map(str::to_owned);
    assert_eq!(tail(&format!("{:?}", cluster.group(0).log())), tail(&before), "all is known that was known before");
    // One that is missing, too short or damaged is no loss, and one of a segment that is gone none either.
    cluster.crash(0, false);
    for number in 0..4 {
        cluster.disks[0].files = clean.clone();
        let indexes: Vec<FileName> = clean.keys().copied().filter(|file| of(*file).is_some()).collect();
        let index = indexes[1];
        match number {
            0 => drop(cluster.disks[0].files.remove(&index)),
            1 => cluster.disks[0].files.get_mut(&index).expect("it is there").data.truncate(50),
            2 => cluster.disks[0].files.get_mut(&index).expect("it is there").data[60] ^= 4,
            _ => {
                let stray = FileName::Index { group: GROUP, base_offset: Offset(1), base_index: Index(3) };
                let content = clean[&index].clone();
                cluster.disks[0].files.insert(stray, content);
            }
        }
        cluster.start(0).unwrap_or_else(|what| panic!("{number}: {what}"));
        assert_eq!(tail(&format!("{:?}", cluster.group(0).log())), tail(&before), "{number}");
        cluster.run(3_000);
        assert!(indexes.iter().all(|file| cluster.disks[0].files.contains_key(file)), "{number}: they are made again");
        assert!(
            cluster.disks[0]
                .files
                .keys()
                .all(|file| *file != FileName::Index { group: GROUP, base_offset: Offset(1), base_index: Index(3) })
        );
        cluster.crash(0, false);
    }
    // A segment that is not what its file says is read, and found damaged.
    cluster.disks[0].files = clean;
    let short = cluster.disks[0].files.get_mut(&written_down[1]).expect("it is there");
    short.data.truncate(short.data.len() - 1);
    cluster.start(0).expect_err("a segment lost its end");
}

#[test]
fn producers_are_found_again_after_a_restart() {
    let mut cluster = Cluster::new(10, 1, Mutant::None);
    cluster.is_folding = true;
    write(&mut cluster, 60);
    let mut written = Vec::new();
    let mut index = 1;
    for (file, content) in &cluster.disks[0].files {
        let FileName::Segment { group: GROUP, .. } = file else { continue };
        let mut rest = &content.data[..];
        while let Ok(batch) = crate::log::Batch::parse_whole(rest) {
            index += 1;
            written.push((batch.producer_id, index));
            rest = &rest[batch.length..];
        }
    }
    cluster.crash(0, false);
    cluster.start(0).expect("its disk is fine");
    let found = &cluster.nodes[0].as_ref().expect("it runs").found;
    let mut remembered: BTreeSet<(i64, Index)> = BTreeSet::new();
    for (number, event) in found.iter().enumerate() {
        if let GroupEvent::Producers(table) = event {
            assert_eq!(number, 0, "the first event of a group");
            for (id, window) in table.iter() {
                remembered.extend(window.newest_first().map(|batch| (id, batch.index)));
            }
        }
        if let GroupEvent::Replicated { index, header } = event {
            remembered.insert((header.producer_id, *index));
        }
    }
    for id in [0, 1] {
        let last: Vec<u64> = written.iter().filter(|(of, _)| *of == id).map(|(_, index)| *index).collect();
        assert!(last.len() > 5, "{last:?}");
        for index in &last[last.len() - 5..] {
            assert!(remembered.contains(&(id, Index(*index))), "producer {id} wrote index {index}: {remembered:?}");
        }
    }
    assert!(remembered.iter().all(|(id, _)| *id >= 0));
}

#[test]
fn hostile_frames_are_dropped_and_counted() {
    let mut cluster = Cluster::new(11, 3, Mutant::None);
    cluster.elect();
    let now = cluster.now();
    let node = cluster.nodes[0].as_mut().expect("it runs");
    for frame in [Bytes::new(), Bytes::from_static(b"GET / HTTP/1.1"), Bytes::from(BytesMut::zeroed(100))] {
        assert!(node.replicas.peer_frame(now, BrokerId(1), frame).is_empty());
    }
    assert_eq!(node.replicas.dropped().frames, 3);
    write(&mut cluster, 10);
}
