//! The second host: the real shell, `ottla_net::Node` with its connections and peer links, over madsim's sockets and clock.
//!
//! The same plan, workload, disk and judges as on the event heap. What differs: frames travel in TCP streams that break and are
//! made anew, tasks interleave as madsim's scheduler draws, timers are no finer than a millisecond. The broker is inside the node
//! loop, so the watch sees disks and replies but not terms: I2, I3 (cuts), I8, I9 and, when a reply reaches its client, I7.
//!
//! Each run has a fresh thread: std's hash keys are per thread. Source: madsim 0.2.34, `simulation.md` section 1.

mod broker;
mod client;
mod cluster;
mod disk;
mod io;
mod world;

use crate::plan::Plan;
use crate::report::{Counters, Failure, FailureKind, Report};
use crate::run::Options;
use madsim::runtime::Runtime;
use std::time::Duration;

/// Simulated seconds after which a run is given up.
const TIME_MAX_S: u64 = 120;

/// Runs a seed with the real shell over madsim, in a thread of its own.
#[must_use]
pub fn run_madsim(seed: u64, options: &Options) -> Report {
    let options = *options;
    let worker = std::thread::Builder::new().name(format!("madsim seed {seed}")).spawn(move || {
        crate::panics::catch(move || {
            let mut plan = Plan::of(seed);
            plan.shape.mutant = options.mutant;
            let mut config = madsim::Config::default();
            config.net.send_latency =
                Duration::from_micros(plan.shape.net.delay_us_min)..Duration::from_micros(plan.shape.net.delay_us_max.max(1_000));
            let mut runtime = Runtime::with_seed_and_config(seed, config);
            runtime.set_time_limit(Duration::from_secs(TIME_MAX_S));
            runtime.block_on(world::go(seed, plan, options.is_traced))
        })
    });
    let outcome = match worker.map(std::thread::JoinHandle::join) {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_)) => Err("the thread of the run ended without a word".to_string()),
        Err(error) => Err(format!("no thread: {error}")),
    };
    outcome.unwrap_or_else(|what| Report {
        seed,
        hash: 0,
        simulated_us: 0,
        counters: Counters::default(),
        failure: Some(Failure {
            kind: FailureKind::Safety,
            check: "panic".into(),
            what: format!("A broker or its shell broke its own assertion: {what}."),
            at: 0,
            faults: "see the replay with --madsim".into(),
        }),
    })
}
