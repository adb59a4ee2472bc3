//! [`DecodeError`]: bytes from outside that are no message. The connection is closed; nobody is answered (`ErrorCode` is for that).

use super::ApiKey;
use core::fmt;

/// Why bytes are not a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DecodeError {
    /// The frame ends inside a field, or a length points behind its end.
    Truncated {
        /// Bytes the field wants.
        wanted: usize,
        /// Bytes that are left.
        remaining: usize,
    },
    /// A value that no encoder writes, in one sentence.
    Invalid(&'static str),
    /// Decoding would take more memory than any sensible message: [`crate::reader::DECODED_BYTES_MAX`].
    TooLarge,
    /// No such API.
    UnknownApi(i16),
    /// The API has no such version.
    UnsupportedVersion {
        /// The API.
        key: ApiKey,
        /// The version asked for.
        version: i16,
    },
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DecodeError::Truncated { wanted, remaining } => {
                write!(f, "the frame ends early: a field wants {wanted} bytes, {remaining} are left")
            }
            DecodeError::Invalid(what) => f.write_str(what),
            DecodeError::TooLarge => f.write_str("the frame describes more than a message may hold"),
            DecodeError::UnknownApi(code) => write!(f, "there is no API {code}"),
            DecodeError::UnsupportedVersion { key, version } => write!(f, "{key} has no version {version}"),
        }
    }
}

impl std::error::Error for DecodeError {}

/// Whether the layout of this version is known.
pub(super) fn check_version(key: ApiKey, version: i16) -> Result<(), DecodeError> {
    let (first, last) = key.versions();
    if (first..=last).contains(&version) { Ok(()) } else { Err(DecodeError::UnsupportedVersion { key, version }) }
}
