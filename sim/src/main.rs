//! `sim`: run seeds, replay one, measure the simulator with deliberate bugs.

#![forbid(unsafe_code)]

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    cli::run(&arguments)
}
