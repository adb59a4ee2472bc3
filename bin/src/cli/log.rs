//! `ottla log`: reads the data folders of a broker without a broker.
//!
//! `dump` prints the batches of segments, one line or one JSON object each; `verify` checks every segment of every group of one or several data folders and,
//! given several, that replicas of a group hold the same bytes. Both only read. A folder of a running broker may be given, its last
//! segment may then end in the middle of an append.
//!
//! Does not know raft: which entries are committed is not in the segments, so replicas are compared over all entries they share.

mod dump;
mod dump_json;
mod segments;
mod verify;

use super::Print;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// What to do with logs.
#[derive(clap::Subcommand, Debug)]
pub enum LogCommand {
    /// Prints the batches of a segment file, of a partition's folder or of a whole data folder.
    #[command(
        after_help = "Examples:\n  ottla log dump /var/lib/ottla\n  ottla log dump --records ottla-data/broker-1\n  ottla log dump --output json ottla-data/broker-1 | jq 'select(.codec == \"zstd\")'"
    )]
    Dump {
        /// A `.log` file or a folder that holds some.
        path: PathBuf,
        /// Print the records of each batch too.
        #[arg(long)]
        records: bool,
        #[command(flatten)]
        print: Print,
    },
    /// Checks data folders; with several, also that replicas hold the same bytes. Exit code 1 names the first damage.
    #[command(after_help = "Example:\n  ottla log verify ottla-data/broker-1 ottla-data/broker-2 ottla-data/broker-3")]
    Verify {
        /// Data folders of brokers.
        #[arg(required = true)]
        folders: Vec<PathBuf>,
        #[command(flatten)]
        print: Print,
    },
}

/// Runs the command; prints to standard output, the first damage to standard error.
pub fn run(command: &LogCommand) -> ExitCode {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let outcome = match command {
        LogCommand::Dump { path, records, print } => {
            dump::dump(path, dump::Wanted { with_records: *records, format: print.output }, &mut out)
        }
        LogCommand::Verify { folders, print } => verify::verify(folders, print.output, &mut out),
    };
    // What was found before the damage is part of the answer; a reader that went away is not an error of ours.
    let _ = out.flush();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(damage) => {
            eprintln!("{damage}");
            ExitCode::FAILURE
        }
    }
}
