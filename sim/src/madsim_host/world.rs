//! The cluster, its clients and its faults as madsim nodes and tasks.

use super::disk::MadDisk;
use super::io::MadHost;
use crate::check::promises::{self, Note};
use crate::check::watch::{Breach, Watch};
use crate::client::{Action, Client, Outcome, Shared};
use crate::clock::Clock;
use crate::dice::{Stream, draw};
use crate::disk::{CrashKind, DiskChange, DiskEvent, SimDisk};
use crate::plan::{FaultKind, Plan};
use crate::report::{Counters, Failure, FailureKind, Report};
use crate::run::{RECOVERY_US, log_difference};
use crate::shape::Shape;
use crate::trace::Trace;
use bytes::{BufMut, Bytes, BytesMut};
use madsim::net::{NetSim, TcpListener, TcpStream};
use madsim::plugin::simulator;
use madsim::runtime::{Handle, NodeHandle};
use madsim::task::NodeId;
use madsim::time::{Duration, sleep};
use ottla_core::disk::{DiskAction, DiskDone, DiskOp, DiskStage, FileName};
use ottla_core::ids::{BrokerId, DiskId};
use ottla_core::input::Input;
use ottla_core::output::Outputs;
use ottla_core::time::{Instant, Now};
use ottla_core::{BrokerConfig, Recovery, RecoveryStep};
use ottla_net::{Ended, Host, Inbox, Node, NodeSettings, PeerBook};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const CLUSTER_ID: &str = "c2ltdWxhdGVkLWNsdXN0ZXI";

/// Microseconds until a broker that halted is started again.
const HALTED_US: u64 = 100_000;

struct Machine {
    disk: SimDisk,
    clock: Clock,
    life: u64,
    is_up: bool,
    /// Its process ended on its own.
    has_ended: bool,
    /// How long it stays away then.
    down_us: u64,
    /// The way into its broker.
    inbox: Option<Inbox>,
}

struct Inner {
    seed: u64,
    shape: Shape,
    machines: Vec<Machine>,
    watch: Watch,
    trace: Trace,
    counters: Counters,
    failure: Option<Failure>,
    shared: Shared,
    is_done: bool,
    trouble: String,
}

/// What all tasks of a run share. One thread runs them all; the lock is for madsim's signatures.
#[derive(Clone)]
pub(crate) struct SharedWorld {
    inner: Arc<Mutex<Inner>>,
    start: madsim::time::Instant,
}

impl SharedWorld {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("one thread, and no panic is survived")
    }

    /// Simulated microseconds since the start.
    pub(crate) fn now_us(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_micros()).expect("runs are short")
    }

    pub(crate) fn clock_of(&self, node: usize) -> Now {
        let now = self.now_us();
        self.lock().machines[node].clock.now(now)
    }

    pub(crate) fn us_until(&self, node: usize, at: Instant) -> u64 {
        let now = self.now_us();
        self.lock().machines[node].clock.when(at, now) - now
    }

    fn fail(&self, kind: FailureKind, check: &str, what: String) {
        let at = self.now_us();
        let mut inner = self.lock();
        if inner.failure.is_none() {
            let faults = inner.trace.recent_faults();
            inner.trace.line(at, "X", &format!("{check}: {what}"));
            inner.failure = Some(Failure { kind, check: check.into(), what, at, faults });
        }
    }

    fn judge(&self, verdict: Result<(), Breach>) {
        if let Err(breach) = verdict {
            self.fail(FailureKind::Safety, breach.check, breach.what);
        }
    }

    /// Hands an operation to a disk, if this is still the life it belongs to.
    pub(crate) fn submit(&self, node: usize, life: u64, op: DiskOp) -> Vec<DiskEvent> {
        let now = self.now_us();
        let mut inner = self.lock();
        inner.trace.event(now, u64::try_from(node).expect("few"), 61);
        inner.trace.number(op.id.0);
        if let DiskAction::RemoveGroup { group } = &op.action {
            inner.watch.removing(*group);
        }
        if inner.machines[node].life != life {
            return Vec::new();
        }
        inner.machines[node].disk.submit(now, op)
    }

    /// Performs a stage of an operation.
    pub(crate) fn advance(&self, node: usize, life: u64, id: DiskId, is_written: bool) -> Option<DiskDone> {
        let now = self.now_us();
        let mut guard = self.lock();
        let inner = &mut *guard;
        let machine = &mut inner.machines[node];
        if machine.life != life || !machine.is_up {
            return None;
        }
        inner.trace.event(now, u64::try_from(node).expect("few"), 70 + u64::from(is_written));
        inner.trace.number(id.0);
        let (done, changes) = match machine.disk.advance(id, is_written) {
            Ok(done) => done?,
            Err(what) => {
                drop(guard);
                self.fail(
                    FailureKind::Safety,
                    "disk order",
                    format!(
                        "An operation that must follow another is issued after its completion, but on broker {node}: {what}."
                    ),
                );
                return None;
            }
        };
        let mut verdict = Ok(());
        for change in changes {
            let one = match change {
                DiskChange::Appended { file, .. } => {
                    let data = machine.disk.content(file).map_or(&[][..], |(data, _)| data);
                    inner.watch.grown(node, file, data)
                }
                DiskChange::Synced { file, end } => {
                    let data = machine.disk.content(file).map_or(&[][..], |(data, _)| data);
                    inner.watch.synced(node, file, end, data)
                }
                DiskChange::Cut { file, end } => inner.watch.cut(node, file, end, false),
                DiskChange::Removed { file } => inner.watch.cut(node, file, 0, true),
                DiskChange::GroupMade { group } => {
                    inner.watch.group_made(node, group);
                    Ok(())
                }
                DiskChange::GroupRemoved { group } => {
                    inner.watch.group_removed(node, group);
                    Ok(())
                }
            };
            verdict = verdict.and(one);
        }
        if let DiskStage::Failed(what) = &done.stage {
            inner.trace.fault(now, format!("disk of broker {node} failed: {what}"));
        }
        drop(guard);
        self.judge(verdict);
        Some(done)
    }

    fn has_ended(&self) -> bool {
        let inner = self.lock();
        inner.failure.is_some() || inner.is_done
    }

    fn note_fault(&self, what: String) {
        let now = self.now_us();
        self.lock().trace.fault(now, what);
    }
}

fn address(node: usize, port: u16) -> String {
    format!("10.0.0.{}:{port}", node + 1)
}

fn ip(last: usize) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, u8::try_from(last).expect("few nodes")))
}

/// One life of one broker.
async fn broker(world: SharedWorld, node: usize) {
    let host = MadHost { world: world.clone(), node };
    let (config, inventory, life, brokers, verdict) = {
        let now = world.now_us();
        let mut guard = world.lock();
        let inner = &mut *guard;
        let brokers = inner.shape.brokers;
        let machine = &mut inner.machines[node];
        machine.life += 1;
        machine.is_up = true;
        machine.has_ended = false;
        machine.down_us = HALTED_US;
        let life = machine.life;
        machine.clock.boot(now, life);
        let inventory = machine.disk.start();
        let names: Vec<FileName> = machine.disk.files().collect();
        let files = names.iter().filter_map(|n| machine.disk.content(*n).map(|(data, durable)| (*n, data, durable)));
        let verdict = inner.watch.looked(node, inventory.groups.iter().copied(), files);
        inner.trace.line(now, &format!("b{node}"), &format!("starts, life {life}"));
        let config = BrokerConfig {
            cluster_id: CLUSTER_ID.to_string(),
            broker: crate::cluster::broker_id(node),
            voters: (0..brokers).map(crate::cluster::broker_id).collect(),
            advertised_host: format!("10.0.0.{}", node + 1),
            advertised_port: 9092,
            rack: None,
            seed: draw(inner.seed, Stream::Broker, &[u64::try_from(node).expect("few"), life]).next(),
            raft: inner.shape.raft,
            settings: inner.shape.settings.clone(),
            mutant: inner.shape.mutant,
        };
        (config, inventory, life, brokers, verdict)
    };
    world.judge(verdict);
    let mut outputs = Outputs::default();
    let mut recovery = Recovery::new(config, inventory);
    let broker = loop {
        match recovery.poll() {
            RecoveryStep::Read { file, position, length } => {
                let data = world.lock().machines[node].disk.read_now(file, position, length);
                match data {
                    Ok(data) => recovery.read_done(data),
                    Err(what) => {
                        world.fail(
                            FailureKind::Safety,
                            "recovery",
                            format!("Recovery of broker {node} reads what is there, but: {what}."),
                        );
                        return;
                    }
                }
            }
            RecoveryStep::Done => break recovery.finish(host.now(), &mut outputs),
            RecoveryStep::Halt(fatal) => {
                world.fail(
                    FailureKind::Safety,
                    "recovery",
                    format!(
                        "A broker starts from whatever a crash left of un-synced writes, but broker {node} refuses: {fatal}."
                    ),
                );
                return;
            }
        }
    };
    let (Ok(clients), Ok(peers)) = (TcpListener::bind(address(node, 9092)).await, TcpListener::bind(address(node, 9093)).await)
    else {
        world.fail(FailureKind::Harness, "harness", format!("Broker {node} can't bind its addresses."));
        return;
    };
    let (sender, receiver) = Inbox::new();
    let disk = MadDisk::start(world.clone(), node, life, sender.clone());
    let book = PeerBook {
        cluster_id: CLUSTER_ID.to_string(),
        broker: crate::cluster::broker_id(node),
        boot: draw(life, Stream::Broker, &[u64::try_from(node).expect("few"), 77]).next(),
        peers: (0..brokers).filter(|n| *n != node).map(|n| (peer_id(n), address(n, 9093))).collect(),
    };
    let log = slog::Logger::root(slog::Discard, slog::o!());
    let settings = NodeSettings { clients, peers: Some(peers), book, connections_max: 100, log };
    world.lock().machines[node].inbox = Some(sender.clone());
    let node_loop = Node::start(host, (broker, outputs), disk, (sender, receiver), settings);
    let ended = node_loop.run().await;
    if let Ended::Halted(fatal) = ended {
        world.note_fault(format!("broker {node} halted: {fatal}"));
        world.lock().counters.halts += 1;
    } else {
        world.lock().counters.stops += 1;
    }
    world.lock().machines[node].has_ended = true;
    // The supervisor takes it from here.
    std::future::pending::<()>().await;
}

fn peer_id(node: usize) -> BrokerId {
    crate::cluster::broker_id(node)
}

/// One client.
async fn client(world: SharedWorld, mut client: Client, id: usize) {
    let mut streams: BTreeMap<usize, TcpStream> = BTreeMap::new();
    let mut outcome = Outcome::Ready;
    loop {
        if world.has_ended() {
            return;
        }
        let action = {
            let mut inner = world.lock();
            let action = client.next(&mut inner.shared, outcome);
            if id == 0 {
                inner.trouble = client.trouble();
            }
            action
        };
        let action = match action {
            Ok(action) => action,
            Err(breach) => {
                world.judge(Err(breach));
                return;
            }
        };
        outcome = match action {
            Action::Done => break,
            Action::Sleep { us } => {
                sleep(Duration::from_micros(us)).await;
                Outcome::Ready
            }
            Action::Tell { broker, frame } => {
                let sent = madsim::time::timeout(Duration::from_secs(1), tell(&mut streams, broker, &frame)).await;
                if !matches!(sent, Ok(Ok(()))) {
                    streams.remove(&broker);
                }
                sleep(Duration::from_millis(1)).await;
                Outcome::Ready
            }
            Action::Ask { broker, frame, note, wait_us } => {
                let asked = madsim::time::timeout(Duration::from_micros(wait_us), ask(&mut streams, broker, &frame)).await;
                match asked {
                    Ok(Ok(reply)) => {
                        check_reply(&world, broker, &note, &reply);
                        Outcome::Reply(reply)
                    }
                    Ok(Err(_)) | Err(_) => {
                        streams.remove(&broker);
                        sleep(Duration::from_millis(5)).await;
                        Outcome::Lost
                    }
                }
            }
        };
    }
    if id == 0 {
        loop {
            let difference = {
                let inner = world.lock();
                log_difference(&inner.machines.iter().map(|m| &m.disk).collect::<Vec<_>>())
            };
            match difference {
                None => break,
                Some(what) => world.lock().trouble = what,
            }
            sleep(Duration::from_millis(50)).await;
        }
        let verdict = {
            let inner = world.lock();
            inner.shared.history.finish(&inner.shared.lives)
        };
        world.judge(verdict);
        world.lock().is_done = true;
    }
}

/// I7 where it can be seen here: when the reply arrives. What was durable then still is.
fn check_reply(world: &SharedWorld, broker: usize, note: &Note, reply: &Bytes) {
    let now = world.now_us();
    let verdict = {
        let mut inner = world.lock();
        inner.trace.event(now, u64::try_from(broker).expect("few"), 63);
        inner.trace.bytes(reply);
        let disks: Vec<&SimDisk> = inner.machines.iter().map(|m| &m.disk).collect();
        promises::check_reply(&inner.watch, broker, &disks, note, reply.clone())
    };
    world.judge(verdict);
}

async fn stream(streams: &mut BTreeMap<usize, TcpStream>, broker: usize) -> std::io::Result<&mut TcpStream> {
    if let std::collections::btree_map::Entry::Vacant(slot) = streams.entry(broker) {
        slot.insert(TcpStream::connect(address(broker, 9092)).await?);
    }
    Ok(streams.get_mut(&broker).expect("inserted above"))
}

async fn tell(streams: &mut BTreeMap<usize, TcpStream>, broker: usize, frame: &Bytes) -> std::io::Result<()> {
    let stream = stream(streams, broker).await?;
    let mut bytes = BytesMut::with_capacity(frame.len() + 4);
    bytes.put_u32(u32::try_from(frame.len()).expect("small"));
    bytes.put_slice(frame);
    stream.write_all(&bytes).await?;
    stream.flush().await
}

async fn ask(streams: &mut BTreeMap<usize, TcpStream>, broker: usize, frame: &Bytes) -> std::io::Result<Bytes> {
    tell(streams, broker, frame).await?;
    let stream = stream(streams, broker).await?;
    let mut size = [0_u8; 4];
    stream.read_exact(&mut size).await?;
    let mut reply = BytesMut::zeroed(usize::try_from(u32::from_be_bytes(size)).expect("small"));
    stream.read_exact(&mut reply).await?;
    Ok(reply.freeze())
}

/// The brokers as madsim nodes.
struct Cluster {
    world: SharedWorld,
    handle: Handle,
    nodes: Vec<NodeHandle>,
    clients: Vec<NodeHandle>,
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

    fn fault(&self, kind: FaultKind) {
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
        }
    }

    /// A broker that halted or stopped is restarted by its machine, some time later.
    fn restart_ended(&self) {
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

    fn heal(&self) {
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
        let mut down = Vec::new();
        {
            let mut inner = self.world.lock();
            inner.shared.is_final = true;
            for (node, machine) in inner.machines.iter_mut().enumerate() {
                machine.disk.calm();
                machine.clock.correct_wall();
                if !machine.is_up {
                    down.push(node);
                }
            }
        }
        for node in 0..self.nodes.len() {
            self.handle.resume(self.id(node));
            if down.contains(&node) {
                self.handle.restart(self.id(node));
            }
        }
    }
}

/// A whole run.
pub(crate) async fn go(seed: u64, plan: Plan, is_traced: bool) -> Report {
    let Plan { shape, topics, workload, faults, heal_at } = plan;
    let (brokers, clients) = (shape.brokers, shape.clients);
    let machines = (0..brokers)
        .map(|n| {
            let place = u64::try_from(n).expect("few");
            Machine {
                disk: SimDisk::new(seed, place, shape.disk),
                clock: Clock::new(seed, place, shape.has_exact_clocks),
                life: 0,
                is_up: true,
                has_ended: false,
                down_us: HALTED_US,
                inbox: None,
            }
        })
        .collect();
    let shared = Shared::new(topics, clients);
    let inner = Inner {
        seed,
        watch: Watch::new(brokers),
        shape,
        machines,
        trace: Trace::new(is_traced),
        counters: Counters::default(),
        failure: None,
        shared,
        is_done: false,
        trouble: String::new(),
    };
    let world = SharedWorld { inner: Arc::new(Mutex::new(inner)), start: madsim::time::Instant::now() };
    let handle = Handle::current();
    let nodes: Vec<NodeHandle> = (0..brokers)
        .map(|n| {
            let world = world.clone();
            handle.create_node().name(format!("b{n}")).ip(ip(n + 1)).init(move || broker(world.clone(), n)).build()
        })
        .collect();
    let client_nodes: Vec<NodeHandle> =
        (0..clients).map(|n| handle.create_node().name(format!("c{n}")).ip(ip(100 + n)).build()).collect();
    for (n, node) in client_nodes.iter().enumerate() {
        drop(node.spawn(client(world.clone(), Client::new(seed, n, brokers, workload), n)));
    }
    let cluster = Cluster { world: world.clone(), handle, nodes, clients: client_nodes };
    supervise(&cluster, faults, heal_at).await;
    let mut guard = world.lock();
    let inner = &mut *guard;
    let mut counters = inner.counters;
    counters.add(&inner.watch.counters);
    counters.add(&inner.shared.counters);
    counters.reads += inner.shared.history.reads;
    counters.events += inner.trace.events;
    Report {
        seed,
        hash: inner.trace.hash(),
        simulated_us: u64::try_from(world.start.elapsed().as_micros()).expect("runs are short"),
        counters,
        failure: inner.failure.take(),
    }
}

async fn supervise(cluster: &Cluster, faults: Vec<crate::plan::Fault>, heal_at: u64) {
    let world = &cluster.world;
    let mut faults = faults.into_iter().peekable();
    let mut is_healed = false;
    while !world.has_ended() {
        let now = world.now_us();
        while let Some(fault) = faults.next_if(|fault| fault.at <= now && now < heal_at) {
            cluster.fault(fault.kind);
        }
        cluster.restart_ended();
        if now >= heal_at && !is_healed {
            is_healed = true;
            cluster.heal();
        }
        if now >= heal_at + RECOVERY_US {
            let trouble = world.lock().trouble.clone();
            world.fail(
                FailureKind::Liveness,
                "progress",
                format!("30 s after the world healed every partition takes and gives records on equal replicas, but {trouble}."),
            );
        }
        sleep(Duration::from_millis(10)).await;
    }
}
