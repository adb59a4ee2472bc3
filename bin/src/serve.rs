//! `ottla serve`: one broker, from its files to a loop that runs until it is told to stop.
//!
//! Composition only: reads the configuration, opens the data folder, lets the core recover, binds the ports and runs the node. What is
//! wrong before the first request is one plain sentence on stderr and exit code 1; so is a halt. `kill -9` is a supported stop.

use crate::configuration::{
    Finding, LOG_FORMAT, LOG_LEVEL, Layers, LogFormat, LogSettings, METRICS_LISTENER, MetricsPlace, NodeConfiguration, Sources,
    Thoroughness, id_text,
};
use crate::data_folder::DataFolder;
use crate::disk::{FileDisk, Layout, read_exact, settle};
use crate::host::TokioHost;
use crate::logs::{self, Dropped, Logs};
use crate::metrics::{Counted, Metrics};
use bytes::Bytes;
use clap::Args;
use ottla_core::config::BrokerSettings;
use ottla_core::controller::ListenerEndpoint;
use ottla_core::disk::FileName;
use ottla_core::input::Input;
use ottla_core::mutant::Mutant;
use ottla_core::output::Outputs;
use ottla_core::{Broker, BrokerConfig, Recovery, RecoveryStep};
use ottla_net::{ClientLimits, Ended, Host, Inbox, Node, NodeSettings, PeerBook};
use slog::{Logger, error, info, o, warn};
use std::fs::File;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::LocalSet;

/// The part of the process's file handles that clients may take.
const HANDLES_FOR_CLIENTS: usize = 2;
/// The part of them that the disk keeps open, and again for files that wait to be flushed. A tenth is left for threads, peers and strangers.
const HANDLES_FOR_FILES: usize = 5;

const EXAMPLES: &str = "\
Where a setting stands in several places, --set counts over the environment, the environment over the file, the file over the default.
The environment is that of Kafka's container images: KAFKA_LOG_DIRS is log.dirs. A data folder needs no format step.

Examples:
  ottla serve --config server.properties
  ottla serve --config server.toml --set log.retention.ms=86400000
  KAFKA_NODE_ID=1 KAFKA_LOG_DIRS=/var/lib/ottla ottla serve
  ottla config check server.properties";

/// Runs a broker.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Serve {
    /// The broker's settings: Kafka's `.properties`, or TOML if the name ends in `.toml`.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// One setting; may come more than once, the last of one name counts.
    #[arg(long, value_name = "KEY=VALUE", value_parser = crate::cli::key_and_value)]
    set: Vec<(String, String)>,
    /// Where to serve /metrics and /health, or `off`; the same as --set ottla.metrics.listener=...
    #[arg(long, value_name = "HOST:PORT")]
    metrics: Option<String>,
    /// How log lines on stderr look: human or json; the same as --set ottla.log.format=... With json, stderr has JSON lines only and stdout
    /// nothing.
    #[arg(long, value_name = "FORMAT", value_parser = ["human", "json"])]
    log_format: Option<String>,
    /// The least that is logged: error, warn, info or debug; the same as --set ottla.log.level=...
    #[arg(long, value_name = "LEVEL", value_parser = ["error", "warn", "info", "debug"])]
    log_level: Option<String>,
    /// Show what happens to every connection as well: --log-level debug.
    #[arg(long)]
    verbose: bool,
    /// Stop gracefully when standard input ends: a parent that is gone takes its brokers with it.
    #[arg(long, hide = true)]
    stop_with_parent: bool,
}

impl Serve {
    /// Runs until the end.
    pub fn run(self) -> ExitCode {
        stop_on_panic();
        let layers = match self.sources().read() {
            Ok(layers) => layers,
            Err(reason) => return complain(&reason),
        };
        let settings = LogSettings::read(&layers.counting()).0;
        let (log, logs) = match logs::start(settings) {
            Ok(started) => started,
            Err(error) => return complain(&format!("No thread for the log: {error}.")),
        };
        let ended = self.serve(&layers, &log, &logs);
        let log = as_serve(&log);
        if let (Err(reason), LogFormat::Json) = (&ended, settings.format) {
            // Who reads JSON reads nothing else; each sentence is a line.
            reason.lines().for_each(|line| error!(log, "{}", line));
        }
        logs.finish();
        match (ended, settings.format) {
            (Ok(()), _) => ExitCode::SUCCESS,
            (Err(_), LogFormat::Json) => ExitCode::FAILURE,
            (Err(reason), LogFormat::Human) => complain(&reason),
        }
    }

    /// The places its settings come from. An option of its own is a setting.
    fn sources(&self) -> Sources {
        let level = self.log_level.clone().or_else(|| self.verbose.then(|| "debug".to_string()));
        let options = [(METRICS_LISTENER, self.metrics.clone()), (LOG_FORMAT, self.log_format.clone()), (LOG_LEVEL, level)];
        let options = options.into_iter().filter_map(|(name, value)| Some((name.to_string(), value?)));
        Sources::of_process(self.config.clone(), self.set.iter().cloned().chain(options).collect())
    }

    fn serve(&self, layers: &Layers, log: &Logger, logs: &Logs) -> Result<(), String> {
        let node = configuration(layers, &as_serve(log))?;
        let log = log.new(o!("broker" => node.broker.0));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| format!("The runtime can't be started: {error}."))?;
        let is_quiet = LogSettings::read(&layers.counting()).0.format == LogFormat::Json;
        let shell = Shell { log, lines_dropped: logs.dropped(), is_quiet, stop_with_parent: self.stop_with_parent };
        LocalSet::new().block_on(&runtime, run(node, shell))
    }
}

/// What a broker has around it besides its configuration.
struct Shell {
    log: Logger,
    lines_dropped: Dropped,
    /// Nothing but the log speaks.
    is_quiet: bool,
    stop_with_parent: bool,
}

/// What this file itself has to say; a part of the broker has a component of its own.
fn as_serve(log: &Logger) -> Logger {
    log.new(o!("component" => "serve"))
}

/// One plain sentence on stderr.
fn complain(reason: &str) -> ExitCode {
    eprintln!("{reason}");
    ExitCode::FAILURE
}

/// What this broker is told. What is ignored gets a warning, what is wrong is told all at once.
fn configuration(layers: &Layers, log: &Logger) -> Result<NodeConfiguration, String> {
    let judgement = layers.judge(Thoroughness::Counting);
    for remark in &judgement.remarks {
        warn!(log, "{}", remark);
    }
    if !judgement.idle.is_empty() {
        let names: Vec<&str> = judgement.idle.iter().map(|entry| entry.name.as_str()).collect();
        info!(log, "settings without effect here: {}", names.join(", "));
    }
    let Some(node) = judgement.node else {
        let faults: Vec<String> = judgement.faults.iter().map(Finding::to_string).collect();
        return Err(faults.join("\n"));
    };
    Ok(node)
}

/// A broken invariant stops the broker, on whatever thread or task it shows: a broker with a part missing would only look alive.
fn stop_on_panic() {
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |what| {
        tell(what);
        std::process::abort();
    }));
}

async fn run(node: NodeConfiguration, shell: Shell) -> Result<(), String> {
    let log = &as_serve(&shell.log);
    let boot = entropy().map_err(|error| format!("No randomness from the system: {error}."))?;
    let folder = DataFolder::open(
        &node.data,
        node.broker,
        node.cluster_id.as_deref(),
        &node.fresh_cluster_id(boot[0]),
        &id_text([boot[1], boot[2]]),
    )?;
    tell_start(&node, &folder, log);
    let host = TokioHost::new();
    let (inbox, receiver) = Inbox::new();
    // Ports before recovery: a broker that can't be reached should say so before it reads for long.
    let mut clients = Vec::new();
    for listener in &node.clients {
        clients.push(bind(&host, "listeners", &listener.address.to_bind()).await?);
    }
    let peers = match &node.peers {
        Some(address) => Some(bind(&host, "listeners", &address.to_bind()).await?),
        None => None,
    };
    let (metrics, metrics_place) = serve_metrics(&node.metrics, log)?.unzip();
    let config = broker_config(&node, folder.cluster_id(), boot[3]);
    let (layout, broker) = recover(&host, config, &folder, log)?;
    let handles = handles_max();
    let disk = FileDisk::start(layout, inbox.clone(), handles / HANDLES_FOR_FILES, node.disk_reserve)
        .map_err(|error| format!("No threads for the disk: {error}."))?;
    let (lookout, flushes) = (inbox.lookout(), disk.flushes());
    let book = PeerBook {
        cluster_id: folder.cluster_id().to_string(),
        broker: node.broker,
        boot: boot[0],
        peers: node
            .voters
            .iter()
            .filter(|(id, _)| *id != node.broker)
            .filter_map(|(id, address)| Some((*id, address.as_ref()?.to_string())))
            .collect(),
    };
    stop_on_signals(&inbox, shell.stop_with_parent, log)?;
    let limits = BrokerSettings::parse(&node.for_core()).map_err(|reason| format!("{reason}."))?;
    let limits = ClientLimits::new(&limits, handles / HANDLES_FOR_CLIENTS);
    let settings = NodeSettings { clients, peers, book, limits, log: shell.log.clone() };
    let running = Node::start(host, broker, disk, (inbox, receiver), settings);
    if let Some(metrics) = metrics {
        metrics.running(lookout, Counted { flushes, lines_dropped: shell.lines_dropped.clone() });
    }
    info!(log, "ready: connections are accepted"; "metrics" => metrics_place.as_deref());
    if !shell.is_quiet {
        announce(&node, folder.cluster_id(), metrics_place.as_deref());
    }
    match running.run().await {
        Ended::Stopped => {
            info!(log, "stopped");
            Ok(())
        }
        Ended::Halted(fatal) => Err(format!("Broker {} stops: {fatal}.", node.broker.0)),
    }
}

/// The first line: everything about this broker that a reader of its log wants to know first.
fn tell_start(node: &NodeConfiguration, folder: &DataFolder, log: &Logger) {
    let clients = node.clients.iter().map(|at| format!("{}://{} advertised as {}", at.name, at.address.to_bind(), at.advertised));
    info!(log, "Ottla starts";
        "fsync" => "before every acknowledgement of acks=all",
        "data" => %folder.path().display(),
        "voters" => node.voters.iter().map(|(id, _)| id.0.to_string()).collect::<Vec<_>>().join(","),
        "brokers_listener" => node.peers.as_ref().map(|peers| peers.to_bind()),
        "listeners" => clients.collect::<Vec<_>>().join(", "),
        "cluster" => folder.cluster_id(),
        "pid" => std::process::id(),
        "version" => env!("CARGO_PKG_VERSION"),
    );
}

async fn bind(host: &TokioHost, setting: &str, address: &str) -> Result<tokio::net::TcpListener, String> {
    host.listen(address).await.map_err(|error| format!("{setting}: {address} can't be listened on: {error}."))
}

/// Serves metrics where the configuration says, and says where that is.
fn serve_metrics(place: &MetricsPlace, log: &Logger) -> Result<Option<(Metrics, String)>, String> {
    let address = match place {
        MetricsPlace::Off => return Ok(None),
        MetricsPlace::At(address) | MetricsPlace::ByDefault(address) => address,
    };
    let bound = std::net::TcpListener::bind(address.to_bind());
    let listener = match (bound, place) {
        (Ok(listener), _) => listener,
        (Err(error), MetricsPlace::ByDefault(_)) => {
            warn!(
                log,
                "no metrics and no health: {address} can't be listened on ({error}); set {METRICS_LISTENER} to another address, or off"
            );
            return Ok(None);
        }
        (Err(error), _) => return Err(format!("{METRICS_LISTENER}: {address} can't be listened on: {error}.")),
    };
    let shown = listener.local_addr().map_or_else(|_| address.to_string(), |address| address.to_string());
    let metrics = Metrics::serve(listener).map_err(|error| format!("Metrics can't be served: {error}."))?;
    Ok(Some((metrics, shown)))
}

fn broker_config(node: &NodeConfiguration, cluster_id: &str, seed: u64) -> BrokerConfig {
    BrokerConfig {
        cluster_id: cluster_id.to_string(),
        broker: node.broker,
        voters: node.voters.iter().map(|(id, _)| *id).collect(),
        listeners: node
            .clients
            .iter()
            .map(|listener| ListenerEndpoint {
                name: listener.name.clone(),
                host: listener.advertised.host.clone(),
                port: listener.advertised.port,
            })
            .collect(),
        rack: node.rack.clone(),
        seed,
        raft: ottla_core::broker::RaftSettings::default(),
        settings: node.for_core(),
        mutant: Mutant::default(),
    }
}

/// Lets the core rebuild itself from the folder.
fn recover(
    host: &TokioHost,
    config: BrokerConfig,
    folder: &DataFolder,
    log: &Logger,
) -> Result<(Layout, (Broker, Outputs)), String> {
    let began = std::time::Instant::now();
    let unreadable = |error: std::io::Error| format!("The data folder {} can't be read: {error}.", folder.path().display());
    let (layout, inventory) = Layout::scan(folder.path()).map_err(unreadable)?;
    settle(&layout, &inventory).map_err(unreadable)?;
    let mut recovery = Recovery::new(config, inventory);
    let mut open: Option<(FileName, File)> = None;
    loop {
        match recovery.poll() {
            RecoveryStep::Read { file, position, length } => {
                let data = read(&layout, &mut open, file, position, length).map_err(unreadable)?;
                recovery.read_done(data);
            }
            RecoveryStep::Done => break,
            RecoveryStep::Halt(fatal) => return Err(format!("The broker does not start: {fatal}.")),
        }
    }
    let mut first = Outputs::default();
    let broker = recovery.finish(host.now(), &mut first);
    let bytes: u64 = broker.logs().map(|(_, log)| log.bytes()).sum();
    let segments: usize = broker.logs().map(|(_, log)| log.segments()).sum();
    info!(log, "logs recovered";
        "took_ms" => u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
        "bytes" => bytes, "segments" => segments, "logs" => broker.logs().count());
    Ok((layout, (broker, first)))
}

/// Reads for recovery, keeping the last file open: it is read in pieces.
fn read(
    layout: &Layout,
    open: &mut Option<(FileName, File)>,
    name: FileName,
    position: u64,
    length: u32,
) -> std::io::Result<Bytes> {
    if open.as_ref().is_none_or(|(kept, _)| *kept != name) {
        let path = layout.path(name).ok_or_else(|| std::io::Error::other(format!("{name:?} has no folder")))?;
        *open = Some((name, File::open(path)?));
    }
    let (_, file) = open.as_ref().expect("it was opened above");
    read_exact(file, position, length)
}

fn stop_on_signals(inbox: &Inbox, with_parent: bool, log: &Logger) -> Result<(), String> {
    for (kind, name) in [(SignalKind::terminate(), "SIGTERM"), (SignalKind::interrupt(), "SIGINT")] {
        let mut signals = signal(kind).map_err(|error| format!("Signals can't be watched: {error}."))?;
        let (inbox, log) = (inbox.clone(), log.clone());
        tokio::task::spawn_local(async move {
            while signals.recv().await.is_some() {
                info!(log, "told to stop"; "by" => name);
                inbox.send(Input::Stop);
            }
        });
    }
    if with_parent {
        let (inbox, log) = (inbox.clone(), log.clone());
        let watch = move || {
            let _ = std::io::stdin().read_to_end(&mut Vec::new());
            info!(log, "told to stop"; "by" => "the end of its parent");
            inbox.send(Input::Stop);
        };
        std::thread::Builder::new().name("parent".to_string()).spawn(watch).map_err(|error| format!("No thread: {error}."))?;
    }
    Ok(())
}

/// The line that scripts wait for.
fn announce(node: &NodeConfiguration, cluster_id: &str, metrics: Option<&str>) {
    let peers = node.peers.as_ref().map_or_else(String::new, |address| format!(", brokers {}", address.to_bind()));
    let metrics = metrics.map_or_else(String::new, |address| format!(", metrics http://{address}/metrics"));
    let clients: Vec<String> = match node.clients.as_slice() {
        [alone] => vec![alone.address.to_bind()],
        several => several.iter().map(|listener| format!("{}://{}", listener.name, listener.address.to_bind())).collect(),
    };
    let clients = clients.join(" ");
    let line = format!("Broker {} is ready: clients {clients}{peers}{metrics}, cluster {cluster_id}", node.broker.0);
    let mut out = std::io::stdout();
    // Nobody may be listening any more: that is no reason to stop.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Numbers that no other life has.
fn entropy() -> std::io::Result<[u64; 4]> {
    let mut bytes = [0; 32];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(std::array::from_fn(|place| u64::from_le_bytes(std::array::from_fn(|byte| bytes[place * 8 + byte]))))
}

/// How many files and sockets this process may have open, read from the kernel; a careful guess where it does not say.
fn handles_max() -> usize {
    const GUESS: usize = 1024;
    const USEFUL: usize = 20_000;
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find(|line| line.starts_with("Max open files"));
    let soft = line.and_then(|line| line.split_whitespace().nth(3)).and_then(|soft| soft.parse().ok());
    soft.unwrap_or(GUESS).min(USEFUL)
}
