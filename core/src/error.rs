//! Errors that end this broker. Errors told to clients are [`crate::protocol::ErrorCode`]; nonsense from outside is
//! [`crate::protocol::DecodeError`]; broken logic is an assertion. The four are never mixed.

use core::fmt;

/// The world failed us, or this broker's disk contradicts what it promised: the process stops with this sentence.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fatal {
    /// A disk operation failed. Never retried: after a failed fsync nobody knows what is on the disk.
    Disk(String),
    /// Data that was durable is damaged or gone: file, position and what is wrong, in one sentence.
    Corrupt(String),
}

impl fmt::Display for Fatal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fatal::Disk(what) => write!(f, "the disk failed: {what}"),
            Fatal::Corrupt(what) => write!(f, "the log is damaged: {what}"),
        }
    }
}

impl std::error::Error for Fatal {}
