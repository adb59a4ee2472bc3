//! The tools of the command line against a broker, both as the programs that users run.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const OTTLA: &str = env!("CARGO_BIN_EXE_ottla");

/// One broker with its data, gone when the test ends.
struct Broker {
    process: Child,
    folder: PathBuf,
    address: String,
}

impl Broker {
    fn start(name: &str) -> Broker {
        let folder = std::env::temp_dir().join(format!("ottla-tools-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("the temporary folder is writable");
        // Both are free at this moment; a stranger who takes one before the broker does makes the test fail, not lie.
        let (clients, peers) = (free_port(), free_port());
        let config = folder.join("broker.properties");
        let properties = format!(
            "node.id=1\nlisteners=PLAINTEXT://127.0.0.1:{clients},CONTROLLER://127.0.0.1:{peers}\n\
             controller.quorum.voters=1@127.0.0.1:{peers}\nlog.dirs={}\n",
            folder.join("data").display()
        );
        std::fs::write(&config, properties).expect("the temporary folder is writable");
        let log = std::fs::File::create(folder.join("broker.log")).expect("the temporary folder is writable");
        let process = Command::new(OTTLA)
            .args(["serve", "--config"])
            .arg(&config)
            .stdout(log.try_clone().expect("a file can be shared"))
            .stderr(log)
            .spawn()
            .expect("the program was built for this test");
        let broker = Broker { process, folder, address: format!("127.0.0.1:{clients}") };
        let start = Instant::now();
        while !broker.tool(&["cluster", "status", "--patience-ms", "1000"]).status.success() {
            assert!(start.elapsed() < Duration::from_secs(20), "the broker did not start: see {}", broker.folder.display());
            std::thread::sleep(Duration::from_millis(50));
        }
        broker
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(OTTLA);
        command.args(arguments).args(["--bootstrap", &self.address]).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn tool(&self, arguments: &[&str]) -> Output {
        self.command(arguments).stdin(Stdio::null()).output().expect("the program was built for this test")
    }

    /// What it prints; it must succeed.
    fn print(&self, arguments: &[&str]) -> String {
        let output = self.tool(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("tools print UTF-8")
    }

    /// The sentence it fails with.
    fn sentence(&self, arguments: &[&str], code: i32) -> String {
        let output = self.tool(arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        String::from_utf8(output.stderr).expect("tools print UTF-8")
    }

    fn feed(&self, arguments: &[&str], input: &str) -> String {
        let mut child = self.command(arguments).stdin(Stdio::piped()).spawn().expect("the program was built for this test");
        child.stdin.take().expect("piped").write_all(input.as_bytes()).expect("the tool reads its input");
        let output = child.wait_with_output().expect("the tool ends");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("tools print UTF-8")
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        if !std::thread::panicking() {
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("loopback has free ports").port()
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
