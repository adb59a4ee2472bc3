//! Controllers of one cluster around a log that a test drives by hand: what is proposed is committed when the test says so.

use super::*;
use crate::config::{Change, Edit};
use crate::controller::{ConfigChange, ConfigTarget, Growth, NewTopic, Reassignment, TopicRef};
use crate::ids::GroupId;
use crate::time::WallTime;
use std::collections::BTreeMap;

struct Cluster {
    now: Now,
    nodes: BTreeMap<BrokerId, Controller>,
    leader: Option<BrokerId>,
    term: Term,
    log: Vec<Bytes>,
    applied: BTreeMap<BrokerId, usize>,
    messages: Vec<(BrokerId, BrokerId, Bytes)>,
    answers: BTreeMap<u64, ControllerResponse>,
    cut: Vec<BrokerId>,
    next_life: u64,
}

impl Cluster {
    fn new(brokers: i32) -> Cluster {
        let mut cluster = Cluster {
            now: Now { monotonic: Instant(1_000_000), wall: WallTime(5) },
            nodes: BTreeMap::new(),
            leader: None,
            term: Term(1),
            log: Vec::new(),
            applied: BTreeMap::new(),
            messages: Vec::new(),
            answers: BTreeMap::new(),
            cut: Vec::new(),
            next_life: 1,
        };
        for id in 1..=brokers {
            cluster.start(BrokerId(id));
        }
        cluster.elect(BrokerId(1));
        cluster.settle();
        cluster
    }

    fn start(&mut self, broker: BrokerId) {
        let seed = self.next_life;
        self.next_life += 1;
        let settings = BrokerSettings::default();
        let config =
            ControllerConfig { broker, endpoints: ListenerEndpoint::alone("h", 9092), rack: None, directory: 0, seed, settings };
        let mut controller = Controller::new(self.now, config);
        controller.leadership(self.now, self.leader, self.term, false);
        self.nodes.insert(broker, controller);
        self.applied.insert(broker, 0);
    }

    fn elect(&mut self, leader: BrokerId) {
        self.term.0 += 1;
        self.leader = Some(leader);
        // The new leader has everything committed before it serves.
        self.commit();
        for (id, node) in &mut self.nodes {
            if !self.cut.contains(id) {
                node.leadership(self.now, Some(leader), self.term, *id == leader);
            }
        }
    }

    /// Takes out what the nodes want; proposals of any but the leader are refused.
    fn collect(&mut self) {
        loop {
            let mut outputs = Vec::new();
            for (id, node) in &mut self.nodes {
                node.check_invariants();
                outputs.extend(node.poll().into_iter().map(|output| (*id, output)));
            }
            if outputs.is_empty() {
                return;
            }
            for (id, output) in outputs {
                match output {
                    ControllerOutput::Propose(payload) if self.leader == Some(id) => self.log.push(payload),
                    ControllerOutput::Propose(payload) => {
                        let node = self.nodes.get_mut(&id).expect("a node");
                        node.proposal_refused(self.now, &payload);
                    }
                    ControllerOutput::Send { to, message } => {
                        assert_ne!(to, id, "no message to oneself");
                        self.messages.push((id, to, message));
                    }
                    ControllerOutput::DescribeQuorum { to, id: asked } => {
                        let quorum = Quorum { leader: id, epoch: self.term.leader_epoch(), high_watermark: 7, voters: vec![] };
                        let node = self.nodes.get_mut(&id).expect("a node");
                        node.quorum_described(self.now, to, asked, quorum);
                    }
                    ControllerOutput::Done { token, response } => {
                        assert!(self.answers.insert(token, response).is_none(), "token {token} is answered once");
                    }
                }
            }
        }
    }

    fn deliver(&mut self) {
        for (from, to, message) in std::mem::take(&mut self.messages) {
            if self.cut.contains(&from) || self.cut.contains(&to) {
                continue;
            }
            if let Some(node) = self.nodes.get_mut(&to) {
                node.peer_message(self.now, from, &message);
            }
        }
    }

    fn commit(&mut self) {
        for (id, node) in &mut self.nodes {
            let applied = self.applied.get_mut(id).expect("a node");
            while *applied < self.log.len() && !self.cut.contains(id) {
                node.apply(self.now, Index(2 + u64::try_from(*applied).expect("small")), &self.log[*applied]);
                *applied += 1;
            }
        }
    }

    fn settle(&mut self) {
        for _ in 0..20 {
            self.collect();
            self.deliver();
            self.commit();
        }
        self.collect();
    }

    fn pass_ms(&mut self, ms: u64) {
        let end = self.now.monotonic.plus_ms(ms);
        while self.now.monotonic < end {
            let next = self.nodes.values().filter_map(Controller::next_deadline).min().unwrap_or(end).min(end);
            assert!(next >= self.now.monotonic, "a deadline that has passed was not served");
            self.now.monotonic = next;
            for (id, node) in &mut self.nodes {
                node.tick(self.now);
                assert!(node.next_deadline().is_none_or(|at| at > self.now.monotonic), "broker {id} spins");
            }
            self.settle();
        }
    }

    fn submit(&mut self, broker: i32, token: u64, request: ControllerRequest) {
        self.nodes.get_mut(&BrokerId(broker)).expect("a node").submit(self.now, request, token);
    }

    fn node(&self, broker: i32) -> &Controller {
        &self.nodes[&BrokerId(broker)]
    }
}

fn create(name: &str) -> ControllerRequest {
    let topics = vec![NewTopic { name: name.into(), partitions: 2, replication_factor: 3, ..NewTopic::default() }];
    ControllerRequest::CreateTopics { topics, validate_only: false, timeout_ms: 5_000 }
}

fn delete(name: &str) -> ControllerRequest {
    ControllerRequest::DeleteTopics {
        topics: vec![TopicRef { name: Some(name.into()), ..TopicRef::default() }],
        timeout_ms: 5_000,
    }
}

/// The error code of an answer with one topic or of a failure; 0 for success.
fn code(response: Option<&ControllerResponse>) -> Option<i16> {
    Some(match response? {
        ControllerResponse::CreateTopics(list) => list[0].result.as_ref().err().map_or(0, |refusal| refusal.code.code()),
        ControllerResponse::DeleteTopics(list) => list[0].refusal.as_ref().map_or(0, |refusal| refusal.code.code()),
        ControllerResponse::AlterConfigs(list) | ControllerResponse::Reassign(list) => {
            list[0].as_ref().map_or(0, |refusal| refusal.code.code())
        }
        ControllerResponse::CreatePartitions(list) => list[0].refusal.as_ref().map_or(0, |refusal| refusal.code.code()),
        ControllerResponse::ProducerId(_) | ControllerResponse::Quorum(_) => 0,
        ControllerResponse::Failed(code) => code.code(),
    })
}

#[test]
fn brokers_register_and_topics_are_created_through_any_of_them() {
    let mut cluster = Cluster::new(3);
    assert_eq!(cluster.node(2).state().live_brokers().count(), 3);
    for broker in 1..=3 {
        cluster.submit(broker, broker.unsigned_abs().into(), create(&format!("t{broker}")));
    }
    cluster.settle();
    for broker in 1..=3u64 {
        assert_eq!(code(cluster.answers.get(&broker)), Some(0));
    }
    assert_eq!(cluster.node(1).state(), cluster.node(3).state());
    assert_eq!(cluster.node(3).state().topics().count(), 3);
}

#[test]
fn of_two_requests_for_one_name_in_flight_one_wins() {
    let mut cluster = Cluster::new(3);
    cluster.submit(2, 1, create("a"));
    cluster.submit(3, 2, create("a"));
    cluster.collect();
    cluster.deliver();
    cluster.collect();
    assert!(cluster.answers.is_empty(), "nothing is told before it is applied");
    cluster.settle();
    let mut codes = [code(cluster.answers.get(&1)), code(cluster.answers.get(&2))];
    codes.sort();
    assert_eq!(codes, [Some(0), Some(36)]);
}

#[test]
fn an_answer_waits_until_the_asked_broker_has_applied_it() {
    let mut cluster = Cluster::new(3);
    cluster.submit(2, 1, create("a"));
    cluster.collect();
    cluster.deliver();
    cluster.collect();
    // Only the leader applies; its answer reaches broker 2, which has not seen the topic yet.
    let commands: Vec<Bytes> = cluster.log[cluster.applied[&BrokerId(1)]..].to_vec();
    for payload in &commands {
        let applied = cluster.applied.get_mut(&BrokerId(1)).expect("a node");
        let index = Index(2 + u64::try_from(*applied).expect("small"));
        *applied += 1;
        let node = cluster.nodes.get_mut(&BrokerId(1)).expect("a node");
        node.apply(cluster.now, index, payload);
    }
    cluster.collect();
    cluster.deliver();
    cluster.collect();
    assert!(cluster.answers.is_empty(), "broker 2 would not find the topic it tells of");
    cluster.settle();
    assert_eq!(code(cluster.answers.get(&1)), Some(0));
    assert!(cluster.node(2).state().topic("a").is_some());
}

#[test]
fn a_request_survives_a_change_of_leaders_and_is_done_once() {
    let mut cluster = Cluster::new(3);
    cluster.submit(3, 1, create("a"));
    cluster.collect();
    cluster.deliver();
    cluster.collect();
    // The command is in the log, its answer is lost with the leader.
    assert_eq!(code(cluster.answers.get(&1)), None);
    cluster.cut.push(BrokerId(1));
    cluster.elect(BrokerId(2));
    cluster.settle();
    assert_eq!(code(cluster.answers.get(&1)), Some(0), "the new leader finds the topic that this request created");
    assert_eq!(cluster.node(3).state().topics().count(), 1);
    cluster.submit(3, 2, delete("a"));
    cluster.collect();
    cluster.deliver();
    cluster.collect();
    cluster.cut.clear();
    cluster.elect(BrokerId(1));
    cluster.settle();
    assert_eq!(code(cluster.answers.get(&2)), Some(0));
    assert_eq!(cluster.node(3).state().topics().count(), 0);
}

#[test]
fn a_lost_message_is_repeated() {
    let mut cluster = Cluster::new(3);
    cluster.submit(3, 1, create("a"));
    cluster.collect();
    cluster.messages.clear();
    cluster.settle();
    assert!(cluster.answers.is_empty());
    cluster.pass_ms(1_100);
    assert_eq!(code(cluster.answers.get(&1)), Some(0));
}

#[test]
fn without_a_leader_requests_time_out() {
    let mut cluster = Cluster::new(3);
    cluster.cut = vec![BrokerId(1), BrokerId(2)];
    cluster.submit(3, 1, create("a"));
    cluster.submit(3, 2, ControllerRequest::AllocateProducerId);
    cluster.pass_ms(4_900);
    assert!(cluster.answers.is_empty());
    cluster.pass_ms(200);
    assert_eq!(code(cluster.answers.get(&1)), Some(7), "REQUEST_TIMED_OUT");
    cluster.pass_ms(26_000);
    assert_eq!(code(cluster.answers.get(&2)), Some(7), "REQUEST_TIMED_OUT");
}

#[test]
fn requests_that_wait_for_the_controller_have_a_bound() {
    let mut cluster = Cluster::new(3);
    cluster.cut = vec![BrokerId(1), BrokerId(2)];
    let bound = u64::try_from(CONTROLLER_REQUESTS_MAX).expect("few");
    for token in 0..bound {
        cluster.submit(3, token, create("a"));
    }
    cluster.settle();
    assert!(cluster.answers.is_empty(), "all wait");
    cluster.submit(3, bound, create("a"));
    cluster.submit(3, bound + 1, ControllerRequest::DescribeQuorum);
    cluster.settle();
    assert_eq!(code(cluster.answers.get(&bound)), Some(7), "REQUEST_TIMED_OUT");
    assert_eq!(code(cluster.answers.get(&(bound + 1))), Some(7));
    assert_eq!(cluster.answers.len(), 2);
}

#[test]
fn a_silent_broker_is_fenced_and_comes_back() {
    let mut cluster = Cluster::new(3);
    cluster.cut.push(BrokerId(3));
    cluster.pass_ms(8_000);
    assert_eq!(cluster.node(1).state().live_brokers().count(), 3, "not before broker.session.timeout.ms");
    cluster.pass_ms(2_000);
    assert!(cluster.node(1).state().broker(BrokerId(3)).expect("registered").is_fenced);
    cluster.cut.clear();
    cluster.pass_ms(1_000);
    assert_eq!(cluster.node(1).state().live_brokers().count(), 3);
}

#[test]
fn a_new_leader_gives_everyone_a_full_session() {
    let mut cluster = Cluster::new(3);
    cluster.pass_ms(60_000);
    cluster.elect(BrokerId(2));
    cluster.pass_ms(1_000);
    assert_eq!(cluster.node(2).state().live_brokers().count(), 3);
}

#[test]
fn a_restarted_broker_registers_its_new_life() {
    let mut cluster = Cluster::new(3);
    let old = cluster.node(3).state().broker(BrokerId(3)).expect("registered").registration.incarnation;
    cluster.start(BrokerId(3));
    cluster.pass_ms(1_000);
    let entry = cluster.node(1).state().broker(BrokerId(3)).expect("registered");
    assert_ne!(entry.registration.incarnation, old);
    assert!(!entry.is_fenced);
    assert_eq!(cluster.node(3).state(), cluster.node(1).state(), "the log is applied again from its start");
}

#[test]
fn producer_ids_are_never_given_twice() {
    let mut cluster = Cluster::new(3);
    let mut token = 0;
    for round in 0..4 {
        for broker in 1..=3 {
            for _ in 0..600 {
                cluster.submit(broker, token, ControllerRequest::AllocateProducerId);
                token += 1;
            }
        }
        cluster.settle();
        if round == 1 {
            cluster.start(BrokerId(2));
            cluster.elect(BrokerId(3));
            cluster.settle();
        }
    }
    let mut ids: Vec<i64> = Vec::new();
    for response in cluster.answers.values() {
        let ControllerResponse::ProducerId(id) = response else { panic!("an id was asked for: {response:?}") };
        ids.push(id.0);
    }
    ids.sort_unstable();
    assert_eq!(ids.len(), 7_200);
    assert!(ids.windows(2).all(|pair| pair[0] < pair[1]), "all different");
}

#[test]
fn a_refused_proposal_is_asked_for_again() {
    let mut cluster = Cluster::new(3);
    cluster.submit(2, 1, create("a"));
    cluster.collect();
    // Leadership of the group is being transferred: raft takes nothing for a while.
    let leader = cluster.leader.take();
    cluster.deliver();
    cluster.collect();
    assert!(cluster.answers.is_empty());
    cluster.leader = leader;
    cluster.settle();
    assert!(cluster.answers.is_empty(), "the asker waits a little");
    cluster.pass_ms(200);
    assert_eq!(code(cluster.answers.get(&1)), Some(0));
    assert_eq!(cluster.node(2).state().topics().count(), 1);
}

#[test]
fn replicas_are_assigned_and_removed() {
    let mut cluster = Cluster::new(3);
    cluster.submit(2, 1, create("a"));
    cluster.collect();
    cluster.deliver();
    cluster.collect();
    let now = cluster.now;
    let place = cluster.applied[&BrokerId(2)];
    let payload = cluster.log[place].clone();
    *cluster.applied.get_mut(&BrokerId(2)).expect("a node") += 1;
    let index = Index(2 + u64::try_from(place).expect("small"));
    let changes = cluster.nodes.get_mut(&BrokerId(2)).expect("a node").apply(now, index, &payload);
    let shown: Vec<String> = changes
        .iter()
        .map(|change| match change {
            ClusterChange::ReplicaAssigned { group, label, voters, preferred, .. } => {
                format!("{group} {label} {voters:?} preferred={preferred}")
            }
            ClusterChange::PartitionsCreated { .. } => "created".to_string(),
            ClusterChange::ReplicaRemoved { .. }
            | ClusterChange::SettingsChanged { .. }
            | ClusterChange::TopicDeleted { .. }
            | ClusterChange::BrokerChanged { .. } => "unexpected".to_string(),
        })
        .collect();
    assert_eq!(shown, ["1 a-0 [b1, b2, b3] preferred=true", "2 a-1 [b1, b2, b3] preferred=false", "created"]);
    assert_eq!(cluster.node(2).state().partition_of(GroupId(1)).map(|(_, number)| number), Some(0));
}

#[test]
fn settings_and_partitions_are_changed_through_any_broker() {
    let mut cluster = Cluster::new(3);
    cluster.submit(1, 1, create("a"));
    cluster.settle();
    let set = |target, value: &str| ConfigChange {
        target,
        change: Change::Edit(vec![("max.message.bytes".into(), Edit::Set(value.into()))]),
    };
    let changes = vec![set(ConfigTarget::Topic("a".into()), "1000"), set(ConfigTarget::Topic("a".into()), "many")];
    cluster.submit(3, 2, ControllerRequest::AlterConfigs { changes, validate_only: false });
    let topics = vec![Growth { name: "a".into(), count: 5, assignments: None }];
    cluster.submit(2, 3, ControllerRequest::CreatePartitions { topics, validate_only: false, timeout_ms: 1000 });
    cluster.settle();
    assert_eq!(code(cluster.answers.get(&2)), Some(0));
    assert!(matches!(&cluster.answers[&2], ControllerResponse::AlterConfigs(verdicts) if verdicts[1].is_some()));
    assert_eq!(code(cluster.answers.get(&3)), Some(0));
    for broker in 1..=3 {
        let node = cluster.node(broker);
        let topic = node.state().topic("a").expect("there");
        assert_eq!((node.topic_settings(topic).max_message_bytes, topic.partitions.len()), (1000, 5));
    }
}

#[test]
fn replicas_are_ordered_through_any_broker() {
    let mut cluster = Cluster::new(3);
    cluster.submit(1, 1, create("a"));
    cluster.settle();
    let order = |replicas: [i32; 3]| {
        let targets = vec![(1, Some(replicas.map(BrokerId).to_vec()))];
        let topics = vec![Reassignment { name: "a".into(), targets }];
        ControllerRequest::Reassign { topics, allow_factor_change: true, timeout_ms: 1000 }
    };
    cluster.submit(3, 2, order([3, 1, 2]));
    cluster.submit(2, 3, order([3, 1, 4]));
    cluster.settle();
    assert_eq!([2, 3].map(|token| code(cluster.answers.get(&token))), [Some(0), Some(39)]);
    for broker in 1..=3 {
        let topic = cluster.node(broker).state().topic("a").expect("there");
        assert_eq!(topic.partitions[1].replicas, [3, 1, 2].map(BrokerId));
    }
}

#[test]
fn any_broker_tells_the_quorum_as_its_leader_sees_it() {
    let mut cluster = Cluster::new(3);
    for broker in 1..=3 {
        cluster.submit(broker, broker.unsigned_abs().into(), ControllerRequest::DescribeQuorum);
    }
    cluster.settle();
    for token in 1..=3 {
        let ControllerResponse::Quorum(quorum) = &cluster.answers[&token] else { panic!("a quorum") };
        assert_eq!((quorum.leader, quorum.high_watermark), (BrokerId(1), 7));
    }
    cluster.cut = vec![BrokerId(1)];
    cluster.submit(2, 4, ControllerRequest::DescribeQuorum);
    cluster.settle();
    cluster.pass_ms(6_000);
    assert_eq!(code(cluster.answers.get(&4)), Some(ErrorCode::RequestTimedOut.code()));
}

#[test]
fn a_change_of_settings_is_answered_though_its_leader_is_lost() {
    let mut cluster = Cluster::new(3);
    cluster.cut = vec![BrokerId(1)];
    let target = ConfigTarget::Other(ConfigResource::AllBrokers);
    let change = Change::Edit(vec![("message.max.bytes".into(), Edit::Set("2000".into()))]);
    let changes = vec![ConfigChange { target, change }];
    cluster.submit(2, 1, ControllerRequest::AlterConfigs { changes, validate_only: false });
    cluster.settle();
    assert!(cluster.answers.is_empty(), "nobody could decide");
    cluster.elect(BrokerId(3));
    cluster.settle();
    assert_eq!(code(cluster.answers.get(&1)), Some(0));
    assert_eq!(cluster.node(2).layers().cluster["message.max.bytes"], "2000");
}

#[test]
fn a_label_fits_a_folder_name() {
    assert_eq!(label("a.b", 3), "a.b-3");
    assert_eq!(label(&"x".repeat(249), 12_345).len(), GROUP_LABEL_BYTES_MAX);
    assert!(label(&"x".repeat(249), 12_345).ends_with("x-12345"));
}

#[test]
fn the_revision_changes_with_every_proposal_and_every_commit() {
    let mut cluster = Cluster::new(3);
    let mut seen = vec![cluster.node(1).revision()];
    cluster.submit(1, 1, create("a"));
    cluster.collect();
    seen.push(cluster.node(1).revision());
    cluster.settle();
    seen.push(cluster.node(1).revision());
    assert!(seen[0] != seen[1] && seen[1] != seen[2], "{seen:?}");
    cluster.settle();
    assert_eq!(cluster.node(1).revision(), seen[2]);
}
