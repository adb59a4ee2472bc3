//! Several listeners for clients on the real broker: who comes by one is told its addresses.

use crate::broker::{self, Broker, free_port, ottla};
use crate::client::Client;
use ottla_core::protocol::messages::describe_cluster::DescribeClusterRequest;
use std::process::{Command, Stdio};

/// What a tool prints that asks at this port.
fn at(port: u16, arguments: &[&str]) -> String {
    let address = format!("127.0.0.1:{port}");
    let output = ottla().args(arguments).args(["--bootstrap", &address]).stdin(Stdio::null()).output();
    let output = output.expect("the program was built for this test");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("tools print UTF-8")
}

/// The environment of the single-node example that comes with Kafka's container image; only the ports are others.
#[test]
fn the_usual_compose_environment_starts_a_broker_for_inside_and_outside() {
    let (host, inside, controller) = (free_port(), free_port(), free_port());
    let listeners = format!("CONTROLLER://:{controller},PLAINTEXT_HOST://:{host},PLAINTEXT://:{inside}");
    let advertised = format!("PLAINTEXT_HOST://localhost:{host},PLAINTEXT://broker:19092");
    let voters = format!("1@broker:{controller}");
    let environment = [
        ("KAFKA_NODE_ID", "1"),
        ("KAFKA_LISTENER_SECURITY_PROTOCOL_MAP", "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,PLAINTEXT_HOST:PLAINTEXT"),
        ("KAFKA_ADVERTISED_LISTENERS", &advertised),
        ("KAFKA_PROCESS_ROLES", "broker,controller"),
        ("KAFKA_CONTROLLER_QUORUM_VOTERS", &voters),
        ("KAFKA_LISTENERS", &listeners),
        ("KAFKA_INTER_BROKER_LISTENER_NAME", "PLAINTEXT"),
        ("KAFKA_CONTROLLER_LISTENER_NAMES", "CONTROLLER"),
        ("CLUSTER_ID", "4L6g3nShT-eMCtK--X86sw"),
        ("KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR", "1"),
        ("KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS", "0"),
        ("KAFKA_TRANSACTION_STATE_LOG_MIN_ISR", "1"),
        ("KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR", "1"),
        ("KAFKA_SHARE_COORDINATOR_STATE_TOPIC_REPLICATION_FACTOR", "1"),
        ("KAFKA_SHARE_COORDINATOR_STATE_TOPIC_MIN_ISR", "1"),
    ];
    let broker = Broker::start_with("compose", host, ("empty.properties", ""), &environment);
    assert!(!broker.log().contains("ignored"), "{}", broker.log());
    assert!(at(host, &["cluster", "status"]).contains(&format!("\n1       localhost:{host}  yes")));
    assert!(at(inside, &["cluster", "status"]).contains("\n1       broker:19092  yes"));
    broker.print(&["topic", "create", "t", "--partitions", "1"]);
    broker.feed(&["produce", "t"], "hello\n");
    assert_eq!(at(host, &["consume", "t", "--max-messages", "1"]), "hello\n");
    for (port, told) in [(host, ("localhost", host)), (inside, ("broker", 19092))] {
        let request = DescribeClusterRequest { endpoint_type: 1, ..DescribeClusterRequest::default() };
        let brokers = Client::to(&format!("127.0.0.1:{port}")).ask(&request, 1).brokers;
        let addresses: Vec<(i32, &str, i32)> = brokers.iter().map(|b| (b.broker_id, b.host.as_str(), b.port)).collect();
        assert_eq!(addresses, [(1, told.0, i32::from(told.1))], "DescribeCluster by {port}");
    }
    // Who comes by the inner one is sent to an address that only containers know.
    let lost = format!("127.0.0.1:{inside}");
    let lost = Command::new(broker::OTTLA)
        .args(["consume", "t", "--max-messages", "1", "--patience-ms", "500", "--bootstrap", &lost])
        .output()
        .expect("the program was built for this test");
    assert!(String::from_utf8_lossy(&lost.stderr).contains("broker:19092"), "{lost:?}");
}
