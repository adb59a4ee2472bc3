//! Judges of a run: what brokers hold and say (inside), and what clients were told (outside).
//!
//! The inside judges read disks and outputs, not the broker's own opinion, wherever the fact is visible there.
//!
//! By number: I1 to I5 and I8 to I10 in `watch` and `sequences`, I6 and I7 in `promises`, what leaders count in `counted`, I14 in `watch` (between
//! brokers) and `cluster::rebuild` (against the disk), I16 in the core's `invariants` and where frames leave, I17 in `watch` and `installs`
//! (a replica made whole by a snapshot is judged like every other), I18 in `told`, I19 in `wiped`. I11 to I13 and I15 speak of transactions,
//! groups and compaction.

mod counted;
pub(crate) mod history;
pub(crate) mod installs;
mod log_mirror;
pub(crate) mod meta_mirror;
pub(crate) mod once;
pub(crate) mod promises;
pub(crate) mod sequences;
pub(crate) mod starts;
pub(crate) mod told;
pub(crate) mod watch;
pub(crate) mod wiped;
