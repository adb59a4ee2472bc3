//! The words of the `sim` command and its exit codes: 0 all is well, 1 misuse or a broken harness or a surviving mutant, 2 safety,
//! 3 liveness, 4 nondeterminism.

mod commit;
mod mutants;

use ottla_core::mutant::Mutant;
use ottla_sim::campaign::{self, Campaign};
use ottla_sim::{Options, Report, run_heap, run_madsim};
use std::process::ExitCode;

const USAGE: &str = "\
sim run [--seeds N] [--base B] [--workers W] [--check-determinism] [--print-hash] [--mutant NUMBER] [--keep-going] [--madsim]
    runs seeds B..B+N (default 1000 from 0) and ends with one line of counters
sim replay SEED [--trace] [--mutant NUMBER] [--madsim]
    runs one seed again; --trace prints every event with its virtual time
sim mutants [--max-seeds N] [--base B] [--workers W] [--only NUMBER]
    for each deliberate bug runs seeds until one catches it; exit code 1 if one survives";

/// Runs the command.
pub fn run(arguments: &[String]) -> ExitCode {
    let mut words = Words { rest: arguments.to_vec() };
    let command = if words.rest.is_empty() { String::new() } else { words.rest.remove(0) };
    let result = match command.as_str() {
        "run" => run_seeds(&mut words),
        "replay" => replay(&mut words),
        "mutants" => mutants::run(&mut words),
        _ => Err("there is no such command".to_string()),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(what) => {
            eprintln!("sim: {what}\n{USAGE}");
            ExitCode::from(1)
        }
    }
}

/// Arguments not yet understood.
pub struct Words {
    rest: Vec<String>,
}

impl Words {
    /// Takes `--name`.
    pub fn flag(&mut self, name: &str) -> bool {
        let place = self.rest.iter().position(|word| word == name);
        place.map(|at| self.rest.remove(at)).is_some()
    }

    /// Takes `--name NUMBER`.
    pub fn number(&mut self, name: &str, otherwise: u64) -> Result<u64, String> {
        let Some(at) = self.rest.iter().position(|word| word == name) else { return Ok(otherwise) };
        if at + 1 >= self.rest.len() {
            return Err(format!("{name} needs a number"));
        }
        self.rest.remove(at);
        let word = self.rest.remove(at);
        number(&word).ok_or_else(|| format!("{name} needs a number, not {word}"))
    }

    /// Takes `--mutant NUMBER`.
    pub fn mutant(&mut self, name: &str) -> Result<Option<(u32, Mutant)>, String> {
        match self.number(name, 0)? {
            0 => Ok(None),
            n => {
                let found = Mutant::ALL.iter().find(|(number, _)| u64::from(*number) == n);
                found.copied().map(Some).ok_or_else(|| format!("there is no mutant {n}"))
            }
        }
    }

    /// Nothing may be left.
    pub fn end(&self) -> Result<(), String> {
        self.rest.first().map_or(Ok(()), |word| Err(format!("what is {word}?")))
    }
}

fn number(word: &str) -> Option<u64> {
    word.parse().ok().or_else(|| u64::from_str_radix(word.strip_prefix("0x")?, 16).ok())
}

/// As many workers as there are processors.
pub fn processors() -> u64 {
    std::thread::available_parallelism().map_or(1, |n| u64::try_from(n.get()).unwrap_or(1))
}

fn run_seeds(words: &mut Words) -> Result<u8, String> {
    let campaign = Campaign {
        seeds: words.number("--seeds", 1000)?,
        base: words.number("--base", 0)?,
        workers: usize::try_from(words.number("--workers", processors())?).map_err(|_| "too many workers")?,
        is_checked_twice: words.flag("--check-determinism"),
        options: Options { mutant: words.mutant("--mutant")?.map_or(Mutant::None, |(_, m)| m), is_traced: false },
        failures_max: if words.flag("--keep-going") { usize::MAX } else { 10 },
        is_madsim: words.flag("--madsim"),
    };
    let prints_hash = words.flag("--print-hash");
    words.end()?;
    let summary = campaign::run(&campaign, |_| ());
    for report in &summary.failures {
        println!("{report}\ncommit: {}\n", commit::commit());
    }
    if campaign.is_checked_twice {
        println!("mismatches={}", summary.mismatches);
    }
    if prints_hash {
        println!("hash={:016x}", summary.hash);
    }
    println!("{}", summary.line());
    Ok(summary.exit_code())
}

fn replay(words: &mut Words) -> Result<u8, String> {
    let is_traced = words.flag("--trace");
    let mutant = words.mutant("--mutant")?.map_or(Mutant::None, |(_, m)| m);
    let is_madsim = words.flag("--madsim");
    let seed = words.rest.first().and_then(|word| number(word)).ok_or("replay needs a seed")?;
    words.rest.remove(0);
    words.end()?;
    let options = Options { mutant, is_traced };
    let report: Report = if is_madsim { run_madsim(seed, &options) } else { run_heap(seed, &options) };
    println!("{report}");
    if report.failure.is_some() {
        println!("commit: {}", commit::commit());
    }
    let counters: Vec<String> = report.counters.list().iter().map(|(name, n)| format!("{name}={n}")).collect();
    println!("simulated_us={} {}", report.simulated_us, counters.join(" "));
    Ok(report.failure.map_or(0, |failure| failure.kind.exit_code()))
}
