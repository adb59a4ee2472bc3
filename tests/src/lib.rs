//! What proves Ottla from outside: its rules as tests ([`tidy`]), its promises as stories ([`story`]), and the lanes beside them
//! (`tests/lanes`, `tests/golden`) that ask a running broker.
//!
//! Deliberately knows nothing of a broker's insides: stories speak the client protocol, tidy reads the tree as text.
//! Nothing depends on this package.

#![forbid(unsafe_code)]

pub mod bare;
pub mod story;
pub mod tidy;
