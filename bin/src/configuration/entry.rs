//! [`Entry`]: one value of one setting, with the place where it stands.

use std::fmt;

/// A value as it was given.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Kafka's name of the setting.
    pub name: String,
    /// The value, not checked yet.
    pub value: String,
    /// Where it stands.
    pub origin: Origin,
}

/// Where something stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Origin {
    /// In a file.
    Line {
        /// The file as it was named on the command line.
        file: String,
        /// The line, the first is 1.
        line: usize,
    },
    /// In the environment, under this name.
    Environment(String),
    /// On the command line: `--set`.
    CommandLine,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Line { file, line } => write!(f, "{file}:{line}"),
            Origin::Environment(name) => f.write_str(name),
            Origin::CommandLine => f.write_str("--set"),
        }
    }
}
