//! What a measurement came to, and how it is told.

use super::super::output::{Cell, Section};
use hdrhistogram::Histogram;
use std::time::Duration;

/// Latencies above this are counted as this.
const LATENCY_MAX: Duration = Duration::from_secs(120);

/// Counts of one connection, or of all.
#[derive(Debug)]
pub struct Figures {
    /// Requests answered while it was measured.
    pub requests: u64,
    /// Records in them.
    pub records: u64,
    /// Bytes of record batches in them.
    pub bytes: u64,
    /// Nanoseconds from the time a request was sent (or meant to be sent) to its answer.
    latency: Histogram<u64>,
}

impl Default for Figures {
    fn default() -> Figures {
        let highest = u64::try_from(LATENCY_MAX.as_nanos()).expect("two minutes");
        let latency = Histogram::new_with_bounds(1, highest, 3).expect("legal bounds");
        Figures { requests: 0, records: 0, bytes: 0, latency }
    }
}

impl Figures {
    /// Counts an answer.
    pub fn count(&mut self, records: u64, bytes: u64, latency: Duration) {
        self.requests += 1;
        self.records += records;
        self.bytes += bytes;
        self.latency.saturating_record(u64::try_from(latency.min(LATENCY_MAX).as_nanos()).expect("two minutes").max(1));
    }

    /// Adds those of another connection.
    pub fn add(&mut self, other: &Figures) {
        self.requests += other.requests;
        self.records += other.records;
        self.bytes += other.bytes;
        self.latency.add(&other.latency).expect("the same bounds");
    }

    /// One row. `cpu_seconds` of the servers, if they were watched.
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    pub fn section(&self, load: &str, fsync: Option<&str>, elapsed: Duration, cpu_seconds: Option<f64>) -> Section {
        let seconds = elapsed.as_secs_f64();
        let micros =
            |quantile: f64| -> Cell { Cell::Text(format!("{:.1}", self.latency.value_at_quantile(quantile) as f64 / 1000.0)) };
        let decimal = |value: f64| Cell::Text(if value < 100.0 { format!("{value:.3}") } else { format!("{value:.0}") });
        let per = |total: f64, of: f64| if of > 0.0 { decimal(total / of) } else { Cell::None };
        let mut section = Section::new(
            "figures",
            &[
                "load",
                "fsync",
                "requests/s",
                "records/s",
                "MB/s",
                "p50 us",
                "p99 us",
                "p99.9 us",
                "max us",
                "server CPU s/GB",
                "server CPU us/request",
                "server cores",
            ],
        );
        section.row(vec![
            load.into(),
            fsync.map_or(Cell::None, Cell::from),
            decimal(self.requests as f64 / seconds),
            decimal(self.records as f64 / seconds),
            decimal(self.bytes as f64 / 1e6 / seconds),
            micros(0.5),
            micros(0.99),
            micros(0.999),
            micros(1.0),
            cpu_seconds.map_or(Cell::None, |cpu| per(cpu, self.bytes as f64 / 1e9)),
            cpu_seconds.map_or(Cell::None, |cpu| per(cpu * 1e6, self.requests as f64)),
            cpu_seconds.map_or(Cell::None, |cpu| decimal(cpu / seconds)),
        ]);
        section
    }
}
