//! `ottla bench`: what a broker bears, beside what this machine bears at all.
//!
//! The load is raw: batches are encoded once, requests are pipelined, so that the broker is measured and not a client library. `null` is a
//! server that answers the same requests and does only what it is told to do (nothing, write, write and fsync): the ceiling of machine and
//! generator, to be measured in the same run. Latencies with a rate are counted from the time a request was meant to be sent, so a stall
//! counts for all requests it delays (open loop); without a rate every connection keeps its pipeline full (closed loop).

mod consume;
mod cpu;
mod end_to_end;
mod figures;
mod null;
mod outage;
mod pipeline;
mod produce;
mod topic;

use super::output::Report;
use super::{Failed, Print};
use figures::Figures;
use std::process::ExitCode;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

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
    #[command(
        after_help = "Examples:\n  ottla bench consume --topic bench --seconds 5\n  ottla bench consume --fetch-bytes 65536 --pid 4711"
    )]
    Consume(consume::Consume),
    /// Produce at a rate and read at the same time: how old is a record when a waiting consumer has it?
    #[command(
        after_help = "Examples:\n  ottla bench end-to-end --rate 1000\n  ottla bench end-to-end --rate 10000 --acks all --pid 4711"
    )]
    EndToEnd(end_to_end::EndToEnd),
    /// Produce one record after the other and tell how long none was acknowledged: what a crash costs a producer.
    ///
    /// Tries again at once, whatever fails. Kill a broker meanwhile, or start it together with this.
    #[command(after_help = "Examples:\n  ottla bench outage --seconds 20\n  ottla bench outage --until-acknowledged")]
    Outage(outage::Outage),
    /// A server that takes produce requests and does next to nothing with them, until it is killed.
    ///
    /// `ottla bench produce` can't tell it from a broker.
    #[command(after_help = "Example:\n  ottla bench null --port 9999 --mode durable --file null.dat")]
    Null(null::Null),
}

impl BenchCommand {
    /// Runs it.
    pub fn run(self) -> Result<ExitCode, Failed> {
        match self {
            BenchCommand::Produce(produce) => produce.run(),
            BenchCommand::Consume(consume) => consume.run(),
            BenchCommand::EndToEnd(end_to_end) => end_to_end.run(),
            BenchCommand::Outage(outage) => outage.run(),
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

impl Measure {
    /// When answers begin and cease to count, for a load that starts at `start`.
    fn span(&self, start: Instant) -> (Instant, Instant) {
        let from = start + Duration::from_secs(self.warm_up);
        (from, from + Duration::from_secs(self.seconds))
    }

    /// Watches the brokers' CPU time from `from` to the end, waits for the threads of a load and prints what they counted. `fsync` says when
    /// what is produced is fsynced.
    fn report(
        &self,
        load: &str,
        fsync: Option<&str>,
        from: Instant,
        threads: Vec<JoinHandle<Result<Figures, String>>>,
        print: &Print,
    ) -> Result<ExitCode, Failed> {
        let seconds = Duration::from_secs(self.seconds);
        std::thread::sleep(from.saturating_duration_since(Instant::now()));
        let before = cpu::seconds(&self.pid)?;
        std::thread::sleep((from + seconds).saturating_duration_since(Instant::now()));
        let used = cpu::seconds(&self.pid)? - before;
        let mut figures = Figures::default();
        for thread in threads {
            let one = thread.join().map_err(|_| Failed("a connection's thread panicked".to_owned()))?;
            figures.add(&one.map_err(Failed)?);
        }
        let mut report = Report::default();
        report.add(figures.section(load, fsync, seconds, (!self.pid.is_empty()).then_some(used)));
        print.report(&report)?;
        Ok(ExitCode::SUCCESS)
    }
}
