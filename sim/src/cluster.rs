//! The event heap: brokers, their disks and clocks, the network and client connections, in one order of time.
//!
//! Events are ordered by (time, number). A broker's inputs of one instant are one round: step each, end the round, perform the
//! outputs in shuffled order, because the contract says that any order is right; only appends to one file keep theirs. A round may
//! be cut short by a crash between two outputs. Every round is watched by the judges of `check`.
//!
//! Knows nothing of plans and workloads: those drive it through [`Cluster::step`] and the fault verbs. One thread, no clock but
//! its own, no order but its own: the same calls give the same run.

mod brief;
mod damage;
mod effects;
mod event;
mod life;
mod links;
mod rebuild;
mod round;
mod shuffle;
mod streams;

use crate::check::watch::{Breach, Watch};
use crate::clock::Clock;
use crate::disk::{CrashKind, SimDisk};
use crate::network::{End, Network};
use crate::report::{Counters, Failure, FailureKind};
use crate::shape::Shape;
use crate::trace::Trace;
use crate::views::GroupSeen;
use bytes::{BufMut, Bytes, BytesMut};
use event::{Agenda, Event};
use ottla_core::Broker;
use ottla_core::ids::{BrokerId, ConnectionId, GroupId};
use ottla_core::input::Input;
use ottla_core::invariants::Checked;
use ottla_core::output::Outputs;
use ottla_core::record::Codecs;
use std::collections::BTreeMap;
use streams::Link;

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
struct Node {
    broker: Option<Broker>,
    checked: Checked,
    disk: SimDisk,
    clock: Clock,
    life: u64,
    rounds: u64,
    /// What its broker told of topics that want a codec of their own.
    codecs: Codecs,
    inbox: Vec<Input>,
    is_round_due: bool,
    paused_until: u64,
    /// Until when there is too little room on its disk.
    full_until: u64,
    /// Microseconds that the process stays away after it was asked to stop.
    stop_down_us: Option<u64>,
    timer_number: u64,
    timer_at: u64,
    /// The life of each peer to which this broker believes to have connections; 0 for none.
    sessions: Vec<u64>,
}

/// A replayed frame may come to a later life of its receiver.
const ANY_LIFE: u64 = u64::MAX;

/// Microseconds a graceful stop may take: what the core waits for hand-overs at most, and the disk.
const STOP_US_MAX: u64 = 1_000 * ottla_core::limits::STOP_MS_MAX + 2_000_000;

/// A simulated cluster.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) seed: u64,
    pub(crate) shape: Shape,
    pub(crate) now: u64,
    agenda: Agenda,
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
    /// Clients of whose next acks=all batch a bit flips on the way, with the draw that says which.
    flip_next: Vec<Option<u64>>,
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
                disk: SimDisk::new(seed, n64(n), shape.disk).with_mutant(shape.mutant),
                clock: Clock::new(seed, n64(n), shape.has_exact_clocks),
                life: 0,
                rounds: 0,
                codecs: Codecs::default(),
                inbox: Vec::new(),
                is_round_due: false,
                paused_until: 0,
                full_until: 0,
                stop_down_us: None,
                timer_number: 0,
                timer_at: u64::MAX,
                checked: Checked::default(),
                sessions: vec![0; shape.brokers],
            })
            .collect();
        Cluster {
            seed,
            now: 0,
            agenda: Agenda::default(),
            nodes,
            net: Network::new(seed, shape.net),
            links: BTreeMap::new(),
            next_connection: 0,
            outputs: Outputs::default(),
            watch: Watch::new(shape.brokers),
            trace: Trace::new(is_printing),
            counters: Counters::default(),
            drop_reply: vec![false; shape.clients + 1],
            flip_next: vec![None; shape.clients],
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
        all.recalled += self.nodes.iter().flat_map(|node| &node.broker).map(|b| b.standing().recalling.recalled).sum::<u64>();
        all.lost += self.net.lost;
        all.duplicated += self.net.duplicated;
        all.replayed += self.net.replayed;
        all.lost_on_link += self.net.lost_on_link;
        all.slowed += self.net.queues.slowed;
        all.overflowed += self.net.queues.overflowed;
        all.misread += self.nodes.iter().map(|node| node.disk.misread).sum::<u64>();
        all.damage_met += self.nodes.iter().map(|node| node.disk.damage_met).sum::<u64>();
        all.disk_full += self.nodes.iter().map(|node| node.disk.disk_full).sum::<u64>();
        all.events += self.trace.events;
        all
    }

    // ---- time ----

    fn schedule(&mut self, at: u64, event: Event) {
        self.agenda.push(at.max(self.now), event);
    }

    /// Asks for a [`Happening::Wake`].
    pub(crate) fn wake_at(&mut self, at: u64, token: u64) {
        self.schedule(at, Event::Wake { token });
    }

    /// When the next event happens.
    pub(crate) fn next_at(&self) -> Option<u64> {
        self.agenda.next_at()
    }

    /// Lets the next event happen. `None` when there is nothing for the driver in it.
    pub(crate) fn step(&mut self) -> Option<Happening> {
        let (at, event) = self.agenda.pop()?;
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
            Event::Searched { node, life, token, search } => {
                if self.nodes[node].life == life && self.nodes[node].broker.is_some() {
                    self.searched(node, token, search);
                }
                None
            }
            Event::Peer { from, to, life, frame } => {
                let is_cut = self.net.is_cut(End::Broker(from), End::Broker(to), self.now);
                if !is_cut && (self.nodes[to].life == life || life == ANY_LIFE) && self.nodes[to].broker.is_some() {
                    self.trace_input(to, 2 + n64(from), &frame);
                    self.take_in(to, Input::Peer { from: broker_id(from), frame });
                }
                None
            }
            Event::Desync { from, to } => {
                self.drop_session(from, to);
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
            Event::PowerCut { node, down_us } => {
                self.crash(node, CrashKind::PowerCut, Some(down_us));
                None
            }
            Event::Room { node } => {
                self.tell_room(node);
                None
            }
            Event::StopCheck { node, life, asked_at } => {
                self.check_stop(node, life, asked_at);
                None
            }
            Event::Wake { token } => Some(Happening::Wake { token }),
        }
    }

    /// What a group's folder is called, by any broker that has it.
    pub(crate) fn group_of(&self, label: &str) -> Option<GroupId> {
        self.nodes
            .iter()
            .flat_map(|n| n.disk.inventory().groups.into_iter().filter(|g| n.disk.label(*g) == Some(label)).collect::<Vec<_>>())
            .max()
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
