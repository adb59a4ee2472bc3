//! The same world without faults of its own: a cluster that does what a story tells it, for tests that a Kafka user can read.
//!
//! Faults happen only when a story says so. All invariants are watched throughout. Same calls, same run, byte for byte.
//!
//! # Panics
//! Every method panics with the paragraph of the failure as soon as a watched promise is broken.

use crate::check::promises::Note;
use crate::cluster::{Cluster, Happening, contiguous};
use crate::disk::CrashKind;
use crate::network::End;
use crate::report::{Counters, Report};
use crate::shape::Shape;
use bytes::Bytes;
use ottla_core::Broker;
use ottla_core::ids::{ConnectionId, GroupId};
use ottla_core::protocol::{Request, decode_response, encode_request};
use std::collections::BTreeMap;

/// Why there is no answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NoAnswer {
    /// The broker is down, or the connection ended before the answer came.
    Disconnected,
    /// Nothing came in the time given.
    TimedOut,
    /// What came is no response to this request.
    Malformed,
}

/// A request on its way; take the answer with [`World::answer`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Ticket(u64);

#[derive(Debug)]
struct Waiting {
    connection: ConnectionId,
    version: i16,
    answer: Option<Result<Bytes, NoAnswer>>,
}

/// A cluster that obeys.
#[derive(Debug)]
pub struct World {
    cluster: Cluster,
    connections: BTreeMap<(usize, usize), ConnectionId>,
    waiting: BTreeMap<u64, Waiting>,
    next: u64,
}

/// Who leads a partition, as the partition's own replicas say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LeaderSeen {
    /// The broker.
    pub broker: usize,
    /// Its leader epoch.
    pub epoch: i32,
    /// What consumers may see.
    pub high_watermark: i64,
    /// Offset of the next record.
    pub log_end: i64,
}

impl World {
    /// `brokers` brokers (ids 0, 1, …) with empty disks, all started, and `clients` clients.
    #[must_use]
    pub fn new(brokers: usize, clients: usize) -> World {
        World::with_shape(1, Shape::calm(brokers, clients))
    }

    /// A world of another shape; every draw comes from `seed`.
    #[must_use]
    pub fn with_shape(seed: u64, shape: Shape) -> World {
        let brokers = shape.brokers;
        let mut world =
            World { cluster: Cluster::new(seed, shape, false), connections: BTreeMap::new(), waiting: BTreeMap::new(), next: 0 };
        for node in 0..brokers {
            world.cluster.start(node);
        }
        world.check();
        world
    }

    /// Simulated microseconds since the start.
    #[must_use]
    pub fn now_us(&self) -> u64 {
        self.cluster.now
    }

    /// Hash of everything that happened so far.
    #[must_use]
    pub fn trace_hash(&self) -> u64 {
        self.cluster.trace.hash()
    }

    /// How often the interesting things happened so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.cluster.counters()
    }

    /// Lets `ms` milliseconds pass.
    pub fn advance(&mut self, ms: u64) {
        let until = self.cluster.now + ms * 1000;
        self.run_until(until, |_| false);
        self.cluster.now = self.cluster.now.max(until);
    }

    /// Lets time pass until every group has a leader that serves, all running replicas of a group hold the same log and nothing
    /// changed for a while; at most `ms_max` milliseconds. Says whether it got there.
    pub fn settle_within(&mut self, ms_max: u64) -> bool {
        let until = self.cluster.now + ms_max * 1000;
        let mut calm_since = None;
        while self.cluster.now < until {
            self.advance(50);
            if self.is_calm() {
                let since = *calm_since.get_or_insert(self.cluster.now);
                if self.cluster.now >= since + 1_000_000 {
                    return true;
                }
            } else {
                calm_since = None;
            }
        }
        false
    }

    /// [`World::settle_within`] 30 seconds.
    ///
    /// # Panics
    /// When it does not settle.
    pub fn settle(&mut self) {
        assert!(self.settle_within(30_000), "the cluster did not settle within 30 s");
    }

    fn is_calm(&self) -> bool {
        let up: Vec<usize> = (0..self.cluster.shape.brokers).filter(|n| self.cluster.is_up(*n)).collect();
        let mut groups: BTreeMap<GroupId, Vec<crate::views::GroupSeen>> = BTreeMap::new();
        for node in up {
            let mut seen = Vec::new();
            if let Some(broker) = self.cluster.broker(node) {
                crate::views::look(broker, &[], &mut seen);
            }
            for view in seen {
                groups.entry(view.group).or_default().push(view);
            }
        }
        let is_asking = |node: usize| self.cluster.broker(node).is_some_and(|broker| broker.standing().recalling.asking > 0);
        !groups.is_empty()
            && !(0..self.cluster.shape.brokers).any(is_asking)
            && groups.values().all(|views| {
                let first = views[0];
                views.iter().any(|v| v.is_leader)
                    && views.iter().all(|v| v.log_end == first.log_end && v.commit == first.commit && v.term == first.term)
            })
    }

    /// Sends a request of `client` to a broker on their common connection (opened when there is none).
    pub fn send<R: Request>(&mut self, client: usize, broker: usize, version: i16, request: &R) -> Ticket {
        self.next += 1;
        let ticket = self.next;
        let connection = match self.connections.get(&(client, broker)) {
            Some(connection) => *connection,
            None => {
                let connection = self.cluster.connect(client, broker);
                self.connections.insert((client, broker), connection);
                connection
            }
        };
        let correlation = i32::try_from(ticket).expect("stories are short");
        let frame = contiguous(encode_request(request, version, correlation, &format!("client-{client}")));
        self.cluster.send(connection, &frame, Note::Other);
        self.waiting.insert(ticket, Waiting { connection, version, answer: None });
        Ticket(ticket)
    }

    /// Lets time pass until the answer is there, at most `ms_max` milliseconds, and takes it.
    ///
    /// # Errors
    /// There is none; a later call may find it unless the connection ended.
    pub fn answer<R: Request>(&mut self, ticket: Ticket, ms_max: u64) -> Result<R::Response, NoAnswer> {
        let until = self.cluster.now + ms_max * 1000;
        self.run_until(until, |world| world.waiting.get(&ticket.0).is_none_or(|w| w.answer.is_some()));
        let waiting = self.waiting.get_mut(&ticket.0).ok_or(NoAnswer::Malformed)?;
        let frame = waiting.answer.clone().ok_or(NoAnswer::TimedOut)??;
        let version = waiting.version;
        self.waiting.remove(&ticket.0);
        decode_response::<R::Response>(frame, version).map(|(_, response)| response).map_err(|_| NoAnswer::Malformed)
    }

    /// Sends a request and waits up to 10 s for its answer.
    ///
    /// # Errors
    /// No answer came.
    pub fn request<R: Request>(
        &mut self,
        client: usize,
        broker: usize,
        version: i16,
        request: &R,
    ) -> Result<R::Response, NoAnswer> {
        let ticket = self.send(client, broker, version, request);
        self.answer::<R>(ticket, 10_000)
    }

    /// Closes a client's connection to a broker.
    pub fn disconnect(&mut self, client: usize, broker: usize) {
        if let Some(connection) = self.connections.remove(&(client, broker)) {
            self.cluster.close(connection);
        }
    }

    /// The next reply to `client`, from any broker, is lost with its connection.
    pub fn drop_next_reply(&mut self, client: usize) {
        self.cluster.drop_next_reply(client);
    }

    /// The broker loses power; it stays down until [`World::restart`].
    pub fn crash(&mut self, broker: usize) {
        self.cluster.crash(broker, CrashKind::PowerCut, None);
    }

    /// The broker loses power, and everything on its disk; it stays down until [`World::restart`].
    ///
    /// # Panics
    /// Another broker does not have all it should: what was on two disks may be gone then for good.
    pub fn wipe(&mut self, broker: usize) {
        let forgetful = self.cluster.watch.forgetful();
        assert!(self.cluster.wipe(broker, None), "one lost disk at a time: {forgetful:?}");
    }

    /// The process is killed; the machine stays up. It stays down until [`World::restart`].
    pub fn kill(&mut self, broker: usize) {
        self.cluster.crash(broker, CrashKind::Kill, None);
    }

    /// Starts a broker that is down.
    pub fn restart(&mut self, broker: usize) {
        self.cluster.start(broker);
        self.check();
    }

    /// The broker handles nothing for `ms` milliseconds.
    pub fn pause(&mut self, broker: usize, ms: u64) {
        self.cluster.pause(broker, ms * 1000);
    }

    /// Brokers of one side can't reach those of the other, in both directions. Clients reach all.
    pub fn partition(&mut self, one: &[usize], other: &[usize]) {
        for a in one {
            for b in other {
                self.cut(*a, *b);
                self.cut(*b, *a);
            }
        }
    }

    /// A broker can't reach any other broker, nor be reached by one.
    pub fn isolate(&mut self, broker: usize) {
        let others: Vec<usize> = (0..self.cluster.shape.brokers).filter(|n| *n != broker).collect();
        self.partition(&[broker], &others);
    }

    /// Frames from one broker to another are lost, until [`World::heal`].
    pub fn cut(&mut self, from: usize, to: usize) {
        self.cluster.cut(End::Broker(from), End::Broker(to), u64::MAX / 2);
    }

    /// Takes all cuts away. Brokers that are down stay down.
    pub fn heal(&mut self) {
        self.cluster.mend_all();
    }

    /// A broker's wall clock jumps.
    pub fn step_wall_clock(&mut self, broker: usize, ms: i64) {
        self.cluster.step_wall(broker, ms);
    }

    /// Whether a broker runs.
    #[must_use]
    pub fn is_up(&self, broker: usize) -> bool {
        self.cluster.is_up(broker)
    }

    /// A running broker, to look at.
    #[must_use]
    pub fn broker(&self, broker: usize) -> Option<&Broker> {
        self.cluster.broker(broker)
    }

    /// The group of a partition, by its folder's name on any disk.
    #[must_use]
    pub fn group(&self, topic: &str, partition: i32) -> Option<GroupId> {
        self.cluster.group_of(&format!("{topic}-{partition}"))
    }

    /// Who leads a partition: the running replica that leads in the highest term.
    #[must_use]
    pub fn leader(&self, topic: &str, partition: i32) -> Option<LeaderSeen> {
        let group = self.group(topic, partition)?;
        let mut best = None;
        for node in 0..self.cluster.shape.brokers {
            let mut seen = Vec::new();
            if let Some(broker) = self.cluster.broker(node) {
                crate::views::look(broker, &[], &mut seen);
            }
            for view in seen.into_iter().filter(|v| v.group == group && v.is_leader) {
                let found = (
                    view.term,
                    LeaderSeen {
                        broker: node,
                        epoch: view.term.leader_epoch().0,
                        high_watermark: view.high_watermark.0,
                        log_end: view.log_end.0,
                    },
                );
                if best.as_ref().is_none_or(|(term, _)| *term < view.term) {
                    best = Some(found);
                }
            }
        }
        best.map(|(_, seen)| seen)
    }

    fn run_until(&mut self, until: u64, is_enough: impl Fn(&World) -> bool) {
        while !is_enough(self) && self.cluster.next_at().is_some_and(|at| at <= until) {
            match self.cluster.step() {
                Some(Happening::Reply { connection, frame, .. }) => self.replied(connection, frame),
                Some(Happening::Closed { connection, .. }) => {
                    self.connections.retain(|_, open| *open != connection);
                    for waiting in self.waiting.values_mut().filter(|w| w.connection == connection) {
                        waiting.answer.get_or_insert(Err(NoAnswer::Disconnected));
                    }
                }
                Some(Happening::Wake { .. }) | None => {}
            }
            self.check();
        }
    }

    fn replied(&mut self, connection: ConnectionId, frame: Bytes) {
        let correlation = frame.get(..4).map(|b| u64::from(u32::from_be_bytes(b.try_into().expect("four bytes"))));
        if let Some(waiting) = correlation.and_then(|c| self.waiting.get_mut(&c))
            && waiting.connection == connection
        {
            waiting.answer = Some(Ok(frame));
        }
    }

    fn check(&self) {
        if let Some(failure) = self.cluster.failure() {
            let report = Report {
                seed: self.cluster.seed,
                hash: self.cluster.trace.hash(),
                simulated_us: self.cluster.now,
                counters: self.cluster.counters(),
                failure: Some(failure.clone()),
            };
            panic!("{report}");
        }
    }
}
