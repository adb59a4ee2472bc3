//! [`ErrorCode`]: what a client is told when something it asked for was not done.
//!
//! Deliberately has no messages: a sentence for people is written where the decision is made. Errors that end a connection are
//! [`super::DecodeError`].

include!(concat!(env!("OUT_DIR"), "/error_code.rs"));

struct Facts {
    code: ErrorCode,
    name: &'static str,
    is_retriable: bool,
}

impl ErrorCode {
    /// Every code, ascending from -1.
    pub fn all() -> impl Iterator<Item = ErrorCode> {
        FACTS.iter().map(|facts| facts.code)
    }

    /// The number on the wire.
    #[must_use]
    pub fn code(self) -> i16 {
        self as i16
    }

    /// The error of a number; `None` if Kafka 4.3 has no such code.
    #[must_use]
    pub fn from_code(code: i16) -> Option<ErrorCode> {
        FACTS.binary_search_by_key(&code, |facts| facts.code.code()).ok().map(|at| FACTS[at].code)
    }

    /// Kafka's name, such as `NOT_LEADER_OR_FOLLOWER`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.facts().name
    }

    /// Whether clients try again by themselves, as Kafka's Java client does.
    #[must_use]
    pub fn is_retriable(self) -> bool {
        self.facts().is_retriable
    }

    fn facts(self) -> &'static Facts {
        let at = FACTS.binary_search_by_key(&self.code(), |facts| facts.code.code());
        &FACTS[at.expect("the table is generated from the same list as the enum, in ascending order")]
    }
}

impl core::fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.name())
    }
}
