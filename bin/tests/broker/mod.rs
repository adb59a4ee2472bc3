//! The real broker as a process, for tests: alone, on loopback, gone when the test ends.

#![allow(dead_code, reason = "each test uses a part of it")]

use std::io::Write;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// The program.
pub const OTTLA: &str = env!("CARGO_BIN_EXE_ottla");

/// One broker with its data, gone when the test ends.
pub struct Broker {
    process: Child,
    /// How the process was started.
    start: Command,
    pub folder: PathBuf,
    /// Where clients connect.
    pub address: String,
}

impl Broker {
    /// Starts one; `name` is no other test's.
    pub fn start(name: &str) -> Broker {
        Broker::start_set(name, "")
    }

    /// Starts one with these settings besides, a line each.
    pub fn start_set(name: &str, settings: &str) -> Broker {
        // A stranger who takes one of them before the broker does makes the test fail, not lie.
        let (clients, peers) = (free_port(), free_port());
        let properties = format!(
            "node.id=1\nlisteners=PLAINTEXT://127.0.0.1:{clients},CONTROLLER://127.0.0.1:{peers}\n\
             controller.quorum.voters=1@127.0.0.1:{peers}\n{settings}"
        );
        Broker::start_with(name, clients, ("broker.properties", &properties), &[])
    }

    /// A broker with this file and these variables, whose clients come to this port.
    pub fn start_with(name: &str, port: u16, (file, text): (&str, &str), environment: &[(&str, &str)]) -> Broker {
        let folder = folder(name);
        let config = folder.join(file);
        std::fs::write(&config, text).expect("the temporary folder is writable");
        let log = std::fs::File::create(folder.join("broker.log")).expect("the temporary folder is writable");
        let mut start = ottla();
        start
            .args(["serve", "--config"])
            .arg(&config)
            .env("KAFKA_LOG_DIRS", folder.join("data"))
            .envs(environment.iter().copied())
            .stdout(log.try_clone().expect("a file can be shared"))
            .stderr(log);
        let process = start.spawn().expect("the program was built for this test");
        let mut broker = Broker { process, start, folder, address: format!("127.0.0.1:{port}") };
        broker.wait();
        broker
    }

    /// Kills the process and starts another one on the same data.
    pub fn restart(&mut self) {
        self.process.kill().expect("it runs");
        self.process.wait().expect("it was started here");
        self.process = self.start.spawn().expect("the program was built for this test");
        self.wait();
    }

    fn wait(&mut self) {
        let start = Instant::now();
        while !self.tool(&["cluster", "status", "--patience-ms", "1000"]).status.success() {
            let is_alive = self.process.try_wait().expect("it is our child").is_none();
            let is_early = start.elapsed() < Duration::from_secs(20);
            assert!(is_alive && is_early, "the broker did not start: see {}", self.folder.display());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The most memory that the process had so far, bytes.
    pub fn memory_most(&self) -> usize {
        self.status("VmHWM:")
    }

    /// The most that it ever asked for, used or not, bytes.
    pub fn asked_most(&self) -> usize {
        self.status("VmPeak:")
    }

    fn status(&self, name: &str) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("Linux says so");
        1024 * line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number")
    }

    /// What it said so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("broker.log")).expect("it was made at the start")
    }

    /// A tool that talks to it.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = ottla();
        command.args(arguments).args(["--bootstrap", &self.address]).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs a tool to its end.
    pub fn tool(&self, arguments: &[&str]) -> Output {
        self.command(arguments).stdin(Stdio::null()).output().expect("the program was built for this test")
    }

    /// What it prints; it must succeed.
    pub fn print(&self, arguments: &[&str]) -> String {
        let output = self.tool(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("tools print UTF-8")
    }

    /// The sentence it fails with.
    pub fn sentence(&self, arguments: &[&str], code: i32) -> String {
        let output = self.tool(arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        String::from_utf8(output.stderr).expect("tools print UTF-8")
    }

    /// What a tool prints that is fed `input`.
    pub fn feed(&self, arguments: &[&str], input: &str) -> String {
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

/// The program, without settings from the environment of whoever runs the tests.
pub fn ottla() -> Command {
    let mut command = Command::new(OTTLA);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("KAFKA_") || name == "CLUSTER_ID")
    {
        command.env_remove(name);
    }
    command
}

/// A folder of this name for this run.
pub fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("ottla-tools-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("the temporary folder is writable");
    folder
}

/// A port that is free at this moment and that no other test of this run is given. It is below those that the kernel gives to connections, so
/// that none of these takes it before a broker does.
pub fn free_port() -> u16 {
    const FIRST: u32 = 10_000;
    const COUNT: u32 = 20_000;
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    // Runs of several checkouts begin at different places.
    let start = std::process::id().wrapping_mul(97);
    loop {
        let number = GIVEN.fetch_add(1, Ordering::Relaxed);
        assert!(number < COUNT, "loopback has free ports");
        let port = u16::try_from(FIRST + start.wrapping_add(number) % COUNT).expect("below 30,000");
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
