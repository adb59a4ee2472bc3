//! The hostile world: the unchanged broker, its disk, its clocks and its network inside one seed.
//!
//! Read in this order: `shape` and `plan` (what a seed expands to), `cluster` (the event heap), `disk`, `network`, `clock` (what the
//! world does to a broker), `client`, `idempotent` and `workload` (what clients do), `check` (who judges), `run` (one seed from start to verdict),
//! `story` (the same world without faults, for tests that tell a story).
//!
//! Source of the shape: FoundationDB's and TigerBeetle's simulators, Jepsen's checkers.

#![forbid(unsafe_code)]

mod action;
mod batch;
pub mod campaign;
mod check;
mod client;
mod clock;
mod cluster;
mod dice;
pub mod disk;
mod idempotent;
mod lives;
mod madsim_host;
mod network;
mod panics;
mod plan;
pub mod report;
mod run;
pub mod shape;
pub mod story;
mod trace;
mod views;
mod wire;
mod workload;

pub use madsim_host::run_madsim;
pub use network::NetSettings;
pub use report::{Counters, Failure, FailureKind, Report};
pub use run::{Options, RECOVERY_US, run_heap};
pub use shape::Shape;
