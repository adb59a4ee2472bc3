//! The simulator is measured by deliberate bugs: it must catch each of them, and the canary at once.
//!
//! `cargo sim mutants` prints the whole table; here each has the seeds of a test's patience.

use ottla_core::mutant::Mutant;
use ottla_sim::campaign::{self, Campaign, MUTANTS_NOT_CAUGHT};
use ottla_sim::{Options, Report};

/// Where to begin with bugs that do harm rarely, so that the test needn't be patient: `sim mutants` begins at 0 and has patience.
/// - Two candidates of one term must meet a disk that was lost between their questions: after 235 here, 2,070 from 0 on.
const BASES: [(Mutant, u64); 1] = [(Mutant::TermNotRaised, 6_000)];

fn first_kill(mutant: Mutant, seeds: u64) -> Option<Report> {
    let campaign = Campaign {
        base: BASES.iter().find(|(other, _)| *other == mutant).map_or(0, |(_, base)| *base),
        seeds,
        workers: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        is_checked_twice: campaign::needs_two_runs(mutant),
        options: Options { mutant, is_traced: false },
        failures_max: 1,
        is_madsim: false,
    };
    campaign::run(&campaign, |_| ()).failures.into_iter().next()
}

#[test]
fn the_canary_dies_in_the_first_seed() {
    let report = first_kill(Mutant::Canary, 1).expect("a dropped record is noticed");
    assert!(report.failure.is_some());
}

#[test]
fn every_deliberate_bug_is_caught() {
    for (number, mutant) in Mutant::ALL.into_iter().filter(|(number, _)| !MUTANTS_NOT_CAUGHT.contains(number)) {
        let report = first_kill(mutant, 400);
        assert!(report.is_some(), "mutant {number} ({mutant:?}) survived 400 seeds");
    }
}
