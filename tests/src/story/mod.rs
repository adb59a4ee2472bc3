//! Stories: files in `tests/scenarios/` that a Kafka user can read, run over the unchanged core in a world without random faults.
//!
//! A story starts with comment lines that say which promise it shows, then blocks of commands and, under `----`, what happened. The
//! language is in `tests/scenarios/README.md`. With `UPDATE_EXPECT=1` in the environment the files are rewritten instead of compared.
//!
//! Stories speak the client protocol, encoded, as every client does: nothing here looks inside a broker.

mod actor;
mod command;
mod script;

pub use actor::Actor;
pub use command::Command;
pub use script::{Block, Script};

/// Plays a script; the result is the same script with what happened instead of what was expected.
///
/// # Errors
/// A command nobody understands, or one that could not be carried out, with its line.
///
/// # Panics
/// When the world sees an invariant broken.
pub fn play(script: &Script) -> Result<Script, String> {
    let mut actor = Actor::default();
    let mut played = script.clone();
    for block in &mut played.blocks {
        let mut happened = Vec::new();
        for (line, text) in &block.commands {
            let lines = Command::parse(text)
                .and_then(|command| actor.act(&command))
                .map_err(|e| format!("line {line}: `{text}`: {e}"))?;
            happened.extend(lines);
        }
        block.expected = happened;
    }
    Ok(played)
}
