//! The controller while this broker leads group 0: decides requests, keeps an eye on the brokers, proposes commands.
//!
//! Decides against `shadow`: the applied state plus everything proposed in this term and not yet applied. So two requests for one name
//! in flight are told apart before raft has said a word, and every proposal is legal against all before it. An answer waits until
//! the last proposal it may depend on was applied: what is told is never undone by a lost proposal.
//!
//! Lives from the moment the leader serves until it does not lead any more; the view of who lives starts anew each time.
//!
//! Invariant: `shadow` = applied state + `in_flight`, in order; proposal numbers ascend in `in_flight`.

use super::command::{Command, ProposalId, Registration, RequestId};
use super::message::{Answer, Question};
use super::plan_alter::plan_alter;
use super::plan_create::plan_create;
use super::plan_delete::plan_delete;
use super::plan_grow::plan_grow;
use super::plan_reassign::plan_reassign;
use super::request::{Refusal, TopicDeletion, TopicRef};
use super::state::{Change, ClusterState};
use crate::config::BrokerSettings;
use crate::ids::{BrokerId, Term, TopicId};
use crate::limits::PRODUCER_ID_BLOCK;
use crate::protocol::{ErrorCode, Uuid};
use crate::random::keyed;
use crate::time::Instant;
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};

/// Salt of the draws of topic ids.
const TOPIC_ID: u64 = 0x746f_7069_6320_6964;

/// What the leader wants done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum LeadOutput {
    Propose(Bytes),
    /// To the asker, this broker included.
    Answer {
        to: BrokerId,
        id: RequestId,
        answer: Answer,
    },
    /// The quorum is to be told to the asker.
    DescribeQuorum {
        to: BrokerId,
        id: RequestId,
    },
    /// To the asker: ask again.
    NotLeader {
        to: BrokerId,
        id: RequestId,
    },
}

#[derive(Debug)]
pub(super) struct Lead {
    me: BrokerId,
    term: Term,
    seed: u64,
    settings: BrokerSettings,
    shadow: ClusterState,
    in_flight: VecDeque<InFlight>,
    next_number: u64,
    waiting: Vec<Waiting>,
    heard: BTreeMap<BrokerId, Instant>,
    out: Vec<LeadOutput>,
}

#[derive(Debug)]
struct InFlight {
    number: u64,
    command: Command,
    payload: Bytes,
}

/// An answer that is ready as soon as the proposal `after` was applied.
#[derive(Debug)]
struct Waiting {
    after: u64,
    to: BrokerId,
    id: RequestId,
    answer: Answer,
}

impl Lead {
    pub(super) fn new(now: Instant, me: BrokerId, term: Term, seed: u64, settings: BrokerSettings, state: &ClusterState) -> Lead {
        Lead {
            me,
            term,
            seed,
            settings,
            shadow: state.clone(),
            in_flight: VecDeque::new(),
            next_number: 0,
            waiting: Vec::new(),
            heard: state.brokers().map(|broker| (broker.registration.id, now)).collect(),
            out: Vec::new(),
        }
    }

    pub(super) fn term(&self) -> Term {
        self.term
    }

    pub(super) fn drain(&mut self) -> Vec<LeadOutput> {
        std::mem::take(&mut self.out)
    }

    /// Decides a request. A repeated one whose first copy is still waiting is not decided twice.
    pub(super) fn request(&mut self, from: BrokerId, id: RequestId, question: &Question) {
        if self.waiting.iter().any(|waiting| waiting.id == id) {
            return;
        }
        let (answer, commands) = match question {
            Question::CreateTopics { topics, validate_only } => {
                let (term, seed, first) = (self.term.0, self.seed, self.next_number);
                let mut drawn = 0;
                let draw = || {
                    drawn += 1;
                    draw_topic_id(seed, &[TOPIC_ID, term, first, drawn, id.incarnation, id.number])
                };
                let (creations, commands) = plan_create(&mut self.shadow, topics, *validate_only, &self.settings, id, draw);
                (Answer::CreateTopics(creations), commands)
            }
            Question::DeleteTopics(topics) if self.settings.text("delete.topic.enable").as_deref() == Some("false") => {
                (Answer::DeleteTopics(topics.iter().map(refuse_deletion).collect()), Vec::new())
            }
            Question::DeleteTopics(topics) => {
                let (deletions, commands) = plan_delete(&mut self.shadow, topics, id);
                (Answer::DeleteTopics(deletions), commands)
            }
            Question::AlterConfigs { changes, validate_only } => {
                let (verdicts, commands) = plan_alter(&mut self.shadow, changes, *validate_only, self.me, &self.settings.given);
                (Answer::AlterConfigs(verdicts), commands)
            }
            Question::CreatePartitions { topics, validate_only } => {
                let (growths, commands) = plan_grow(&mut self.shadow, topics, *validate_only, id);
                (Answer::CreatePartitions(growths), commands)
            }
            Question::Reassign { topics, allow_factor_change } => {
                let (verdicts, commands) = plan_reassign(&mut self.shadow, topics, *allow_factor_change);
                (Answer::Reassign(verdicts), commands)
            }
            Question::Quorum => {
                self.out.push(LeadOutput::DescribeQuorum { to: from, id });
                return;
            }
            Question::ProducerIds => {
                let (first, length) = (self.shadow.next_producer_id(), PRODUCER_ID_BLOCK);
                let command = Command::ProducerIdBlock { broker: from, first, length };
                if self.shadow.apply(&command) == Change::Ignored {
                    // Not registered yet: its heartbeat is on the way.
                    self.out.push(LeadOutput::NotLeader { to: from, id });
                    return;
                }
                (Answer::ProducerIds { first, length }, vec![command])
            }
        };
        for command in commands {
            self.propose(command);
        }
        match self.in_flight.back() {
            Some(last) => self.waiting.push(Waiting { after: last.number, to: from, id, answer }),
            None => self.out.push(LeadOutput::Answer { to: from, id, answer }),
        }
    }

    /// A broker lives; registers it if what it says differs from what is known.
    pub(super) fn heartbeat(&mut self, now: Instant, registration: &Registration) {
        self.heard.insert(registration.id, now);
        let is_known = self.shadow.broker(registration.id).is_some_and(|b| !b.is_fenced && b.registration == *registration);
        let command = Command::RegisterBroker(registration.clone());
        if !is_known && self.shadow.apply(&command) != Change::Ignored {
            self.propose(command);
        }
    }

    /// Fences every broker but `me` that was silent for longer than `broker.session.timeout.ms`.
    pub(super) fn fence_silent(&mut self, now: Instant, me: BrokerId) {
        let session_us = self.settings.broker_session_timeout_ms.saturating_mul(1000);
        let is_silent = |id: BrokerId| self.heard.get(&id).is_none_or(|heard| now.since_us(*heard) > session_us);
        let silent: Vec<Command> = self
            .shadow
            .live_brokers()
            .map(|broker| (broker.registration.id, broker.registration.incarnation))
            .filter(|(id, _)| *id != me && is_silent(*id))
            .map(|(id, incarnation)| Command::FenceBroker { id, incarnation })
            .collect();
        for command in silent {
            let change = self.shadow.apply(&command);
            assert!(matches!(change, Change::Broker(_)), "a live broker can be fenced: {command:?}");
            self.propose(command);
        }
    }

    /// A command was applied to `state`. `is_taken`: it was legal.
    pub(super) fn applied(&mut self, proposal: ProposalId, is_taken: bool, state: &ClusterState) {
        if proposal.term != self.term {
            // A leftover of an earlier leader that was committed late.
            self.rebuild_shadow(state);
            return;
        }
        let first = self.in_flight.pop_front().expect("every command of this term was proposed here");
        assert_eq!(first.number, proposal.number, "commands of one leader are committed in the order of their proposal");
        if !is_taken {
            // Only after a refused proposal before it; what builds on it is worked out anew.
            self.rebuild_shadow(state);
            self.disappoint(|after| after == first.number);
            return;
        }
        let (ready, waiting) = std::mem::take(&mut self.waiting).into_iter().partition(|w| w.after <= first.number);
        self.waiting = waiting;
        self.out.extend(Vec::into_iter(ready).map(|w| LeadOutput::Answer { to: w.to, id: w.id, answer: w.answer }));
    }

    /// Raft did not take a proposal: everything proposed from there on is in doubt.
    pub(super) fn refused(&mut self, payload: &Bytes, state: &ClusterState) {
        let Some(place) = self.in_flight.iter().position(|entry| entry.payload == *payload) else { return };
        let entry = self.in_flight.remove(place).expect("its place was just found");
        self.rebuild_shadow(state);
        self.disappoint(|after| after >= entry.number);
    }

    /// Leadership is lost: all who wait must ask the next leader.
    pub(super) fn resign(mut self) -> Vec<LeadOutput> {
        self.disappoint(|_| true);
        self.out.retain(|output| !matches!(output, LeadOutput::Propose(_) | LeadOutput::DescribeQuorum { .. }));
        self.out
    }

    /// Changes with every proposal made, applied or lost.
    pub(super) fn revision(&self) -> (Term, u64, usize) {
        (self.term, self.next_number, self.in_flight.len())
    }

    pub(super) fn check_invariants(&self, state: &ClusterState) {
        let mut expect = state.clone();
        for entry in &self.in_flight {
            expect.apply(&entry.command);
        }
        assert_eq!(expect, self.shadow, "the shadow is the applied state and what is in flight");
        assert!(self.in_flight.iter().map(|e| e.number).is_sorted(), "proposals keep their order");
    }

    fn propose(&mut self, command: Command) {
        let number = self.next_number;
        self.next_number += 1;
        let payload = command.encode(ProposalId { term: self.term, number });
        self.out.push(LeadOutput::Propose(payload.clone()));
        self.in_flight.push_back(InFlight { number, command, payload });
    }

    fn rebuild_shadow(&mut self, state: &ClusterState) {
        self.shadow = state.clone();
        for entry in &self.in_flight {
            self.shadow.apply(&entry.command);
        }
    }

    fn disappoint(&mut self, is_hit: impl Fn(u64) -> bool) {
        let (lost, waiting) = std::mem::take(&mut self.waiting).into_iter().partition(|w| is_hit(w.after));
        self.waiting = waiting;
        self.out.extend(Vec::into_iter(lost).map(|w| LeadOutput::NotLeader { to: w.to, id: w.id }));
    }
}

fn refuse_deletion(topic: &TopicRef) -> TopicDeletion {
    let refusal = Refusal::new(ErrorCode::TopicDeletionDisabled, "Topic deletion is disabled.");
    TopicDeletion { name: topic.name.clone(), id: topic.id, refusal: Some(refusal) }
}

/// 128 bits shaped as a random UUID of version 4, so that tools show it as one. Never one whose text starts with a dash, because
/// command lines take that for an option (as in Kafka).
fn draw_topic_id(seed: u64, key: &[u64]) -> TopicId {
    for attempt in 0u64.. {
        let half = |side: u64| u128::from(keyed(seed, &[key, &[attempt, side]].concat()));
        let bits = (half(0) << 64) | half(1);
        let id = bits & !(0xf << 76) & !(0x3 << 62) | (0x4 << 76) | (0x2 << 62);
        if !Uuid(id).to_string().starts_with('-') {
            return TopicId(id);
        }
    }
    unreachable!("one attempt in 64 starts with a dash")
}
