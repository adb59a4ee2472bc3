//! This broker's part in the controller: asks the leader on behalf of its clients, presents itself to it, and is it while it leads.
//!
//! Sans-IO: time is an argument, proposals and messages are taken out with [`Controller::poll`]. Requests are repeated until their
//! deadline, because messages may be lost and leaders change; the leader recognises a repeated one by its [`RequestId`]. An answer is
//! given to the client only when this broker has itself applied what the answer tells, so that the client's next question here is
//! answered from a state that includes it.
//!
//! Invariants: `applied` ascends; a token is answered exactly once; no producer id is given out twice (blocks are disjoint, a block is
//! used by one life of one broker).
//!
//! Source: Kafka's `BrokerLifecycleManager`, `ForwardingManager`, `RPCProducerIdManager` for the roles.

use super::command::{Command, ListenerEndpoint, Registration, RequestId};
use super::config_resource::ConfigResource;
use super::lead::{Lead, LeadOutput};
use super::message::{Answer, Message, Question};
use super::output::{ClusterChange, ControllerOutput};
use super::request::{ControllerRequest, ControllerResponse};
use super::state::{Change, ClusterState, TopicState};
use crate::config::{BrokerLayers, BrokerSettings, TopicSettings};
use crate::ids::{BrokerId, Index, ProducerId, Term};
use crate::limits::{CONTROLLER_REQUESTS_MAX, GROUP_LABEL_BYTES_MAX};
use crate::protocol::ErrorCode;
use crate::raft::Quorum;
use crate::random::keyed;
use crate::time::{Instant, Now};
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};

/// A request without an answer is sent again after this time: the message or its answer was lost.
const RETRY_MS: u64 = 1000;
/// And after this time when the asked broker did not lead.
const RETRY_NOT_LEADER_MS: u64 = 100;
/// How long a client waits for a producer id, which has no timeout of its own.
const PRODUCER_ID_WAIT_MS: u64 = 30_000;
/// The same for a change of settings; Kafka's default of a client's `request.timeout.ms`.
const ALTER_CONFIGS_WAIT_MS: u64 = 30_000;
/// The same for a look at the quorum, which needs no commit.
const QUORUM_WAIT_MS: u64 = 5_000;
/// Salt of the draw of the incarnation.
const INCARNATION: u64 = 0x696e_6361_726e_6174;

/// What a controller is told at start.
#[derive(Clone, Debug)]
pub struct ControllerConfig {
    /// This broker.
    pub broker: BrokerId,
    /// What clients are told to connect to, by listener.
    pub endpoints: Vec<ListenerEndpoint>,
    /// Rack, if any.
    pub rack: Option<String>,
    /// Id of this broker's data folder; 0 for one of before there were such ids.
    pub directory: u128,
    /// Seed of all randomness of this life.
    pub seed: u64,
    /// This broker's settings.
    pub settings: BrokerSettings,
}

/// Of a controller's state, see [`Controller::revision`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ControllerRevision {
    applied: Index,
    /// Term, next proposal's number, proposals in flight.
    lead: Option<(Term, u64, usize)>,
}

/// This broker's part in the controller.
#[derive(Debug)]
pub struct Controller {
    seed: u64,
    settings: BrokerSettings,
    registration: Registration,
    state: ClusterState,
    applied: Index,
    leader: Option<BrokerId>,
    term: Term,
    lead: Option<Lead>,
    asked: BTreeMap<u64, Asked>,
    next_number: u64,
    ids: ProducerIds,
    next_heartbeat: Instant,
    out: Vec<ControllerOutput>,
}

/// A request of this broker on its way.
#[derive(Debug)]
struct Asked {
    purpose: Purpose,
    question: Question,
    deadline: Instant,
    retry_at: Instant,
    /// The answer, until this broker has applied its index.
    held: Option<(Index, Answer)>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Purpose {
    Client(u64),
    Block,
}

/// The rest of a block and those who wait for the next one.
#[derive(Debug, Default)]
struct ProducerIds {
    next: i64,
    end: i64,
    waiting: VecDeque<(u64, Instant)>,
}

impl Controller {
    /// A controller with an empty state; commands are applied from the start of the log.
    #[must_use]
    pub fn new(now: Now, config: ControllerConfig) -> Controller {
        let life = [INCARNATION, now.monotonic.0, now.wall.0.unsigned_abs(), u64::from(config.broker.0.unsigned_abs())];
        Controller {
            seed: config.seed,
            settings: config.settings,
            registration: Registration {
                id: config.broker,
                incarnation: keyed(config.seed, &life),
                endpoints: config.endpoints,
                rack: config.rack,
                directory: config.directory,
            },
            state: ClusterState::default(),
            applied: Index(0),
            leader: None,
            term: Term(0),
            lead: None,
            asked: BTreeMap::new(),
            next_number: 0,
            ids: ProducerIds::default(),
            next_heartbeat: now.monotonic,
            out: Vec::new(),
        }
    }

    /// What this broker knows of the cluster.
    #[must_use]
    pub fn state(&self) -> &ClusterState {
        &self.state
    }

    /// Whether this life of the broker is registered, as far as its own log tells: then it has applied all that came before.
    #[must_use]
    pub fn is_registered(&self) -> bool {
        self.state
            .broker(self.registration.id)
            .is_some_and(|broker| broker.registration.incarnation == self.registration.incarnation)
    }

    /// Who leads group 0, as far as this broker knows.
    #[must_use]
    pub fn leader(&self) -> Option<BrokerId> {
        self.leader
    }

    /// Effective settings of a topic on this broker.
    #[must_use]
    pub fn topic_settings(&self, topic: &TopicState) -> TopicSettings {
        TopicSettings::resolve(self.layers(), &topic.configs)
    }

    /// What stands behind this broker's settings.
    #[must_use]
    pub fn layers(&self) -> BrokerLayers<'_> {
        self.state.broker_layers(self.registration.id, &self.settings.given)
    }

    /// Takes a request of this broker's client. The answer comes as [`ControllerOutput::Done`], at the latest when its timeout is over.
    pub fn submit(&mut self, now: Now, request: ControllerRequest, token: u64) {
        if self.asked.len() + self.ids.waiting.len() >= CONTROLLER_REQUESTS_MAX {
            self.done(token, ControllerResponse::Failed(ErrorCode::RequestTimedOut));
            return;
        }
        match request {
            ControllerRequest::CreateTopics { topics, validate_only, timeout_ms } => {
                let question = Question::CreateTopics { topics, validate_only };
                self.ask(now, Purpose::Client(token), question, patience_ms(timeout_ms));
            }
            ControllerRequest::DeleteTopics { topics, timeout_ms } => {
                self.ask(now, Purpose::Client(token), Question::DeleteTopics(topics), patience_ms(timeout_ms));
            }
            ControllerRequest::AlterConfigs { changes, validate_only } => {
                let question = Question::AlterConfigs { changes, validate_only };
                self.ask(now, Purpose::Client(token), question, ALTER_CONFIGS_WAIT_MS);
            }
            ControllerRequest::CreatePartitions { topics, validate_only, timeout_ms } => {
                let question = Question::CreatePartitions { topics, validate_only };
                self.ask(now, Purpose::Client(token), question, patience_ms(timeout_ms));
            }
            ControllerRequest::Reassign { topics, allow_factor_change, timeout_ms } => {
                let question = Question::Reassign { topics, allow_factor_change };
                self.ask(now, Purpose::Client(token), question, patience_ms(timeout_ms));
            }
            ControllerRequest::DescribeQuorum => {
                self.ask(now, Purpose::Client(token), Question::Quorum, QUORUM_WAIT_MS);
            }
            ControllerRequest::AllocateProducerId => {
                self.ids.waiting.push_back((token, now.monotonic.plus_ms(PRODUCER_ID_WAIT_MS)));
                self.give_producer_ids(now);
            }
        }
    }

    /// Takes a message of another broker's controller. Nonsense is dropped.
    pub fn peer_message(&mut self, now: Now, from: BrokerId, message: &[u8]) {
        match Message::decode(message) {
            Some(Message::Request { id, question }) => {
                match &mut self.lead {
                    Some(lead) => lead.request(from, id, &question),
                    None => self.send(from, &Message::NotLeader { id }),
                }
                self.drain_lead(now);
            }
            Some(Message::Answer { id, index, answer }) if id.incarnation == self.registration.incarnation => {
                self.answered(now, id.number, index, answer);
            }
            Some(Message::NotLeader { id }) if id.incarnation == self.registration.incarnation => self.not_leader(now, id.number),
            Some(Message::Heartbeat(registration)) if registration.id == from => {
                if let Some(lead) = &mut self.lead {
                    lead.heartbeat(now.monotonic, &registration);
                }
                self.drain_lead(now);
            }
            Some(Message::Answer { .. } | Message::NotLeader { .. } | Message::Heartbeat(_)) | None => {}
        }
    }

    /// Who leads group 0, as far as this broker knows. `serving`: this broker leads and has committed an entry of its own term.
    pub fn leadership(&mut self, now: Now, leader: Option<BrokerId>, term: Term, serving: bool) {
        let is_mine = serving && leader == Some(self.registration.id);
        if self.lead.as_ref().is_some_and(|lead| !is_mine || lead.term() != term) {
            let lead = self.lead.take().expect("just seen");
            self.hand_out(now, lead.resign());
        }
        let is_new = (leader, term) != (self.leader, self.term) || (is_mine && self.lead.is_none());
        (self.leader, self.term) = (leader, term);
        if is_mine && self.lead.is_none() {
            self.lead = Some(Lead::new(now.monotonic, self.registration.id, term, self.seed, self.settings.clone(), &self.state));
        }
        if is_new {
            self.heartbeat(now);
            let unanswered = self.asked.iter().filter(|(_, asked)| asked.held.is_none()).map(|(number, _)| *number);
            for number in unanswered.collect::<Vec<_>>() {
                self.dispatch(now, number);
            }
        }
    }

    /// A proposal handed out by [`Controller::poll`] was not taken.
    pub fn proposal_refused(&mut self, now: Now, payload: &Bytes) {
        if let Some(lead) = &mut self.lead {
            lead.refused(payload, &self.state);
        }
        self.drain_lead(now);
    }

    /// How far the voters of group 0 are, as [`ControllerOutput::DescribeQuorum`] asked.
    pub fn quorum_described(&mut self, now: Now, to: BrokerId, id: RequestId, quorum: Quorum) {
        let answer = Answer::Quorum(quorum);
        self.hand_out(now, vec![LeadOutput::Answer { to, id, answer }]);
    }

    /// A committed command, in index order; payloads that are no command of this version change nothing.
    pub fn apply(&mut self, now: Now, index: Index, payload: &[u8]) -> Vec<ClusterChange> {
        assert!(index > self.applied, "commands come in index order: {index} after {}", self.applied);
        self.applied = index;
        let mut changes = Vec::new();
        if let Some((proposal, command)) = Command::decode(payload) {
            let change = self.state.apply(&command);
            if let Some(lead) = &mut self.lead {
                lead.applied(proposal, change != Change::Ignored, &self.state);
            }
            self.translate(change, &mut changes);
            self.drain_lead(now);
        }
        self.release_held(now);
        changes
    }

    /// Time passed.
    pub fn tick(&mut self, now: Now) {
        if now.monotonic >= self.next_heartbeat {
            self.heartbeat(now);
            if let Some(lead) = &mut self.lead {
                lead.fence_silent(now.monotonic, self.registration.id);
            }
            self.drain_lead(now);
        }
        let due = |asked: &Asked| asked.deadline <= now.monotonic || (asked.held.is_none() && asked.retry_at <= now.monotonic);
        let due: Vec<u64> = self.asked.iter().filter(|(_, asked)| due(asked)).map(|(number, _)| *number).collect();
        for number in due {
            if self.asked.get(&number).is_some_and(|asked| asked.deadline <= now.monotonic) {
                self.expire(now, number);
            } else {
                self.dispatch(now, number);
            }
        }
        while let Some((token, _)) = self.ids.waiting.front().copied().filter(|(_, deadline)| *deadline <= now.monotonic) {
            self.ids.waiting.pop_front();
            self.done(token, ControllerResponse::Failed(ErrorCode::RequestTimedOut));
        }
    }

    /// When [`Controller::tick`] is due.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let asked = self.asked.values().map(|asked| {
            // A held answer only waits for this broker's own log.
            if asked.held.is_some() { asked.deadline } else { asked.deadline.min(asked.retry_at) }
        });
        let ids = self.ids.waiting.front().map(|(_, deadline)| *deadline);
        asked.chain(ids).chain([self.next_heartbeat]).min()
    }

    /// Takes out what it asks for, in order.
    pub fn poll(&mut self) -> Vec<ControllerOutput> {
        std::mem::take(&mut self.out)
    }

    /// Changes with the state and with what this broker, while it leads, proposed on top of it: between two equal ones there is nothing
    /// new for [`Controller::check_invariants`].
    #[must_use]
    pub fn revision(&self) -> ControllerRevision {
        ControllerRevision { applied: self.applied, lead: self.lead.as_ref().map(Lead::revision) }
    }

    /// Asserts what the module docs promise. Walks everything: for simulation and tests.
    pub fn check_invariants(&self) {
        self.state.check_invariants();
        if let Some(lead) = &self.lead {
            lead.check_invariants(&self.state);
        }
        assert!(self.ids.next <= self.ids.end, "a block is used from its start to its end");
        assert!(self.ids.waiting.is_empty() || self.ids.next == self.ids.end, "no one waits while there are producer ids");
    }

    fn ask(&mut self, now: Now, purpose: Purpose, question: Question, patience_ms: u64) {
        let number = self.next_number;
        self.next_number += 1;
        let deadline = now.monotonic.plus_ms(patience_ms);
        self.asked.insert(number, Asked { purpose, question, deadline, retry_at: now.monotonic, held: None });
        self.dispatch(now, number);
    }

    /// Sends a request to the leader, or decides it here.
    fn dispatch(&mut self, now: Now, number: u64) {
        let Some(asked) = self.asked.get_mut(&number) else { return };
        asked.retry_at = now.monotonic.plus_ms(RETRY_MS);
        let id = RequestId { incarnation: self.registration.incarnation, number };
        if let Some(lead) = &mut self.lead {
            lead.request(self.registration.id, id, &asked.question);
            self.drain_lead(now);
        } else if let Some(leader) = self.leader.filter(|leader| *leader != self.registration.id) {
            let message = Message::Request { id, question: asked.question.clone() };
            self.send(leader, &message);
        }
    }

    fn heartbeat(&mut self, now: Now) {
        self.next_heartbeat = now.monotonic.plus_ms(self.settings.broker_heartbeat_interval_ms);
        if let Some(lead) = &mut self.lead {
            lead.heartbeat(now.monotonic, &self.registration);
            self.drain_lead(now);
        } else if let Some(leader) = self.leader.filter(|leader| *leader != self.registration.id) {
            let message = Message::Heartbeat(self.registration.clone());
            self.send(leader, &message);
        }
    }

    fn drain_lead(&mut self, now: Now) {
        let Some(lead) = &mut self.lead else { return };
        let outputs = lead.drain();
        self.hand_out(now, outputs);
    }

    fn hand_out(&mut self, now: Now, outputs: Vec<LeadOutput>) {
        let me = self.registration.id;
        for output in outputs {
            match output {
                LeadOutput::Propose(payload) => self.out.push(ControllerOutput::Propose(payload)),
                LeadOutput::DescribeQuorum { to, id } => self.out.push(ControllerOutput::DescribeQuorum { to, id }),
                LeadOutput::Answer { to, id, answer } if to == me => self.answered(now, id.number, self.applied, answer),
                LeadOutput::NotLeader { to, id } if to == me => self.not_leader(now, id.number),
                LeadOutput::Answer { to, id, answer } => {
                    let message = Message::Answer { id, index: self.applied, answer };
                    self.send(to, &message);
                }
                LeadOutput::NotLeader { to, id } => self.send(to, &Message::NotLeader { id }),
            }
        }
    }

    fn answered(&mut self, now: Now, number: u64, index: Index, answer: Answer) {
        let Some(asked) = self.asked.get_mut(&number) else { return };
        if index > self.applied {
            asked.held.get_or_insert((index, answer));
        } else {
            self.conclude(now, number, answer);
        }
    }

    fn not_leader(&mut self, now: Now, number: u64) {
        if let Some(asked) = self.asked.get_mut(&number) {
            asked.retry_at = asked.retry_at.min(now.monotonic.plus_ms(RETRY_NOT_LEADER_MS));
        }
    }

    fn release_held(&mut self, now: Now) {
        let applied = self.applied;
        let is_ready = |asked: &Asked| asked.held.as_ref().is_some_and(|(index, _)| *index <= applied);
        let ready: Vec<u64> = self.asked.iter().filter(|(_, asked)| is_ready(asked)).map(|(number, _)| *number).collect();
        for number in ready {
            let (_, answer) = self.asked.get_mut(&number).and_then(|asked| asked.held.take()).expect("just seen");
            self.conclude(now, number, answer);
        }
    }

    fn expire(&mut self, now: Now, number: u64) {
        // What the leader decided is the truth, even if this broker has not seen it yet.
        let held = self.asked.get_mut(&number).and_then(|asked| asked.held.take());
        let answer = held.map_or(Answer::Failed(ErrorCode::RequestTimedOut), |(_, answer)| answer);
        self.conclude(now, number, answer);
    }

    fn conclude(&mut self, now: Now, number: u64, answer: Answer) {
        let asked = self.asked.remove(&number).expect("it was asked and not concluded");
        match (asked.purpose, answer) {
            (Purpose::Client(token), Answer::CreateTopics(creations)) => {
                self.done(token, ControllerResponse::CreateTopics(creations));
            }
            (Purpose::Client(token), Answer::DeleteTopics(deletions)) => {
                self.done(token, ControllerResponse::DeleteTopics(deletions));
            }
            (Purpose::Client(token), Answer::AlterConfigs(verdicts)) => {
                self.done(token, ControllerResponse::AlterConfigs(verdicts));
            }
            (Purpose::Client(token), Answer::CreatePartitions(growths)) => {
                self.done(token, ControllerResponse::CreatePartitions(growths));
            }
            (Purpose::Client(token), Answer::Reassign(verdicts)) => self.done(token, ControllerResponse::Reassign(verdicts)),
            (Purpose::Client(token), Answer::Quorum(quorum)) => self.done(token, ControllerResponse::Quorum(quorum)),
            (Purpose::Client(token), Answer::Failed(code)) => self.done(token, ControllerResponse::Failed(code)),
            (Purpose::Client(token), Answer::ProducerIds { .. }) => {
                self.done(token, ControllerResponse::Failed(ErrorCode::UnknownServerError));
            }
            (Purpose::Block, Answer::ProducerIds { first, length }) => {
                assert!(self.ids.next == self.ids.end, "a block is asked for when the last one is used up");
                (self.ids.next, self.ids.end) = (first, first.saturating_add(length.into()));
                self.give_producer_ids(now);
            }
            (
                Purpose::Block,
                Answer::CreateTopics(_)
                | Answer::DeleteTopics(_)
                | Answer::AlterConfigs(_)
                | Answer::CreatePartitions(_)
                | Answer::Reassign(_)
                | Answer::Quorum(_)
                | Answer::Failed(_),
            ) => self.give_producer_ids(now),
        }
    }

    /// Gives ids to those who wait; asks for a block if it runs out and none was asked for.
    fn give_producer_ids(&mut self, now: Now) {
        while self.ids.next < self.ids.end {
            let Some((token, _)) = self.ids.waiting.pop_front() else { return };
            let id = ProducerId(self.ids.next);
            self.ids.next += 1;
            self.done(token, ControllerResponse::ProducerId(id));
        }
        let is_asked = self.asked.values().any(|asked| asked.purpose == Purpose::Block);
        if !self.ids.waiting.is_empty() && !is_asked {
            self.ask(now, Purpose::Block, Question::ProducerIds, PRODUCER_ID_WAIT_MS);
        }
    }

    fn translate(&self, change: Change, changes: &mut Vec<ClusterChange>) {
        let me = self.registration.id;
        match change {
            Change::Ignored | Change::Quiet => {}
            Change::Broker(broker) => changes.push(ClusterChange::BrokerChanged { broker }),
            Change::TopicCreated(id) => {
                let topic = self.state.topic_by_id(id).expect("it was just created");
                self.assign_replicas(topic, 0, changes);
            }
            Change::PartitionsAdded { topic, first } => {
                let topic = self.state.topic_by_id(topic).expect("it was just grown");
                self.assign_replicas(topic, first, changes);
            }
            Change::TopicConfigs(id) => {
                self.tell_settings(self.state.topic_by_id(id).expect("it was just changed"), changes);
            }
            Change::Configs(ConfigResource::Broker(broker)) if broker != me => {}
            Change::Configs(ConfigResource::Broker(_) | ConfigResource::AllBrokers) => {
                for topic in self.state.topics() {
                    self.tell_settings(topic, changes);
                }
            }
            Change::Configs(ConfigResource::ClientMetrics(_) | ConfigResource::Group(_)) => {}
            Change::TopicDeleted(topic) => {
                let own = topic.partitions.iter().filter(|partition| partition.replicas.contains(&me));
                changes.extend(own.map(|partition| ClusterChange::ReplicaRemoved { group: partition.group }));
                let groups = topic.partitions.iter().map(|partition| partition.group).collect();
                changes.push(ClusterChange::TopicDeleted { topic: topic.id, groups });
            }
        }
    }

    /// The settings of a topic may have changed; tells every replica of it on this broker.
    fn tell_settings(&self, topic: &TopicState, changes: &mut Vec<ClusterChange>) {
        let mut own = topic.partitions.iter().filter(|partition| partition.replicas.contains(&self.registration.id)).peekable();
        if own.peek().is_some() {
            let settings = Box::new(self.topic_settings(topic));
            changes.extend(own.map(|p| ClusterChange::SettingsChanged { group: p.group, settings: settings.clone() }));
        }
    }

    /// The partitions from `first` on are new.
    fn assign_replicas(&self, topic: &TopicState, first: usize, changes: &mut Vec<ClusterChange>) {
        let me = self.registration.id;
        let settings = self.topic_settings(topic);
        // A partition that was made when another data folder was this broker's, which is lost, may have had a replica there.
        let is_forgotten =
            self.state.broker(me).is_none_or(|broker| broker.registration.directory != self.registration.directory);
        for (number, partition) in (0..).zip(&topic.partitions).skip(first).filter(|(_, p)| p.replicas.contains(&me)) {
            let mut voters = partition.replicas.clone();
            voters.sort();
            changes.push(ClusterChange::ReplicaAssigned {
                group: partition.group,
                topic: topic.id,
                partition: number,
                label: label(&topic.name, number),
                voters,
                preferred: partition.replicas.first() == Some(&me),
                is_forgotten,
                settings: Box::new(settings.clone()),
            });
        }
        let groups = topic.partitions.iter().skip(first).map(|partition| partition.group).collect();
        changes.push(ClusterChange::PartitionsCreated { groups });
    }

    fn send(&mut self, to: BrokerId, message: &Message) {
        self.out.push(ControllerOutput::Send { to, message: message.encode() });
    }

    fn done(&mut self, token: u64, response: ControllerResponse) {
        self.out.push(ControllerOutput::Done { token, response });
    }
}

/// A client that gives no time still waits for one try.
fn patience_ms(timeout_ms: i32) -> u64 {
    u64::try_from(timeout_ms).unwrap_or(0).max(1)
}

fn label(topic: &str, partition: i32) -> String {
    let number = partition.to_string();
    let room = GROUP_LABEL_BYTES_MAX - number.len() - 1;
    // Topic names are ASCII, so any byte is a place to cut.
    format!("{}-{number}", &topic[..topic.len().min(room)])
}

#[cfg(test)]
mod tests;
