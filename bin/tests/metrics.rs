//! Metrics and health of the real broker, asked as a scraper asks.

use crate::broker::{Broker, folder, free_port, ottla};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Status and body of a page.
fn get(address: &str, path: &str) -> (u16, String) {
    let mut socket = TcpStream::connect(address).expect("it listens");
    socket.set_read_timeout(Some(Duration::from_secs(10))).expect("a socket");
    write!(socket, "GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").expect("it reads");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("it answers");
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, answer.split_once("\r\n\r\n").expect("a body").1.to_string())
}

/// The value of one series.
fn value(page: &str, series: &str) -> f64 {
    let line = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{series} is missing in\n{page}")).parse().expect("a number")
}

#[test]
fn what_clients_did_is_what_is_told() {
    let port = free_port();
    let at = format!("127.0.0.1:{port}");
    let broker = Broker::start_set("metrics", &format!("ottla.metrics.listener={at}\nmax.connections.per.ip=4\n"));
    assert!(broker.log().contains(&format!("metrics http://{at}/metrics")), "{}", broker.log());
    broker.print(&["topic", "create", "orders", "--partitions", "2"]);
    broker.print(&["topic", "create", "empty", "--partitions", "1"]);
    broker.feed(&["produce", "orders", "--partition", "1"], "one\ntwo\nthree\n");
    assert_eq!(broker.print(&["consume", "orders", "--partition", "1", "--max-messages", "3"]), "one\ntwo\nthree\n");
    // The limit is four; who comes fifth is closed.
    let greedy: Vec<TcpStream> = (0..6).map(|_| TcpStream::connect(&broker.address).expect("it listens")).collect();
    let deadline = Instant::now() + Duration::from_secs(10);
    let page = loop {
        let (status, page) = get(&at, "/metrics");
        assert_eq!(status, 200, "{page}");
        if value(&page, "ottla_connections_refused_total{limit=\"max.connections.per.ip\"}") >= 2.0 {
            break page;
        }
        assert!(Instant::now() < deadline, "{page}");
    };
    drop(greedy);
    for (series, expected) in [
        ("kafka_server_brokertopicmetrics_messagesin_total", 3.0),
        ("kafka_server_brokertopicmetrics_messagesin_total{topic=\"orders\"}", 3.0),
        ("kafka_server_brokertopicmetrics_messagesin_total{topic=\"empty\"}", 0.0),
        ("kafka_server_brokertopicmetrics_totalproducerequests_total{topic=\"orders\"}", 1.0),
        ("kafka_log_log_logendoffset{topic=\"orders\",partition=\"0\"}", 0.0),
        ("kafka_log_log_logendoffset{topic=\"orders\",partition=\"1\"}", 3.0),
        ("kafka_log_log_logstartoffset{topic=\"orders\",partition=\"1\"}", 0.0),
        ("kafka_server_replicamanager_leadercount", 3.0),
        ("kafka_server_replicamanager_partitioncount", 3.0),
        ("kafka_server_replicamanager_underreplicatedpartitions", 0.0),
        ("kafka_controller_kafkacontroller_activecontrollercount", 1.0),
        ("kafka_controller_kafkacontroller_offlinepartitionscount", 0.0),
        ("kafka_controller_kafkacontroller_globaltopiccount", 2.0),
        ("kafka_network_requestmetrics_totaltimems_count{request=\"CreateTopics\"}", 2.0),
        ("ottla_raft_elections_won_total", 4.0),
        ("kafka_server_socket_server_metrics_connection_count", 4.0),
    ] {
        assert!((value(&page, series) - expected).abs() < f64::EPSILON, "{series} is not {expected} in\n{page}");
    }
    let (bytes_in, bytes_out) = (
        value(&page, "kafka_server_brokertopicmetrics_bytesin_total"),
        value(&page, "kafka_server_brokertopicmetrics_bytesout_total"),
    );
    assert!(bytes_in > 60.0 && (bytes_in - bytes_out).abs() < f64::EPSILON, "read once what was written: {bytes_in} {bytes_out}");
    let produce = page.lines().find(|line| line.starts_with("kafka_network_requestmetrics_requests_total{request=\"Produce\""));
    assert!(produce.is_some_and(|line| line.ends_with(" 1")), "{produce:?}");
    assert!(value(&page, "ottla_log_flush_seconds_count") >= 2.0);
    assert!(value(&page, "process_resident_memory_bytes") > 1e6 && value(&page, "process_open_fds") > 5.0);
    for path in ["/health", "/health/live", "/health/ready"] {
        assert_eq!(get(&at, path).0, 200, "{path}");
    }
}

/// One of three brokers alone can't be registered: it is alive, and says why nobody should be sent to it.
#[test]
fn a_broker_without_a_controller_is_live_and_not_ready() {
    let folder = folder("lonely");
    let (clients, peers, port) = (free_port(), free_port(), free_port());
    let at = format!("127.0.0.1:{port}");
    let mut serve = ottla()
        .args(["serve", "--metrics", &at])
        .env("KAFKA_NODE_ID", "1")
        .env("KAFKA_LOG_DIRS", folder.join("data"))
        .env("KAFKA_LISTENERS", format!("PLAINTEXT://127.0.0.1:{clients},CONTROLLER://127.0.0.1:{peers}"))
        .env("KAFKA_CONTROLLER_QUORUM_VOTERS", format!("1@127.0.0.1:{peers},2@127.0.0.1:1,3@127.0.0.1:2"))
        .spawn()
        .expect("the program was built for this test");
    let deadline = Instant::now() + Duration::from_secs(20);
    while (TcpStream::connect(&at).is_err() || get(&at, "/health/live").0 != 200) && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(20));
    }
    let (live, ready) = (get(&at, "/health/live"), get(&at, "/health"));
    serve.kill().expect("it runs");
    let _ = serve.wait();
    assert_eq!(live, (200, "The broker's loop answers and its disk works.\n".to_string()));
    assert_eq!(ready.0, 503);
    assert!(ready.1.starts_with("The broker hears of no controller: "), "{}", ready.1);
    let _ = std::fs::remove_dir_all(&folder);
}

#[test]
fn an_address_that_was_asked_for_must_work_and_the_default_need_not() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let at = taken.local_addr().expect("bound").to_string();
    let folder = folder("taken");
    let serve = ottla()
        .args([
            "serve",
            "--metrics",
            &at,
            "--set",
            "node.id=1",
            "--set",
            &format!("listeners=PLAINTEXT://127.0.0.1:{}", free_port()),
        ])
        .env("KAFKA_LOG_DIRS", folder.join("data"))
        .output()
        .expect("the program was built for this test");
    let said = String::from_utf8_lossy(&serve.stderr).into_owned();
    assert!(
        serve.status.code() == Some(1) && said.contains(&format!("ottla.metrics.listener: {at} can't be listened on")),
        "{said}"
    );
    let _ = std::fs::remove_dir_all(&folder);
    // Whoever holds the default's port, a broker starts.
    let _holder = std::net::TcpListener::bind("127.0.0.1:9404");
    let broker = Broker::start("default");
    assert!(broker.log().contains("no metrics and no health: 127.0.0.1:9404 can't be listened on"), "{}", broker.log());
}
