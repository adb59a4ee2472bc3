//! The cluster, its clients and its faults as madsim nodes and tasks.

use super::broker::broker;
use super::client::client;
use super::cluster::Cluster;
use crate::check::watch::{Breach, Watch};
use crate::client::{Client, Shared};
use crate::clock::Clock;
use crate::dice::{Stream, draw};
use crate::disk::{DiskChange, DiskEvent, SimDisk};
use crate::plan::Plan;
use crate::report::{Counters, Failure, FailureKind, Report};
use crate::run::RECOVERY_US;
use crate::shape::Shape;
use crate::trace::Trace;
use madsim::runtime::{Handle, NodeHandle};
use madsim::time::{Duration, sleep};
use ottla_core::disk::{DiskAction, DiskDone, DiskOp, DiskStage};
use ottla_core::ids::DiskId;
use ottla_core::input::Input;
use ottla_core::time::{Instant, Now};
use ottla_net::Inbox;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, MutexGuard};

/// Microseconds until a broker that halted is started again.
pub(super) const HALTED_US: u64 = 100_000;

/// One machine: its disk and clock outlive its processes.
pub(super) struct Machine {
    pub(super) disk: SimDisk,
    pub(super) clock: Clock,
    pub(super) life: u64,
    pub(super) is_up: bool,
    /// Its process ended on its own.
    pub(super) has_ended: bool,
    /// How long it stays away then.
    pub(super) down_us: u64,
    /// Until when there is too little room on its disk.
    pub(super) full_until: u64,
    /// The way into its broker.
    pub(super) inbox: Option<Inbox>,
}

/// What the tasks share.
pub(super) struct Inner {
    pub(super) seed: u64,
    pub(super) shape: Shape,
    pub(super) machines: Vec<Machine>,
    pub(super) watch: Watch,
    pub(super) trace: Trace,
    pub(super) counters: Counters,
    pub(super) failure: Option<Failure>,
    pub(super) shared: Shared,
    pub(super) is_done: bool,
    pub(super) trouble: String,
}

/// What all tasks of a run share. One thread runs them all; the lock is for madsim's signatures.
#[derive(Clone)]
pub(crate) struct SharedWorld {
    inner: Arc<Mutex<Inner>>,
    start: madsim::time::Instant,
}

impl SharedWorld {
    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
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

    /// How long work beside a broker takes.
    pub(crate) fn work_us(&self, node: usize) -> u64 {
        let now = self.now_us();
        let seed = self.lock().seed;
        draw(seed, Stream::Schedule, &[u64::try_from(node).expect("few"), now, 8]).log_between(10, 50_000)
    }

    pub(super) fn fail(&self, kind: FailureKind, check: &str, what: String) {
        let at = self.now_us();
        let mut inner = self.lock();
        if inner.failure.is_none() {
            let faults = inner.trace.recent_faults();
            inner.trace.line(at, "X", &format!("{check}: {what}"));
            inner.failure = Some(Failure { kind, check: check.into(), what, at, faults });
        }
    }

    pub(super) fn judge(&self, verdict: Result<(), Breach>) {
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
                DiskChange::Renamed { from, to: _ } => {
                    inner.watch.renamed(node, from);
                    Ok(())
                }
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

    /// Tells a running broker whether its disk has room, as the disk of the real host does.
    pub(super) fn tell_room(&self, node: usize) {
        let now = self.now_us();
        let inner = self.lock();
        let machine = &inner.machines[node];
        if let Some(inbox) = machine.inbox.as_ref().filter(|_| machine.is_up && !machine.has_ended) {
            inbox.send(Input::DiskFull { is_full: now < machine.full_until });
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        let inner = self.lock();
        inner.failure.is_some() || inner.is_done
    }

    pub(super) fn note_fault(&self, what: String) {
        let now = self.now_us();
        self.lock().trace.fault(now, what);
    }
}

fn ip(last: usize) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, u8::try_from(last).expect("few nodes")))
}

/// A whole run.
pub(crate) async fn go(seed: u64, plan: Plan, is_traced: bool) -> Report {
    let Plan { shape, topics, workload, faults, heal_at } = plan;
    let (brokers, clients) = (shape.brokers, shape.clients);
    let machines = (0..brokers)
        .map(|n| {
            let place = u64::try_from(n).expect("few");
            Machine {
                disk: SimDisk::new(seed, place, shape.disk).with_mutant(shape.mutant),
                clock: Clock::new(seed, place, shape.has_exact_clocks),
                life: 0,
                is_up: true,
                has_ended: false,
                down_us: HALTED_US,
                full_until: 0,
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
