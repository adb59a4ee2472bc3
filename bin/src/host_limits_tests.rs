//! The bounds of the links between brokers and of the loop, each with its defined answer, over real sockets of loopback.
//!
//! Times are compared from one side only: a slow machine makes these tests slower and never red.

use crate::disk::{FileDisk, Layout};
use crate::host::TokioHost;
use crate::host_tests::{broker, frames, is_closed, listener, run, up};
use crate::scratch::Scratch;
use bytes::Bytes;
use ottla_core::controller::ListenerEndpoint;
use ottla_core::ids::BrokerId;
use ottla_core::input::Input;
use ottla_core::mutant::Mutant;
use ottla_core::output::{Outputs, PeerClass};
use ottla_core::{BrokerConfig, Recovery, RecoveryStep};
use ottla_net::limits::{
    HELLO_MS_MAX, PEER_PING_MS, PEER_RETRY_MS_MAX, PEER_RETRY_MS_MIN, PEER_SILENCE_MS_MAX, PEER_UNREAD_BYTES_MAX,
    ROUND_INPUTS_MAX,
};
use ottla_net::{ClientLimits, Host, Inbox, InboxReceiver, Node, NodeSettings, PeerBook};
use slog::{Discard, Logger, o};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::spawn_local;

const MS: Duration = Duration::from_millis(1);

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// Whether the next thing told comes within this time.
async fn tells(inbox: &mut InboxReceiver, within: Duration) -> Option<Input> {
    tokio::time::timeout(within, inbox.next()).await.ok().flatten()
}

#[test]
fn who_says_no_hello_is_waited_for_so_long() {
    run(async {
        let host = TokioHost::new();
        let (one, port) = listener(&host).await;
        let (_links, _inbox) = broker(&host, "c", 1, one, &[(2, 1)]);
        let began = Instant::now();
        let mut silent = TcpStream::connect(("127.0.0.1", port)).await.expect("listening");
        assert!(is_closed(&mut silent).await);
        assert!(began.elapsed() + MS >= ms(HELLO_MS_MAX), "after {:?}", began.elapsed());
    });
}

#[test]
fn who_answers_no_hello_is_told_down_and_dialled_again() {
    run(async {
        let host = TokioHost::new();
        let ((one, _), (mute, mute_port)) = (listener(&host).await, listener(&host).await);
        let began = Instant::now();
        let (_links, mut inbox) = broker(&host, "c", 1, one, &[(2, mute_port)]);
        let mut held = Vec::new();
        for _ in 0..2 {
            held.push(mute.accept().await.expect("both classes are dialled"));
        }
        assert!(matches!(inbox.next().await, Some(Input::PeerDown { peer: BrokerId(2) })));
        assert!(began.elapsed() + MS >= ms(HELLO_MS_MAX), "after {:?}", began.elapsed());
        held.push(mute.accept().await.expect("it tries again"));
    });
}

#[test]
fn tries_to_reach_a_lost_peer_become_rarer_up_to_a_bound() {
    run(async {
        let host = TokioHost::new();
        let ((one, _), (deaf, deaf_port)) = (listener(&host).await, listener(&host).await);
        let began = Instant::now();
        let (_links, _inbox) = broker(&host, "c", 1, one, &[(2, deaf_port)]);
        let (mut pause_ms, mut earliest_ms) = (PEER_RETRY_MS_MIN, 0);
        // Two more tries than it takes to reach the longest pause.
        let mut longest = 0;
        while longest < 2 {
            for _ in 0..2 {
                // Dropped at once: the hello is not answered.
                drop(deaf.accept().await.expect("it tries again"));
            }
            assert!(began.elapsed() + MS >= ms(earliest_ms), "a try after {:?}, not before {earliest_ms} ms", began.elapsed());
            earliest_ms += pause_ms;
            longest += u32::from(pause_ms == PEER_RETRY_MS_MAX);
            pause_ms = (pause_ms * 2).min(PEER_RETRY_MS_MAX);
        }
    });
}

/// Two brokers, the first of which dials the second through a relay that can fall silent with its sockets open.
struct Relay {
    is_silent: Rc<Cell<bool>>,
    /// Bytes from the dialler, and back.
    bytes: Rc<RefCell<[usize; 2]>>,
}

impl Relay {
    fn start(listener: TcpListener, to: u16) -> Relay {
        let relay = Relay { is_silent: Rc::default(), bytes: Rc::default() };
        let (is_silent, bytes) = (relay.is_silent.clone(), relay.bytes.clone());
        spawn_local(async move {
            while let Ok((dialler, _)) = listener.accept().await {
                let Ok(target) = TcpStream::connect(("127.0.0.1", to)).await else { continue };
                let ((from_dialler, to_dialler), (from_target, to_target)) = (dialler.into_split(), target.into_split());
                for (way, mut from, mut to) in [(0, from_dialler, to_target), (1, from_target, to_dialler)] {
                    let (is_silent, bytes) = (is_silent.clone(), bytes.clone());
                    spawn_local(async move {
                        let mut buffer = [0; 4096];
                        while let Ok(count @ 1..) = from.read(&mut buffer).await {
                            while is_silent.get() {
                                tokio::time::sleep(ms(10)).await;
                            }
                            bytes.borrow_mut()[way] += count;
                            if to.write_all(&buffer[..count]).await.is_err() {
                                break;
                            }
                        }
                    });
                }
            }
        });
        relay
    }
}

#[test]
fn an_idle_link_gives_signs_of_life_and_a_silent_one_is_made_anew() {
    run(async {
        let host = TokioHost::new();
        let ((one, one_port), (two, two_port)) = (listener(&host).await, listener(&host).await);
        let (between, relay_port) = listener(&host).await;
        let relay = Relay::start(between, two_port);
        let (_one, mut inbox) = broker(&host, "c", 1, one, &[(2, relay_port)]);
        let (_two, _other) = broker(&host, "c", 2, two, &[(1, one_port)]);
        up(&mut inbox).await;
        let hellos = *relay.bytes.borrow();
        assert!(
            tells(&mut inbox, ms(PEER_SILENCE_MS_MAX + 2 * PEER_PING_MS)).await.is_none(),
            "nothing happens while nothing is sent"
        );
        let now = *relay.bytes.borrow();
        assert!(now[0] > hellos[0] && now[1] > hellos[1], "signs of life go both ways: {hellos:?} {now:?}");
        relay.is_silent.set(true);
        let began = Instant::now();
        assert!(matches!(inbox.next().await, Some(Input::PeerDown { peer: BrokerId(2) })));
        let least = ms(PEER_SILENCE_MS_MAX - 2 * PEER_PING_MS);
        assert!(began.elapsed() >= least, "the last sign was {PEER_PING_MS} ms old or a little more: {:?}", began.elapsed());
        relay.is_silent.set(false);
        up(&mut inbox).await;
    });
}

#[test]
fn a_peer_is_read_from_while_its_frames_are_taken() {
    run(async {
        const FRAME_BYTES: usize = 1 << 20;
        const FRAMES: usize = PEER_UNREAD_BYTES_MAX / FRAME_BYTES;
        let host = TokioHost::new();
        let ((one, one_port), (two, two_port)) = (listener(&host).await, listener(&host).await);
        let (sender, mut sender_inbox) = broker(&host, "c", 1, one, &[(2, two_port)]);
        let (receiver, mut inbox) = broker(&host, "c", 2, two, &[(1, one_port)]);
        up(&mut sender_inbox).await;
        let frame = Bytes::from(vec![7; FRAME_BYTES]);
        for _ in 0..FRAMES + 8 {
            sender.send(BrokerId(2), PeerClass::Data, vec![frame.clone()]);
        }
        frames(&mut inbox, FRAMES).await;
        let further = tokio::time::timeout(ms(500), frames(&mut inbox, 1)).await;
        assert!(further.is_err(), "nobody took what is here already");
        receiver.taken(BrokerId(1), FRAME_BYTES);
        assert_eq!(frames(&mut inbox, 1).await.len(), 1, "there is room for one");
        for _ in 0..FRAMES {
            receiver.taken(BrokerId(1), FRAME_BYTES);
        }
        assert_eq!(frames(&mut inbox, 7).await.len(), 7);
    });
}

/// A broker alone, not running yet; its inbox and the port for clients.
pub(crate) async fn node(folder: &Scratch) -> (Node<TokioHost>, Inbox, u16) {
    let host = TokioHost::new();
    std::fs::create_dir_all(folder.path().join(crate::disk::META)).expect("writable");
    let (layout, inventory) = Layout::scan(folder.path()).expect("an empty folder");
    let config = BrokerConfig {
        cluster_id: "c".to_string(),
        broker: BrokerId(1),
        voters: vec![BrokerId(1)],
        listeners: vec![ListenerEndpoint { name: "PLAINTEXT".to_string(), host: "h".to_string(), port: 1 }],
        rack: None,
        seed: 1,
        raft: ottla_core::broker::RaftSettings::default(),
        settings: Vec::new(),
        mutant: Mutant::default(),
    };
    let mut recovery = Recovery::new(config, inventory);
    assert!(matches!(recovery.poll(), RecoveryStep::Done), "there is nothing to read");
    let mut first = Outputs::default();
    let broker = recovery.finish(host.now(), &mut first);
    let (inbox, receiver) = Inbox::new();
    let disk = FileDisk::start(layout, inbox.clone(), 100, 0).expect("threads");
    let book = PeerBook { cluster_id: "c".to_string(), broker: BrokerId(1), boot: 1, peers: Vec::new() };
    let (clients, port) = listener(&host).await;
    let log = Logger::root(Discard, o!());
    let settings = NodeSettings { clients: vec![clients], peers: None, book, limits: ClientLimits::default(), log };
    (Node::start(host, (broker, first), disk, (inbox.clone(), receiver), settings), inbox, port)
}

#[test]
fn a_round_takes_so_many_inputs_and_leaves_the_rest_for_the_next() {
    let folder = Scratch::new();
    run(async {
        let (node, inbox, _) = node(&folder).await;
        let lookout = inbox.lookout();
        // All of it is there before the first round: rounds that took everything would be one.
        for _ in 0..3 * ROUND_INPUTS_MAX {
            inbox.send(Input::Tick);
        }
        let look = lookout.look();
        let running = spawn_local(node.run());
        let seen = look.await.expect("it runs");
        assert!(seen.rounds >= 3, "{} rounds", seen.rounds);
        running.abort();
    });
}
