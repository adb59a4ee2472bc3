//! The server against sockets; what it says of a broker is tested with the real program in `bin/tests/metrics.rs`.

use super::*;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream as Socket};

fn served() -> (Metrics, SocketAddr) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    (Metrics::serve(listener).expect("a thread"), address)
}

/// Everything that is answered to these bytes.
fn talk(address: SocketAddr, bytes: &[u8]) -> String {
    let mut socket = Socket::connect(address).expect("it listens");
    socket.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
    // A server that has heard enough may close before all is sent.
    let _ = socket.write_all(bytes);
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn a_broker_that_starts_is_not_well() {
    let (_metrics, address) = served();
    for path in ["/health", "/health/live", "/health/ready", "/metrics"] {
        let answer = talk(address, format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").as_bytes());
        assert!(
            answer.starts_with("HTTP/1.1 503 ")
                && answer.ends_with("\r\n\r\nThe broker reads its logs and does not serve yet.\n"),
            "{answer}"
        );
    }
}

#[test]
fn a_broker_that_ended_or_hangs_is_told_apart() {
    let (metrics, address) = served();
    let (inbox, receiver) = ottla_net::Inbox::new();
    metrics.running(inbox.lookout(), Counted::default());
    let ask = || talk(address, b"GET /health/live HTTP/1.0\r\n\r\n");
    assert!(ask().contains("The broker's loop said nothing for 2 seconds."));
    drop(receiver);
    assert!(ask().contains("The broker stops."));
}

#[test]
fn what_is_not_understood_is_refused() {
    let (_metrics, address) = served();
    let post = talk(address, b"POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc");
    assert!(post.starts_with("HTTP/1.1 405 ") && post.contains("allow: GET, HEAD"), "{post}");
    assert!(talk(address, b"GET /nothing HTTP/1.0\r\n\r\n").starts_with("HTTP/1.0 404 "));
    assert!(talk(address, b"\0\x12\0\0\0\0\0\x01\xff\xff\r\n\r\n").starts_with("HTTP/1.1 400 "));
    let long = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(HEAD_BYTES_MAX));
    assert!(talk(address, long.as_bytes()).starts_with("HTTP/1.1 431 "));
}

#[test]
fn who_says_nothing_and_who_comes_too_many_are_closed() {
    let (_metrics, address) = served();
    let silent: Vec<Socket> = (0..CONNECTIONS_MAX).map(|_| Socket::connect(address).expect("it listens")).collect();
    thread::sleep(Duration::from_millis(200));
    assert_eq!(talk(address, b"GET / HTTP/1.0\r\n\r\n"), "", "there is no place");
    for mut socket in silent {
        socket.set_read_timeout(Some(HEAD_MAX * 3)).expect("a timeout");
        assert_eq!(socket.read_to_end(&mut Vec::new()).ok(), Some(0), "the head came too late");
    }
    assert!(talk(address, b"GET / HTTP/1.0\r\n\r\n").starts_with("HTTP/1.0 200 "));
}
