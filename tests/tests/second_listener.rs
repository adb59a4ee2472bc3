//! Who comes by the second listener is told the addresses of the second listener, whatever it asks: nothing else can be reached from there.

use ottla_core::api::ClientRequest;
use ottla_core::ids::{BrokerId, ListenerId};
use ottla_core::protocol::messages::describe_cluster::DescribeClusterRequest;
use ottla_core::protocol::messages::fetch::FetchRequest;
use ottla_core::protocol::messages::metadata::MetadataRequest;
use ottla_core::protocol::messages::produce::ProduceRequest;
use ottla_core::protocol::{ErrorCode, Request};
use ottla_core::record::BatchBuilder;
use ottla_tests::bare::{self, Bare, Cost};

const TOPIC: &str = "orders";
/// Produce with leader hints (KIP-951) and topic names.
const PRODUCE_VERSION: i16 = 10;
/// Fetch with leader hints; it names topics by their ids.
const FETCH_VERSION: i16 = 16;

/// Where a broker is told to be by a listener.
type Address = (i32, String, i32);

fn call<R: Request>(bare: &mut Bare, listener: u8, broker: BrokerId, request: &R, version: i16) -> R::Response {
    let number = bare.submit(broker, ClientRequest { listener: ListenerId(listener), ..bare::decoded(request, version) });
    bare.pass(100);
    bare::response::<R>(&bare.answer(broker, number).expect("an answer at once"), version)
}

fn address(listener: u8, broker: i32) -> Address {
    match listener {
        0 => (broker, "localhost".to_owned(), 9092),
        _ => (broker, format!("outside-{broker}"), 29_092),
    }
}

#[test]
fn brokers_are_told_at_the_listener_that_was_asked() {
    let mut bare = Bare::new(3, Cost::default);
    for listener in [0, 1] {
        let expected: Vec<Address> = (1..=3).map(|broker| address(listener, broker)).collect();
        let request = DescribeClusterRequest { endpoint_type: 1, ..DescribeClusterRequest::default() };
        let cluster = call(&mut bare, listener, BrokerId(2), &request, 1);
        let told: Vec<Address> = cluster.brokers.iter().map(|b| (b.broker_id, b.host.to_string(), b.port)).collect();
        assert_eq!(told, expected, "DescribeCluster");
        let metadata = call(&mut bare, listener, BrokerId(2), &MetadataRequest::default(), 12);
        let told: Vec<Address> = metadata.brokers.iter().map(|b| (b.node_id, b.host.to_string(), b.port)).collect();
        assert_eq!(told, expected, "Metadata");
    }
}

#[test]
fn the_leader_is_told_at_the_listener_that_was_asked() {
    let mut bare = Bare::new(3, Cost::default);
    // A follower would serve a consumer.
    let leader = bare.create_topic(TOPIC, 1);
    let other = (1..=3).map(BrokerId).find(|broker| *broker != leader).expect("there are three");
    let metadata = call(&mut bare, 0, other, &MetadataRequest { topics: None, ..MetadataRequest::default() }, 12);
    let topic_id = metadata.topics[0].topic_id;
    let mut builder = BatchBuilder::new();
    builder.push(1_700_000_000_000, None, Some(b"value"));
    let produce: ProduceRequest = bare::produce_request(TOPIC, builder.build().freeze());
    let mut fetch: FetchRequest = bare::fetch_request(TOPIC, 0, 0);
    fetch.topics[0].topic_id = topic_id;
    for listener in [0, 1] {
        let answer = call(&mut bare, listener, other, &produce, PRODUCE_VERSION);
        let partition = &answer.responses[0].partition_responses[0];
        assert_eq!(partition.error_code, ErrorCode::NotLeaderOrFollower.code());
        assert_eq!(partition.current_leader.leader_id, leader.0);
        let told: Vec<Address> = answer.node_endpoints.iter().map(|n| (n.node_id, n.host.to_string(), n.port)).collect();
        assert_eq!(told, [address(listener, leader.0)], "Produce");
        let answer = call(&mut bare, listener, other, &fetch, FETCH_VERSION);
        let partition = &answer.responses[0].partitions[0];
        assert_eq!(partition.error_code, ErrorCode::NotLeaderOrFollower.code());
        assert_eq!(partition.current_leader.leader_id, leader.0);
        let told: Vec<Address> = answer.node_endpoints.iter().map(|n| (n.node_id, n.host.to_string(), n.port)).collect();
        assert_eq!(told, [address(listener, leader.0)], "Fetch");
    }
}
