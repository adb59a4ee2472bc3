//! `ottla dev`: a whole cluster of real broker processes on loopback, made to be hurt.
//!
//! It writes one `.properties` file per broker and starts `ottla serve` with each; it knows nothing of records. A broker that somebody
//! kills is reported with the command that brings it back, and left alone: trying that out is what this is for. When `ottla dev`
//! ends, however it ends, the brokers it started stop.

use crate::configuration::{LOG_FORMAT, LOG_LEVEL, METRICS_LISTENER, belongs_to_kafka, parse_pairs};
use crate::probe::controller_of;
use clap::Args;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf, absolute};
use std::process::{Child, ChildStdin, Command, ExitCode, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};

/// Brokers' own ports are this much above their clients' ports.
const PEER_PORTS: u16 = 100;
/// Metrics are served this much above the clients' ports.
const METRICS_PORTS: u16 = 200;
const READY_MAX: Duration = Duration::from_secs(30);
const STOP_MAX: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(100);

const EXAMPLES: &str = "\
Examples:
  ottla dev
  ottla dev --nodes 1 --port 19092 --data /tmp/try --log-level debug";

/// Runs a cluster on this machine.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Dev {
    /// How many brokers.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=9))]
    nodes: u16,
    /// Where brokers keep their data, configuration and logs; used again by the next run.
    #[arg(long, value_name = "DIR", default_value = "ottla-data")]
    data: PathBuf,
    /// Clients' port of the first broker; the others follow.
    #[arg(long, default_value_t = 9092)]
    port: u16,
    /// How the brokers' logs look: human or json. Stays in their files, as all you write there.
    #[arg(long, value_name = "FORMAT", value_parser = ["human", "json"])]
    log_format: Option<String>,
    /// The least that is logged.
    #[arg(long, value_name = "LEVEL", value_parser = ["error", "warn", "info", "debug"])]
    log_level: Option<String>,
}

/// One broker process.
struct Running {
    id: u16,
    port: u16,
    config: PathBuf,
    log: PathBuf,
    child: Child,
    /// Closing it stops the broker gracefully.
    stdin: Option<ChildStdin>,
    ended: Option<ExitStatus>,
}

impl Dev {
    /// Runs until Ctrl-C.
    pub fn run(self) -> ExitCode {
        match self.dev() {
            Ok(()) => ExitCode::SUCCESS,
            Err(reason) => {
                eprintln!("{reason}");
                ExitCode::FAILURE
            }
        }
    }

    fn dev(&self) -> Result<(), String> {
        let data = absolute(&self.data).map_err(|error| format!("{} is no usable path: {error}.", self.data.display()))?;
        self.check_ports()?;
        let stops = watch_signals()?;
        let configs = self.write_configs(&data)?;
        let mut brokers = Vec::new();
        for (id, config) in (1..).zip(configs) {
            brokers.push(Running::start(id, self.port + id - 1, config)?);
        }
        let began = self.wait_until_ready(&mut brokers, &stops).map(|is_ready| {
            if is_ready {
                self.explain(&data, &brokers);
                watch(&mut brokers, &stops);
            }
        });
        stop(&mut brokers);
        began
    }

    fn check_ports(&self) -> Result<(), String> {
        if self.port.checked_add(METRICS_PORTS + self.nodes).is_none() {
            return Err(format!("--port {} leaves no room for the brokers' ports.", self.port));
        }
        for port in (0..self.nodes).flat_map(|id| [0, PEER_PORTS, METRICS_PORTS].map(|above| self.port + above + id)) {
            TcpListener::bind(("127.0.0.1", port))
                .map_err(|error| format!("Port {port} can't be used ({error}); stop what uses it or choose another --port."))?;
        }
        Ok(())
    }

    /// One configuration per broker. An existing cluster keeps its size: its controller knows its brokers.
    fn write_configs(&self, data: &Path) -> Result<Vec<PathBuf>, String> {
        let failed = |error: io::Error| format!("{} can't be prepared: {error}.", data.display());
        fs::create_dir_all(data).map_err(failed)?;
        let config = |id: u16| data.join(format!("broker-{id}.properties"));
        let existing = (1..=9).filter(|id| config(*id).exists()).count();
        if existing > 0 && existing != usize::from(self.nodes) {
            return Err(format!(
                "{} holds a cluster of {existing}; run with --nodes {existing}, choose another --data or delete that folder.",
                data.display()
            ));
        }
        let voters: Vec<String> =
            (1..=self.nodes).map(|id| format!("{id}@127.0.0.1:{}", self.port + PEER_PORTS + id - 1)).collect();
        let mut configs = Vec::new();
        for id in 1..=self.nodes {
            let text = self.config_text(id, &data.join(format!("broker-{id}")), &voters.join(","));
            let text = keep_own_settings(&config(id), text);
            fs::write(config(id), text).map_err(failed)?;
            configs.push(config(id));
        }
        Ok(configs)
    }

    fn config_text(&self, id: u16, folder: &Path, voters: &str) -> String {
        let (clients, peers) = (self.port + id - 1, self.port + PEER_PORTS + id - 1);
        let replicas = self.nodes.min(3);
        let line = |name: &str, value: &Option<String>| value.iter().map(|value| format!("{name}={value}\n")).collect::<String>();
        let logs = line(LOG_FORMAT, &self.log_format) + &line(LOG_LEVEL, &self.log_level);
        format!(
            "# Written by `ottla dev`; the lines it writes are written again by each run, your own lines stay.\n\
             node.id={id}\n\
             listeners=PLAINTEXT://127.0.0.1:{clients},CONTROLLER://127.0.0.1:{peers}\n\
             advertised.listeners=PLAINTEXT://127.0.0.1:{clients}\n\
             controller.quorum.voters={voters}\n\
             {METRICS_LISTENER}=127.0.0.1:{}\n\
             log.dirs={}\n\
             default.replication.factor={replicas}\n\
             min.insync.replicas={}\n{logs}",
            clients + METRICS_PORTS,
            folder.display(),
            replicas / 2 + 1
        )
    }

    /// Whether the cluster came up; false when the user lost patience.
    fn wait_until_ready(&self, brokers: &mut [Running], stops: &Receiver<()>) -> Result<bool, String> {
        let end = Instant::now() + READY_MAX;
        loop {
            for broker in brokers.iter_mut() {
                if let Some(status) = broker.poll() {
                    return Err(format!("Broker {} {}. Its last words:\n{}", broker.id, describe(status), tail(&broker.log)));
                }
            }
            // All must see a controller and each other, or the first topic could land on too few brokers.
            let seen: Option<Vec<_>> = brokers.iter().map(|broker| controller_of(broker.port)).collect();
            if seen.is_some_and(|seen| seen.iter().all(|(_, alive)| *alive == usize::from(self.nodes))) {
                return Ok(true);
            }
            if Instant::now() > end {
                return Err(format!("No controller after {} s; see {}.", READY_MAX.as_secs(), brokers[0].log.display()));
            }
            match stops.recv_timeout(LOOK_EVERY) {
                Err(RecvTimeoutError::Timeout) => {}
                Ok(()) | Err(RecvTimeoutError::Disconnected) => return Ok(false),
            }
        }
    }

    fn explain(&self, data: &Path, brokers: &[Running]) {
        let bootstrap: Vec<String> = brokers.iter().map(|broker| format!("127.0.0.1:{}", broker.port)).collect();
        println!("A cluster of {} is ready. Its data is in {}.\n", self.nodes, data.display());
        println!("bootstrap servers:  {}\n", bootstrap.join(","));
        for broker in brokers {
            println!(
                "broker {}   127.0.0.1:{}   pid {}   log {}",
                broker.id,
                broker.port,
                broker.child.id(),
                broker.log.display()
            );
            println!(
                "   metrics:     http://127.0.0.1:{0}/metrics   health: http://127.0.0.1:{0}/health",
                broker.port + METRICS_PORTS
            );
            println!("   kill it:     kill -9 {}", broker.child.id());
            println!("   restart it:  {}", broker.restart_command());
        }
        println!("\nCtrl-C stops all of them.");
    }
}

impl Running {
    fn start(id: u16, port: u16, config: PathBuf) -> Result<Running, String> {
        let failed = |error: io::Error| format!("Broker {id} can't be started: {error}.");
        let log = config.with_extension("log");
        let stderr = File::options().create(true).append(true).open(&log).map_err(failed)?;
        let stdout = stderr.try_clone().map_err(failed)?;
        let mut command = Command::new(std::env::current_exe().map_err(failed)?);
        command.arg("serve").arg("--config").arg(&config).arg("--stop-with-parent");
        command.stdin(Stdio::piped()).stdout(stdout).stderr(stderr);
        // The brokers differ by their files; a variable would count over all of these at once.
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(belongs_to_kafka)) {
            command.env_remove(name);
        }
        // Out of the terminal's foreground group: Ctrl-C reaches `ottla dev` alone, which stops its brokers in order.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.spawn().map_err(failed)?;
        let stdin = child.stdin.take();
        Ok(Running { id, port, config, log, child, stdin, ended: None })
    }

    /// How it ended, told once.
    fn poll(&mut self) -> Option<ExitStatus> {
        if self.ended.is_some() {
            return None;
        }
        self.ended = self.child.try_wait().ok().flatten();
        self.ended
    }

    fn restart_command(&self) -> String {
        let program = std::env::current_exe().map_or_else(|_| "ottla".to_string(), |path| quote(&path));
        format!("{program} serve --config {}", quote(&self.config))
    }
}

/// Lines of an existing file whose settings the new text does not set.
fn keep_own_settings(config: &Path, mut text: String) -> String {
    let written = parse_pairs(&text);
    for (name, value) in parse_pairs(&fs::read_to_string(config).unwrap_or_default()) {
        if !written.iter().any(|(known, _)| *known == name) {
            text.push_str(&format!("{name}={value}\n"));
        }
    }
    text
}

fn quote(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = text.chars().all(|c| c.is_ascii_alphanumeric() || "/._-+".contains(c));
    if is_plain { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with exit code {code}"),
        (None, Some(signal)) => format!("was killed by signal {signal}"),
        (None, None) => "ended".to_string(),
    }
}

fn tail(log: &Path) -> String {
    let lines: Vec<String> =
        File::open(log).map_or_else(|_| Vec::new(), |file| BufReader::new(file).lines().map_while(Result::ok).collect());
    lines[lines.len().saturating_sub(5)..].join("\n")
}

/// Reports brokers that end, until Ctrl-C.
fn watch(brokers: &mut [Running], stops: &Receiver<()>) {
    while stops.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
        for broker in brokers.iter_mut() {
            if let Some(status) = broker.poll() {
                println!("\nBroker {} {}. Bring it back, in another terminal, with:", broker.id, describe(status));
                println!("   {}", broker.restart_command());
            }
        }
    }
    println!("\nStopping.");
}

/// Stops all that run: gracefully, then for good.
fn stop(brokers: &mut [Running]) {
    for broker in brokers.iter_mut() {
        broker.stdin = None;
    }
    let end = Instant::now() + STOP_MAX;
    while brokers.iter_mut().any(|broker| broker.poll().is_none() && broker.ended.is_none()) && Instant::now() < end {
        thread::sleep(LOOK_EVERY / 4);
    }
    for broker in brokers.iter_mut().filter(|broker| broker.ended.is_none()) {
        println!("Broker {} takes too long and is killed.", broker.id);
        let _ = broker.child.kill();
        let _ = broker.child.wait();
    }
}

/// Told once per Ctrl-C or SIGTERM.
fn watch_signals() -> Result<Receiver<()>, String> {
    let (sender, receiver) = channel();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("Signals can't be watched: {error}."))?;
    let watch = move || {
        runtime.block_on(async {
            let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
            else {
                return;
            };
            loop {
                tokio::select! {
                    biased;
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                if sender.send(()).is_err() {
                    return;
                }
            }
        });
    };
    thread::Builder::new()
        .name("signals".to_string())
        .spawn(watch)
        .map_err(|error| format!("Signals can't be watched: {error}."))?;
    Ok(receiver)
}
