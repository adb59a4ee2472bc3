//! `sim`: run seeds, replay one, measure the simulator with deliberate bugs.

#![forbid(unsafe_code)]

mod cli;

use std::process::ExitCode;

/// A run makes and drops millions of small values: with the system's allocator a sixth of a campaign's time went there.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    cli::run(&arguments)
}
