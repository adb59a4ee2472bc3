//! The hostile world: the unchanged broker, its disk, its clocks and its network inside one seed.
//!
//! Read in this order: `shape` and `plan` (what a seed expands to), `cluster` (the event heap), `disk`, `network`, `clock` (what the
//! world does to a broker), `client` and `workload` (what clients do), `check` (who judges), `run` (one seed from start to verdict),
//! `story` (the same world without faults, for tests that tell a story).
//!
//! Source of the shape: FoundationDB's and TigerBeetle's simulators, Jepsen's checkers.

#![forbid(unsafe_code)]

mod batch;
mod check;
mod clock;
mod cluster;
mod dice;
pub mod disk;
mod network;
mod panics;
pub mod report;
pub mod shape;
pub mod story;
mod trace;
mod views;
mod wire;

pub use network::NetSettings;
pub use report::{Counters, Failure, FailureKind, Report};
pub use shape::Shape;
