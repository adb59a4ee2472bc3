//! One life of one broker: recovery, sockets, the real node.

use super::disk::MadDisk;
use super::io::MadHost;
use super::world::{HALTED_US, SharedWorld};
use crate::dice::{Stream, draw};
use crate::report::FailureKind;
use madsim::net::TcpListener;
use ottla_core::controller::ListenerEndpoint;
use ottla_core::disk::FileName;
use ottla_core::ids::BrokerId;
use ottla_core::output::Outputs;
use ottla_core::{BrokerConfig, Recovery, RecoveryStep};
use ottla_net::{ClientLimits, Ended, Host, Inbox, Node, NodeSettings, PeerBook};

const CLUSTER_ID: &str = "c2ltdWxhdGVkLWNsdXN0ZXI";

/// Where a broker listens.
pub(super) fn address(node: usize, port: u16) -> String {
    format!("10.0.0.{}:{port}", node + 1)
}

/// One life of one broker.
pub(super) async fn broker(world: SharedWorld, node: usize) {
    let host = MadHost { world: world.clone(), node };
    let (config, inventory, life, brokers, verdict) = {
        let now = world.now_us();
        let mut guard = world.lock();
        let inner = &mut *guard;
        let brokers = inner.shape.brokers;
        let machine = &mut inner.machines[node];
        machine.life += 1;
        machine.is_up = true;
        machine.has_ended = false;
        machine.down_us = HALTED_US;
        let life = machine.life;
        machine.clock.boot(now, life);
        let inventory = machine.disk.start();
        let names: Vec<FileName> = machine.disk.files().collect();
        let files = names.iter().filter_map(|n| machine.disk.content(*n).map(|(data, durable)| (*n, data, durable)));
        let verdict = inner.watch.looked(node, inventory.groups.iter().copied(), files);
        inner.trace.line(now, &format!("b{node}"), &format!("starts, life {life}"));
        let config = BrokerConfig {
            cluster_id: CLUSTER_ID.to_string(),
            broker: crate::cluster::broker_id(node),
            voters: (0..brokers).map(crate::cluster::broker_id).collect(),
            listeners: ListenerEndpoint::alone(format!("10.0.0.{}", node + 1), 9092),
            rack: inner.shape.racks.get(node).cloned(),
            seed: draw(inner.seed, Stream::Broker, &[u64::try_from(node).expect("few"), life]).next(),
            raft: inner.shape.raft,
            settings: inner.shape.settings.clone(),
            mutant: inner.shape.mutant,
        };
        (config, inventory, life, brokers, verdict)
    };
    world.judge(verdict);
    let mut outputs = Outputs::default();
    let mut recovery = Recovery::new(config, inventory);
    let broker = loop {
        match recovery.poll() {
            RecoveryStep::Read { file, position, length } => {
                let data = world.lock().machines[node].disk.read_now(file, position, length);
                match data {
                    Ok(data) => recovery.read_done(data),
                    Err(what) => {
                        world.fail(
                            FailureKind::Safety,
                            "recovery",
                            format!("Recovery of broker {node} reads what is there, but: {what}."),
                        );
                        return;
                    }
                }
            }
            RecoveryStep::Done => break recovery.finish(host.now(), &mut outputs),
            RecoveryStep::Halt(fatal) => {
                world.fail(
                    FailureKind::Safety,
                    "recovery",
                    format!(
                        "A broker starts from whatever a crash left of un-synced writes, but broker {node} refuses: {fatal}."
                    ),
                );
                return;
            }
        }
    };
    let (Ok(clients), Ok(peers)) = (TcpListener::bind(address(node, 9092)).await, TcpListener::bind(address(node, 9093)).await)
    else {
        world.fail(FailureKind::Harness, "harness", format!("Broker {node} can't bind its addresses."));
        return;
    };
    let (sender, receiver) = Inbox::new();
    let disk = MadDisk::start(world.clone(), node, life, sender.clone());
    let book = PeerBook {
        cluster_id: CLUSTER_ID.to_string(),
        broker: crate::cluster::broker_id(node),
        boot: draw(life, Stream::Broker, &[u64::try_from(node).expect("few"), 77]).next(),
        peers: (0..brokers).filter(|n| *n != node).map(|n| (peer_id(n), address(n, 9093))).collect(),
    };
    let log = slog::Logger::root(slog::Discard, slog::o!());
    let limits = ClientLimits { connections_max: 100, ..ClientLimits::default() };
    let settings = NodeSettings { clients: vec![clients], peers: Some(peers), book, limits, log };
    world.lock().machines[node].inbox = Some(sender.clone());
    world.tell_room(node);
    let node_loop = Node::start(host, (broker, outputs), disk, (sender, receiver), settings);
    let ended = node_loop.run().await;
    if let Ended::Halted(fatal) = ended {
        world.note_fault(format!("broker {node} halted: {fatal}"));
        world.lock().counters.halts += 1;
    } else {
        world.lock().counters.stops += 1;
    }
    world.lock().machines[node].has_ended = true;
    // The supervisor takes it from here.
    std::future::pending::<()>().await;
}

fn peer_id(node: usize) -> BrokerId {
    crate::cluster::broker_id(node)
}
