//! `cargo check-all`: every quick check of the project, read-only, in one word; `cargo fix-all` repairs what a program can repair
//! (formatting, lint suggestions, expectations of stories, generated tables). CI runs the same words.
//!
//! Knows no rule itself: it only runs cargo. Exit code 0 when all passed, 1 otherwise.

use std::process::{Command, ExitCode};
use std::time::Instant;

/// A check: what it is called, the cargo arguments and, for those that can rewrite expectations, whether to ask for it.
struct Check {
    name: &'static str,
    cargo: &'static [&'static str],
    update: bool,
}

const CHECKS: &[Check] = &[
    Check { name: "format", cargo: &["fmt", "--all", "--check"], update: false },
    Check { name: "lints", cargo: &["clippy", "-q", "--workspace", "--all-targets", "--", "-D", "warnings"], update: false },
    Check { name: "docs", cargo: &["doc", "-q", "--workspace", "--no-deps"], update: false },
    Check {
        name: "rules",
        cargo: &["test", "-q", "-p", "ottla-tests", "--lib", "--test", "sentinel", "--test", "tidy"],
        update: false,
    },
    Check { name: "stories", cargo: &["test", "-q", "-p", "ottla-tests", "--test", "stories"], update: false },
];

const FIXES: &[Check] = &[
    Check {
        name: "lints",
        cargo: &["clippy", "-q", "--workspace", "--all-targets", "--fix", "--allow-dirty", "--allow-staged"],
        update: false,
    },
    Check { name: "format", cargo: &["fmt", "--all"], update: false },
    Check {
        name: "expectations",
        cargo: &["test", "-q", "-p", "ottla-tests", "--test", "tidy", "--test", "stories"],
        update: true,
    },
];

fn main() -> ExitCode {
    let checks = match std::env::args().nth(1).as_deref() {
        None => CHECKS,
        Some("--fix") => FIXES,
        Some(other) => {
            eprintln!("unknown argument {other}: `cargo check-all` takes none, `cargo fix-all` repairs");
            return ExitCode::from(2);
        }
    };
    let mut failed = Vec::new();
    for check in checks {
        let start = Instant::now();
        let ok = run(check);
        println!("{:<12} {:<6} {:>6.1} s", check.name, if ok { "ok" } else { "FAILED" }, start.elapsed().as_secs_f64());
        if !ok {
            failed.push(check.name);
        }
    }
    if failed.is_empty() {
        return ExitCode::SUCCESS;
    }
    println!("failed: {}", failed.join(", "));
    ExitCode::FAILURE
}

fn run(check: &Check) -> bool {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_string());
    let mut command = Command::new(cargo);
    command.args(check.cargo).current_dir(ottla_tests::tidy::tree::root()).env_remove("CARGO_MANIFEST_DIR");
    if check.update {
        command.env("UPDATE_EXPECT", "1");
    }
    command.status().is_ok_and(|status| status.success())
}
