//! What the core reads and writes on the wire and on the disk, against layouts and what a real Kafka wrote. Against a second codec it is tested
//! by `tests/oracle`.
//!
//! Here and not beside the code: these tests instantiate the codec of every API, which costs most of a minute when it is optimised
//! as the core is.

#![allow(clippy::cast_possible_truncation, missing_docs)]

mod bytes;
mod layout;
mod records;
mod tables;
mod values;
