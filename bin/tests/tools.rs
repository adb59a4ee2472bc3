//! The tools of the command line against a broker, both as the programs that users run.

use crate::broker::{Broker, OTTLA, folder, free_port, ottla};
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

/// What Kafka's distribution has as `config/server.properties`, in our words.
const SERVER_PROPERTIES: &str = include_str!("fixtures/server.properties");

/// Exit code, standard output and standard error.
fn run(command: &mut Command) -> (Option<i32>, String, String) {
    let output = command.stdin(Stdio::null()).output().expect("the program was built for this test");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("tools print UTF-8");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn lines_come_out_as_they_went_in() {
    let broker = Broker::start("lines");
    let created = broker.print(&["topic", "create", "orders", "--partitions", "3", "--config", "retention.ms=86400000"]);
    assert!(created.starts_with("TOPIC   ID"), "{created}");
    assert_eq!(broker.print(&["topic", "list"]), "TOPIC   PARTITIONS  REPLICATION FACTOR\norders  3           1\n");
    let described = broker.print(&["topic", "describe", "orders"]);
    assert!(described.contains("\norders  2          1       0      1         1        -\n"), "{described}");
    assert!(described.contains("\norders  retention.ms  86400000\n"), "{described}");

    let input: String = (0..1000).map(|number| format!("line {number}\n")).collect();
    broker.feed(&["produce", "orders", "--batch", "70"], &input);
    let output = broker.print(&["consume", "orders", "--max-messages", "1000", "--timeout-ms", "5000"]);
    let mut lines: Vec<&str> = output.lines().collect();
    let mut expected: Vec<&str> = input.lines().collect();
    lines.sort_unstable();
    expected.sort_unstable();
    assert_eq!(lines, expected);

    // Order is kept inside a partition, a position is respected, and enough is enough.
    broker.print(&["topic", "create", "one", "--partitions", "1"]);
    let written = broker.feed(&["produce", "one", "--output", "json", "--acks", "1"], "a\nb\nc\n\nd\n");
    assert_eq!(written, "{\"written\":[{\"partition\":0,\"records\":5,\"first_offset\":0,\"last_offset\":4}]}\n");
    assert_eq!(broker.print(&["consume", "one", "--from", "1", "--max-messages", "3"]), "b\nc\n\n");
    assert_eq!(broker.print(&["consume", "one", "--from", "latest", "--timeout-ms", "100"]), "");
    broker.feed(&["produce", "one", "--key-separator", "=>"], "key=>value\n");
    let record = broker.print(&["consume", "one", "--from", "5", "--max-messages", "1", "--output", "json"]);
    assert!(record.contains("\"offset\":5,") && record.contains("\"key\":\"key\",\"value\":\"value\""), "{record}");
    assert_eq!(broker.print(&["consume", "one", "--from", "5", "--max-messages", "1", "--key-separator", "/"]), "key/value\n");

    // The oldest records go, and only they.
    let deleted = broker.print(&["topic", "delete-records", "one", "--partition", "0", "--before", "3", "--output", "json"]);
    assert_eq!(deleted, "{\"deleted\":[{\"topic\":\"one\",\"partition\":0,\"log_start\":3}]}\n");
    assert_eq!(broker.print(&["consume", "one", "--max-messages", "2"]), "\nd\n");
    assert!(
        broker
            .sentence(&["topic", "delete-records", "one", "--partition", "0", "--before", "99"], 1)
            .contains("OFFSET_OUT_OF_RANGE")
    );
    assert!(broker.sentence(&["topic", "delete-records", "one", "--partition", "7", "--all"], 1).contains("no such partition"));
    broker.sentence(&["topic", "delete-records", "one", "--partition", "0"], 2);
    assert!(broker.print(&["topic", "delete-records", "one", "--partition", "0", "--all"]).ends_with("one    0          6\n"));
    assert_eq!(broker.print(&["consume", "one", "--timeout-ms", "100"]), "");

    assert_eq!(broker.print(&["topic", "delete", "one"]), "");
    assert_eq!(broker.print(&["topic", "list"]), "TOPIC   PARTITIONS  REPLICATION FACTOR\norders  3           1\n");
}

#[test]
fn failures_are_one_sentence_and_an_exit_code() {
    let broker = Broker::start("failures");
    assert_eq!(broker.sentence(&["topic", "describe", "nope"], 1), "error: topic nope does not exist\n");
    assert_eq!(broker.sentence(&["consume", "nope"], 1), "error: topic nope does not exist\n");
    broker.print(&["topic", "create", "here"]);
    assert!(broker.sentence(&["topic", "create", "here"], 1).starts_with("error: topic here: TOPIC_ALREADY_EXISTS"));
    assert!(broker.sentence(&["topic", "create", "a b"], 1).starts_with("error: topic a b: INVALID_TOPIC_EXCEPTION"));
    assert!(broker.sentence(&["consume", "here", "--from", "7"], 1).contains("there is no offset 7"));
    assert!(broker.sentence(&["consume", "here", "--partition", "99"], 1).contains("there is no 99"));
    broker.sentence(&["topic", "create", "x", "--partitions", "0"], 2);
    broker.sentence(&["topic", "create", "x", "--config", "novalue"], 2);
    broker.sentence(&["consume", "here", "--from", "somewhere"], 2);
    broker.sentence(&["frobnicate"], 2);
    let nobody = format!("127.0.0.1:{}", free_port());
    let output = Command::new(OTTLA)
        .args(["cluster", "status", "--patience-ms", "300", "--bootstrap", &nobody])
        .output()
        .expect("the program was built for this test");
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).starts_with(&format!("error: no answer from {nobody}: ")));
}

#[test]
fn a_typed_line_arrives_before_the_next_is_typed() {
    let broker = Broker::start("typed");
    broker.print(&["topic", "create", "chat", "--partitions", "1"]);
    let mut consumer =
        broker.command(&["consume", "chat"]).stdin(Stdio::null()).spawn().expect("the program was built for this test");
    let mut heard = BufReader::new(consumer.stdout.take().expect("piped")).lines();
    let mut producer =
        broker.command(&["produce", "chat"]).stdin(Stdio::piped()).spawn().expect("the program was built for this test");
    let mut say = producer.stdin.take().expect("piped");
    for words in ["hello", "world"] {
        writeln!(say, "{words}").expect("the producer reads");
        assert_eq!(heard.next().expect("the consumer goes on").expect("UTF-8"), words);
    }
    drop(say);
    assert!(producer.wait().expect("the producer ends").success());
    consumer.kill().expect("it still runs");
    let _ = consumer.wait();
}

/// A file as Kafka's users have it starts a node without a format step; what its container's environment says counts over it.
#[test]
fn a_server_properties_starts_one_node_and_the_environment_counts_over_it() {
    let (clients, peers) = (free_port(), free_port());
    let listeners = format!("PLAINTEXT://127.0.0.1:{clients},CONTROLLER://127.0.0.1:{peers}");
    let (advertised, controller) = (format!("PLAINTEXT://127.0.0.1:{clients}"), format!("127.0.0.1:{peers}"));
    let environment = [
        ("KAFKA_LISTENERS", listeners.as_str()),
        ("KAFKA_ADVERTISED_LISTENERS", &advertised),
        ("KAFKA_CONTROLLER_QUORUM_BOOTSTRAP_SERVERS", &controller),
        ("KAFKA_NUM_PARTITIONS", "3"),
        ("KAFKA_HEAP_OPTS", "-Xmx1G"),
        ("KAFKA_ZOOKEEPER_CONNECT", "zookeeper:2181"),
        ("CLUSTER_ID", "5L6g3nShT-eMCtK--X86sw"),
    ];
    let broker = Broker::start_with("server", clients, ("server.properties", SERVER_PROPERTIES), &environment);
    let got = broker.print(&["config", "get", "--broker", "1", "num.partitions", "log.retention.hours", "listeners"]);
    let expected = format!(
        "SETTING              VALUE{0:1$}SET FOR\nlisteners            {listeners}  broker's file\n\
         log.retention.hours  168{0:3$}broker's file\nnum.partitions       3{0:2$}broker's file\n",
        "",
        listeners.len() - 3,
        listeners.len() + 1,
        listeners.len() - 1,
    );
    assert_eq!(got, expected);
    assert!(broker.print(&["cluster", "status"]).contains("5L6g3nShT-eMCtK--X86sw"));
    let log = std::fs::read_to_string(broker.folder.join("broker.log")).expect("it was written");
    assert_eq!(log.matches("ZooKeeper").count(), 1, "{log}");
    assert!(!log.contains("HEAP_OPTS"), "{log}");
}

#[test]
fn a_configuration_is_checked_and_printed_without_a_broker() {
    let folder = folder("config");
    let path = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).expect("the temporary folder is writable");
        path
    };
    let right = path("server.properties", SERVER_PROPERTIES);
    let (code, out, err) = run(ottla().args(["config", "check"]).arg(&right));
    let is_note = |line: &str| line.starts_with("note: ") && line.contains(" is known to Kafka, without effect here.");
    assert_eq!((code, out.as_str()), (Some(0), ""));
    assert!(err.contains("num.network.threads") && err.lines().all(is_note), "{err}");

    let wrong = path("wrong.toml", "node.id = 1\n[log]\ndirs = \"x\"\nretention.mss = 1000\nsegment.bytes = true\n");
    let (code, out, err) = run(ottla().args(["config", "check"]).arg(&wrong));
    let shown = wrong.display();
    let expected = format!(
        "error: {shown}:4: unknown setting log.retention.mss; did you mean log.retention.ms?\n\
         error: {shown}:5: Invalid value true for configuration log.segment.bytes: Not a number of type INT.\n"
    );
    assert_eq!((code, out.as_str(), err), (Some(1), "", expected));

    let (code, _, err) = run(ottla().args(["config", "check"]).arg(folder.join("nowhere")));
    assert!(code == Some(2) && err.contains("nowhere can't be read: "), "{code:?} {err}");

    let print = ["config", "print", "--origin", "--set", "log.segment.bytes=2000000", "--output", "json"];
    let (code, out, err) = run(ottla().args(print).arg(&right).env("KAFKA_NUM_PARTITIONS", "3"));
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let row = |setting: &str, value: &str, origin: &str| {
        format!("{{\"setting\":\"{setting}\",\"value\":\"{value}\",\"origin\":\"{origin}\"}}")
    };
    let file = format!("{}:6", right.display());
    for row in [
        row("log.segment.bytes", "2000000", "--set"),
        row("num.partitions", "3", "KAFKA_NUM_PARTITIONS"),
        row("controller.quorum.bootstrap.servers", "localhost:9093", &file),
    ] {
        assert!(out.contains(&row), "{row} in {out}");
    }

    let (code, _, err) = run(ottla().args(["serve", "--set", "num.partitions=x"]));
    assert_eq!(code, Some(1));
    assert!(
        err.contains("--set: Invalid value x") && err.contains("node.id is missing") && err.contains("log.dirs is missing"),
        "{err}"
    );
    let _ = std::fs::remove_dir_all(&folder);
}

/// The brokers of `ottla dev` differ by their files: what counts over these must not reach them.
#[test]
fn dev_keeps_the_environment_from_its_brokers() {
    let folder = folder("dev");
    let port = free_port();
    let mut dev = ottla()
        .args(["dev", "--nodes", "1", "--port", &port.to_string(), "--data"])
        .arg(folder.join("data"))
        .env("KAFKA_NODE_ID", "9")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program was built for this test");
    let address = format!("127.0.0.1:{port}");
    let status = ["cluster", "status", "--patience-ms", "20000", "--bootstrap", &address];
    let (code, out, err) = run(ottla().args(status));
    // As Ctrl-C: it stops its broker in order and ends.
    let is_told = Command::new("kill").args(["-TERM", &dev.id().to_string()]).status().expect("there is a kill");
    let end = dev.wait().expect("it is our child");
    assert!(is_told.success() && end.success(), "{end}");
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert!(out.contains(&format!("\n1       {address}  yes")), "{out}");
    let _ = std::fs::remove_dir_all(&folder);
}
