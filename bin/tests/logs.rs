//! What the real broker tells while it runs, read as a collector of logs reads it.

use crate::broker::{folder, free_port, ottla};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;
use std::process::{Child, ChildStderr, Command, Stdio};

/// `serve` of a broker alone, with these options besides.
fn serve(name: &str, port: u16, options: &[&str]) -> Command {
    let mut serve = ottla();
    serve
        .args(["serve", "--metrics", "off", "--set", "node.id=7"])
        .args(["--set", &format!("listeners=PLAINTEXT://127.0.0.1:{port}")])
        .args(options)
        .env("KAFKA_LOG_DIRS", folder(name).join("data"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    serve
}

/// A broker that ends with its test, however that ends.
struct Running(Child);

impl Running {
    fn start(serve: &mut Command) -> Running {
        Running(serve.spawn().expect("the program was built for this test"))
    }

    /// Asks it to stop, as `kill` does.
    fn stop(&self) {
        let status = Command::new("kill").arg("-TERM").arg(self.0.id().to_string()).status();
        assert!(status.is_ok_and(|status| status.success()));
    }

    /// Its exit code and what it said since somebody read last.
    fn end(&mut self) -> (Option<i32>, String, String) {
        let (mut out, mut err) = (String::new(), String::new());
        self.0.stdout.take().map(|mut stdout| stdout.read_to_string(&mut out));
        self.0.stderr.take().map(|mut stderr| stderr.read_to_string(&mut err));
        (self.0.wait().expect("it is our child").code(), out, err)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The lines of a running broker, until the test has seen enough.
struct Lines(BufReader<ChildStderr>);

impl Lines {
    fn of(broker: &mut Running) -> Lines {
        Lines(BufReader::new(broker.0.stderr.take().expect("piped")))
    }

    /// All lines up to the first whose message contains `part`.
    fn until(&mut self, part: &str) -> Vec<Value> {
        let mut seen = Vec::new();
        loop {
            let mut line = String::new();
            let count = self.0.read_line(&mut line).expect("readable");
            assert!(count > 0, "it ended before it said {part:?}: {seen:?}");
            assert_eq!(line.matches("\"component\":").count(), 1, "a field stands twice: {line}");
            let json: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
            let is_last = json["message"].as_str().is_some_and(|message| message.contains(part));
            seen.push(json);
            if is_last {
                return seen;
            }
        }
    }
}

fn messages(lines: &[Value]) -> Vec<&str> {
    lines.iter().filter_map(|line| line["message"].as_str()).collect()
}

#[test]
fn a_life_from_start_to_stop_is_told_in_json() {
    let port = free_port();
    let mut child = serve("json", port, &["--log-format", "json", "--set", "max.connections.per.ip=1", "--set", "odd.name=1"]);
    // The name on the command line is a fault, in the environment a remark.
    let refused = child.output().expect("the program was built for this test");
    let said: Value = serde_json::from_slice(&refused.stderr).expect("one line of JSON");
    assert_eq!((refused.status.code(), refused.stdout.len(), said["level"].as_str()), (Some(1), 0, Some("error")));
    assert_eq!(said["message"].as_str(), Some("--set: unknown setting odd.name."));

    let mut serve = serve("json", port, &["--log-format", "json", "--set", "max.connections.per.ip=1"]);
    let mut child = Running::start(serve.env("KAFKA_ODD_NAME", "1"));
    let mut lines = Lines::of(&mut child);
    let start = lines.until("registered with the controller");
    let said = messages(&start);
    for expected in [
        "KAFKA_ODD_NAME: unknown setting odd.name is ignored.",
        "Ottla starts",
        "logs recovered",
        "ready: connections are accepted",
    ] {
        assert!(said.contains(&expected), "{expected:?} is not in {said:?}");
    }
    for line in &start {
        let object = line.as_object().expect("an object");
        for field in ["time", "level", "message", "component"] {
            assert!(object.get(field).is_some_and(Value::is_string), "{field} in {line}");
        }
    }
    let first = start.iter().find(|line| line["message"] == "Ottla starts").expect("seen above");
    assert_eq!((first["broker"].as_i64(), first["component"].as_str()), (Some(7), Some("serve")));
    assert_eq!(first["version"].as_str(), Some(env!("CARGO_PKG_VERSION")));
    assert!(first["listeners"].as_str().is_some_and(|listeners| listeners.starts_with("PLAINTEXT://127.0.0.1:")), "{first}");
    assert!(first["data"].as_str().is_some_and(|data| data.ends_with("/data")) && first["fsync"].is_string(), "{first}");

    let first = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    let _greedy = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    let refused = lines.until("a client is sent away");
    let last = refused.last().expect("it was found");
    assert_eq!(last["component"].as_str(), Some("clients"));
    assert_eq!(last["reason"].as_str(), Some("too many connections from its address"));
    drop(first);

    child.stop();
    let goodbye = lines.until("stopped");
    let said = messages(&goodbye);
    for expected in ["told to stop", "stopping: leaderships are handed over", "stopping: nothing is left that another could lead"]
    {
        assert!(said.contains(&expected), "{expected:?} is not in {said:?}");
    }
    let (code, out, _) = child.end();
    assert_eq!((code, out.as_str()), (Some(0), ""), "stdout says nothing beside JSON");
    let _ = std::fs::remove_dir_all(folder("json"));
}

#[test]
fn at_level_warn_a_healthy_life_is_silent_but_for_the_line_that_scripts_wait_for() {
    let port = free_port();
    let mut child = Running::start(&mut serve("warn", port, &["--set", "ottla.log.level=warn"]));
    let mut line = String::new();
    BufReader::new(child.0.stdout.as_mut().expect("piped")).read_line(&mut line).expect("readable");
    assert!(line.starts_with("Broker 7 is ready: clients 127.0.0.1:"), "{line}");
    child.stop();
    let (code, _, err) = child.end();
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let _ = std::fs::remove_dir_all(folder("warn"));
}

/// The data folder vanishes below a running broker: no new log can be made there, and the end is one sentence.
#[test]
fn a_disk_that_fails_ends_the_broker_with_one_sentence() {
    let port = free_port();
    let mut child = Running::start(&mut serve("disk", port, &["--log-format", "json"]));
    let mut lines = Lines::of(&mut child);
    lines.until("registered with the controller");
    std::fs::remove_dir_all(folder("disk").join("data")).expect("it is there");
    // Whether it is answered before the folder of the new log can't be made does not matter here.
    let _ = ottla()
        .args(["topic", "create", "orders", "--partitions", "1", "--patience-ms", "2000", "--bootstrap"])
        .arg(format!("127.0.0.1:{port}"))
        .output()
        .expect("the program was built for this test");
    let last = lines.until("Broker 7 stops: the disk failed: ").pop().expect("it was found");
    assert_eq!(last["level"].as_str(), Some("error"));
    assert_eq!(child.end().0, Some(1));
    let _ = std::fs::remove_dir_all(folder("disk"));
}

#[test]
fn a_wrong_word_is_a_fault_of_the_configuration_and_of_the_command_line() {
    let refused = |options: &[&str]| serve("words", free_port(), options).output().expect("the program was built for this test");
    let said = refused(&["--set", "ottla.log.format=xml", "--set", "ottla.log.level=loud"]);
    assert_eq!(said.status.code(), Some(1));
    assert_eq!(
        String::from_utf8_lossy(&said.stderr),
        "--set: ottla.log.format=xml is none of human, json.\n--set: ottla.log.level=loud is none of error, warn, info, debug.\n"
    );
    assert_eq!(refused(&["--log-format", "xml"]).status.code(), Some(2));
    let _ = std::fs::remove_dir_all(folder("words"));
}
