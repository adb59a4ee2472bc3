//! [`Failure`]: why a question to the cluster was not answered as hoped, as one sentence for people.

use ottla_core::protocol::{ApiKey, DecodeError, ErrorCode, Text};
use std::fmt;

/// Why there is no good answer.
#[derive(Debug)]
pub enum Failure {
    /// No connection, or it broke, or nothing came in time.
    Unreachable {
        /// The address.
        address: String,
        /// What the system says.
        why: std::io::Error,
    },
    /// The broker answered with an error.
    Told {
        /// The error.
        code: ErrorCode,
        /// The broker's own sentence.
        message: Option<String>,
        /// What was asked about, such as `topic orders`.
        about: String,
    },
    /// The broker speaks no version of this that we speak.
    Unspoken {
        /// What it should speak.
        key: ApiKey,
        /// Where.
        address: String,
    },
    /// Bytes or values that make no sense.
    Nonsense(String),
}

impl Failure {
    /// Turns an error code of a response into a failure, unless it is none.
    pub fn check(code: i16, message: Option<&Text>, about: impl FnOnce() -> String) -> Result<(), Failure> {
        match ErrorCode::from_code(code) {
            Some(ErrorCode::None) => Ok(()),
            Some(code) => {
                let message = message.map(ToString::to_string).filter(|message| !message.is_empty());
                Err(Failure::Told { code, message, about: about() })
            }
            None => Err(Failure::Nonsense(format!("{}: the broker answered with the unknown error {code}", about()))),
        }
    }

    /// Whether the same question may be answered well a little later.
    pub fn may_pass(&self) -> bool {
        match self {
            // A name that does not exist or a port nobody listens on does not get better by waiting as long as a broken election does,
            // but a broker that is starting looks the same.
            Failure::Unreachable { .. } => true,
            Failure::Told { code, .. } => code.is_retriable() || *code == ErrorCode::BrokerNotAvailable,
            Failure::Unspoken { .. } | Failure::Nonsense(_) => false,
        }
    }

    /// Whether the broker says that there is no such topic.
    pub fn is_unknown_topic(&self) -> bool {
        matches!(self, Failure::Told { code: ErrorCode::UnknownTopicOrPartition, .. })
    }

    /// A frame that can't be read.
    pub fn unreadable(address: &str, error: DecodeError) -> Failure {
        Failure::Nonsense(format!("{address} sent an answer that can't be read: {error}"))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Unreachable { address, why } => write!(f, "no answer from {address}: {why}"),
            Failure::Told { code: ErrorCode::UnknownTopicOrPartition, message: None, about } => {
                write!(f, "{about} does not exist")
            }
            Failure::Told { code, message: None, about } => write!(f, "{about}: {code}"),
            Failure::Told { code, message: Some(message), about } => write!(f, "{about}: {code}: {message}"),
            Failure::Unspoken { key, address } => write!(f, "the broker at {address} speaks no version of {key} that we know"),
            Failure::Nonsense(what) => f.write_str(what),
        }
    }
}
