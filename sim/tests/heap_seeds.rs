//! Thousands of simulated failures of the very same core: every seed ends with nothing acknowledged lost, all replicas equal and
//! progress made. `SIM_SEEDS` and `SIM_BASE` choose others.

use ottla_sim::Options;
use ottla_sim::campaign::{self, Campaign};

fn from_environment(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

fn all_workers() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

#[test]
fn two_thousand_seeds_keep_every_promise() {
    let campaign = Campaign {
        base: from_environment("SIM_BASE", 0),
        seeds: from_environment("SIM_SEEDS", 2_000),
        workers: all_workers(),
        is_checked_twice: false,
        options: Options::default(),
        failures_max: 5,
        is_madsim: false,
    };
    let summary = campaign::run(&campaign, |_| ());
    println!("{}", summary.line());
    let told: Vec<String> = summary.failures.iter().map(ToString::to_string).collect();
    assert!(told.is_empty(), "{}", told.join("\n\n"));
    assert_eq!(summary.seeds, campaign.seeds);
    // A campaign in which nothing happened proves nothing.
    if campaign.seeds >= 500 {
        for (name, count) in summary.counters.list() {
            assert!(count > 0, "{name} never happened: {}", summary.line());
        }
    }
}

/// Seeds that once found a bug, each with its reason, one per line.
#[test]
fn pinned_seeds_stay_green() {
    for line in include_str!("../seeds.txt").lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()) {
        let seed = line.split_whitespace().next().and_then(|word| word.parse().ok()).expect("a line begins with a seed");
        let report = ottla_sim::run_heap(seed, &Options::default());
        assert!(report.failure.is_none(), "{report}\npinned because: {line}");
    }
}
