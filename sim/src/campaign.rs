//! Many seeds at once, on several workers; the result does not depend on how many.
//!
//! Workers take the next seed from a counter; reports are folded in the order of seeds. A campaign stops early only at the failures
//! it was asked to stop at, and then reports what comes first in the order of seeds.

use crate::report::{Counters, Failure, FailureKind, Report};
use crate::run::{Options, run_heap};
use ottla_core::mutant::Mutant;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Deliberate bugs that are known to be caught too rarely: listed by `sim mutants`, not run by it.
pub const MUTANTS_NOT_CAUGHT: [u32; 0] = [];

/// Whether a deliberate bug shows only when a seed is run twice.
#[must_use]
pub fn needs_two_runs(mutant: Mutant) -> bool {
    mutant == Mutant::HashOrder
}

/// What to run.
#[derive(Clone, Copy, Debug)]
pub struct Campaign {
    /// First seed.
    pub base: u64,
    /// How many.
    pub seeds: u64,
    /// How many threads.
    pub workers: usize,
    /// Whether each seed runs twice and must be the same.
    pub is_checked_twice: bool,
    /// How each runs.
    pub options: Options,
    /// Stop after this many failures, the first in the order of seeds.
    pub failures_max: usize,
    /// Whether the real shell runs over madsim instead of the event heap.
    pub is_madsim: bool,
}

impl Campaign {
    fn run_one(&self, seed: u64) -> Report {
        if self.is_madsim { crate::run_madsim(seed, &self.options) } else { run_heap(seed, &self.options) }
    }

    /// Whether a second run of a seed, on a thread of its own, differs from the first; noted in the report of the first.
    fn differs(&self, seed: u64, report: &mut Report) -> bool {
        let again = std::thread::scope(|scope| scope.spawn(|| self.run_one(seed)).join()).expect("a run doesn't panic");
        let is_mismatch = again != *report;
        if is_mismatch && report.failure.is_none() {
            report.failure = Some(Failure {
                kind: FailureKind::Nondeterminism,
                check: "trace-hash".into(),
                what: format!(
                    "One seed is one run, but two runs of it have the trace hashes {:016x} and {:016x}.",
                    report.hash, again.hash
                ),
                at: 0,
                faults: "none that explain it".into(),
            });
        }
        is_mismatch
    }
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Seeds run.
    pub seeds: u64,
    /// Reports of those that failed, in the order of seeds.
    pub failures: Vec<Report>,
    /// Seeds whose second run differed.
    pub mismatches: u64,
    /// Over all seeds.
    pub counters: Counters,
    /// Simulated microseconds.
    pub simulated_us: u64,
    /// Wall microseconds spent by all workers together.
    pub worker_us: u64,
    /// Over all hashes, in the order of seeds.
    pub hash: u64,
}

impl Summary {
    /// The one line at the end of a campaign.
    #[must_use]
    pub fn line(&self) -> String {
        let speed = self.simulated_us.checked_div(self.worker_us).unwrap_or(0);
        let c = &self.counters;
        let mut line = format!(
            "seeds={} failures={} sim_s_per_wall_s={speed} elections={} truncations={} torn={} acked={} reads={}",
            self.seeds,
            self.failures.len(),
            c.elections,
            c.truncations,
            c.torn,
            c.acked,
            c.reads
        );
        for (name, value) in c.list() {
            if !["elections", "truncations", "torn", "acked", "reads"].contains(&name) {
                line.push_str(&format!(" {name}={value}"));
            }
        }
        line
    }

    /// 0 if all is well, else the code of the worst kind of failure.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        let kinds: Vec<FailureKind> = self.failures.iter().filter_map(|r| r.failure.as_ref()).map(|f| f.kind).collect();
        for kind in [FailureKind::Safety, FailureKind::Liveness, FailureKind::Nondeterminism, FailureKind::Harness] {
            if kinds.contains(&kind) {
                return kind.exit_code();
            }
        }
        if self.mismatches > 0 { FailureKind::Nondeterminism.exit_code() } else { 0 }
    }
}

struct Done {
    report: Report,
    is_mismatch: bool,
    wall_us: u64,
}

/// Runs a campaign. `on_failure` is told of each failure as it happens, in no particular order.
///
/// # Panics
/// A worker panicked, which is a bug of the simulator.
pub fn run(campaign: &Campaign, on_failure: impl Fn(&Report) + Sync) -> Summary {
    let next = AtomicU64::new(0);
    let done: Mutex<BTreeMap<u64, Done>> = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..campaign.workers.max(1) {
            scope.spawn(|| {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= campaign.seeds {
                        return;
                    }
                    let seed = campaign.base + n;
                    let start = Instant::now();
                    let mut report = campaign.run_one(seed);
                    let wall_us = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
                    let is_mismatch = campaign.is_checked_twice && campaign.differs(seed, &mut report);
                    if report.failure.is_some() {
                        on_failure(&report);
                    }
                    let mut done = done.lock().expect("no worker panics while it holds the lock");
                    done.insert(n, Done { report, is_mismatch, wall_us });
                    let failed = done.values().filter(|d| d.report.failure.is_some()).count();
                    if failed >= campaign.failures_max {
                        // Workers finish what they have; earlier seeds are all taken already, so the first failure is known.
                        next.fetch_max(campaign.seeds, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let mut summary = Summary::default();
    for (_, one) in done.into_inner().expect("no worker panicked") {
        summary.seeds += 1;
        summary.simulated_us += one.report.simulated_us;
        summary.worker_us += one.wall_us;
        summary.counters.add(&one.report.counters);
        summary.mismatches += u64::from(one.is_mismatch);
        summary.hash = (summary.hash.rotate_left(17) ^ one.report.hash).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        if one.report.failure.is_some() && summary.failures.len() < campaign.failures_max {
            summary.failures.push(one.report);
        }
    }
    summary
}
