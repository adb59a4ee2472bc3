//! What `ottla serve` is told: read from a file, the environment and the command line, judged, and made into a [`NodeConfiguration`].
//!
//! The stronger place wins: `--set`, then the environment, then the file, then the default. Names, types and defaults are those of the
//! core's table (`ottla_core::config`); this folder adds only what the shell itself acts upon: who, where, with whom.
//!
//! Follow one setting: [`Sources`] reads the places into [`Layers`] of [`Entry`]s, each with its [`Origin`]; [`Layers::judge`] says what is
//! wrong with them, all of it at once, as [`Finding`]s; what is right becomes the [`NodeConfiguration`].

mod address;
mod cluster_id;
mod entry;
mod environment;
mod finding;
mod java_properties;
mod layers;
mod log_settings;
mod node;
mod own;
mod sources;
mod toml_file;

pub use address::Address;
pub use cluster_id::id_text;
pub use entry::{Entry, Origin};
pub use environment::belongs_to_kafka;
pub use finding::Finding;
pub use java_properties::parse_pairs;
pub use layers::{Layers, Thoroughness};
pub use log_settings::{LogFormat, LogSettings, level_word};
pub use node::{MetricsPlace, NodeConfiguration};
pub use own::{LOG_FORMAT, LOG_LEVEL, METRICS_LISTENER, OWN_SETTINGS, own_setting};
pub use sources::Sources;
