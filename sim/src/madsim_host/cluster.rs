//! The brokers as madsim nodes, and what faults do to them.

use super::world::SharedWorld;
use crate::disk::CrashKind;
use crate::network::HEALED_DELAY_US_MAX;
use crate::plan::FaultKind;
use madsim::net::NetSim;
use madsim::plugin::simulator;
use madsim::runtime::{Handle, NodeHandle};
use madsim::task::NodeId;
use madsim::time::{Duration, sleep};
use ottla_core::disk::FileName;
use ottla_core::input::Input;

/// The brokers as madsim nodes.
pub(super) struct Cluster {
    pub(super) world: SharedWorld,
    pub(super) handle: Handle,
    pub(super) nodes: Vec<NodeHandle>,
    pub(super) clients: Vec<NodeHandle>,
}

impl Cluster {
    fn id(&self, node: usize) -> NodeId {
        self.nodes[node].id()
    }

    fn crash(&self, node: usize, kind: CrashKind, down_us: u64) {
        let now = self.world.now_us();
        {
            let mut guard = self.world.lock();
            let inner = &mut *guard;
            if !inner.machines[node].is_up {
                return;
            }
            let machine = &mut inner.machines[node];
            machine.is_up = false;
            let loss = machine.disk.crash(kind, now);
            inner.counters.crashes += 1;
            inner.counters.torn += loss.torn;
            let disk = &inner.machines[node].disk;
            let names: Vec<FileName> = disk.files().collect();
            let files = names.iter().filter_map(|n| disk.content(*n).map(|(data, durable)| (*n, data, durable)));
            // Judged when the broker starts again.
            drop(inner.watch.looked(node, disk.inventory().groups.into_iter(), files));
        }
        self.handle.kill(self.id(node));
        let (handle, id, world) = (self.handle.clone(), self.id(node), self.world.clone());
        drop(madsim::task::spawn(async move {
            sleep(Duration::from_micros(down_us)).await;
            if !world.lock().machines[node].is_up {
                handle.restart(id);
            }
        }));
    }

    /// Asks a process to end; it is started again `down_us` after it did.
    fn stop(&self, node: usize, down_us: u64) {
        let mut inner = self.world.lock();
        let machine = &mut inner.machines[node];
        if let Some(inbox) = machine.inbox.as_ref().filter(|_| machine.is_up) {
            machine.down_us = down_us;
            inbox.send(Input::Stop);
        }
    }

    fn cut(&self, from: NodeId, to: NodeId, us: u64) {
        simulator::<NetSim>().clog_link(from, to);
        self.world.lock().counters.cuts += 1;
        drop(madsim::task::spawn(async move {
            sleep(Duration::from_micros(us)).await;
            simulator::<NetSim>().unclog_link(from, to);
        }));
    }

    fn cut_both(&self, a: usize, b: usize, us: u64) {
        if a != b {
            self.cut(self.id(a), self.id(b), us);
            self.cut(self.id(b), self.id(a), us);
        }
    }

    fn pause(&self, node: usize, us: u64) {
        self.world.lock().counters.pauses += 1;
        let (handle, id) = (self.handle.clone(), self.id(node));
        handle.pause(id);
        drop(madsim::task::spawn(async move {
            sleep(Duration::from_micros(us)).await;
            handle.resume(id);
        }));
    }

    pub(super) fn fault(&self, kind: FaultKind) {
        let brokers = self.nodes.len();
        // Which broker leads is not visible from here: leader faults hit one by the draw.
        let some = |pick: u64| usize::try_from(pick % u64::try_from(brokers).expect("few")).expect("an index");
        self.world.note_fault(kind.to_string());
        match kind {
            FaultKind::Crash { node, kind, down_us } => self.crash(node, kind, down_us),
            FaultKind::CrashLeader { pick, kind, down_us } => self.crash(some(pick), kind, down_us),
            FaultKind::CrashAll { kind, down_us } => {
                for node in 0..brokers {
                    self.crash(node, kind, down_us);
                }
            }
            FaultKind::Pause { node, us } => self.pause(node, us),
            FaultKind::PauseLeader { pick, us } => self.pause(some(pick), us),
            FaultKind::CutOneWay { from, to, us } => self.cut(self.id(from), self.id(to), us),
            FaultKind::CutLink { a, b, us } => self.cut_both(a, b, us),
            FaultKind::Isolate { node, us } => (0..brokers).for_each(|other| self.cut_both(node, other, us)),
            FaultKind::PairLeader { pick, us } => {
                let pair = [some(pick), some(pick.wrapping_add(1))];
                for (one, other) in pair.iter().flat_map(|one| (0..brokers).map(move |other| (*one, other))) {
                    if !pair.contains(&other) {
                        self.cut_both(one, other, us);
                    }
                }
            }
            FaultKind::IsolateLeader { pick, us } => {
                (0..brokers).for_each(|other| self.cut_both(some(pick), other, us));
            }
            FaultKind::Split { side, us } => {
                for a in &side {
                    for b in (0..brokers).filter(|n| !side.contains(n)) {
                        self.cut_both(*a, b, us);
                    }
                }
            }
            FaultKind::CutClient { client, node, us } => {
                self.cut(self.clients[client].id(), self.id(node), us);
                self.cut(self.id(node), self.clients[client].id(), us);
            }
            FaultKind::StepWall { node, ms } => {
                let mut inner = self.world.lock();
                inner.machines[node].clock.step_wall(ms);
                inner.counters.clock_steps += 1;
            }
            FaultKind::SlowDisk { node, us, extra_us } => {
                let until = self.world.now_us() + us;
                self.world.lock().machines[node].disk.slow_down(until, extra_us);
            }
            FaultKind::FailSync { node } => self.world.lock().machines[node].disk.fail_next_sync(),
            FaultKind::Stop { node, down_us } => self.stop(node, down_us),
            FaultKind::HangDisk { node, us } => {
                let until = self.world.now_us() + us;
                self.world.lock().machines[node].disk.hang(until);
            }
            FaultKind::FillDisk { node, us } => {
                let until = self.world.now_us() + us;
                {
                    let mut inner = self.world.lock();
                    let machine = &mut inner.machines[node];
                    machine.disk.fill(until);
                    machine.full_until = until;
                }
                self.world.tell_room(node);
                let world = self.world.clone();
                drop(madsim::task::spawn(async move {
                    sleep(Duration::from_micros(us)).await;
                    world.tell_room(node);
                }));
            }
            // madsim has no resets, and what a damaged disk does is the same without a shell.
            FaultKind::Reset { client, node } => self.cut(self.clients[client].id(), self.id(node), 1_000),
            FaultKind::Rot { node, down_us, .. } | FaultKind::LieSync { node, down_us, .. } => {
                self.crash(node, CrashKind::PowerCut, down_us);
            }
            FaultKind::CutClientOneWay { client, node, to_broker: true, us } => {
                self.cut(self.clients[client].id(), self.id(node), us);
            }
            FaultKind::CutClientOneWay { client, node, to_broker: false, us } => {
                self.cut(self.id(node), self.clients[client].id(), us);
            }
            FaultKind::IsolateController { us } => (0..brokers).for_each(|other| self.cut_both(some(us), other, us)),
            FaultKind::Swizzle { node, us } => (0..brokers).for_each(|other| self.cut_both(node, other, us)),
            FaultKind::Bridge { node, side, us } => {
                for (a, b) in side.iter().flat_map(|a| (0..brokers).map(move |b| (*a, b))) {
                    if b != node && !side.contains(&b) {
                        self.cut_both(a, b, us);
                    }
                }
            }
            FaultKind::Ring { order, us } => {
                for (place, a) in order.iter().enumerate() {
                    for (other, b) in order.iter().enumerate().skip(place + 2) {
                        if (other + 1) % brokers != place {
                            self.cut_both(*a, *b, us);
                        }
                    }
                }
            }
            // madsim has one loss and no bandwidth for all links.
            FaultKind::LossyLink { .. } | FaultKind::NarrowLink { .. } => {}
            // Not on these machines: no disk of theirs is lost.
            FaultKind::Wipe { node, down_us } => self.crash(node, CrashKind::PowerCut, down_us),
            FaultKind::FlipBatch { .. } | FaultKind::Replay { .. } => {}
            FaultKind::RotLive { .. }
            | FaultKind::Unreadable { .. }
            | FaultKind::Misdirect { .. }
            | FaultKind::Misread { .. } => {}
        }
    }

    /// A broker that halted or stopped is restarted by its machine, some time later.
    pub(super) fn restart_ended(&self) {
        for node in 0..self.nodes.len() {
            let down_us = {
                let inner = self.world.lock();
                let machine = &inner.machines[node];
                (machine.has_ended && machine.is_up).then_some(machine.down_us)
            };
            if let Some(down_us) = down_us {
                self.crash(node, CrashKind::PowerCut, down_us);
            }
        }
    }

    pub(super) fn heal(&self) {
        self.world.note_fault("the world healed".into());
        let net = simulator::<NetSim>();
        let all: Vec<NodeId> = self.nodes.iter().chain(&self.clients).map(NodeHandle::id).collect();
        for from in &all {
            for to in &all {
                if from != to {
                    net.unclog_link(*from, *to);
                }
            }
        }
        net.update_config(|config| {
            let least = config.send_latency.start;
            let most = least.max(Duration::from_micros(HEALED_DELAY_US_MAX)) + Duration::from_micros(1);
            config.send_latency = least..config.send_latency.end.min(most);
        });
        let mut down = Vec::new();
        {
            let mut inner = self.world.lock();
            inner.shared.is_final = true;
            for (node, machine) in inner.machines.iter_mut().enumerate() {
                machine.disk.calm();
                machine.clock.correct_wall();
                machine.full_until = 0;
                if !machine.is_up {
                    down.push(node);
                }
            }
        }
        for node in 0..self.nodes.len() {
            self.handle.resume(self.id(node));
            self.world.tell_room(node);
            if down.contains(&node) {
                self.handle.restart(self.id(node));
            }
        }
    }
}
