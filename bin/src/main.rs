//! `ottla`: the broker and its tools in one program. This file only picks what to run.

mod cli;
mod client;
mod configuration;
mod cpu_ticks;
mod data_folder;
mod dev;
mod disk;
mod host;
#[cfg(test)]
mod host_limits_tests;
#[cfg(test)]
mod host_tests;
#[cfg(test)]
mod host_work_tests;
mod logs;
mod metrics;
mod probe;
#[cfg(test)]
mod scratch;
mod serve;

use clap::{CommandFactory, Parser, Subcommand};
use std::process::ExitCode;

/// A broker allocates and frees frames all the time: the system's allocator took a quarter of the CPU time of small requests and gives
/// large blocks back to the kernel, which then clears them again for the next frame.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A Kafka-compatible event log whose brokers replicate every partition with Raft.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
struct Ottla {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run one broker, configured by a file, the environment and the command line.
    Serve(serve::Serve),
    /// Run a cluster on this machine to try things out.
    Dev(dev::Dev),
    /// Tools.
    #[command(flatten)]
    Tool(cli::Command),
    /// Print what makes a shell complete commands and options of this program.
    #[command(
        after_help = "Examples:\n  ottla completions bash > /etc/bash_completion.d/ottla\n  ottla completions zsh > \"${fpath[1]}/_ottla\"\n  ottla completions fish > ~/.config/fish/completions/ottla.fish"
    )]
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
}

fn main() -> ExitCode {
    match Ottla::parse().command {
        Command::Serve(serve) => serve.run(),
        Command::Dev(dev) => dev.run(),
        Command::Tool(tool) => tool.run(),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Ottla::command(), "ottla", &mut script);
            cli::print_script(&script)
        }
    }
}
