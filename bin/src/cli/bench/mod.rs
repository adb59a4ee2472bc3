//! `ottla bench`: what a broker bears, beside what this machine bears at all.
//!
//! The load is raw: batches are encoded once, requests are pipelined, so that the broker is measured and not a client library. `null` is a
//! server that answers the same requests and does only what it is told to do (nothing, write, write and fsync): the ceiling of machine and
//! generator, to be measured in the same run. Latencies with a rate are counted from the time a request was meant to be sent, so a stall
//! counts for all requests it delays (open loop); without a rate every connection keeps its pipeline full (closed loop).

mod consume;
mod cpu;
mod figures;
mod null;
mod pipeline;
mod produce;

use super::Failed;
use std::process::ExitCode;

/// What to measure.
#[derive(Debug, clap::Subcommand)]
pub enum BenchCommand {
    /// Produce one batch after the other.
    ///
    /// The topic is created if it is not there. Give the broker's process id to see what a request costs it.
    #[command(
        after_help = "Examples:\n  ottla bench produce --acks all --in-flight 16 --seconds 5\n  ottla bench produce --record-bytes 100 --batch-bytes 100 --in-flight 64 --pid 4711\n  ottla bench produce --rate 5000 --connections 4"
    )]
    Produce(produce::Produce),
    /// Read a topic from its start, again and again.
    Consume(consume::Consume),
    /// A server that takes produce requests and does next to nothing with them, until it is killed.
    ///
    /// `ottla bench produce` can't tell it from a broker.
    Null(null::Null),
}

impl BenchCommand {
    /// Runs it.
    pub fn run(self) -> Result<ExitCode, Failed> {
        match self {
            BenchCommand::Produce(produce) => produce.run(),
            BenchCommand::Consume(consume) => consume.run(),
            BenchCommand::Null(null) => null.run(),
        }
    }
}

/// What every measurement has.
#[derive(Debug, clap::Args)]
pub struct Measure {
    /// How long to measure.
    #[arg(long, value_name = "S", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,
    /// Seconds before that, not counted.
    #[arg(long, value_name = "S", default_value_t = 1, value_parser = clap::value_parser!(u64).range(0..=3_600))]
    warm_up: u64,
    /// Process ids of the brokers, to count their CPU time (on this machine).
    #[arg(long, value_name = "PID", value_delimiter = ',')]
    pid: Vec<u32>,
}
