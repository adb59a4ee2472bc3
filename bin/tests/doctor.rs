//! `ottla doctor connect` against real sockets: brokers that are told wrong things, and ports where no broker is.

use crate::broker::{self, Broker, folder, free_port, ottla};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Exit code and what it found.
fn examine(address: &str) -> (Option<i32>, Value) {
    let output = ottla()
        .args(["doctor", "connect", address, "--patience-ms", "2000", "--output", "json"])
        .stdin(Stdio::null())
        .output()
        .expect("the program was built for this test");
    let text = String::from_utf8_lossy(&output.stdout);
    let json =
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}{}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code(), json)
}

/// The only trouble, which is found with exit code 1: what is wrong, what to do.
#[track_caller]
fn trouble(address: &str) -> (String, String) {
    let (code, json) = examine(address);
    let troubles = json["troubles"].as_array().unwrap_or_else(|| panic!("no troubles in {json}"));
    assert!(code == Some(1) && troubles.len() == 1, "{code:?} {json}");
    let text = |name: &str| troubles[0][name].as_str().expect("a sentence").to_string();
    (text("what_is_wrong"), text("what_to_do"))
}

/// A port where every connection is told this, after its first bytes came, and closed.
fn port_that_says(bytes: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
    let address = listener.local_addr().expect("bound").to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(bytes);
        }
    });
    address
}

/// A broker that advertises this.
fn advertising(name: &str, advertised: &str) -> Broker {
    Broker::start_set(name, &format!("ottla.metrics.listener=off\nadvertised.listeners=PLAINTEXT://{advertised}\n"))
}

#[test]
fn a_healthy_cluster_is_found_healthy() {
    let broker = Broker::start("doctor-well");
    let (code, json) = examine(&broker.address);
    assert_eq!(code, Some(0), "{json}");
    assert_eq!((json["cluster"][0]["brokers"].as_i64(), json["cluster"][0]["controller"].as_i64()), (Some(1), Some(1)));
    let seen = &json["brokers"][0];
    assert_eq!((seen["broker"].as_i64(), seen["reached"].as_bool()), (Some(1), Some(true)));
    assert_eq!((seen["advertised"].as_str(), seen["resolves_to"].as_str()), (Some(broker.address.as_str()), Some("127.0.0.1")));
    assert!(json.get("troubles").is_none(), "{json}");
    let table = ottla().args(["doctor", "connect", &broker.address]).output().expect("the program was built for this test");
    assert!(String::from_utf8_lossy(&table.stdout).contains("\nBROKER  ADVERTISED "), "{table:?}");
}

#[test]
fn an_advertised_address_that_leads_nowhere_is_told_with_its_setting() {
    let nobody = format!("127.0.0.1:{}", free_port());
    let (wrong, remedy) = trouble(&advertising("doctor-port", &nobody).address);
    assert_eq!(wrong, format!("Nothing listens at {nobody}: the connection is refused."));
    assert!(remedy.contains("advertised.listeners must name the port that clients reach"), "{remedy}");

    let (wrong, remedy) = trouble(&advertising("doctor-name", "broker-of-nobody.invalid:9092").address);
    assert!(wrong.starts_with("The name broker-of-nobody.invalid does not resolve here: "), "{wrong}");
    assert!(remedy.starts_with("Set the broker's advertised.listeners"), "{remedy}");
}

#[test]
fn an_advertised_address_of_another_cluster_is_told() {
    let other = Broker::start("doctor-other");
    let (wrong, _) = trouble(&advertising("doctor-own", &other.address).address);
    assert!(wrong.starts_with(&format!("{} is a broker of another cluster: ", other.address)), "{wrong}");
}

/// One of two brokers, for which nobody waits; gone when the test ends.
struct OfTwo(Child);

impl Drop for OfTwo {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn two_brokers_with_one_address_are_told_apart() {
    let (clients, peers) = ([free_port(), free_port()], [free_port(), free_port()]);
    let home = folder("doctor-two");
    let start = |place: usize| {
        let mut serve = ottla();
        serve.args(["serve", "--metrics", "off", "--log-level", "error"]);
        for setting in [
            format!("node.id={}", place + 1),
            format!("listeners=PLAINTEXT://127.0.0.1:{},CONTROLLER://127.0.0.1:{}", clients[place], peers[place]),
            format!("advertised.listeners=PLAINTEXT://127.0.0.1:{}", clients[0]),
            format!("controller.quorum.voters=1@127.0.0.1:{},2@127.0.0.1:{}", peers[0], peers[1]),
            format!("log.dirs={}", home.join(place.to_string()).display()),
        ] {
            serve.args(["--set", &setting]);
        }
        serve.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        OfTwo(serve.spawn().expect("the program was built for this test"))
    };
    let _two = [start(0), start(1)];
    let address = format!("127.0.0.1:{}", clients[0]);
    let began = Instant::now();
    let (code, json) = loop {
        let (code, json) = examine(&address);
        if json["brokers"].as_array().is_some_and(|brokers| brokers.len() == 2) || began.elapsed() > Duration::from_secs(30) {
            break (code, json);
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    let troubles = json["troubles"].as_array().expect("there is one");
    assert!(code == Some(1) && troubles.len() == 1 && troubles[0]["broker"].as_i64() == Some(2), "{json}");
    let wrong = troubles[0]["what_is_wrong"].as_str().unwrap_or_default();
    assert!(wrong.contains("is advertised as broker 2, but another broker answers there"), "{wrong}");
    assert!(wrong.contains("expected 1 or empty string, but received 2"), "{wrong}");
    let _ = std::fs::remove_dir_all(&home);
}

#[test]
fn what_is_not_kafka_is_named() {
    let metrics = format!("127.0.0.1:{}", free_port());
    let broker = Broker::start_set("doctor-http", &format!("ottla.metrics.listener={metrics}\n"));
    let silent = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
    let hangs = silent.local_addr().expect("bound").to_string();
    for (address, what, setting) in [
        (metrics, "is a web server: it answers in HTTP", "the one in listeners, not the one of metrics"),
        (port_that_says(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "is a web server", "listeners"),
        (port_that_says(&[0x15, 3, 3, 0, 2, 2, 40]), "speaks TLS", "Set security.protocol=SSL"),
        (port_that_says(b"SSH-2.0-OpenSSH_9.6\r\n"), "it answers \"SSH-2.0-OpenSSH_9.6\"", "listeners"),
        (port_that_says(b""), "closes the connection when it is asked", "controller.listener.names"),
        (hangs, "takes the connection and says nothing", "hangs"),
        (format!("127.0.0.1:{}", free_port()), "Nothing listens at", "Start the broker"),
    ] {
        let (wrong, remedy) = trouble(&address);
        assert!(wrong.contains(what) && remedy.contains(setting), "{address}: {wrong} {remedy}");
    }
    drop(broker);
}

/// A TLS server that hears nonsense and hangs up without a word speaks TLS when it is greeted in TLS.
#[test]
fn a_silent_tls_port_is_found_by_a_second_question() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
    let address = listener.local_addr().expect("bound").to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut first = [0; 512];
            if stream.read(&mut first).is_ok_and(|count| count > 0 && first[0] == 0x16) {
                let _ = stream.write_all(&[0x16, 3, 3, 0, 0]);
            }
        }
    });
    assert!(trouble(&address).0.contains("speaks TLS"));
}

#[test]
fn a_command_line_without_a_place_is_refused() {
    for place in [&["doctor", "connect"][..], &["doctor", "connect", "localhost"], &["doctor", "connect", ":9092"]] {
        let code = Command::new(broker::OTTLA).args(place).output().expect("the program was built for this test").status.code();
        assert_eq!(code, Some(2), "{place:?}");
    }
}
