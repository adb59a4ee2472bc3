//! The real program as a process: brokers on loopback and the tools that talk to them.
//!
//! One program of tests, so that those that wait do so side by side.

mod attacks;
mod broker;
mod client;
mod commands;
mod doctor;
mod listeners;
mod log_dirs;
mod logs;
mod metrics;
mod tools;
