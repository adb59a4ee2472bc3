//! Processes: how they start, crash, pause, stop and heal.

use super::event::Event;
use super::{Cluster, STOP_US_MAX, broker_id, n64};
use crate::dice::{Stream, draw};
use crate::disk::{CrashKind, SimDisk};
use crate::panics::catch;
use crate::report::FailureKind;
use ottla_core::controller::ListenerEndpoint;
use ottla_core::disk::FileName;
use ottla_core::ids::ConnectionId;
use ottla_core::input::Input;
use ottla_core::invariants::Checked;
use ottla_core::output::Outputs;
use ottla_core::record::Codecs;
use ottla_core::{Broker, BrokerConfig, Recovery, RecoveryStep};

impl Cluster {
    /// Whether a broker runs.
    pub(crate) fn is_up(&self, node: usize) -> bool {
        self.nodes[node].broker.is_some()
    }

    /// A running broker.
    pub(crate) fn broker(&self, node: usize) -> Option<&Broker> {
        self.nodes[node].broker.as_ref()
    }

    /// The disk of a broker.
    pub(crate) fn disk(&self, node: usize) -> &SimDisk {
        &self.nodes[node].disk
    }

    /// Starts a broker from what is on its disk.
    pub(crate) fn start(&mut self, node: usize) {
        if self.nodes[node].broker.is_some() {
            return;
        }
        let brokers = self.shape.brokers;
        let this = &mut self.nodes[node];
        this.life += 1;
        this.rounds = 0;
        this.codecs = Codecs::default();
        this.inbox.clear();
        this.is_round_due = false;
        this.paused_until = 0;
        this.stop_down_us = None;
        this.timer_at = u64::MAX;
        this.checked = Checked::default();
        this.clock.boot(self.now, this.life);
        let life = this.life;
        let inventory = this.disk.start();
        let names = inventory.files.len();
        self.look_at_disk(node);
        let config = self.config(node, life);
        let this = &mut self.nodes[node];
        self.trace.event(self.now, n64(node), 50);
        self.trace.line(self.now, &format!("b{node}"), &format!("starts, life {life}, {names} files"));
        let now = this.clock.now(self.now);
        let disk = &this.disk;
        let mut outputs = Outputs::default();
        // What is known of a complete segment is read instead of it, so not all damage is met at a start; but that a file lost its end is.
        let mut is_met = this.disk.is_shortened();
        let mut passed_over = 0;
        let born = catch(|| {
            let mut recovery = Recovery::new(config, inventory);
            loop {
                match recovery.poll() {
                    RecoveryStep::Read { file, position, length } => {
                        passed_over += u64::from(matches!(file, FileName::Index { .. }));
                        is_met |= disk.is_damaged(file, position, length);
                        recovery.read_done(disk.read_now(file, position, length)?);
                    }
                    RecoveryStep::Done => return Ok(recovery.finish(now, &mut outputs)),
                    RecoveryStep::Halt(fatal) => return Err(format!("refuses to start: {fatal}")),
                }
            }
        });
        self.counters.passed_over += passed_over;
        match born {
            Ok(Ok(_)) if is_met => self.fail(
                FailureKind::Safety,
                "bit-rot",
                format!("A broker refuses to start from a log that is damaged where it was durable, but broker {node} starts."),
            ),
            Ok(Err(what)) if is_met => {
                self.counters.refusals += 1;
                self.trace.fault(self.now, format!("broker {node} {what}"));
            }
            Ok(Ok(broker)) => {
                self.nodes[node].broker = Some(broker);
                self.outputs = outputs;
                self.perform(node);
                self.arm_timer(node);
                for peer in 0..brokers {
                    self.sessions_soon(node, peer, 2_000);
                }
                // What recovery proposed or cut is handed out by the first round.
                self.round_soon(node);
                if self.now < self.nodes[node].full_until {
                    self.tell_room(node);
                }
            }
            Ok(Err(what)) => self.fail(
                FailureKind::Safety,
                "recovery",
                format!("A broker starts from whatever a crash left of un-synced writes, but broker {node} {what}."),
            ),
            Err(what) => {
                self.fail(FailureKind::Safety, "panic", format!("Broker {node} broke its own assertion in recovery: {what}."))
            }
        }
    }

    /// What a life of a broker is told.
    pub(super) fn config(&self, node: usize, life: u64) -> BrokerConfig {
        BrokerConfig {
            cluster_id: "c2ltdWxhdGVkLWNsdXN0ZXI".to_string(),
            broker: broker_id(node),
            voters: (0..self.shape.brokers).map(broker_id).collect(),
            listeners: ListenerEndpoint::alone(format!("broker-{node}"), 9092),
            rack: self.shape.racks.get(node).cloned(),
            seed: draw(self.seed, Stream::Broker, &[n64(node), life]).next(),
            raft: self.shape.raft,
            settings: self.shape.settings.clone(),
            mutant: self.shape.mutant,
        }
    }

    pub(super) fn look_at_disk(&mut self, node: usize) {
        let disk = &self.nodes[node].disk;
        let names: Vec<FileName> = disk.files().collect();
        let files = names.iter().filter_map(|name| disk.content(*name).map(|(data, durable)| (*name, data, durable)));
        let verdict = self.watch.looked(node, disk.inventory().groups.into_iter(), files);
        self.judge(verdict);
    }

    /// Stops a broker at once and starts it again after `down_us`, or not at all.
    pub(crate) fn crash(&mut self, node: usize, kind: CrashKind, down_us: Option<u64>) {
        self.counters.crashes += u64::from(self.nodes[node].broker.is_some());
        self.end(node, kind, down_us);
    }

    /// A broker loses power and its disk; it starts again on an empty one after `down_us`, or not at all. False if nothing happened, because another
    /// broker does not have, or does not know that it has, all that it should: what was on two disks may be gone then for good.
    pub(crate) fn wipe(&mut self, node: usize, down_us: Option<u64>) -> bool {
        let others = (0..self.shape.brokers).filter(|other| *other != node);
        if !others.clone().all(|other| self.watch.is_whole(other)) || others.clone().count() == 0 {
            return false;
        }
        self.crash(node, CrashKind::PowerCut, down_us);
        self.nodes[node].disk.wipe();
        self.watch.wiped(node);
        self.counters.wipes += 1;
        true
    }

    pub(super) fn end(&mut self, node: usize, kind: CrashKind, down_us: Option<u64>) {
        if self.nodes[node].broker.take().is_none() {
            return;
        }
        if kind == CrashKind::PowerCut {
            self.lose_lies(node);
        }
        let this = &mut self.nodes[node];
        let loss = this.disk.crash(kind, self.now);
        this.life += 1;
        this.inbox.clear();
        this.sessions.fill(0);
        let life = this.life;
        self.counters.torn += loss.torn;
        self.counters.vanished += loss.vanished;
        self.look_at_disk(node);
        self.trace.event(self.now, n64(node), 51);
        self.trace.number(loss.torn ^ (loss.lost << 16) ^ (loss.vanished << 32));
        for peer in 0..self.shape.brokers {
            self.sessions_soon(peer, node, 5_000);
        }
        let gone: Vec<ConnectionId> = self.links.iter().filter(|(_, l)| l.node == node).map(|(c, _)| *c).collect();
        for connection in gone {
            self.close_at_client(connection);
        }
        if let Some(down) = down_us {
            self.schedule(self.now + down, Event::Restart { node, life });
        }
    }

    /// The broker handles nothing for a while; the world goes on.
    pub(crate) fn pause(&mut self, node: usize, us: u64) {
        self.nodes[node].paused_until = self.nodes[node].paused_until.max(self.now + us);
        self.counters.pauses += 1;
    }

    /// Asks a process to end; it is started again `down_us` after it did.
    pub(crate) fn stop(&mut self, node: usize, down_us: u64) {
        let this = &mut self.nodes[node];
        if this.broker.is_none() || this.stop_down_us.is_some() {
            return;
        }
        this.stop_down_us = Some(down_us);
        let life = this.life;
        self.input(node, Input::Stop, 46, &[]);
        self.schedule(self.now + STOP_US_MAX, Event::StopCheck { node, life, asked_at: self.now });
    }

    pub(super) fn check_stop(&mut self, node: usize, life: u64, asked_at: u64) {
        let this = &self.nodes[node];
        if this.life == life && this.broker.is_some() && this.paused_until < asked_at {
            self.fail(
                FailureKind::Liveness,
                "stop",
                format!("A broker ends within {STOP_US_MAX} us after it was asked to, but broker {node} still runs."),
            );
        }
    }

    /// A wall clock jumps.
    pub(crate) fn step_wall(&mut self, node: usize, ms: i64) {
        self.nodes[node].clock.step_wall(ms);
        self.counters.clock_steps += 1;
    }

    /// The next sync of a disk fails.
    pub(crate) fn fail_next_sync(&mut self, node: usize) {
        self.nodes[node].disk.fail_next_sync();
    }

    /// A disk completes nothing for a while.
    pub(crate) fn hang_disk(&mut self, node: usize, us: u64) {
        let until = self.now + us;
        self.nodes[node].disk.hang(until);
        self.counters.hangs += 1;
    }

    /// A disk has less than its reserve for a while, or no room at all.
    pub(crate) fn fill_disk(&mut self, node: usize, us: u64) {
        let until = self.now + us;
        let mut dice = draw(self.seed, Stream::Disk, &[n64(node), self.now, 10]);
        if dice.below(3) > 0 {
            self.nodes[node].disk.fill(until);
        }
        self.nodes[node].full_until = until;
        self.tell_room(node);
        self.schedule(until, Event::Room { node });
    }

    /// Tells a running broker whether its disk has room.
    pub(super) fn tell_room(&mut self, node: usize) {
        let is_full = self.now < self.nodes[node].full_until;
        if self.nodes[node].broker.is_some() {
            self.input(node, Input::DiskFull { is_full }, 47, &[u8::from(is_full)]);
        }
    }

    /// A disk becomes slow.
    pub(crate) fn slow_disk(&mut self, node: usize, us: u64, extra_us: u64) {
        let until = self.now + us;
        self.nodes[node].disk.slow_down(until, extra_us);
    }

    /// Takes all faults away; brokers that are down start.
    pub(crate) fn heal(&mut self) {
        self.is_buggy = false;
        self.net.calm();
        let (mut down, mut woken, mut roomy) = (Vec::new(), Vec::new(), Vec::new());
        for (n, node) in self.nodes.iter_mut().enumerate() {
            node.disk.calm();
            node.clock.correct_wall();
            if node.full_until > self.now {
                node.full_until = self.now;
                roomy.push(n);
            }
            if node.paused_until > self.now {
                node.paused_until = self.now;
                woken.push((n, node.life));
            }
            if node.broker.is_none() {
                down.push(n);
            }
        }
        for (node, life) in woken {
            self.schedule(self.now, Event::Round { node, life });
        }
        for node in roomy {
            self.tell_room(node);
        }
        for node in down {
            self.start(node);
        }
        for node in 0..self.shape.brokers {
            for peer in 0..self.shape.brokers {
                self.sessions_soon(node, peer, 1_000);
            }
        }
    }
}
