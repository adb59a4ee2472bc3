//! The shell around the broker: frames, connections, peers and the loop that feeds the core.
//!
//! It decides nothing about records, leadership or offsets. It knows neither an async runtime nor a simulator: all it needs of
//! the world is the [`Host`] trait, so the same [`Node`] runs in the binary (tokio) and under madsim. Everything runs on one
//! thread and nothing here is `Send`; what comes from other threads (disk completions) enters through [`Inbox`].
//!
//! Reading order: [`host`], [`frame`], [`connection`], `client`, [`peer`], [`node`].

#![forbid(unsafe_code)]

mod bell;
mod chronicle;
mod client;
mod client_counters;
mod client_limits;
pub mod connection;
pub mod frame;
mod hello;
pub mod host;
pub mod inbox;
pub mod limits;
mod metrics;
pub mod node;
pub mod peer;
mod timing;

pub use client_limits::ClientLimits;
pub use connection::{Connection, ConnectionFault};
pub use hello::{decode_frame, encode_frame};
pub use host::{Disk, Host, Reader, Writer};
pub use inbox::{Inbox, InboxReceiver, Lookout};
pub use metrics::{ClientMetrics, DiskMetrics, NodeMetrics, PeerMetrics};
pub use node::{Ended, Node, NodeSettings};
pub use peer::{PeerBook, Peers};
pub use timing::Timing;
