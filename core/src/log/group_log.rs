//! STUB of the seam.
use crate::disk::FileName;
use crate::ids::{Index, LeaderEpoch, Offset, Term};
use bytes::Bytes;

/// The log of one group.
#[derive(Debug)]
pub struct GroupLog {}

/// Bytes that answer a fetch: whole or cut batches, private control batches already left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecordRun {
    /// Slices, in log order.
    pub slices: Vec<Bytes>,
    /// Their sum.
    pub bytes: usize,
}

/// How to read a range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadPlan {
    /// Nothing there (`from` is the end).
    Empty,
    /// It was in the tail cache.
    Ready(RecordRun),
    /// Read this, then call [`GroupLog::finish_read`].
    Disk {
        /// The file.
        file: FileName,
        /// Where.
        position: u64,
        /// How much.
        length: u32,
    },
}

impl GroupLog {
    /// First offset that may be read.
    pub fn log_start(&self) -> Offset {
        unimplemented!()
    }
    /// Offset of the next record.
    pub fn log_end(&self) -> Offset {
        unimplemented!()
    }
    /// Raft index of the last entry.
    pub fn last_index(&self) -> Index {
        unimplemented!()
    }
    /// Offset end (exclusive) of the log prefix up to and including `index`.
    pub fn offset_end_at(&self, _index: Index) -> Offset {
        unimplemented!()
    }
    /// Kafka `OffsetForLeaderEpoch`: the largest epoch at or below the asked one and its end offset; (-1, -1) if unknown.
    pub fn epoch_end(&self, _epoch: LeaderEpoch) -> (LeaderEpoch, Offset) {
        unimplemented!()
    }
    /// Epoch of the record at `offset`.
    pub fn epoch_at(&self, _offset: Offset) -> LeaderEpoch {
        unimplemented!()
    }
    /// Term of the last entry.
    pub fn last_term(&self) -> Term {
        unimplemented!()
    }
    /// How to read data records from the batch that contains `from`, below `end` (exclusive: high watermark or LSO), at most about
    /// `bytes_max` (the first batch is always whole, as in KIP-74).
    pub fn plan_read(&self, _from: Offset, _end: Offset, _bytes_max: u32) -> ReadPlan {
        unimplemented!()
    }
    /// Turns what was read for a [`ReadPlan::Disk`] into the run, with the same arguments.
    pub fn finish_read(&self, _from: Offset, _end: Offset, _bytes_max: u32, _read: Bytes) -> RecordRun {
        unimplemented!()
    }
    /// Where a record with a timestamp at or after `timestamp` may first be: the offset of the first batch, below `end`, whose max timestamp is not
    /// below; `None` if there is none. The caller reads from there with `plan_read` and walks records.
    pub fn first_batch_at_time(&self, _timestamp: i64, _end: Offset) -> Option<Offset> {
        unimplemented!()
    }
    /// The batch below `end` with the greatest max timestamp (the first of them): its base offset, for ListOffsets -3.
    pub fn max_timestamp_batch(&self, _end: Offset) -> Option<(Offset, i64)> {
        unimplemented!()
    }
}
