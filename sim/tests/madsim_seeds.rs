//! The real shell over madsim's sockets and clock: the same plans, workload and judges as on the event heap.

use ottla_sim::{Options, run_madsim};

#[test]
fn twenty_seeds_of_the_real_shell_keep_every_promise() {
    let seeds = std::env::var("SIM_MADSIM_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(20_u64);
    let base = std::env::var("SIM_BASE").ok().and_then(|text| text.parse().ok()).unwrap_or(0_u64);
    let mut told = Vec::new();
    let (mut acked, mut reads, mut crashes) = (0, 0, 0);
    for seed in base..base + seeds {
        let report = run_madsim(seed, &Options::default());
        acked += report.counters.acked;
        reads += report.counters.reads;
        crashes += report.counters.crashes;
        if report.failure.is_some() {
            told.push(report.to_string());
        }
    }
    assert!(told.is_empty(), "{}", told.join("\n\n"));
    assert!(acked > 0 && reads > 0 && crashes > 0, "acked={acked} reads={reads} crashes={crashes}");
}

#[test]
fn one_seed_gives_one_run_also_over_madsim() {
    let (one, two) = (run_madsim(3, &Options::default()), run_madsim(3, &Options::default()));
    assert_eq!(one, two);
}
