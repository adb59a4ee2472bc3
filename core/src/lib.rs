//! The whole broker as one value: `step(now, Input, &mut Outputs)`, `end_round`, `next_deadline`.
//!
//! What is absent here is the architecture. This crate does not know what time it is; it has no socket, no file, no thread,
//! no task, no environment and no source of entropy; it never waits and never retries a disk. It does not know whether it runs
//! on a real machine or inside a simulator, and nothing in it may find out. Two runs with the same configuration and the same
//! inputs give the same outputs, byte for byte.
//!
//! Modules import downwards only: `ids time random disk limits error` ← `record config` ← `log` ← `raft` ← `partition`
//! ← `controller` ← `api` ← `broker`.

#![forbid(unsafe_code)]

pub mod api;
pub mod broker;
pub mod config;
pub mod controller;
pub mod disk;
pub mod error;
pub mod ids;
pub mod input;
pub mod invariants;
pub mod limits;
pub mod log;
pub mod mutant;
pub mod output;
pub mod partition;
pub mod raft;
pub mod random;
pub mod record;
pub mod time;

/// The wire protocol, a package of its own (`core/protocol`) below all modules.
pub use ottla_protocol as protocol;

pub use broker::{Broker, BrokerConfig, Deadline, Recovery, RecoveryStep};
