//! [`LogSettings`]: how a broker tells people what happens: `ottla.log.format` and `ottla.log.level`.

use super::layers::Counting;
use super::own::{LOG_FORMAT, LOG_LEVEL, own_setting};
use slog::Level;

/// How lines look.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogFormat {
    /// For people.
    Human,
    /// One JSON object per line.
    Json,
}

/// Format and level.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LogSettings {
    /// How lines look.
    pub format: LogFormat,
    /// The least that is told.
    pub level: Level,
}

/// The words for levels.
const LEVELS: [(&str, Level); 4] =
    [("error", Level::Error), ("warn", Level::Warning), ("info", Level::Info), ("debug", Level::Debug)];

impl LogSettings {
    /// What counts; what is wrong with it is told as a name and a sentence, and the default stands in its place, so that it can be told.
    #[must_use]
    pub fn read(counting: &Counting<'_>) -> (LogSettings, Vec<(&'static str, String)>) {
        let mut wrong = Vec::new();
        let mut text = |name: &'static str, is_known: fn(&str) -> bool, words: &str| -> String {
            let default = own_setting(name).and_then(|own| own.default).unwrap_or_default();
            let given = counting.get(name).map(|entry| entry.value.trim().to_ascii_lowercase());
            match given {
                Some(given) if is_known(&given) => given,
                Some(given) => {
                    wrong.push((name, format!("{name}={given} is none of {words}.")));
                    default.to_string()
                }
                None => default.to_string(),
            }
        };
        let format = text(LOG_FORMAT, |word| ["human", "json"].contains(&word), "human, json");
        let level = text(LOG_LEVEL, |word| level_of(word).is_some(), "error, warn, info, debug");
        let format = if format == "json" { LogFormat::Json } else { LogFormat::Human };
        (LogSettings { format, level: level_of(&level).unwrap_or(Level::Info) }, wrong)
    }
}

fn level_of(word: &str) -> Option<Level> {
    LEVELS.iter().find(|(name, _)| *name == word).map(|(_, level)| *level)
}

/// The word for a level, as the setting names it.
#[must_use]
pub fn level_word(level: Level) -> &'static str {
    match level {
        Level::Critical | Level::Error => "error",
        Level::Warning => "warn",
        Level::Info => "info",
        Level::Debug | Level::Trace => "debug",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::{Entry, Layers, Origin};

    fn read(pairs: &[(&str, &str)]) -> (LogSettings, Vec<String>) {
        let entry = |(name, value): &(&str, &str)| Entry {
            name: (*name).to_string(),
            value: (*value).to_string(),
            origin: Origin::CommandLine,
        };
        let layers = Layers { entries: pairs.iter().map(entry).collect(), faults: Vec::new() };
        let (settings, wrong) = LogSettings::read(&layers.counting());
        (settings, wrong.into_iter().map(|(_, sentence)| sentence).collect())
    }

    #[test]
    fn people_are_told_what_matters_unless_somebody_says_otherwise() {
        assert_eq!(read(&[]), (LogSettings { format: LogFormat::Human, level: Level::Info }, Vec::new()));
        let chosen = read(&[("ottla.log.format", " JSON "), ("ottla.log.level", "warn")]);
        assert_eq!(chosen, (LogSettings { format: LogFormat::Json, level: Level::Warning }, Vec::new()));
    }

    #[test]
    fn a_wrong_word_is_told_and_the_other_setting_counts() {
        let (settings, wrong) = read(&[("ottla.log.format", "json"), ("ottla.log.level", "loud")]);
        assert_eq!(settings, LogSettings { format: LogFormat::Json, level: Level::Info });
        assert_eq!(wrong, ["ottla.log.level=loud is none of error, warn, info, debug."]);
    }
}
