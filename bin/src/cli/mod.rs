//! The tools of the command line: each asks a running cluster or reads files, none runs a broker.
//!
//! Data goes to standard output, sentences to standard error. Exit codes: 0 done, 1 failed, 2 the command line makes no sense.

mod bench;
mod cluster;
mod config;
mod config_file;
mod consume;
mod doctor;
mod explain;
pub mod log;
mod output;
mod partitioner;
mod produce;
mod topic;

pub use topic::setting as key_and_value;

use crate::client::{Client, Failure};
use clap::{Args, Subcommand};
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

/// A tool.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Create, list, describe, grow and delete topics.
    #[command(subcommand)]
    Topic(topic::TopicCommand),
    /// Write lines from standard input to a topic.
    ///
    /// Every line becomes one record. With --key-separator the part before the separator is the key; records with the same key go to
    /// the same partition, the one Java clients choose too. With acks=all, which is the default, no line that
    /// was acknowledged is lost, however often a broker fails meanwhile; a line whose answer was lost may be written twice.
    #[command(
        after_help = "Examples:\n  seq 1000 | ottla produce numbers\n  echo 'alice:paid' | ottla produce orders --key-separator :"
    )]
    Produce(produce::Produce),
    /// Print the records of a topic.
    ///
    /// Reads all partitions, or the one given, until --max-messages were printed, or nothing came for --timeout-ms, or Ctrl-C.
    #[command(
        after_help = "Examples:\n  ottla consume numbers --max-messages 10\n  ottla consume orders --partition 0 --from 1200 --timeout-ms 1000\n  ottla consume orders --from latest --output json"
    )]
    Consume(consume::Consume),
    /// Show and change settings of topics and brokers while they run; check and print a broker's configuration.
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Look at the cluster as a whole.
    #[command(subcommand)]
    Cluster(cluster::ClusterCommand),
    /// Find out why clients can't connect.
    #[command(subcommand)]
    Doctor(doctor::DoctorCommand),
    /// Measure brokers, and what this machine bears at all.
    #[command(subcommand)]
    Bench(bench::BenchCommand),
    /// Look into data folders.
    #[command(subcommand)]
    Log(log::LogCommand),
}

impl Command {
    /// Runs it.
    pub fn run(self) -> ExitCode {
        let outcome = match self {
            Command::Topic(command) => command.run(),
            Command::Produce(command) => command.run(),
            Command::Consume(command) => command.run(),
            Command::Config(command) => command.run(),
            Command::Cluster(command) => command.run(),
            Command::Doctor(command) => command.run(),
            Command::Bench(command) => command.run(),
            Command::Log(command) => return log::run(&command),
        };
        match outcome {
            Ok(code) => code,
            Err(Failed(sentence)) => {
                eprintln!("error: {sentence}");
                ExitCode::FAILURE
            }
        }
    }
}

/// How to reach the cluster; every tool that asks one has these.
#[derive(Debug, Args)]
pub struct Reach {
    /// Addresses of one or more brokers, separated by commas; the others are found through them.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:9092", value_delimiter = ',')]
    bootstrap: Vec<String>,
    /// Give up when the cluster does not answer for so long; errors that pass, such as elections, are waited for.
    #[arg(long, value_name = "MS", default_value_t = 30_000, value_parser = clap::value_parser!(u64).range(1..))]
    patience_ms: u64,
}

impl Reach {
    fn client(&self) -> Client {
        Client::new(self.bootstrap.clone(), self.patience())
    }

    fn patience(&self) -> Duration {
        Duration::from_millis(self.patience_ms)
    }
}

/// How to print.
#[derive(Debug, Args)]
pub struct Print {
    /// How data is printed.
    #[arg(long, value_enum, default_value_t = output::Format::Table)]
    output: output::Format,
}

impl Print {
    fn report(&self, report: &output::Report) -> Result<(), Failed> {
        print(&report.render(self.output))
    }

    /// For what was done as asked: programs are told what, people know it.
    fn acknowledge(&self, done: output::Section) -> Result<(), Failed> {
        if self.output == output::Format::Table {
            return Ok(());
        }
        let mut report = output::Report::default();
        report.add(done);
        self.report(&report)
    }
}

/// A tool ends with this sentence and exit code 1.
#[derive(Debug)]
pub struct Failed(String);

impl From<Failure> for Failed {
    fn from(failure: Failure) -> Failed {
        Failed(failure.to_string())
    }
}

/// Prints what another program reads.
pub fn print_script(script: &[u8]) -> ExitCode {
    match print(&String::from_utf8_lossy(script)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failed(sentence)) => {
            eprintln!("error: {sentence}");
            ExitCode::FAILURE
        }
    }
}

/// Writes to standard output. A reader that went away, as `head` does, ends the program without a word.
fn print(text: &str) -> Result<(), Failed> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(0),
        Err(error) => Err(Failed(format!("standard output can't be written: {error}"))),
    }
}
