//! Links between brokers over real sockets of loopback.

use crate::host::TokioHost;
use bytes::Bytes;
use ottla_core::ids::BrokerId;
use ottla_core::input::Input;
use ottla_core::output::PeerClass;
use ottla_net::limits::{HELLO_BYTES_MAX, STRANGERS_MAX};
use ottla_net::{Host, Inbox, InboxReceiver, PeerBook, Peers};
use slog::{Discard, Logger, o};
use std::future::Future;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::LocalSet;

const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    LocalSet::new().block_on(&runtime, async { tokio::time::timeout(PATIENCE, test).await.expect("it ends in time") });
}

/// Links of broker `id` of `cluster`, listening, to whom `others` says.
pub(crate) fn broker(
    host: &TokioHost,
    cluster: &str,
    id: i32,
    listener: TcpListener,
    others: &[(i32, u16)],
) -> (Peers, InboxReceiver) {
    let (inbox, receiver) = Inbox::new();
    let peers = others.iter().map(|(id, port)| (BrokerId(*id), format!("127.0.0.1:{port}"))).collect();
    let book = PeerBook { cluster_id: cluster.to_string(), broker: BrokerId(id), boot: 1, peers };
    let links = Peers::new(book, inbox, Logger::root(Discard, o!()));
    links.serve(host, Some(listener));
    (links, receiver)
}

pub(crate) async fn listener(host: &TokioHost) -> (TcpListener, u16) {
    let listener = host.listen("127.0.0.1:0").await.expect("loopback works");
    let port = listener.local_addr().expect("bound").port();
    (listener, port)
}

pub(crate) async fn frames(inbox: &mut InboxReceiver, count: usize) -> Vec<Bytes> {
    let mut frames = Vec::new();
    while frames.len() < count {
        if let Some(Input::Peer { frame, .. }) = inbox.next().await {
            frames.push(frame);
        }
    }
    frames
}

pub(crate) async fn up(inbox: &mut InboxReceiver) {
    while !matches!(inbox.next().await, Some(Input::PeerUp { .. })) {}
}

#[test]
fn frames_of_a_class_arrive_whole_and_in_order() {
    run(async {
        let host = TokioHost::new();
        let ((one, one_port), (two, two_port)) = (listener(&host).await, listener(&host).await);
        let (sender, mut sender_inbox) = broker(&host, "c", 1, one, &[(2, two_port)]);
        let (_receiver, mut inbox) = broker(&host, "c", 2, two, &[(1, one_port)]);
        up(&mut sender_inbox).await;
        let sent: Vec<Bytes> =
            (0..50_usize).map(|number| Bytes::from(vec![u8::try_from(number).expect("few"); number * number * 100])).collect();
        for frame in &sent[1..] {
            let (head, tail) = (frame.slice(..10), frame.slice(10..));
            sender.send(BrokerId(2), PeerClass::Data, vec![head, tail]);
        }
        assert_eq!(frames(&mut inbox, 49).await, sent[1..]);
    });
}

#[test]
fn a_broker_of_another_cluster_is_never_up() {
    run(async {
        let host = TokioHost::new();
        let ((one, one_port), (two, two_port)) = (listener(&host).await, listener(&host).await);
        let (_one, mut inbox) = broker(&host, "mine", 1, one, &[(2, two_port)]);
        let (_two, mut other) = broker(&host, "theirs", 2, two, &[(1, one_port)]);
        assert!(matches!(inbox.next().await, Some(Input::PeerDown { peer: BrokerId(2) })));
        assert!(matches!(other.next().await, Some(Input::PeerDown { peer: BrokerId(1) })));
        let later = tokio::time::timeout(Duration::from_millis(500), up(&mut inbox)).await;
        assert!(later.is_err(), "it was told up");
    });
}

#[test]
fn a_peer_that_comes_back_is_told_down_and_up() {
    run(async {
        let host = TokioHost::new();
        let ((one, one_port), (two, two_port)) = (listener(&host).await, listener(&host).await);
        let (links, mut inbox) = broker(&host, "c", 1, one, &[(2, two_port)]);
        // The other broker lives in a task set of its own, so that all of it can be dropped at once.
        let life = LocalSet::new();
        life.run_until(async {
            let (_links, mut other) = broker(&host, "c", 2, two, &[(1, one_port)]);
            up(&mut other).await;
            up(&mut inbox).await;
        })
        .await;
        drop(life);
        assert!(matches!(inbox.next().await, Some(Input::PeerDown { peer: BrokerId(2) })));
        links.send(BrokerId(2), PeerClass::Control, vec![Bytes::from_static(b"lost")]);
        let again = host.listen(&format!("127.0.0.1:{two_port}")).await.expect("free again");
        let (_links, mut other) = broker(&host, "c", 2, again, &[(1, one_port)]);
        up(&mut inbox).await;
        links.send(BrokerId(2), PeerClass::Control, vec![Bytes::from_static(b"kept")]);
        assert_eq!(frames(&mut other, 1).await, [Bytes::from_static(b"kept")]);
    });
}

#[test]
fn garbage_on_the_brokers_port_disturbs_nobody() {
    run(async {
        let host = TokioHost::new();
        let ((one, one_port), (two, two_port)) = (listener(&host).await, listener(&host).await);
        let mut garbage = Vec::new();
        for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0xff; 64], &[4, 0, 0, 0, 1, 2, 3, 4], b""] {
            let mut stream = TcpStream::connect(("127.0.0.1", two_port)).await.expect("listening");
            stream.write_all(bytes).await.expect("connected");
            garbage.push(stream);
        }
        let (sender, mut sender_inbox) = broker(&host, "c", 1, one, &[(2, two_port)]);
        let (_receiver, mut inbox) = broker(&host, "c", 2, two, &[(1, one_port)]);
        up(&mut sender_inbox).await;
        sender.send(BrokerId(2), PeerClass::Control, vec![Bytes::from_static(b"hello")]);
        assert_eq!(frames(&mut inbox, 1).await, [Bytes::from_static(b"hello")]);
    });
}

/// Whether the other end has closed the connection; waits for that.
pub(crate) async fn is_closed(stream: &mut TcpStream) -> bool {
    matches!(stream.read(&mut [0]).await, Ok(0) | Err(_))
}

#[test]
fn of_connections_that_say_nothing_to_the_brokers_port_there_are_so_many_and_no_more() {
    run(async {
        let host = TokioHost::new();
        let (one, port) = listener(&host).await;
        let (_links, _inbox) = broker(&host, "c", 1, one, &[(2, 1)]);
        let mut silent = Vec::new();
        for _ in 0..STRANGERS_MAX {
            silent.push(TcpStream::connect(("127.0.0.1", port)).await.expect("listening"));
        }
        let mut late = TcpStream::connect(("127.0.0.1", port)).await.expect("listening");
        assert!(is_closed(&mut late).await, "there is one too many");
        assert!(silent.iter().all(|stream| stream.try_read(&mut [0]).is_err()), "those before it may still say something");
        for mut stream in silent {
            assert!(is_closed(&mut stream).await, "but not for ever");
        }
        let mut large = TcpStream::connect(("127.0.0.1", port)).await.expect("listening");
        let mut waits = TcpStream::connect(("127.0.0.1", port)).await.expect("listening");
        let size = u32::try_from(HELLO_BYTES_MAX + 1).expect("small").to_le_bytes();
        large.write_all(&size).await.expect("connected");
        assert!(is_closed(&mut large).await, "no hello is so large");
        assert!(waits.try_read(&mut [0]).is_err(), "that was not for its silence");
        assert!(is_closed(&mut waits).await);
    });
}

#[test]
fn a_slow_peer_costs_its_frames_and_is_told_down_and_up() {
    run(async {
        let host = TokioHost::new();
        let ((one, one_port), (two, two_port)) = (listener(&host).await, listener(&host).await);
        let (sender, mut sender_inbox) = broker(&host, "c", 1, one, &[(2, two_port)]);
        let (receiver, mut inbox) = broker(&host, "c", 2, two, &[(1, one_port)]);
        up(&mut sender_inbox).await;
        // 96 MiB at once, while the task that writes has no turn: more than an outbox holds.
        let frame = Bytes::from(vec![7; 1 << 20]);
        for _ in 0..96 {
            sender.send(BrokerId(2), PeerClass::Data, vec![frame.clone()]);
        }
        let got = frames(&mut inbox, 20).await;
        assert!(got.iter().all(|got| *got == frame));
        // Nobody takes more of them: reading stops, but the peer is not taken for dead.
        tokio::time::sleep(Duration::from_secs(4)).await;
        for _ in 0..20 {
            receiver.taken(BrokerId(1), frame.len());
        }
        loop {
            match inbox.next().await {
                Some(Input::Peer { frame, .. }) => receiver.taken(BrokerId(1), frame.len()),
                Some(Input::PeerDown { .. }) => panic!("it was taken for dead"),
                Some(_) => {}
                None => unreachable!("the links live"),
            }
            if let Ok(told) = tokio::time::timeout(Duration::ZERO, sender_inbox.next()).await {
                assert!(matches!(told, Some(Input::PeerDown { .. })));
                break;
            }
        }
        assert!(matches!(sender_inbox.next().await, Some(Input::PeerUp { .. })));
    });
}
