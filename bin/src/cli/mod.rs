//! The tools of the command line: each asks a running cluster or reads files, none runs a broker.

pub mod log;

use clap::Subcommand;
use std::process::ExitCode;

/// A tool.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Look into data folders.
    #[command(subcommand)]
    Log(log::LogCommand),
}

impl Command {
    /// Runs it.
    pub fn run(self) -> ExitCode {
        match self {
            Command::Log(command) => log::run(&command),
        }
    }
}
