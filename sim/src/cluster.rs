//! The event heap: brokers, their disks and clocks, the network and client connections, in one order of time.
//!
//! Events are ordered by (time, number). A broker's inputs of one instant are one round: step each, end the round, perform the
//! outputs in shuffled order, because the contract says that any order is right; only appends to one file keep theirs. A round may
//! be cut short by a crash between two outputs. Every round is watched by the judges of `check`.
//!
//! Knows nothing of plans and workloads: those drive it through [`Cluster::step`] and the fault verbs. One thread, no clock but
//! its own, no order but its own: the same calls give the same run.

use crate::check::promises::{self, Note};
use crate::check::watch::{Breach, Watch};
use crate::clock::Clock;
use crate::dice::{Stream, draw};
use crate::disk::{CrashKind, DiskChange, SimDisk};
use crate::network::{End, Network};
use crate::panics::catch;
use crate::report::{Counters, Failure, FailureKind};
use crate::shape::Shape;
use crate::trace::Trace;
use crate::views::{self, GroupSeen};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use ottla_core::disk::{DiskAction, DiskDone, DiskStage, FileName};
use ottla_core::ids::{BrokerId, ConnectionId, DiskId, GroupId};
use ottla_core::input::Input;
use ottla_core::invariants::check_invariants;
use ottla_core::output::{Output, Outputs, PeerClass};
use ottla_core::{Broker, BrokerConfig, Recovery, RecoveryStep};
use ottla_net::Connection;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};

/// Something the driver of the cluster must react to.
#[derive(Debug)]
pub(crate) enum Happening {
    /// A response frame reached a client, without its size.
    Reply {
        /// The client.
        client: usize,
        /// On which connection.
        connection: ConnectionId,
        /// The frame.
        frame: Bytes,
    },
    /// A client learned that its connection is gone.
    Closed {
        /// The client.
        client: usize,
        /// Which connection.
        connection: ConnectionId,
    },
    /// A timer the driver set.
    Wake {
        /// As given to [`Cluster::wake_at`].
        token: u64,
    },
}

#[derive(Debug)]
enum Event {
    Round { node: usize, life: u64 },
    Timer { node: usize, life: u64, number: u64 },
    Disk { node: usize, life: u64, id: DiskId, is_written: bool },
    Peer { from: usize, to: usize, life: u64, frame: Bytes },
    Session { node: usize, peer: usize },
    ToBroker { connection: ConnectionId, bytes: Bytes },
    ToClient { connection: ConnectionId, bytes: Bytes },
    CloseBroker { connection: ConnectionId },
    CloseClient { connection: ConnectionId },
    Restart { node: usize, life: u64 },
    StopCheck { node: usize, life: u64, asked_at: u64 },
    Wake { token: u64 },
}

#[derive(Debug)]
struct Scheduled {
    at: u64,
    number: u64,
    event: Event,
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.number) == (other.at, other.number)
    }
}
impl Eq for Scheduled {}
impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

#[derive(Debug)]
struct Node {
    broker: Option<Broker>,
    disk: SimDisk,
    clock: Clock,
    life: u64,
    rounds: u64,
    inbox: Vec<Input>,
    is_round_due: bool,
    paused_until: u64,
    /// Microseconds that the process stays away after it was asked to stop.
    stop_down_us: Option<u64>,
    timer_number: u64,
    timer_at: u64,
    /// The life of each peer to which this broker believes to have connections; 0 for none.
    sessions: Vec<u64>,
}

#[derive(Debug)]
struct Link {
    client: usize,
    node: usize,
    life: u64,
    connection: Connection,
    /// What the client asked, in order, until it is answered.
    notes: VecDeque<Note>,
    to_client: BytesMut,
    is_open_at_client: bool,
    is_open_at_broker: bool,
}

/// Microseconds a graceful stop may take: what the core waits for hand-overs at most, and the disk.
const STOP_US_MAX: u64 = 1_000 * ottla_core::limits::STOP_MS_MAX + 2_000_000;

/// A simulated cluster.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) seed: u64,
    pub(crate) shape: Shape,
    pub(crate) now: u64,
    number: u64,
    heap: BinaryHeap<Reverse<Scheduled>>,
    nodes: Vec<Node>,
    net: Network,
    links: BTreeMap<ConnectionId, Link>,
    next_connection: u64,
    outputs: Outputs,
    pub(crate) watch: Watch,
    pub(crate) trace: Trace,
    pub(crate) counters: Counters,
    /// Clients whose next reply is dropped with its connection.
    drop_reply: Vec<bool>,
    is_buggy: bool,
    views: Vec<GroupSeen>,
    failure: Option<Failure>,
}

impl Cluster {
    /// A cluster whose brokers are all down; start them with [`Cluster::start`].
    pub(crate) fn new(seed: u64, shape: Shape, is_printing: bool) -> Cluster {
        let nodes = (0..shape.brokers)
            .map(|n| Node {
                broker: None,
                disk: SimDisk::new(seed, n64(n), shape.disk),
                clock: Clock::new(seed, n64(n), shape.has_exact_clocks),
                life: 0,
                rounds: 0,
                inbox: Vec::new(),
                is_round_due: false,
                paused_until: 0,
                stop_down_us: None,
                timer_number: 0,
                timer_at: u64::MAX,
                sessions: vec![0; shape.brokers],
            })
            .collect();
        Cluster {
            seed,
            now: 0,
            number: 0,
            heap: BinaryHeap::new(),
            nodes,
            net: Network::new(seed, shape.net),
            links: BTreeMap::new(),
            next_connection: 0,
            outputs: Outputs::default(),
            watch: Watch::new(shape.brokers),
            trace: Trace::new(is_printing),
            counters: Counters::default(),
            drop_reply: vec![false; shape.clients],
            is_buggy: true,
            views: Vec::new(),
            failure: None,
            shape,
        }
    }

    /// The first broken promise, if any.
    pub(crate) fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }

    /// Notes a broken promise; the first one counts.
    pub(crate) fn fail(&mut self, kind: FailureKind, check: &str, what: String) {
        if self.failure.is_none() {
            let failure = Failure { kind, check: check.to_string(), what, at: self.now, faults: self.trace.recent_faults() };
            self.trace.line(self.now, "X", &format!("{check}: {}", failure.what));
            self.failure = Some(failure);
        }
    }

    fn judge(&mut self, verdict: Result<(), Breach>) {
        if let Err(breach) = verdict {
            self.fail(FailureKind::Safety, breach.check, breach.what);
        }
    }

    /// All counters, those of the parts included.
    pub(crate) fn counters(&self) -> Counters {
        let mut all = self.counters;
        all.add(&self.watch.counters);
        all.lost += self.net.lost;
        all.duplicated += self.net.duplicated;
        all.events += self.trace.events;
        all
    }

    // ---- time ----

    fn schedule(&mut self, at: u64, event: Event) {
        self.number += 1;
        self.heap.push(Reverse(Scheduled { at: at.max(self.now), number: self.number, event }));
    }

    /// Asks for a [`Happening::Wake`].
    pub(crate) fn wake_at(&mut self, at: u64, token: u64) {
        self.schedule(at, Event::Wake { token });
    }

    /// When the next event happens.
    pub(crate) fn next_at(&self) -> Option<u64> {
        self.heap.peek().map(|Reverse(s)| s.at)
    }

    /// Lets the next event happen. `None` when there is nothing for the driver in it.
    pub(crate) fn step(&mut self) -> Option<Happening> {
        let Reverse(Scheduled { at, event, .. }) = self.heap.pop()?;
        self.now = at;
        match event {
            Event::Round { node, life } => {
                if self.nodes[node].life == life && self.nodes[node].broker.is_some() {
                    self.round(node);
                }
                None
            }
            Event::Timer { node, life, number } => {
                let this = &mut self.nodes[node];
                if this.life == life && this.timer_number == number && this.broker.is_some() {
                    this.timer_at = u64::MAX;
                    self.input(node, Input::Tick, 1, &[]);
                }
                None
            }
            Event::Disk { node, life, id, is_written } => {
                if self.nodes[node].life == life && self.nodes[node].broker.is_some() {
                    self.disk_event(node, id, is_written);
                }
                None
            }
            Event::Peer { from, to, life, frame } => {
                let is_cut = self.net.is_cut(End::Broker(from), End::Broker(to), self.now);
                if !is_cut && self.nodes[to].life == life && self.nodes[to].broker.is_some() {
                    let hashed = frame.clone();
                    let input = Input::Peer { from: broker_id(from), frame };
                    self.input(to, input, 2 + n64(from), &hashed);
                }
                None
            }
            Event::Session { node, peer } => {
                self.session_check(node, peer);
                None
            }
            Event::ToBroker { connection, bytes } => {
                self.bytes_to_broker(connection, &bytes);
                None
            }
            Event::ToClient { connection, bytes } => self.bytes_to_client(connection, &bytes),
            Event::CloseBroker { connection } => {
                if let Some(link) = self.links.get_mut(&connection) {
                    let was_open = std::mem::replace(&mut link.is_open_at_broker, false);
                    let (node, life, gone) = (link.node, link.life, !link.is_open_at_client);
                    if gone {
                        self.links.remove(&connection);
                    }
                    if was_open && self.nodes[node].life == life && self.nodes[node].broker.is_some() {
                        self.input(node, Input::Closed { connection }, 40, &[]);
                    }
                }
                None
            }
            Event::CloseClient { connection } => {
                let link = self.links.get_mut(&connection)?;
                let was_open = std::mem::replace(&mut link.is_open_at_client, false);
                let client = link.client;
                if !link.is_open_at_broker {
                    self.links.remove(&connection);
                }
                was_open.then_some(Happening::Closed { client, connection })
            }
            Event::Restart { node, life } => {
                if self.nodes[node].life == life && self.nodes[node].broker.is_none() {
                    self.start(node);
                }
                None
            }
            Event::StopCheck { node, life, asked_at } => {
                self.check_stop(node, life, asked_at);
                None
            }
            Event::Wake { token } => Some(Happening::Wake { token }),
        }
    }

    // ---- brokers ----

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
        let seed = self.seed;
        let brokers = self.shape.brokers;
        let this = &mut self.nodes[node];
        this.life += 1;
        this.rounds = 0;
        this.inbox.clear();
        this.is_round_due = false;
        this.paused_until = 0;
        this.stop_down_us = None;
        this.timer_at = u64::MAX;
        this.clock.boot(self.now, this.life);
        let life = this.life;
        let inventory = this.disk.start();
        let names = inventory.files.len();
        self.look_at_disk(node);
        let this = &mut self.nodes[node];
        self.trace.event(self.now, n64(node), 50);
        self.trace.line(self.now, &format!("b{node}"), &format!("starts, life {life}, {names} files"));
        let config = BrokerConfig {
            cluster_id: "c2ltdWxhdGVkLWNsdXN0ZXI".to_string(),
            broker: broker_id(node),
            voters: (0..brokers).map(broker_id).collect(),
            advertised_host: format!("broker-{node}"),
            advertised_port: 9092,
            rack: None,
            seed: draw(seed, Stream::Broker, &[n64(node), life]).next(),
            raft: self.shape.raft,
            settings: self.shape.settings.clone(),
            mutant: self.shape.mutant,
        };
        let now = this.clock.now(self.now);
        let disk = &this.disk;
        let mut outputs = Outputs::default();
        let born = catch(|| {
            let mut recovery = Recovery::new(config, inventory);
            loop {
                match recovery.poll() {
                    RecoveryStep::Read { file, position, length } => {
                        recovery.read_done(disk.read_now(file, position, length)?);
                    }
                    RecoveryStep::Done => return Ok(recovery.finish(now, &mut outputs)),
                    RecoveryStep::Halt(fatal) => return Err(format!("refuses to start: {fatal}")),
                }
            }
        });
        match born {
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

    fn look_at_disk(&mut self, node: usize) {
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

    fn end(&mut self, node: usize, kind: CrashKind, down_us: Option<u64>) {
        if self.nodes[node].broker.take().is_none() {
            return;
        }
        let this = &mut self.nodes[node];
        let loss = this.disk.crash(kind, self.now);
        this.life += 1;
        this.inbox.clear();
        this.sessions.fill(0);
        let life = this.life;
        self.counters.torn += loss.torn;
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

    fn check_stop(&mut self, node: usize, life: u64, asked_at: u64) {
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

    /// A disk becomes slow.
    pub(crate) fn slow_disk(&mut self, node: usize, us: u64, extra_us: u64) {
        let until = self.now + us;
        self.nodes[node].disk.slow_down(until, extra_us);
    }

    /// Takes all faults away; brokers that are down start.
    pub(crate) fn heal(&mut self) {
        self.is_buggy = false;
        self.net.calm();
        let (mut down, mut woken) = (Vec::new(), Vec::new());
        for (n, node) in self.nodes.iter_mut().enumerate() {
            node.disk.calm();
            node.clock.correct_wall();
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
        for node in down {
            self.start(node);
        }
        for node in 0..self.shape.brokers {
            for peer in 0..self.shape.brokers {
                self.sessions_soon(node, peer, 1_000);
            }
        }
    }

    fn input(&mut self, node: usize, input: Input, kind: u64, payload: &[u8]) {
        self.trace.event(self.now, n64(node), kind);
        self.trace.bytes(payload);
        self.nodes[node].inbox.push(input);
        self.round_soon(node);
    }

    fn round_soon(&mut self, node: usize) {
        let this = &mut self.nodes[node];
        if std::mem::replace(&mut this.is_round_due, true) {
            return;
        }
        let mut dice = draw(self.seed, Stream::Schedule, &[n64(node), this.life, this.rounds]);
        let at = (self.now + dice.below(self.shape.round_us_max + 1)).max(this.paused_until);
        let life = this.life;
        self.schedule(at, Event::Round { node, life });
    }

    fn round(&mut self, node: usize) {
        if self.now < self.nodes[node].paused_until {
            let (at, life) = (self.nodes[node].paused_until, self.nodes[node].life);
            self.schedule(at, Event::Round { node, life });
            return;
        }
        let this = &mut self.nodes[node];
        this.is_round_due = false;
        this.rounds += 1;
        self.counters.rounds += 1;
        let inputs = std::mem::take(&mut this.inbox);
        let now = this.clock.now(self.now);
        let Some(broker) = this.broker.as_mut() else { return };
        let outputs = &mut self.outputs;
        let views = &mut self.views;
        if self.trace.is_printing() {
            for input in &inputs {
                self.trace.line(self.now, &format!("b{node}"), &format!("<- {}", brief(input)));
            }
        }
        let result = catch(|| {
            for input in inputs {
                broker.step(now, input, outputs);
            }
            broker.end_round(now, outputs);
            check_invariants(broker);
            views::look(broker, views);
        });
        if let Err(what) = result {
            self.fail(FailureKind::Safety, "panic", format!("Broker {node} broke its own assertion: {what}."));
            return;
        }
        let views = std::mem::take(&mut self.views);
        let verdict = self.watch.said(node, &views);
        self.views = views;
        self.judge(verdict);
        self.perform(node);
        if self.nodes[node].broker.is_some() {
            self.arm_timer(node);
        }
    }

    fn arm_timer(&mut self, node: usize) {
        let this = &mut self.nodes[node];
        let Some(deadline) = this.broker.as_ref().and_then(Broker::next_deadline) else { return };
        // Never at this very instant: a broker that asks for it again and again would stop the world.
        let at = this.clock.when(deadline.at, self.now).max(self.now + 1);
        if at == this.timer_at {
            return;
        }
        this.timer_at = at;
        this.timer_number += 1;
        let (life, number) = (this.life, this.timer_number);
        self.schedule(at, Event::Timer { node, life, number });
    }

    // ---- outputs ----

    /// Performs what a round asked for, in another order, perhaps not to the end.
    fn perform(&mut self, node: usize) {
        let mut list: Vec<Output> = self.outputs.drain().collect();
        if list.is_empty() {
            return;
        }
        let (life, rounds) = (self.nodes[node].life, self.nodes[node].rounds);
        let mut dice = draw(self.seed, Stream::Schedule, &[n64(node), life, rounds, 1]);
        shuffle(&mut list, &mut dice);
        let mut crash_before = None;
        if self.is_buggy {
            let mut dice = draw(self.seed, Stream::Buggify, &[n64(node), life, rounds]);
            if dice.ppm(self.shape.crash_in_round_ppm) {
                crash_before = Some(usize::try_from(dice.below(n64(list.len()) + 1)).expect("small"));
            }
            if is_promise(&list) && dice.ppm(self.shape.crash_at_promise_ppm) {
                // Frames leave, disk operations do not happen: what a frame promised must have been durable before.
                list.sort_by_key(|output| matches!(output, Output::Disk(_)));
                crash_before = Some(list.iter().filter(|output| !matches!(output, Output::Disk(_))).count());
            }
        }
        for (done, output) in list.into_iter().enumerate() {
            if crash_before == Some(done) {
                break;
            }
            self.perform_one(node, output);
            if self.nodes[node].broker.is_none() || self.failure.is_some() {
                return;
            }
        }
        if crash_before.is_some() {
            self.crash_in_round(node);
        }
    }

    fn crash_in_round(&mut self, node: usize) {
        let mut dice = draw(self.seed, Stream::Buggify, &[n64(node), self.nodes[node].life, u64::MAX]);
        let kind = if dice.below(3) == 0 { CrashKind::Kill } else { CrashKind::PowerCut };
        let down = dice.log_between(self.shape.restart_us.0, self.shape.restart_us.1);
        self.counters.crashes_in_round += 1;
        self.trace.fault(self.now, format!("broker {node} crashed between two outputs ({kind:?}, back after {down} us)"));
        self.crash(node, kind, Some(down));
    }

    fn perform_one(&mut self, node: usize, output: Output) {
        match output {
            Output::Reply { connection, number, frame } => self.reply(node, connection, number, frame),
            Output::Close { connection, number, reason } => {
                self.trace.event(self.now, n64(node), 60);
                self.trace.line(self.now, &format!("b{node}"), &format!("-> closes {connection}: {reason}"));
                if let Some(link) = self.links.get_mut(&connection) {
                    link.connection.close(number, reason);
                    self.flush(connection);
                }
            }
            Output::Peer { to, class, frame } => self.peer_frame(node, to, class, frame),
            Output::Disk(op) => {
                self.trace.event(self.now, n64(node), 61);
                self.trace.number(op.id.0);
                if let DiskAction::Append { data, position, .. } = &op.action {
                    self.trace.number(*position);
                    for part in data {
                        self.trace.bytes(part);
                    }
                }
                if self.trace.is_printing() {
                    self.trace.line(self.now, &format!("b{node}"), &format!("-> {}", brief_op(op.id, &op.action)));
                }
                if let DiskAction::RemoveGroup { group } = &op.action {
                    self.watch.removing(*group);
                }
                let life = self.nodes[node].life;
                for event in self.nodes[node].disk.submit(self.now, op) {
                    self.schedule(event.at, Event::Disk { node, life, id: event.id, is_written: event.is_written });
                }
            }
            Output::Halt(fatal) => {
                self.counters.halts += 1;
                self.trace.fault(self.now, format!("broker {node} halted: {fatal}"));
                let mut dice = draw(self.seed, Stream::Buggify, &[n64(node), self.nodes[node].life, 7]);
                let down = dice.log_between(10_000, 2_000_000);
                self.crash(node, CrashKind::PowerCut, Some(down));
            }
            Output::Stopped => {
                self.trace.line(self.now, &format!("b{node}"), "-> stopped");
                self.counters.stops += 1;
                let down = self.nodes[node].stop_down_us;
                self.end(node, CrashKind::Kill, down);
            }
        }
    }

    fn peer_frame(&mut self, node: usize, to: BrokerId, class: PeerClass, frame: Vec<Bytes>) {
        let Some(to) = usize::try_from(to.0).ok().filter(|to| *to < self.shape.brokers && *to != node) else {
            self.fail(FailureKind::Safety, "I6", format!("Broker {node} sent a frame to broker {to}, which does not exist."));
            return;
        };
        let lane = match class {
            PeerClass::Control => 0,
            PeerClass::Data => 1,
        };
        let frame = contiguous(frame);
        self.trace.event(self.now, n64(node), 62);
        self.trace.bytes(&frame);
        if self.trace.is_printing() {
            self.trace.line(self.now, &format!("b{node}"), &format!("-> b{to} {class:?} {}", promises::brief(&frame)));
        }
        let verdict = promises::check_frame(&mut self.watch, node, to, &frame);
        self.judge(verdict);
        let life = self.nodes[to].life;
        for at in self.net.send_peer(self.now, node, to, lane).into_iter().flatten() {
            self.schedule(at, Event::Peer { from: node, to, life, frame: frame.clone() });
        }
    }

    fn disk_event(&mut self, node: usize, id: DiskId, is_written: bool) {
        match self.nodes[node].disk.advance(id, is_written) {
            Ok(None) => {}
            Ok(Some((done, changes))) => {
                for change in changes {
                    self.disk_changed(node, change);
                }
                let kind = match &done.stage {
                    DiskStage::Written => 70,
                    DiskStage::Durable => 71,
                    DiskStage::Read(_) => 72,
                    DiskStage::Failed(_) => 73,
                };
                let read = if let DiskStage::Read(data) = &done.stage { data.clone() } else { Bytes::new() };
                if let DiskStage::Failed(what) = &done.stage {
                    self.trace.fault(self.now, format!("disk of broker {node} failed: {what}"));
                }
                self.trace.number(id.0);
                self.input(node, Input::Disk(DiskDone { id: done.id, stage: done.stage }), kind, &read);
            }
            Err(what) => self.fail(
                FailureKind::Safety,
                "disk order",
                format!("An operation that must follow another is issued after its completion, but on broker {node}: {what}."),
            ),
        }
    }

    fn disk_changed(&mut self, node: usize, change: DiskChange) {
        let verdict = match change {
            DiskChange::Appended { file, .. } => {
                let data = self.nodes[node].disk.content(file).map_or(&[][..], |(data, _)| data);
                self.watch.grown(node, file, data)
            }
            DiskChange::Synced { file, end } => {
                let data = self.nodes[node].disk.content(file).map_or(&[][..], |(data, _)| data);
                self.watch.synced(node, file, end, data)
            }
            DiskChange::Cut { file, end } => self.watch.cut(node, file, end, false),
            DiskChange::Removed { file } => self.watch.cut(node, file, 0, true),
            DiskChange::GroupMade { group } => {
                self.watch.group_made(node, group);
                Ok(())
            }
            DiskChange::GroupRemoved { group } => {
                self.watch.group_removed(node, group);
                Ok(())
            }
        };
        self.judge(verdict);
    }

    // ---- peers ----

    fn sessions_soon(&mut self, node: usize, peer: usize, within_us: u64) {
        if node == peer {
            return;
        }
        let mut dice = draw(self.seed, Stream::Net, &[n64(node), n64(peer), self.now, 3]);
        for (from, to) in [(node, peer), (peer, node)] {
            let at = self.now + 1 + dice.below(within_us);
            self.schedule(at, Event::Session { node: from, peer: to });
        }
    }

    fn session_check(&mut self, node: usize, peer: usize) {
        if self.nodes[node].broker.is_none() {
            return;
        }
        let (a, b) = (End::Broker(node), End::Broker(peer));
        let is_possible =
            self.nodes[peer].broker.is_some() && !self.net.is_cut(a, b, self.now) && !self.net.is_cut(b, a, self.now);
        let life = if is_possible { self.nodes[peer].life } else { 0 };
        let before = std::mem::replace(&mut self.nodes[node].sessions[peer], life);
        if before == life {
            return;
        }
        let peer = broker_id(peer);
        if before != 0 {
            self.input(node, Input::PeerDown { peer }, 43, &peer.0.to_le_bytes());
        }
        if life != 0 {
            self.input(node, Input::PeerUp { peer }, 42, &peer.0.to_le_bytes());
        }
    }

    /// Cuts one direction between two ends for a while.
    pub(crate) fn cut(&mut self, from: End, to: End, us: u64) {
        self.net.cut(from, to, self.now.saturating_add(us));
        self.counters.cuts += 1;
        if let (End::Broker(a), End::Broker(b)) = (from, to) {
            self.sessions_soon(a, b, 1_000_000);
            let mut dice = draw(self.seed, Stream::Net, &[n64(a), n64(b), self.now, 4]);
            let back = self.now.saturating_add(us).saturating_add(1 + dice.below(100_000));
            if us < u64::MAX / 4 {
                self.schedule(back, Event::Session { node: a, peer: b });
                self.schedule(back, Event::Session { node: b, peer: a });
            }
        }
    }

    /// Takes all cuts away, without healing anything else.
    pub(crate) fn mend_all(&mut self) {
        let ends: Vec<End> = (0..self.shape.brokers).map(End::Broker).chain((0..self.shape.clients).map(End::Client)).collect();
        for from in &ends {
            for to in &ends {
                self.net.mend(*from, *to);
            }
        }
        for node in 0..self.shape.brokers {
            for peer in 0..self.shape.brokers {
                self.sessions_soon(node, peer, 10_000);
            }
        }
    }

    // ---- clients ----

    /// Opens a connection; it may turn out that nobody is there.
    pub(crate) fn connect(&mut self, client: usize, node: usize) -> ConnectionId {
        self.next_connection += 1;
        let connection = ConnectionId(self.next_connection);
        let life = self.nodes[node].life;
        let is_up = self.nodes[node].broker.is_some();
        self.links.insert(
            connection,
            Link {
                client,
                node,
                life,
                connection: Connection::new(),
                notes: VecDeque::new(),
                to_client: BytesMut::new(),
                is_open_at_client: true,
                is_open_at_broker: is_up,
            },
        );
        if is_up {
            self.input(node, Input::Opened { connection }, 44, &connection.0.to_le_bytes());
        } else {
            self.close_at_client(connection);
        }
        connection
    }

    /// Sends one request frame, without its size. `note` says what a truthful answer may promise.
    pub(crate) fn send(&mut self, connection: ConnectionId, frame: &[u8], note: Note) {
        let Some(link) = self.links.get_mut(&connection) else { return };
        if !link.is_open_at_client {
            return;
        }
        link.notes.push_back(note);
        let mut bytes = BytesMut::with_capacity(frame.len() + 4);
        bytes.put_u32(u32::try_from(frame.len()).expect("small"));
        bytes.put_slice(frame);
        let (client, node) = (link.client, link.node);
        if let Some(at) = self.net.send_stream(self.now, End::Client(client), End::Broker(node)) {
            self.schedule(at, Event::ToBroker { connection, bytes: bytes.freeze() });
        } else {
            self.break_stream(connection);
        }
    }

    /// The client closes its connection.
    pub(crate) fn close(&mut self, connection: ConnectionId) {
        let Some(link) = self.links.get_mut(&connection) else { return };
        link.is_open_at_client = false;
        let (client, node) = (link.client, link.node);
        let at = self.net.send_stream(self.now, End::Client(client), End::Broker(node));
        self.schedule(at.unwrap_or(self.now + 5_000_000), Event::CloseBroker { connection });
    }

    /// The next reply to a client is lost with its connection.
    pub(crate) fn drop_next_reply(&mut self, client: usize) {
        self.drop_reply[client] = true;
    }

    /// A stream through a cut delivers nothing more: TCP would retry for minutes, both sides find out on their own.
    fn break_stream(&mut self, connection: ConnectionId) {
        let mut dice = draw(self.seed, Stream::Net, &[connection.0, self.now, 5]);
        let (soon, late) = (dice.log_between(1_000, 3_000_000), dice.log_between(1_000, 3_000_000));
        self.schedule(self.now + soon, Event::CloseClient { connection });
        self.schedule(self.now + late, Event::CloseBroker { connection });
    }

    fn bytes_to_broker(&mut self, connection: ConnectionId, bytes: &[u8]) {
        let Some(link) = self.links.get_mut(&connection) else { return };
        let node = link.node;
        if self.nodes[node].life != link.life || self.nodes[node].broker.is_none() || !link.is_open_at_broker {
            return;
        }
        if self.net.is_cut(End::Client(link.client), End::Broker(node), self.now) {
            self.break_stream(connection);
            return;
        }
        link.connection.space().put_slice(bytes);
        loop {
            let Some(link) = self.links.get_mut(&connection) else { return };
            let taken = catch(|| link.connection.next_request());
            match taken {
                Ok(Ok(Some((number, request)))) => {
                    let input = Input::Request { connection, number, request };
                    self.input(node, input, 45, bytes);
                }
                Ok(Ok(None)) => break,
                Ok(Err(fault)) => {
                    self.fail(
                        FailureKind::Safety,
                        "decode",
                        format!("A well-formed request is taken, but broker {node} said: {}.", fault.reason()),
                    );
                    return;
                }
                Err(what) => {
                    self.fail(FailureKind::Safety, "panic", format!("Broker {node} panicked while decoding a request: {what}."));
                    return;
                }
            }
        }
    }

    fn reply(
        &mut self,
        node: usize,
        connection: ConnectionId,
        number: ottla_core::ids::RequestNumber,
        frame: Option<Vec<Bytes>>,
    ) {
        self.trace.event(self.now, n64(node), 63);
        self.trace.number(connection.0 ^ (number.0 << 32));
        for part in frame.iter().flatten() {
            self.trace.bytes(part);
        }
        let Some(link) = self.links.get_mut(&connection) else { return };
        if link.life != self.nodes[node].life {
            return;
        }
        let note = usize::try_from(number.0).ok().and_then(|at| link.notes.get(at)).cloned();
        if let (Some(note @ Note::ProduceAll { .. }), Some(frame)) = (note, frame.as_ref()) {
            let whole = contiguous(frame.clone());
            let disks: Vec<&SimDisk> = self.nodes.iter().map(|n| &n.disk).collect();
            let verdict = promises::check_reply(&self.watch, node, &disks, &note, whole);
            self.judge(verdict);
        }
        let Some(link) = self.links.get_mut(&connection) else { return };
        if !link.is_open_at_broker {
            return;
        }
        let result = catch(|| link.connection.reply(number, frame));
        if let Err(what) = result {
            self.fail(FailureKind::Safety, "panic", format!("Broker {node} answered a request twice or never asked: {what}."));
            return;
        }
        self.flush(connection);
    }

    /// Sends what may leave a connection.
    fn flush(&mut self, connection: ConnectionId) {
        let Some(link) = self.links.get_mut(&connection) else { return };
        let mut bytes = BytesMut::new();
        while link.connection.has_writes() {
            for slice in link.connection.take_writes() {
                bytes.put_slice(&slice);
            }
        }
        let is_over = link.connection.finished().is_some();
        let (client, node) = (link.client, link.node);
        if !bytes.is_empty() {
            if std::mem::replace(&mut self.drop_reply[client], false) {
                self.schedule(self.now + 100, Event::CloseClient { connection });
                self.schedule(self.now + 100, Event::CloseBroker { connection });
                return;
            }
            if let Some(at) = self.net.send_stream(self.now, End::Broker(node), End::Client(client)) {
                self.schedule(at, Event::ToClient { connection, bytes: bytes.freeze() });
            } else {
                self.break_stream(connection);
            }
        }
        if is_over {
            self.close_at_client(connection);
            self.schedule(self.now, Event::CloseBroker { connection });
        }
    }

    fn bytes_to_client(&mut self, connection: ConnectionId, bytes: &[u8]) -> Option<Happening> {
        let link = self.links.get_mut(&connection)?;
        if !link.is_open_at_client {
            return None;
        }
        if self.net.is_cut(End::Broker(link.node), End::Client(link.client), self.now) {
            self.break_stream(connection);
            return None;
        }
        link.to_client.put_slice(bytes);
        if link.to_client.len() < 4 {
            return None;
        }
        let size = usize::try_from(u32::from_be_bytes(link.to_client[..4].try_into().expect("four bytes"))).expect("small");
        if link.to_client.len() < 4 + size {
            return None;
        }
        link.to_client.advance(4);
        let frame = link.to_client.split_to(size).freeze();
        let client = link.client;
        if !link.to_client.is_empty() {
            self.schedule(self.now, Event::ToClient { connection, bytes: Bytes::new() });
        }
        Some(Happening::Reply { client, connection, frame })
    }

    fn close_at_client(&mut self, connection: ConnectionId) {
        let Some(link) = self.links.get_mut(&connection) else { return };
        link.is_open_at_broker = false;
        let (client, node) = (link.client, link.node);
        let at = self.net.send_stream(self.now, End::Broker(node), End::Client(client));
        let mut dice = draw(self.seed, Stream::Net, &[connection.0, self.now, 6]);
        let at = at.unwrap_or(self.now + dice.log_between(10_000, 3_000_000));
        self.schedule(at, Event::CloseClient { connection });
    }

    /// What a group's folder is called, by any broker that has it.
    pub(crate) fn group_of(&self, label: &str) -> Option<GroupId> {
        self.nodes
            .iter()
            .flat_map(|n| n.disk.inventory().groups.into_iter().filter(|g| n.disk.label(*g) == Some(label)).collect::<Vec<_>>())
            .max()
    }
}

/// Whether a round both writes the meta log and sends something: where a promise may outrun the disk.
fn is_promise(list: &[Output]) -> bool {
    let writes_meta = list.iter().any(
        |output| matches!(output, Output::Disk(op) if matches!(op.action, DiskAction::Append { file: FileName::Meta(_), .. })),
    );
    writes_meta && list.iter().any(|output| matches!(output, Output::Peer { .. }))
}

/// Any order, except that appends to one file keep theirs.
fn shuffle(list: &mut Vec<Output>, dice: &mut crate::dice::Draw) {
    let count = list.len();
    if count < 2 {
        return;
    }
    let mut order: Vec<usize> = (0..count).collect();
    for n in (1..count).rev() {
        order.swap(n, usize::try_from(dice.below(n64(n) + 1)).expect("an index"));
    }
    let file_of = |output: &Output| match output {
        Output::Disk(op) => match &op.action {
            DiskAction::Append { file, .. } => Some(*file),
            DiskAction::CreateGroup { .. }
            | DiskAction::RemoveGroup { .. }
            | DiskAction::Read { .. }
            | DiskAction::Truncate { .. }
            | DiskAction::Remove { .. } => None,
        },
        Output::Reply { .. } | Output::Close { .. } | Output::Peer { .. } | Output::Halt(_) | Output::Stopped => None,
    };
    let mut per_file: BTreeMap<FileName, Vec<usize>> = BTreeMap::new();
    for (place, at) in order.iter().enumerate() {
        if let Some(file) = file_of(&list[*at]) {
            per_file.entry(file).or_default().push(place);
        }
    }
    // Frames of one class to one peer keep their order too: they share a connection.
    let mut per_lane: BTreeMap<(BrokerId, PeerClass), Vec<usize>> = BTreeMap::new();
    for (place, at) in order.iter().enumerate() {
        if let Output::Peer { to, class, .. } = &list[*at] {
            per_lane.entry((*to, *class)).or_default().push(place);
        }
    }
    for places in per_file.into_values().chain(per_lane.into_values()) {
        let mut originals: Vec<usize> = places.iter().map(|place| order[*place]).collect();
        originals.sort_unstable();
        for (place, original) in places.into_iter().zip(originals) {
            order[place] = original;
        }
    }
    let mut slots: Vec<Option<Output>> = list.drain(..).map(Some).collect();
    list.extend(order.into_iter().filter_map(|at| slots[at].take()));
}

/// One line about an input.
fn brief(input: &Input) -> String {
    match input {
        Input::Tick => "tick".into(),
        Input::Opened { connection } => format!("opened {connection}"),
        Input::Closed { connection } => format!("closed {connection}"),
        Input::Request { connection, number, .. } => format!("request {connection}/{number}"),
        Input::Peer { from, frame } => format!("from b{from} {}", promises::brief(frame)),
        Input::PeerUp { peer } => format!("peer {peer} up"),
        Input::PeerDown { peer } => format!("peer {peer} down"),
        Input::Disk(done) => match &done.stage {
            DiskStage::Written => format!("written {}", done.id),
            DiskStage::Durable => format!("durable {}", done.id),
            DiskStage::Read(data) => format!("read {} {} bytes", done.id, data.len()),
            DiskStage::Failed(what) => format!("failed {} {what}", done.id),
        },
        Input::Stop => "stop".into(),
    }
}

fn brief_op(id: DiskId, action: &DiskAction) -> String {
    match action {
        DiskAction::Append { file, position, data } => {
            let bytes: usize = data.iter().map(Bytes::len).sum();
            let crc = match file {
                FileName::Segment { .. } => format!(" crc {:08x}", crate::batch::crc_of(&contiguous(data.clone()))),
                FileName::Meta(_) => String::new(),
            };
            format!("append {id} {file:?} at {position} {bytes} bytes{crc}")
        }
        DiskAction::CreateGroup { .. }
        | DiskAction::RemoveGroup { .. }
        | DiskAction::Read { .. }
        | DiskAction::Truncate { .. }
        | DiskAction::Remove { .. } => format!("{id} {action:?}"),
    }
}

pub(crate) fn contiguous(slices: Vec<Bytes>) -> Bytes {
    let mut slices = slices;
    if slices.len() == 1 {
        return slices.remove(0);
    }
    let mut all = BytesMut::with_capacity(slices.iter().map(Bytes::len).sum());
    for slice in slices {
        all.put_slice(&slice);
    }
    all.freeze()
}

pub(crate) fn broker_id(node: usize) -> BrokerId {
    BrokerId(i32::try_from(node).expect("few brokers"))
}

fn n64(n: usize) -> u64 {
    u64::try_from(n).expect("small")
}
