//! `sim mutants`: how many seeds the simulator needs to catch each deliberate bug, and which check catches it.

use super::{Words, processors};
use ottla_core::mutant::Mutant;
use ottla_sim::Options;
use ottla_sim::campaign::{self, Campaign, MUTANTS_NOT_CAUGHT};

/// Runs the command.
pub fn run(words: &mut Words) -> Result<u8, String> {
    let seeds = words.number("--max-seeds", 5_000)?;
    let base = words.number("--base", 0)?;
    let workers = usize::try_from(words.number("--workers", processors())?).map_err(|_| "too many workers")?;
    let only = words.mutant("--only")?;
    words.end()?;
    let mut survivors = 0;
    println!("{:>6}  {:<24} {:<18} {:>10} {:>12}", "number", "mutant", "killer", "seeds", "worker_s");
    for (number, mutant) in Mutant::ALL.into_iter().filter(|(n, _)| only.is_none_or(|(o, _)| o == *n)) {
        if only.is_none() && MUTANTS_NOT_CAUGHT.contains(&number) {
            println!("{number:>6}  {:<24} {:<18}", format!("{mutant:?}"), "known gap");
            continue;
        }
        let campaign = Campaign {
            base,
            seeds,
            workers,
            is_checked_twice: campaign::needs_two_runs(mutant),
            options: Options { mutant, is_traced: false },
            failures_max: 1,
            is_madsim: false,
        };
        let summary = campaign::run(&campaign, |_| ());
        let name = format!("{mutant:?}");
        let wall = summary.worker_us / 1_000_000;
        match summary.failures.first() {
            Some(report) => {
                let killer = report.failure.as_ref().map_or("", |f| f.check.as_str());
                println!("{number:>6}  {name:<24} {killer:<18} {:>10} {wall:>12}", report.seed - base + 1);
            }
            None => {
                survivors += 1;
                println!("{number:>6}  {name:<24} {:<18} {:>10} {wall:>12}", "SURVIVED", seeds);
            }
        }
    }
    Ok(u8::from(survivors > 0))
}
