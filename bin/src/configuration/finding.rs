//! [`Finding`]: one thing to say about a configuration.

use super::Origin;
use std::fmt;

/// A sentence and the place it is about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// The place; `None` if it is about something that stands nowhere.
    pub origin: Option<Origin>,
    /// The sentence, with its full stop.
    pub sentence: String,
}

impl Finding {
    /// About a place.
    pub fn at(origin: &Origin, sentence: impl Into<String>) -> Finding {
        Finding { origin: Some(origin.clone()), sentence: sentence.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Some(origin) => write!(f, "{origin}: {}", self.sentence),
            None => f.write_str(&self.sentence),
        }
    }
}
