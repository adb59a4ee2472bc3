//! What a seed expands to: a cluster, a workload and a list of faults with their times.
//!
//! Swarm: every fault class is off in half of the seeds, every rate and every setting is drawn, because one fixed profile explores one
//! point a thousand times. A quarter of the seeds are duels: elections without pre-vote and check-quorum, with timeouts as long as
//! a frame takes, crashes at the moment a promise is made and restarts faster than the network; bugs of promises made
//! too early are found there and nowhere else (`simulation.md` section 5.3).

mod fault;
mod links;

pub(crate) use fault::{Fault, FaultKind};

use crate::dice::{Draw, Stream, draw};
use crate::disk::{CrashKind, DiskSettings};
use crate::network::NetSettings;
use crate::shape::Shape;
use crate::workload::{ONCE, TopicPlan, Workload};
use ottla_core::broker::RaftSettings;

/// What a seed expands to.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) shape: Shape,
    pub(crate) topics: Vec<TopicPlan>,
    pub(crate) workload: Workload,
    pub(crate) faults: Vec<Fault>,
    /// When the world heals.
    pub(crate) heal_at: u64,
}

const SECOND: u64 = 1_000_000;

impl Plan {
    /// The plan of a seed.
    pub(crate) fn of(seed: u64) -> Plan {
        let mut dice = draw(seed, Stream::Swarm, &[0]);
        let is_duel = dice.below(4) == 0;
        let is_stale = draw(seed, Stream::Swarm, &[7]).below(12) == 0;
        let brokers = if is_stale {
            5
        } else if is_duel {
            *dice.pick(&[3, 3, 3, 5])
        } else {
            *dice.pick(&[1, 3, 3, 3, 3, 3, 3, 5])
        };
        let clients = usize::try_from(dice.between(1, 6)).expect("small");
        let heal_at = dice.between(8 * SECOND, 20 * SECOND);
        let mut raft = if is_duel { duel_raft(&mut dice) } else { swarm_raft(&mut dice) };
        raft.segment_bytes_cap = segment_bytes_cap(seed);
        let timeout_us = raft.tick_ms * 1000 * u64::try_from(raft.election_ticks).expect("small");
        let mut shape = Shape {
            brokers,
            clients,
            raft,
            settings: settings(&mut dice),
            racks: Vec::new(),
            net: net(&mut dice, is_duel, timeout_us),
            disk: disk(&mut dice, is_duel),
            has_exact_clocks: dice.below(2) == 0,
            round_us_max: dice.log_between(5, 500),
            crash_in_round_ppm: if dice.below(2) == 0 { dice.log_between(50, 2_000) } else { 0 },
            crash_at_promise_ppm: if is_duel || dice.below(3) == 0 { dice.log_between(20_000, 250_000) } else { 0 },
            restart_us: if is_duel { (500, 3_000) } else { (1_000, dice.log_between(10_000, 3 * SECOND)) },
            mutant: ottla_core::mutant::Mutant::None,
        };
        let mut topics = topics(&mut dice, brokers);
        let mut mortality = draw(seed, Stream::Swarm, &[2]);
        let share = mortality.below(3);
        for topic in &mut topics {
            topic.is_mortal = mortality.below(4) < share;
        }
        shorten(seed, &mut topics, &mut shape);
        topics.insert(0, once(seed, brokers));
        forget(seed, &mut topics[0], &mut shape);
        unpack(seed, &mut topics);
        let workload = Workload::of(&mut dice);
        worse_net(seed, &mut shape.net);
        links::delays(seed, &mut shape.net);
        let mut faults = faults(seed, brokers, clients, heal_at);
        if is_stale {
            stale(seed, heal_at, &mut topics, &mut shape.net, &mut faults);
        }
        if !is_stale && brokers >= 3 {
            wipe(seed, brokers, heal_at, &mut topics, &mut shape.net, &mut faults);
        }
        links::add(seed, brokers, clients, heal_at, &mut faults);
        if faults.iter().any(|fault| {
            matches!(
                fault.kind,
                FaultKind::RotLive { .. }
                    | FaultKind::Unreadable { .. }
                    | FaultKind::Misdirect { .. }
                    | FaultKind::Misread { .. }
            )
        }) {
            // What is in memory is not read from the disk.
            shape.raft.tail_bytes_max = shape.raft.tail_bytes_max.min(256);
        }
        Plan { shape, topics, workload, faults, heal_at }
    }
}

fn settings(dice: &mut Draw) -> Vec<(String, String)> {
    let mut settings = Vec::new();
    if dice.below(3) == 0 {
        settings.push(("min.insync.replicas".to_string(), "2".to_string()));
    }
    settings
}

fn swarm_raft(dice: &mut Draw) -> RaftSettings {
    let election_ticks = dice.between(3, 20);
    RaftSettings {
        tick_ms: dice.log_between(30, 200),
        election_ticks: usize::try_from(election_ticks).expect("small"),
        heartbeat_ticks: usize::try_from(dice.between(1, (election_ticks / 3).max(1))).expect("small"),
        pre_vote: dice.below(4) != 0,
        check_quorum: dice.below(4) != 0,
        inflight_max: usize::try_from(dice.log_between(1, 64)).expect("small"),
        message_bytes_max: usize::try_from(dice.log_between(64, 64 * 1024)).expect("small"),
        tail_bytes_max: usize::try_from(dice.log_between(128, 64 * 1024)).expect("small"),
        meta_bytes_max: dice.log_between(512, 64 * 1024),
        // Drawn apart, so that older seeds keep the rest of their shape.
        segment_bytes_cap: u64::MAX,
    }
}

fn duel_raft(dice: &mut Draw) -> RaftSettings {
    RaftSettings {
        tick_ms: dice.between(20, 60),
        election_ticks: usize::try_from(dice.between(2, 4)).expect("small"),
        heartbeat_ticks: 1,
        pre_vote: false,
        check_quorum: false,
        ..swarm_raft(dice)
    }
}

/// Small segments in three seeds of four: seams where there would be none for a million records.
fn segment_bytes_cap(seed: u64) -> u64 {
    let mut dice = draw(seed, Stream::Swarm, &[1]);
    if dice.below(4) == 0 { u64::MAX } else { dice.log_between(2 * 1024, 64 * 1024) }
}

fn net(dice: &mut Draw, is_duel: bool, timeout_us: u64) -> NetSettings {
    let delay_us_max = if is_duel { dice.between(timeout_us / 4, timeout_us) } else { dice.log_between(200, 20_000) };
    NetSettings {
        delay_us_min: dice.between(20, 200),
        delay_us_max,
        late_ppm: if dice.below(2) == 0 { dice.log_between(100, 20_000) } else { 0 },
        late_us_max: dice.log_between(10_000, 3 * SECOND),
        loss_ppm: if dice.below(2) == 0 { dice.log_between(100, 100_000) } else { 0 },
        duplicate_ppm: if dice.below(2) == 0 { dice.log_between(100, 50_000) } else { 0 },
        ..NetSettings::calm()
    }
}

/// Leaders that write with one follower of four, which is not enough, lead again later, and then hear the answers of before once more.
fn stale(seed: u64, heal_at: u64, topics: &mut [TopicPlan], net: &mut NetSettings, faults: &mut Vec<Fault>) {
    for topic in topics.iter_mut() {
        topic.replicas = 5;
    }
    let mut dice = draw(seed, Stream::Swarm, &[8]);
    net.replay_ppm = dice.log_between(50_000, 300_000);
    net.replay_us_max = dice.log_between(500_000, 5 * SECOND);
    for _ in 0..dice.between(4, 12) {
        let at = dice.between(SECOND, heal_at - 300_000);
        let kind = FaultKind::PairLeader { pick: dice.next(), us: dice.log_between(100_000, 2 * SECOND) };
        faults.push(Fault { at, kind });
    }
    faults.sort_by_key(|fault| fault.at);
}

/// Frames that come again after minutes, and frames whose bits flip. Drawn apart, so that older seeds keep the rest of their shape.
fn worse_net(seed: u64, net: &mut NetSettings) {
    let mut dice = draw(seed, Stream::Swarm, &[5]);
    if dice.below(3) == 0 {
        net.replay_ppm = dice.log_between(100, 50_000);
        net.replay_us_max = dice.log_between(SECOND, 120 * SECOND);
    }
    if dice.below(3) == 0 {
        net.flip_ppm = dice.log_between(20, 5_000);
    }
}

fn disk(dice: &mut Draw, is_duel: bool) -> DiskSettings {
    let sync_us_max = if is_duel { dice.log_between(2_000, 40_000) } else { dice.log_between(500, 30_000) };
    DiskSettings {
        write_us_min: 5,
        write_us_max: dice.log_between(20, 5_000),
        sync_us_min: 50,
        sync_us_max,
        stall_ppm: if dice.below(3) == 0 { dice.log_between(50, 5_000) } else { 0 },
        stall_us_max: dice.log_between(50_000, 3 * SECOND),
        sync_failure_ppm: if dice.below(4) == 0 { dice.log_between(5, 500) } else { 0 },
    }
}

fn topics(dice: &mut Draw, brokers: usize) -> Vec<TopicPlan> {
    let count = dice.between(1, 3);
    (0..count)
        .map(|n| {
            let replicas = if brokers == 1 { 1 } else { *dice.pick(&[1, 3, 3, 3, brokers, 2]) };
            let mut configs = Vec::new();
            if replicas >= 3 && dice.below(2) == 0 {
                configs.push(("min.insync.replicas".to_string(), "2".to_string()));
            }
            if dice.below(3) == 0 {
                // Below Kafka's own minimum the broker refuses; 1 MiB is the least.
                configs.push(("segment.bytes".to_string(), "1048576".to_string()));
            }
            TopicPlan {
                name: format!("t{n}"),
                partitions: i32::try_from(dice.between(1, 3)).expect("small"),
                replicas,
                configs,
                is_mortal: false,
                is_shortened: false,
            }
        })
        .collect()
}

/// Lets some topics lose their front: by clients, by size, or both. Deletion of records names topics, so those that may be replaced are
/// left out.
fn shorten(seed: u64, topics: &mut [TopicPlan], shape: &mut Shape) {
    let mut dice = draw(seed, Stream::Swarm, &[4]);
    let share = dice.below(4);
    let interval_ms = dice.log_between(200, 4_000);
    for topic in topics.iter_mut().filter(|topic| !topic.is_mortal) {
        if dice.below(4) >= share {
            continue;
        }
        let how = dice.below(3);
        topic.is_shortened = how != 0;
        if how != 1 {
            topic.configs.push(("retention.bytes".to_string(), dice.log_between(512, 16 * 1024).to_string()));
        }
    }
    if topics.iter().any(|topic| topic.is_shortened || topic.has_retention()) {
        // Whole segments go: there must be many.
        shape.raft.segment_bytes_cap = shape.raft.segment_bytes_cap.min(dice.log_between(512, 16 * 1024));
        let settings = &mut shape.settings;
        settings.push(("log.retention.check.interval.ms".to_string(), interval_ms.to_string()));
        settings.push(("log.retention.ms".to_string(), "-1".to_string()));
    }
}

/// Lets the topic of idempotent producers lose its front in some seeds: what is known of them must outlive their batches.
fn forget(seed: u64, topic: &mut TopicPlan, shape: &mut Shape) {
    let mut dice = draw(seed, Stream::Swarm, &[5]);
    if dice.below(3) != 0 {
        return;
    }
    topic.configs.push(("retention.bytes".to_string(), dice.log_between(256, 8 * 1024).to_string()));
    shape.raft.segment_bytes_cap = shape.raft.segment_bytes_cap.min(dice.log_between(512, 8 * 1024));
    if shape.settings.iter().all(|(name, _)| name != "log.retention.check.interval.ms") {
        shape.settings.push(("log.retention.check.interval.ms".to_string(), dice.log_between(200, 2_000).to_string()));
        shape.settings.push(("log.retention.ms".to_string(), "-1".to_string()));
    }
}

/// Lets brokers take the compression off in some topics: what is stored is then known to the byte, and each batch was worked on beside the core.
fn unpack(seed: u64, topics: &mut [TopicPlan]) {
    let mut dice = draw(seed, Stream::Swarm, &[9]);
    for topic in topics {
        if dice.below(8) == 0 {
            topic.configs.push(("compression.type".to_string(), "uncompressed".to_string()));
        }
    }
}

/// The topic of idempotent producers.
fn once(seed: u64, brokers: usize) -> TopicPlan {
    let mut dice = draw(seed, Stream::Swarm, &[3]);
    let replicas = if brokers == 1 { 1 } else { *dice.pick(&[3, 3, brokers, 2]) };
    let configs = if replicas >= 3 && dice.below(3) == 0 {
        // More than a quorum now and then: then a commit alone does not release a repeated batch.
        vec![("min.insync.replicas".to_string(), dice.between(2, 3).to_string())]
    } else {
        Vec::new()
    };
    TopicPlan {
        name: ONCE.into(),
        partitions: i32::try_from(dice.between(1, 2)).expect("small"),
        replicas,
        configs,
        is_mortal: false,
        is_shortened: false,
    }
}

/// The fault atlas: all damage of a seed is on one broker, so a majority of each group's replicas has what is damaged there, or nobody does.
fn damaged_broker(seed: u64, brokers: usize) -> usize {
    // The draws of the first damage there was, so that older seeds keep theirs.
    let mut dice = draw(seed, Stream::Faults, &[2, 16, 0]);
    dice.next();
    index(&mut dice, brokers)
}

/// At most one more kind of damage, in half of the seeds: a damaged broker stays away once it noticed, and would be missed elsewhere.
fn damage(seed: u64, brokers: usize, heal_at: u64, faults: &mut Vec<Fault>) {
    let class = draw(seed, Stream::Faults, &[3]).below(12);
    let node = damaged_broker(seed, brokers);
    let mut dice = draw(seed, Stream::Faults, &[2, 17, class]);
    let at = dice.between(2 * SECOND, heal_at - 300_000);
    let kind = match class {
        0 => FaultKind::RotLive { node, pick: dice.next() },
        1 => FaultKind::Unreadable { node, pick: dice.next() },
        2 => FaultKind::Misdirect { node, pick: dice.next() },
        3 => {
            let us = dice.log_between(500_000, 8 * SECOND).min(heal_at - 200_000 - at);
            FaultKind::LieSync { node, us, down_us: dice.log_between(3_000, SECOND) }
        }
        4 | 5 => {
            // Each time old records are read again.
            for _ in 0..dice.between(2, 6) {
                let at = dice.between(2 * SECOND, heal_at - 300_000);
                let us = dice.log_between(200_000, 4 * SECOND).min(heal_at - at);
                faults.push(Fault { at, kind: FaultKind::Misread { node, us, ppm: dice.log_between(100_000, 1_000_000) } });
            }
            return;
        }
        _ => return,
    };
    faults.push(Fault { at, kind });
}

/// A lost disk, in a quarter of the seeds. Nothing else may have gone for good by then, and no frame comes again after minutes, which the real
/// shell makes sure of: a vote or an acknowledgement of before the loss would count after it. In half of them the one that is left behind meets the one
/// that lost its disk while the one that knows better is away.
fn wipe(seed: u64, brokers: usize, heal_at: u64, topics: &mut [TopicPlan], net: &mut NetSettings, faults: &mut Vec<Fault>) {
    let mut dice = draw(seed, Stream::Faults, &[4]);
    if dice.below(4) != 0 {
        return;
    }
    net.replay_ppm = 0;
    for topic in topics.iter_mut().filter(|topic| topic.replicas < 2) {
        topic.replicas = if dice.below(2) == 0 { 2 } else { 3 };
    }
    faults.retain(|fault| {
        !matches!(
            fault.kind,
            FaultKind::Rot { .. }
                | FaultKind::RotLive { .. }
                | FaultKind::Unreadable { .. }
                | FaultKind::Misdirect { .. }
                | FaultKind::LieSync { .. }
        )
    });
    let at = dice.between(2 * SECOND, heal_at - 1_000_000);
    let node = index(&mut dice, brokers);
    let down_us = if dice.below(3) == 0 { dice.log_between(3_000, 4 * SECOND) } else { dice.between(500, 10_000) };
    faults.push(Fault { at, kind: FaultKind::Wipe { node, down_us } });
    if dice.below(2) == 0 {
        let (behind, ahead) = if dice.below(2) == 0 { (1, 2) } else { (2, 1) };
        let (behind, ahead) = ((node + behind) % brokers, (node + ahead) % brokers);
        let before_us = dice.log_between(100_000, SECOND);
        let us = before_us + down_us + dice.log_between(300_000, 3 * SECOND);
        for other in (0..brokers).filter(|other| *other != behind && *other != node) {
            faults.push(Fault { at: at - before_us, kind: FaultKind::CutLink { a: behind, b: other, us } });
        }
        let away_at = if dice.below(2) == 0 { at } else { at + down_us + dice.log_between(2_000, 200_000) };
        let us = dice.log_between(300_000, 3 * SECOND);
        let kind = match dice.below(2) {
            0 => FaultKind::Crash { node: ahead, kind: CrashKind::PowerCut, down_us: us },
            _ => FaultKind::Isolate { node: ahead, us },
        };
        faults.push(Fault { at: away_at, kind });
    }
    faults.sort_by_key(|fault| fault.at);
}

fn faults(seed: u64, brokers: usize, clients: usize, heal_at: u64) -> Vec<Fault> {
    let mut faults = Vec::new();
    damage(seed, brokers, heal_at, &mut faults);
    let mut pick = draw(seed, Stream::Faults, &[0]);
    // One class per number; appended, never renumbered.
    for class in 0..21_u64 {
        if pick.below(2) == 0 {
            continue;
        }
        let mut dice = draw(seed, Stream::Faults, &[1, class]);
        let count = dice.log_between(1, 8);
        for n in 0..count {
            let mut dice = draw(seed, Stream::Faults, &[2, class, n]);
            let at = dice.between(300_000, heal_at - 300_000);
            let node = index(&mut dice, brokers);
            let other = (node + 1 + index(&mut dice, brokers.saturating_sub(1).max(1))) % brokers;
            let us = dice.log_between(20_000, 6 * SECOND);
            let kind = if dice.below(3) == 0 { CrashKind::Kill } else { CrashKind::PowerCut };
            let down_us = if dice.below(3) == 0 { dice.between(500, 3_000) } else { dice.log_between(3_000, 4 * SECOND) };
            let fault = match class {
                0 => FaultKind::Crash { node, kind, down_us },
                1 if n < 2 => FaultKind::CrashAll { kind, down_us },
                2 => FaultKind::CrashLeader { pick: dice.next(), kind, down_us },
                3 => FaultKind::Pause { node, us },
                4 => FaultKind::PauseLeader { pick: dice.next(), us },
                5 if brokers > 1 => FaultKind::CutOneWay { from: node, to: other, us },
                6 if brokers > 1 => FaultKind::CutLink { a: node, b: other, us },
                7 if brokers > 1 => FaultKind::IsolateLeader { pick: dice.next(), us },
                8 if brokers > 1 => split(&mut dice, brokers, node, us),
                9 => FaultKind::CutClient { client: index(&mut dice, clients), node, us },
                10 => {
                    let ms = i64::try_from(dice.log_between(10, 7_200_000)).expect("hours");
                    FaultKind::StepWall { node, ms: if dice.below(2) == 0 { ms } else { -ms } }
                }
                11 if dice.below(3) == 0 => FaultKind::FailSync { node },
                12 => FaultKind::Stop { node, down_us },
                13 => FaultKind::HangDisk { node, us },
                14 => FaultKind::FillDisk { node, us },
                15 => FaultKind::Reset { client: index(&mut dice, clients), node },
                // One broker at most, so that what it had is elsewhere.
                16 if n == 0 => FaultKind::Rot { node, pick: dice.next(), down_us },
                17 => FaultKind::FlipBatch { client: index(&mut dice, clients), pick: dice.next() },
                18 => {
                    let client = index(&mut dice, clients);
                    FaultKind::CutClientOneWay { client, node, to_broker: dice.below(2) == 0, us }
                }
                19 => FaultKind::Replay { pick: dice.next() },
                // So long that the others let go what it lacks.
                20 if n < 2 => FaultKind::Crash { node, kind, down_us: dice.between(4 * SECOND, 12 * SECOND) },
                _ => FaultKind::SlowDisk { node, us, extra_us: dice.log_between(1_000, 500_000) },
            };
            faults.push(Fault { at, kind: fault });
        }
    }
    faults.sort_by_key(|fault| fault.at);
    faults
}

fn split(dice: &mut Draw, brokers: usize, node: usize, us: u64) -> FaultKind {
    if dice.below(2) == 0 {
        return FaultKind::Isolate { node, us };
    }
    let side: Vec<usize> = (0..brokers).filter(|_| dice.below(2) == 0).collect();
    FaultKind::Split { side, us }
}

fn index(dice: &mut Draw, count: usize) -> usize {
    usize::try_from(dice.below(u64::try_from(count).expect("small"))).expect("an index")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_differ_and_every_fault_class_occurs() {
        let mut words = std::collections::BTreeSet::new();
        for seed in 0..200 {
            let plan = Plan::of(seed);
            assert!(plan.faults.windows(2).all(|w| w[0].at <= w[1].at));
            assert!(plan.shape.raft.heartbeat_ticks < plan.shape.raft.election_ticks);
            for fault in &plan.faults {
                words.insert(std::mem::discriminant(&fault.kind).clone().to_owned_text());
            }
        }
        assert!(words.len() >= 35, "{words:?}");
    }

    trait Text {
        fn to_owned_text(&self) -> String;
    }
    impl<T> Text for std::mem::Discriminant<T> {
        fn to_owned_text(&self) -> String {
            format!("{self:?}")
        }
    }
}
