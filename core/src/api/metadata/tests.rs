//! The rules of Metadata, named after the golden cases.

use super::*;
use crate::controller::Command;
use crate::controller::testing::{registration, state_of};
use crate::controller::{ListenerEndpoint, NewPartition, RequestId};
use crate::ids::{GroupId, Term};
use crate::partition::{Leadership, Tell};

struct World {
    listener: &'static str,
    cluster: ClusterState,
    leaders: LeaderTable,
    auto_create: bool,
}

/// Brokers 1 to 3, of which 3 is fenced; topic `m1` (id 7) with three partitions: led by 1, led by the fenced 3, leaderless.
fn world() -> World {
    let replicas: Vec<BrokerId> = (1..=3).map(BrokerId).collect();
    let partitions = (1..=3).map(|group| NewPartition { group: GroupId(group), replicas: replicas.clone() }).collect();
    let cluster = state_of(&[
        Command::RegisterBroker(registration(1)),
        Command::RegisterBroker(registration(2)),
        Command::RegisterBroker(registration(3)),
        Command::FenceBroker { id: BrokerId(3), incarnation: 1 },
        Command::CreateTopic { name: "m1".into(), id: TopicId(7), configs: vec![], partitions, origin: RequestId::default() },
    ]);
    let mut leaders = LeaderTable::default();
    let mut lead = |group, term, leader: Option<i32>, in_sync: &[i32]| {
        let in_sync = in_sync.iter().map(|id| BrokerId(*id)).collect();
        leaders.observe(GroupId(group), Leadership { term: Term(term), leader: leader.map(BrokerId), in_sync }, Tell::Nobody);
    };
    lead(1, 2, Some(1), &[1, 2, 3]);
    lead(2, 5, Some(3), &[3]);
    lead(3, 4, None, &[]);
    World { listener: "PLAINTEXT", cluster, leaders, auto_create: true }
}

impl World {
    fn ask(&self, request: &MetadataRequest, version: i16) -> Answer {
        let known = Known {
            listener: self.listener,
            cluster_id: "c",
            broker: BrokerId(2),
            cluster: &self.cluster,
            leaders: &self.leaders,
            auto_create: self.auto_create,
        };
        respond(&known, request, version)
    }

    /// `error name` of each topic.
    fn topics(&self, request: &MetadataRequest, version: i16) -> Vec<String> {
        let topics = self.ask(request, version).response.topics;
        topics.iter().map(|t| format!("{} {}", t.error_code, t.name.as_deref().unwrap_or("null"))).collect()
    }
}

fn asked(name: Option<&str>, id: u128) -> AskedTopic {
    AskedTopic { name: name.map(Text::from), topic_id: Uuid(id) }
}

fn request(topics: &[AskedTopic]) -> MetadataRequest {
    MetadataRequest { topics: Some(topics.to_vec()), ..MetadataRequest::default() }
}

#[test]
fn metadata_known() {
    let answer = world().ask(&request(&[asked(Some("m1"), 0)]), 12);
    let response = answer.response;
    assert_eq!(response.brokers.iter().map(|b| b.node_id).collect::<Vec<_>>(), [1, 2], "fenced brokers are not listed");
    assert_eq!((response.cluster_id.as_deref(), response.controller_id), (Some("c"), 2));
    let shown: Vec<String> = response.topics[0]
        .partitions
        .iter()
        .map(|p| {
            format!(
                "{} {} {} {:?} {:?} {:?}",
                p.error_code, p.leader_id, p.leader_epoch, p.replica_nodes, p.isr_nodes, p.offline_replicas
            )
        })
        .collect();
    assert_eq!(
        shown,
        ["0 1 0 [1, 2, 3] [1, 2] [3]", "5 -1 3 [1, 2, 3] [3] [3]", "5 -1 2 [1, 2, 3] [] [3]"],
        "leader, epoch, replicas, in sync, offline"
    );
    assert_eq!(response.topics[0].topic_authorized_operations, i32::MIN);
    assert_eq!(response.cluster_authorized_operations, i32::MIN);
    assert!(answer.create.is_empty());
}

#[test]
fn metadata_null_and_empty() {
    let all = MetadataRequest { topics: None, ..MetadataRequest::default() };
    for (request, version, expect) in
        [(&request(&[]), 0, 1), (&all, 1, 1), (&request(&[]), 1, 0), (&all, 12, 1), (&request(&[]), 12, 0)]
    {
        assert_eq!(world().topics(request, version).len(), expect, "version {version}");
    }
}

#[test]
fn metadata_unknown() {
    let mut world = world();
    let mut ask = request(&[asked(Some("absent"), 0)]);
    assert_eq!(world.topics(&ask, 12), ["3 absent"]);
    let created: Vec<NewTopic> = world.ask(&ask, 1).create;
    assert_eq!(created, [NewTopic { name: "absent".into(), partitions: -1, replication_factor: -1, ..NewTopic::default() }]);
    world.auto_create = false;
    assert!(world.ask(&ask, 12).create.is_empty(), "the operator forbids it");
    world.auto_create = true;
    ask.allow_auto_topic_creation = false;
    assert!(world.ask(&ask, 12).create.is_empty(), "the client forbids it");
    assert_eq!(world.topics(&ask, 12), ["3 absent"]);
}

#[test]
fn metadata_invalid_name() {
    let ask = request(&[asked(Some("bad name!"), 0), asked(Some(""), 0), asked(Some("."), 0)]);
    assert_eq!(world().topics(&ask, 9), ["17 bad name!", "17 ", "17 ."]);
    assert!(world().ask(&ask, 9).create.is_empty());
}

#[test]
fn metadata_by_id() {
    let world = world();
    assert_eq!(world.topics(&request(&[asked(None, 7)]), 12), ["0 m1"]);
    assert_eq!(world.topics(&request(&[asked(None, 8)]), 12), ["100 null"]);
    assert_eq!(world.topics(&request(&[asked(Some("m1"), 7)]), 12), ["0 m1"]);
    assert_eq!(world.topics(&request(&[asked(Some("m1"), 8)]), 12), ["100 null"]);
    let refused = world.ask(&request(&[asked(None, 7)]), 11).response;
    assert_eq!((refused.topics[0].error_code, refused.topics[0].name.as_deref()), (42, Some("")));
    assert_eq!((refused.brokers.len(), refused.cluster_id, refused.controller_id), (0, None, -1));
    assert_eq!(world.topics(&request(&[asked(None, 0)]), 12), ["-1 "]);
}

#[test]
fn metadata_duplicate_and_several() {
    let world = world();
    assert_eq!(world.topics(&request(&[asked(Some("m1"), 0), asked(Some("m1"), 0)]), 12), ["0 m1"]);
    assert_eq!(world.topics(&request(&[asked(Some("m1"), 0), asked(Some("absent"), 0)]), 12), ["0 m1", "3 absent"]);
}

#[test]
fn metadata_ops() {
    let mut ask = request(&[asked(Some("m1"), 0)]);
    ask.include_topic_authorized_operations = true;
    ask.include_cluster_authorized_operations = true;
    let response = world().ask(&ask, 8).response;
    assert_eq!((response.topics[0].topic_authorized_operations, response.cluster_authorized_operations), (3576, 8096));
}

#[test]
fn clients_are_told_the_addresses_of_the_listener_by_which_they_came() {
    let mut world = world();
    let inside = ListenerEndpoint { name: "INSIDE".into(), host: "near1".into(), port: 19092 };
    let mut first = registration(1);
    first.endpoints.push(inside);
    world.cluster = state_of(&[
        Command::RegisterBroker(first),
        Command::RegisterBroker(registration(2)),
        Command::RegisterBroker(registration(3)),
        Command::CreateTopic {
            name: "m1".into(),
            id: TopicId(7),
            configs: vec![],
            partitions: (1..=3).map(|group| NewPartition { group: GroupId(group), replicas: vec![BrokerId(1)] }).collect(),
            origin: RequestId::default(),
        },
    ]);
    let shown = |world: &World, version| {
        let answer = world.ask(&MetadataRequest { topics: None, ..MetadataRequest::default() }, version).response;
        let brokers: Vec<String> = answer.brokers.iter().map(|b| format!("{}={}:{}", b.node_id, b.host, b.port)).collect();
        let partitions: Vec<(i32, i16)> = answer.topics[0].partitions.iter().map(|p| (p.leader_id, p.error_code)).collect();
        (brokers.join(" "), partitions)
    };
    let outside = shown(&world, 12);
    assert_eq!(outside, ("1=h1:9092 2=h2:9092 3=h3:9092".to_string(), vec![(1, 0), (3, 0), (-1, 5)]));
    // Brokers without a listener of that name are not shown, and who leads there can't be reached.
    world.listener = "INSIDE";
    assert_eq!(shown(&world, 12), ("1=near1:19092".to_string(), vec![(1, 0), (-1, 72), (-1, 5)]));
    assert_eq!(shown(&world, 5).1, vec![(1, 0), (-1, 5), (-1, 5)]);
}

#[test]
fn internal_topics_are_told_so() {
    let topic = |name: &str, number: u64| {
        let partitions = vec![NewPartition { group: GroupId(number), replicas: vec![BrokerId(1)] }];
        let (name, id, origin) = (name.into(), TopicId(number.into()), RequestId::default());
        Command::CreateTopic { name, id, configs: vec![], partitions, origin }
    };
    let names = ["__consumer_offsets", "__share_group_state", "__transaction_state", "_schemas"];
    let topics = (1..).zip(names).map(|(number, name)| topic(name, number));
    let commands: Vec<Command> = std::iter::once(Command::RegisterBroker(registration(1))).chain(topics).collect();
    let world = World { cluster: state_of(&commands), ..world() };
    let told = world.ask(&MetadataRequest { topics: None, ..MetadataRequest::default() }, 12).response.topics;
    let told: Vec<_> = told.iter().map(|topic| (topic.name.as_deref().unwrap_or("null"), topic.is_internal)).collect();
    assert_eq!(told, names.map(|name| (name, name != "_schemas")));
}
