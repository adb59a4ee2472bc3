//! One seed on the event heap, from the plan to the verdict.
//!
//! Faults and clients run until the plan heals the world. Then, within [`RECOVERY_US`] of simulated time: every partition takes a record with
//! acks=all, consumers read every partition to its end, all replicas of every group are byte-equal; and everything acknowledged is there.

use crate::action::{Action, Outcome};
use crate::check::promises::Note;
use crate::check::watch::Breach;
use crate::client::{Client, Shared};
use crate::cluster::{Cluster, Happening};
use crate::dice::{Stream, draw};
use crate::disk::SimDisk;
use crate::network::End;
use crate::plan::{Fault, FaultKind, Plan};
use crate::report::{FailureKind, Report};
use crate::trace::clock;
use crate::wire;
use bytes::Bytes;
use ottla_core::disk::FileName;
use ottla_core::ids::{ConnectionId, GroupId, Index};
use ottla_core::mutant::Mutant;
use std::collections::BTreeMap;

/// Simulated microseconds within which a healed cluster must be whole again.
pub const RECOVERY_US: u64 = 30_000_000;
/// Events of one run at most: beyond it something spins.
const EVENTS_MAX: u64 = 3_000_000;

/// How to run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The active deliberate bug.
    pub mutant: Mutant,
    /// Whether every event is printed.
    pub is_traced: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Waiting {
    Nothing,
    Sleep { token: u64 },
    Reply { broker: usize, connection: ConnectionId, token: u64 },
    Done,
}

struct Host {
    client: Client,
    waiting: Waiting,
    connections: BTreeMap<usize, ConnectionId>,
}

struct Run {
    cluster: Cluster,
    shared: Shared,
    hosts: Vec<Host>,
    faults: Vec<Fault>,
    heal_at: u64,
    tokens: u64,
    owners: BTreeMap<u64, usize>,
    /// What idempotent producers sent, for replays: by whom, to whom, what.
    volleys: Vec<(usize, usize, Bytes)>,
    asks_fresh_leaders: bool,
}

/// Requests kept for replays at most.
const VOLLEYS_MAX: usize = 500;

/// Tokens of the driver below this are fault numbers.
const FAULT_TOKENS: u64 = 1 << 32;
const HEAL_TOKEN: u64 = FAULT_TOKENS - 1;
const END_TOKEN: u64 = FAULT_TOKENS - 2;
const EQUAL_TOKEN: u64 = FAULT_TOKENS - 3;

/// Runs a seed on the event heap.
#[must_use]
pub fn run_heap(seed: u64, options: &Options) -> Report {
    let mut plan = Plan::of(seed);
    plan.shape.mutant = options.mutant;
    let mut run = Run::new(seed, plan, options.is_traced);
    run.go();
    run.report()
}

impl Run {
    fn new(seed: u64, plan: Plan, is_traced: bool) -> Run {
        if is_traced {
            println!("seed {seed}: {:#?}\n{:#?}\n{:?}", plan.shape, plan.topics, plan.workload);
            for fault in &plan.faults {
                println!("planned {} {}", clock(fault.at), fault.kind);
            }
            println!("planned {} heal", clock(plan.heal_at));
        }
        let (brokers, clients) = (plan.shape.brokers, plan.shape.clients);
        let hosts = (0..clients)
            .map(|id| Host {
                client: Client::new(seed, id, brokers, plan.workload),
                waiting: Waiting::Nothing,
                connections: BTreeMap::new(),
            })
            .collect();
        Run {
            cluster: Cluster::new(seed, plan.shape, is_traced),
            shared: Shared::new(plan.topics, clients),
            hosts,
            faults: plan.faults,
            heal_at: plan.heal_at,
            tokens: FAULT_TOKENS,
            owners: BTreeMap::new(),
            volleys: Vec::new(),
            asks_fresh_leaders: draw(seed, Stream::Swarm, &[6]).below(4) == 0,
        }
    }

    fn go(&mut self) {
        for node in 0..self.cluster.shape.brokers {
            self.cluster.start(node);
        }
        for (n, fault) in self.faults.iter().enumerate() {
            self.cluster.wake_at(fault.at, u64::try_from(n).expect("few"));
        }
        self.cluster.wake_at(self.heal_at, HEAL_TOKEN);
        self.cluster.wake_at(self.heal_at + RECOVERY_US, END_TOKEN);
        for id in 0..self.hosts.len() {
            self.drive(id, Outcome::Ready);
        }
        while self.cluster.failure().is_none() {
            let happening = self.cluster.step();
            if !self.cluster.watch.fresh.is_empty() {
                self.ask_fresh_leaders();
            }
            let Some(happening) = happening else {
                if self.cluster.next_at().is_none() {
                    self.cluster.fail(FailureKind::Harness, "harness", "The heap ran dry.".into());
                }
                if self.cluster.trace.events > EVENTS_MAX {
                    let what = format!("A cluster at rest is quiet, but this run took {EVENTS_MAX} events.");
                    self.cluster.fail(FailureKind::Liveness, "quiet", what);
                }
                continue;
            };
            match happening {
                Happening::Reply { client, .. } | Happening::Closed { client, .. } if client == self.hosts.len() => {}
                Happening::Reply { client, connection, frame } => {
                    if let Waiting::Reply { connection: awaited, .. } = self.hosts[client].waiting
                        && awaited == connection
                    {
                        self.drive(client, Outcome::Reply(frame));
                    }
                }
                Happening::Closed { client, connection } => self.closed(client, connection),
                Happening::Wake { token: END_TOKEN } => {
                    self.too_late();
                    return;
                }
                Happening::Wake { token: HEAL_TOKEN } => self.heal(),
                Happening::Wake { token: EQUAL_TOKEN } => {
                    if self.is_whole() {
                        self.finish();
                        return;
                    }
                    self.cluster.wake_at(self.cluster.now + 50_000, EQUAL_TOKEN);
                }
                Happening::Wake { token } if token < EQUAL_TOKEN => self.fault(usize::try_from(token).expect("few")),
                Happening::Wake { token } => self.woken(token),
            }
        }
    }

    // ---- clients ----

    fn drive(&mut self, id: usize, outcome: Outcome) {
        self.hosts[id].waiting = Waiting::Nothing;
        let action = match self.hosts[id].client.next(&mut self.shared, outcome) {
            Ok(action) => action,
            Err(Breach { check, what }) => {
                self.cluster.fail(FailureKind::Safety, check, what);
                return;
            }
        };
        if self.cluster.trace.is_printing() {
            let what = match &action {
                Action::Ask { broker, frame, .. } => format!("asks b{broker} {} bytes", frame.len()),
                Action::Volley { broker, frames, .. } => format!("asks b{broker} {} times", frames.len()),
                Action::Listen { broker, .. } => format!("listens to b{broker}"),
                Action::Tell { broker, frame } => format!("tells b{broker} {} bytes", frame.len()),
                Action::Sleep { us } => format!("sleeps {us} us"),
                Action::Done => "is done".into(),
            };
            self.cluster.trace.line(self.cluster.now, &format!("c{id}"), &what);
        }
        match action {
            Action::Ask { broker, frame, note, wait_us } => {
                let connection = self.connection(id, broker);
                self.cluster.send(connection, &frame, note);
                let token = self.timer(id, wait_us);
                self.hosts[id].waiting = Waiting::Reply { broker, connection, token };
            }
            Action::Volley { broker, frames, wait_us } => {
                let connection = self.connection(id, broker);
                for (frame, note) in frames {
                    if self.volleys.len() < VOLLEYS_MAX {
                        self.volleys.push((id, broker, frame.clone()));
                    }
                    self.cluster.send(connection, &frame, note);
                }
                let token = self.timer(id, wait_us);
                self.hosts[id].waiting = Waiting::Reply { broker, connection, token };
            }
            Action::Listen { broker, wait_us } => match self.hosts[id].connections.get(&broker).copied() {
                Some(connection) => {
                    let token = self.timer(id, wait_us);
                    self.hosts[id].waiting = Waiting::Reply { broker, connection, token };
                }
                None => self.drive_later(id),
            },
            Action::Tell { broker, frame } => {
                let connection = self.connection(id, broker);
                self.cluster.send(connection, &frame, Note::Other);
                let token = self.timer(id, 1_000);
                self.hosts[id].waiting = Waiting::Sleep { token };
            }
            Action::Sleep { us } => {
                let token = self.timer(id, us);
                self.hosts[id].waiting = Waiting::Sleep { token };
            }
            Action::Done => {
                self.hosts[id].waiting = Waiting::Done;
                if id == 0 {
                    self.cluster.wake_at(self.cluster.now, EQUAL_TOKEN);
                }
            }
        }
    }

    fn timer(&mut self, id: usize, us: u64) -> u64 {
        self.tokens += 1;
        self.owners.insert(self.tokens, id);
        self.cluster.wake_at(self.cluster.now + us, self.tokens);
        self.tokens
    }

    fn connection(&mut self, id: usize, broker: usize) -> ConnectionId {
        if let Some(connection) = self.hosts[id].connections.get(&broker) {
            return *connection;
        }
        let connection = self.cluster.connect(id, broker);
        self.hosts[id].connections.insert(broker, connection);
        connection
    }

    fn closed(&mut self, id: usize, connection: ConnectionId) {
        self.hosts[id].connections.retain(|_, c| *c != connection);
        if let Waiting::Reply { connection: awaited, .. } = self.hosts[id].waiting
            && awaited == connection
        {
            self.drive_later(id);
        }
    }

    /// A broken connection is noticed, thought about and only then replaced, or a dead broker would be asked without pause.
    fn drive_later(&mut self, id: usize) {
        let token = self.timer(id, 5_000);
        self.hosts[id].waiting = Waiting::Reply { broker: usize::MAX, connection: ConnectionId(0), token };
    }

    fn woken(&mut self, token: u64) {
        let Some(id) = self.owners.remove(&token) else { return };
        match self.hosts[id].waiting {
            Waiting::Sleep { token: awaited } if awaited == token => self.drive(id, Outcome::Ready),
            Waiting::Reply { broker, connection, token: awaited } if awaited == token => {
                if self.hosts[id].connections.get(&broker) == Some(&connection) {
                    self.hosts[id].connections.remove(&broker);
                    self.cluster.close(connection);
                }
                self.drive(id, Outcome::Lost);
            }
            Waiting::Nothing | Waiting::Sleep { .. } | Waiting::Reply { .. } | Waiting::Done => {}
        }
    }

    // ---- faults ----

    fn fault(&mut self, number: usize) {
        let Some(fault) = self.faults.get(number).cloned() else { return };
        let brokers = self.cluster.shape.brokers;
        let kind = match fault.kind {
            FaultKind::CrashLeader { pick, kind, down_us } => FaultKind::Crash { node: self.some_leader(pick), kind, down_us },
            FaultKind::PauseLeader { pick, us } => FaultKind::Pause { node: self.some_leader(pick), us },
            FaultKind::IsolateLeader { pick, us } => FaultKind::Isolate { node: self.some_leader(pick), us },
            FaultKind::PairLeader { pick, us } => {
                let node = self.some_leader(pick);
                FaultKind::Split { side: vec![node, (node + 1) % brokers], us }
            }
            FaultKind::IsolateController { us } => {
                self.cluster.counters.controllers_apart += 1;
                let leader = self.cluster.watch.latest_leader(GroupId::CONTROLLER);
                FaultKind::Isolate { node: leader.map_or(0, |(node, _)| node), us }
            }
            FaultKind::Swizzle { node, us } => {
                self.cluster.counters.swizzled += 1;
                FaultKind::Isolate { node, us }
            }
            kind @ (FaultKind::Crash { .. }
            | FaultKind::CrashAll { .. }
            | FaultKind::Pause { .. }
            | FaultKind::CutOneWay { .. }
            | FaultKind::CutLink { .. }
            | FaultKind::Isolate { .. }
            | FaultKind::Split { .. }
            | FaultKind::CutClient { .. }
            | FaultKind::StepWall { .. }
            | FaultKind::SlowDisk { .. }
            | FaultKind::FailSync { .. }
            | FaultKind::Stop { .. }
            | FaultKind::Wipe { .. }
            | FaultKind::HangDisk { .. }
            | FaultKind::FillDisk { .. }
            | FaultKind::Reset { .. }
            | FaultKind::Rot { .. }
            | FaultKind::RotLive { .. }
            | FaultKind::FlipBatch { .. }
            | FaultKind::CutClientOneWay { .. }
            | FaultKind::Replay { .. }
            | FaultKind::Unreadable { .. }
            | FaultKind::Misdirect { .. }
            | FaultKind::Misread { .. }
            | FaultKind::Bridge { .. }
            | FaultKind::Ring { .. }
            | FaultKind::LossyLink { .. }
            | FaultKind::NarrowLink { .. }
            | FaultKind::LieSync { .. }) => kind,
        };
        self.cluster.trace.fault(self.cluster.now, kind.to_string());
        match kind {
            FaultKind::Crash { node, kind, down_us } => self.cluster.crash(node, kind, Some(down_us)),
            FaultKind::CrashAll { kind, down_us } => {
                for node in 0..brokers {
                    // They come back one after the other.
                    let share = u64::try_from(node + 1).expect("few") * down_us / u64::try_from(brokers).expect("few");
                    self.cluster.crash(node, kind, Some(share.max(500)));
                }
            }
            FaultKind::Pause { node, us } => self.cluster.pause(node, us),
            FaultKind::CutOneWay { from, to, us } => self.cluster.cut(End::Broker(from), End::Broker(to), us),
            FaultKind::CutLink { a, b, us } => self.cut_both(a, b, us),
            FaultKind::Isolate { node, us } => {
                for other in (0..brokers).filter(|n| *n != node) {
                    self.cut_both(node, other, us);
                }
            }
            FaultKind::Split { side, us } => {
                for a in &side {
                    for b in (0..brokers).filter(|n| !side.contains(n)) {
                        self.cut_both(*a, b, us);
                    }
                }
            }
            FaultKind::CutClient { client, node, us } => {
                self.cluster.cut(End::Client(client), End::Broker(node), us);
                self.cluster.cut(End::Broker(node), End::Client(client), us);
            }
            FaultKind::StepWall { node, ms } => self.cluster.step_wall(node, ms),
            FaultKind::SlowDisk { node, us, extra_us } => self.cluster.slow_disk(node, us, extra_us),
            FaultKind::FailSync { node } => self.cluster.fail_next_sync(node),
            FaultKind::Stop { node, down_us } => self.cluster.stop(node, down_us),
            FaultKind::Wipe { node, down_us } => {
                self.cluster.wipe(node, Some(down_us));
            }
            FaultKind::HangDisk { node, us } => self.cluster.hang_disk(node, us),
            FaultKind::FillDisk { node, us } => self.cluster.fill_disk(node, us),
            FaultKind::Reset { client, node } => self.cluster.reset(client, node),
            FaultKind::Rot { node, pick, down_us } => self.cluster.rot(node, pick, down_us),
            FaultKind::FlipBatch { client, pick } => self.cluster.flip_next_batch(client, pick),
            FaultKind::CutClientOneWay { client, node, to_broker: true, us } => {
                self.cluster.cut(End::Client(client), End::Broker(node), us);
            }
            FaultKind::CutClientOneWay { client, node, to_broker: false, us } => {
                self.cluster.cut(End::Broker(node), End::Client(client), us);
            }
            FaultKind::Replay { pick } => self.replay(pick),
            // Damage below a running broker shows to those who read what is old.
            FaultKind::RotLive { node, pick } => {
                self.cluster.rot_live(node, pick);
                self.rewind_all();
            }
            FaultKind::Unreadable { node, pick } => {
                self.cluster.make_unreadable(node, pick);
                self.rewind_all();
            }
            FaultKind::Misdirect { node, pick } => {
                self.cluster.misdirect(node, pick);
                self.rewind_all();
            }
            FaultKind::Misread { node, us, ppm } => {
                self.cluster.misread(node, us, ppm);
                self.rewind_all();
            }
            FaultKind::LieSync { node, us, down_us } => self.cluster.lie(node, us, down_us),
            FaultKind::Bridge { node, side, us } => {
                self.cluster.counters.bridges += 1;
                for (a, b) in side.iter().flat_map(|a| (0..brokers).map(move |b| (*a, b))) {
                    if b != node && !side.contains(&b) {
                        self.cut_both(a, b, us);
                    }
                }
            }
            FaultKind::Ring { order, us } => {
                self.cluster.counters.rings += 1;
                for (place, a) in order.iter().enumerate() {
                    // Each pair that does not stand side by side, once.
                    for (other, b) in order.iter().enumerate().skip(place + 2) {
                        if (other + 1) % brokers != place {
                            self.cut_both(*a, *b, us);
                        }
                    }
                }
            }
            FaultKind::LossyLink { from, to, us, ppm } => self.cluster.lose(from, to, us, ppm),
            FaultKind::NarrowLink { from, to, us, narrow } => self.cluster.narrow(from, to, us, narrow),
            FaultKind::CrashLeader { .. }
            | FaultKind::PauseLeader { .. }
            | FaultKind::IsolateLeader { .. }
            | FaultKind::PairLeader { .. }
            | FaultKind::IsolateController { .. }
            | FaultKind::Swizzle { .. } => {
                self.cluster.fail(FailureKind::Harness, "harness", "A leader fault was not resolved.".into());
            }
        }
    }

    /// In some seeds new leaders are asked for their latest offsets as soon as they lead: what they may not know yet they must not tell.
    fn ask_fresh_leaders(&mut self) {
        let fresh = std::mem::take(&mut self.cluster.watch.fresh);
        if !self.asks_fresh_leaders {
            return;
        }
        for (node, group) in fresh {
            let label = self.cluster.disk(node).label(group).unwrap_or_default().to_string();
            let place = label.rsplit_once('-').and_then(|(topic, partition)| Some((topic, partition.parse().ok()?)));
            let Some((topic, partition)) = place else { continue };
            if !self.shared.topics.iter().any(|plan| plan.name == topic && !plan.is_mortal) {
                continue;
            }
            self.tokens += 1;
            let mut dice = draw(self.cluster.seed, Stream::Checks, &[self.tokens]);
            let version = 4;
            let frame = wire::list_offsets(topic, partition, -1, version, 1);
            let delay_us = dice.log_between(1, 20_000);
            self.cluster.probe(node, &frame, Note::Latest { version, label: label.clone() }, delay_us);
        }
    }

    /// Some old requests come once more, each at any broker. Those of idempotent producers: what they say must not count twice.
    fn replay(&mut self, pick: u64) {
        let mut dice = draw(pick, Stream::Net, &[9]);
        for _ in 0..dice.between(1, 6) {
            let count = u64::try_from(self.volleys.len()).expect("few");
            let Some((client, broker, frame)) = self.volleys.get(usize::try_from(dice.below(count)).expect("an index")).cloned()
            else {
                return;
            };
            let any = usize::try_from(dice.below(u64::try_from(self.cluster.shape.brokers).expect("few"))).expect("an index");
            self.cluster.replay(client, if dice.below(3) == 0 { any } else { broker }, &frame);
        }
    }

    fn rewind_all(&mut self) {
        for host in &mut self.hosts {
            host.client.rewind();
        }
    }

    fn cut_both(&mut self, a: usize, b: usize, us: u64) {
        if a != b {
            self.cluster.cut(End::Broker(a), End::Broker(b), us);
            self.cluster.cut(End::Broker(b), End::Broker(a), us);
        }
    }

    fn some_leader(&self, pick: u64) -> usize {
        let groups: Vec<GroupId> = (0..self.cluster.shape.brokers)
            .flat_map(|node| self.cluster.watch.mirror(node).groups().collect::<Vec<_>>())
            .collect();
        let count = u64::try_from(groups.len().max(1)).expect("few");
        let chosen = groups.get(usize::try_from(pick % count).expect("an index"));
        chosen.and_then(|group| self.cluster.watch.latest_leader(*group)).map_or(0, |(node, _)| node)
    }

    fn heal(&mut self) {
        self.cluster.trace.fault(self.cluster.now, "the world healed".into());
        self.cluster.heal();
        self.shared.is_final = true;
    }

    // ---- verdict ----

    /// Whether every group is the same on all its replicas.
    fn is_whole(&self) -> bool {
        self.difference().is_none()
    }

    fn difference(&self) -> Option<String> {
        let disks: Vec<&SimDisk> = (0..self.cluster.shape.brokers).map(|node| self.cluster.disk(node)).collect();
        log_difference(&disks)
    }

    fn finish(&mut self) {
        if let Err(Breach { check, what }) = self.shared.history.finish(&self.shared.lives) {
            self.cluster.fail(FailureKind::Safety, check, what);
        }
    }

    fn too_late(&mut self) {
        let seconds = RECOVERY_US / 1_000_000;
        if self.hosts[0].waiting == Waiting::Done {
            let what = self.difference().unwrap_or_else(|| "they are equal".into());
            self.cluster.fail(
                FailureKind::Liveness,
                "replica equality",
                format!("{seconds} s after the world healed all replicas are byte-equal, but {what}."),
            );
        } else {
            let busy = self.hosts.iter().rev().find(|host| host.waiting != Waiting::Done);
            let trouble = busy.map(|host| host.client.trouble()).unwrap_or_default();
            self.cluster.fail(
                FailureKind::Liveness,
                "progress",
                format!("{seconds} s after the world healed every partition takes and gives records, but {trouble}."),
            );
        }
        // What can be said about safety is said as well, in the trace.
        if let Err(Breach { check, what }) = self.shared.history.finish(&self.shared.lives) {
            self.cluster.trace.line(self.cluster.now, "X", &format!("also {check}: {what}"));
        }
    }

    fn report(&self) -> Report {
        let mut counters = self.cluster.counters();
        counters.add(&self.shared.counters);
        counters.reads += self.shared.history.reads;
        Report {
            seed: self.cluster.seed,
            hash: self.cluster.trace.hash(),
            simulated_us: self.cluster.now,
            counters,
            failure: self.cluster.failure().cloned(),
        }
    }
}

/// The first difference between replicas of a group, in words; also a folder that a deleted topic left behind.
pub(crate) fn log_difference(disks: &[&SimDisk]) -> Option<String> {
    let mut labels: BTreeMap<&str, (GroupId, usize)> = BTreeMap::new();
    for (node, disk) in disks.iter().enumerate() {
        for group in disk.inventory().groups {
            let label = disk.label(group).unwrap_or_default();
            let (other, place) = *labels.entry(label).or_insert((group, node));
            if other != group {
                return Some(format!("{label} is group {other} on broker {place} and group {group} on broker {node}"));
            }
        }
    }
    let mut logs: BTreeMap<GroupId, (usize, (Index, Vec<u8>))> = BTreeMap::new();
    for (node, disk) in disks.iter().enumerate() {
        let mut mine: BTreeMap<GroupId, (Index, Vec<u8>)> = BTreeMap::new();
        for group in disk.inventory().groups {
            mine.entry(group).or_default();
        }
        for file in disk.files() {
            if let FileName::Segment { group, base_index, .. } = file
                && let Some((data, _)) = disk.content(file)
            {
                let (first, log) = mine.entry(group).or_default();
                if log.is_empty() {
                    *first = base_index;
                }
                log.extend_from_slice(data);
            }
        }
        for (group, bytes) in mine {
            match logs.get(&group) {
                None => {
                    logs.insert(group, (node, bytes));
                }
                // Each lets whole segments of its own go: the longer one has more at its front.
                Some((_, theirs)) if theirs.0 < bytes.0 && theirs.1.ends_with(&bytes.1) => {}
                Some((_, theirs)) if bytes.0 < theirs.0 && bytes.1.ends_with(&theirs.1) => {}
                Some((other, theirs)) if *theirs != bytes => {
                    let (theirs, bytes) = (&theirs.1, &bytes.1);
                    let at = theirs.iter().zip(bytes).take_while(|(a, b)| a == b).count();
                    return Some(format!(
                        "group {group} has {} bytes on broker {other} and {} on broker {node}, equal up to byte {at}",
                        theirs.len(),
                        bytes.len()
                    ));
                }
                Some(_) => {}
            }
        }
    }
    None
}
