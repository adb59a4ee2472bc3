//! The log of one group: segments of plain Kafka v2 batches, sparse index, epoch table, tail cache, recovery.
mod group_log;
pub use group_log::{GroupLog, ReadPlan, RecordRun};
