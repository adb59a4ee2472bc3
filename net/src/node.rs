//! The loop of a broker: takes facts in, lets the core decide once per round, hands out what it asks of the world.
//!
//! It decides nothing and knows no runtime: the binary and the simulator run it unchanged over different [`Host`]s. Rounds, not
//! timers: a round takes what has come in (up to a bound), so batches grow under load and nothing waits when idle.

use crate::bell::yield_once;
use crate::chronicle::Chronicle;
use crate::client::Clients;
use crate::client_limits::ClientLimits;
use crate::host::{Disk, Host};
use crate::inbox::{Fact, Inbox, InboxReceiver};
use crate::limits::ROUND_INPUTS_MAX;
use crate::metrics::{NodeMetrics, Watch};
use crate::peer::{PeerBook, Peers};
use core::pin::pin;
use futures_util::StreamExt;
use futures_util::future::{Either, select};
use ottla_core::output::{Output, Outputs};
use ottla_core::{Broker, disk::DiskOp, error::Fatal, input::Input};
use slog::{Logger, o};

/// Milliseconds that the last replies may take to be written after a graceful stop.
const GOODBYE_MS_MAX: u64 = 500;

/// What a node is made of besides its host and its broker.
pub struct NodeSettings<H: Host> {
    /// Clients connect here: one for each of [`ottla_core::BrokerConfig::listeners`], in its order.
    pub clients: Vec<H::Listener>,
    /// Other brokers connect here; a broker alone needs none.
    pub peers: Option<H::Listener>,
    /// The other brokers.
    pub book: PeerBook,
    /// What the operator allows clients.
    pub limits: ClientLimits,
    /// For people.
    pub log: Logger,
}

/// Why a node ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ended {
    /// A graceful stop is complete.
    Stopped,
    /// The broker must not go on.
    Halted(Fatal),
}

/// A broker and the world around it.
pub struct Node<H: Host> {
    host: H,
    broker: Broker,
    disk: H::Disk,
    inbox: InboxReceiver,
    clients: Clients,
    peers: Peers,
    outputs: Outputs,
    disk_ops: Vec<DiskOp>,
    watch: Watch,
    chronicle: Chronicle,
}

impl<H: Host> Node<H> {
    /// Puts a recovered broker and its first outputs into the world. `disk` completes into `inbox`.
    pub fn start(
        host: H,
        (broker, first): (Broker, Outputs),
        disk: H::Disk,
        (sender, inbox): (Inbox, InboxReceiver),
        settings: NodeSettings<H>,
    ) -> Node<H> {
        let component = |name: &'static str| settings.log.new(o!("component" => name));
        let clients = Clients::new(sender.clone(), settings.limits, component("clients"));
        let peers = Peers::new(settings.book, sender, component("peers"));
        let chronicle = Chronicle::new(&settings.log);
        clients.serve(&host, settings.clients);
        peers.serve(&host, settings.peers);
        let watch = Watch::default();
        Node { host, broker, disk, inbox, clients, peers, outputs: first, disk_ops: Vec::new(), watch, chronicle }
    }

    /// Runs rounds until the broker stops or halts.
    pub async fn run(mut self) -> Ended {
        let mut first = None;
        loop {
            if let Some(ended) = self.round(first.take()) {
                self.say_goodbye().await;
                return ended;
            }
            // Replies are written and requests gathered before the next round, also when it could start at once.
            yield_once().await;
            first = self.wait().await;
        }
    }

    /// Takes what is in the inbox, ends the round and hands everything out.
    fn round(&mut self, first: Option<Fact>) -> Option<Ended> {
        let now = self.host.now();
        if self.broker.next_deadline().is_some_and(|deadline| deadline.at <= now.monotonic) {
            self.broker.step(now, Input::Tick, &mut self.outputs);
        }
        let mut next = first.or_else(|| self.inbox.0.try_recv().ok());
        let mut taken = 0;
        while let Some(fact) = next {
            match fact {
                Fact::Input(mut input) => {
                    if let Input::Peer { from, frame } = &input {
                        self.peers.taken(*from, frame.len());
                    } else if let Input::Request { request, .. } = &mut input {
                        request.tell_volume(|| self.disk.volume());
                    }
                    self.chronicle.sees(&input, now.monotonic);
                    self.watch.sees(&input, now.monotonic);
                    self.broker.step(now, input, &mut self.outputs);
                }
                Fact::Look(sender) => self.watch.looks.push(sender),
            }
            taken += 1;
            next = if taken < ROUND_INPUTS_MAX { self.inbox.0.try_recv().ok() } else { None };
        }
        self.broker.end_round(now, &mut self.outputs);
        self.chronicle.round(&mut self.broker, now.monotonic);
        let ended = self.hand_out();
        for look in self.watch.end_round() {
            // Who is gone needs no answer.
            let _ = look.send(self.metrics());
        }
        ended
    }

    fn metrics(&self) -> NodeMetrics {
        let now = self.host.now();
        NodeMetrics {
            broker: self.broker.metrics(now),
            clients: self.clients.metrics(now.monotonic),
            peers: self.peers.metrics(),
            disk: self.watch.disk(now.monotonic),
            rounds: self.watch.rounds,
        }
    }

    fn hand_out(&mut self) -> Option<Ended> {
        let mut ended = None;
        let now = self.host.now().monotonic;
        for output in self.outputs.drain() {
            match output {
                Output::Reply { connection, number, frame } => self.clients.reply(connection, number, frame, now),
                Output::Close { connection, number, reason } => self.clients.close(connection, number, reason),
                Output::Peer { to, class, frame } => self.peers.send(to, class, frame),
                Output::Disk(operation) => self.disk_ops.push(operation),
                Output::Search { token, search } => self.clients.search(&self.host, token, search),
                Output::Codecs(news) => self.clients.learn_codecs(news),
                Output::Halt(fatal) => ended = Some(Ended::Halted(fatal)),
                Output::Stopped => ended = ended.or(Some(Ended::Stopped)),
            }
        }
        if !self.disk_ops.is_empty() || self.disk.is_waiting() {
            self.watch.issued(self.disk_ops.len(), now);
            self.disk.submit(std::mem::take(&mut self.disk_ops));
            self.watch.waits_for_room(self.disk.is_waiting(), now);
        }
        ended
    }

    /// Until a fact comes in, which is returned, or a deadline is reached.
    async fn wait(&mut self) -> Option<Fact> {
        let Some(deadline) = self.broker.next_deadline() else { return self.inbox.0.next().await };
        match select(self.inbox.0.next(), pin!(self.host.sleep_until(deadline.at))).await {
            Either::Left((fact, _)) => fact,
            Either::Right(_) => None,
        }
    }

    /// Replies that were handed out reach clients that read them.
    async fn say_goodbye(&self) {
        let now = self.host.now().monotonic;
        self.chronicle.ends(now);
        let end = now.plus_ms(GOODBYE_MS_MAX);
        while !self.clients.all_written() && self.host.now().monotonic < end {
            self.host.sleep_until(self.host.now().monotonic.plus_ms(10)).await;
        }
        self.chronicle.said_goodbye(self.clients.all_written());
    }
}
