//! Judges of a run: what brokers hold and say (inside), and what clients were told (outside).
//!
//! The inside judges read disks and outputs, not the broker's own opinion, wherever the fact is visible there.

pub(crate) mod history;
pub(crate) mod log_mirror;
pub(crate) mod meta_mirror;
pub(crate) mod once;
pub(crate) mod promises;
pub(crate) mod sequences;
pub(crate) mod starts;
pub(crate) mod told;
pub(crate) mod watch;
