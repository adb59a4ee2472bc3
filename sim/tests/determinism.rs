//! One seed, one run: in one process, on any number of workers, in any order.

use ottla_sim::Options;
use ottla_sim::campaign::{self, Campaign};

fn campaign(workers: usize, is_checked_twice: bool) -> Campaign {
    Campaign {
        base: 0,
        seeds: 60,
        workers,
        is_checked_twice,
        options: Options::default(),
        failures_max: usize::MAX,
        is_madsim: false,
    }
}

#[test]
fn a_seed_runs_the_same_twice_and_on_any_number_of_workers() {
    let one = campaign::run(&campaign(1, true), |_| ());
    let three = campaign::run(&campaign(3, false), |_| ());
    assert_eq!(one.mismatches, 0);
    assert_eq!(one.hash, three.hash);
    assert_eq!(one.counters, three.counters);
}

#[test]
fn different_seeds_give_different_runs() {
    let (one, two) = (ottla_sim::run_heap(1, &Options::default()), ottla_sim::run_heap(2, &Options::default()));
    assert_ne!(one.hash, two.hash);
}
