//! The log of one group: segments of plain Kafka v2 batches, sparse index, epoch table, tail cache; the meta log of a broker; and the
//! recovery of both. Everything here is a state machine over I/O values and knows neither raft's types nor who asks.
mod batch;
mod epochs;
mod group_log;
mod log_start;
mod manifest;
mod memory;
mod meta_log;
mod meta_state;
mod producer_bytes;
mod producer_table;
mod producer_window;
mod scan;
mod segment;
mod segment_index;
mod tail;
mod time_search;
#[cfg(test)]
pub(crate) use batch::test_batch;
pub(crate) use batch::{Batch, encode_private, full_header, private_payload};
pub(crate) use group_log::{Cut, FetchPlan, Write, walk_run};
pub use group_log::{GroupLog, ReadPlan, RecordRun, Stretch};
pub(crate) use log_start::{LogStart, StartCommand};
pub(crate) use manifest::{FileRange, Manifest};
pub(crate) use memory::{Memory, Position};
pub(crate) use meta_log::{MetaFault, MetaLog, read_meta_file};
pub(crate) use meta_state::{Install, MetaRecord, MetaState};
pub(crate) use producer_bytes::{decode_producers, encode_producers};
pub use producer_table::{ProducerRules, ProducerTable};
pub use producer_window::{ProducedBatch, ProducerWindow, sequence_plus};
pub(crate) use scan::{GroupScan, ScanStep, Scanned};
pub use time_search::{SearchEnd, Sought, TimeSearch, TimeSearched};
