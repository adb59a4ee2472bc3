//! One segment of a log: a file of batches back to back, and a sparse index of it in memory.
//!
//! Does not know its bytes. Batch k of the file has index `base_index + k`; every row of the index describes the batches from its
//! position up to the next row's, about [`INDEX_INTERVAL_BYTES`] of them. Invariant: `written <= length`.

use super::batch::Batch;
use crate::disk::FileName;
use crate::ids::{GroupId, Index, Offset};

/// A new row at the first batch this far from the last row's.
pub(crate) const INDEX_INTERVAL_BYTES: u64 = 16 * 1024;

/// The batches of one stretch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    /// Base offset of the first.
    pub offset: Offset,
    /// Index of the first.
    pub index: Index,
    /// Where the first starts.
    pub position: u64,
    /// Greatest timestamp in the stretch, -1 for none.
    pub max_timestamp: i64,
    /// Base offset of the first batch that has it.
    pub max_timestamp_offset: Offset,
}

/// One segment.
#[derive(Debug)]
pub(crate) struct Segment {
    pub base_offset: Offset,
    pub base_index: Index,
    /// Bytes, counting those on their way to the disk.
    pub length: u64,
    /// Bytes in the page cache: may be read.
    pub written: u64,
    pub rows: Vec<Row>,
    /// Greatest timestamp, -1 for none.
    pub max_timestamp: i64,
    /// Greatest timestamp of the first batch that has one, -1 for none: `segment.ms` counts from there.
    pub first_timestamp: i64,
    /// Hash over all entries before it.
    pub base_chain: u64,
}

impl Segment {
    pub(crate) fn new(base_offset: Offset, base_index: Index, base_chain: u64) -> Segment {
        Segment {
            base_offset,
            base_index,
            length: 0,
            written: 0,
            rows: Vec::new(),
            max_timestamp: -1,
            first_timestamp: -1,
            base_chain,
        }
    }

    pub(crate) fn file(&self, group: GroupId) -> FileName {
        FileName::Segment { group, base_offset: self.base_offset, base_index: self.base_index }
    }

    /// The file that says what is in it, when it is complete.
    pub(crate) fn index_file(&self, group: GroupId) -> FileName {
        FileName::Index { group, base_offset: self.base_offset, base_index: self.base_index }
    }

    /// Adds a batch at the end.
    pub(crate) fn append(&mut self, batch: &Batch, index: Index) {
        let is_due = self.rows.last().is_none_or(|row| self.length - row.position >= INDEX_INTERVAL_BYTES);
        if is_due {
            self.rows.push(Row {
                offset: batch.base_offset,
                index,
                position: self.length,
                max_timestamp: -1,
                max_timestamp_offset: batch.base_offset,
            });
        }
        let row = self.rows.last_mut().expect("pushed above if there was none");
        if !batch.is_private && batch.max_timestamp > row.max_timestamp {
            row.max_timestamp = batch.max_timestamp;
            row.max_timestamp_offset = batch.base_offset;
        }
        self.max_timestamp = self.max_timestamp.max(row.max_timestamp);
        if self.first_timestamp < 0 {
            self.first_timestamp = row.max_timestamp;
        }
        self.length += batch.length as u64;
    }

    /// Number of the row whose stretch contains `index`.
    pub(crate) fn row_of_index(&self, index: Index) -> usize {
        self.rows.partition_point(|row| row.index <= index).max(1) - 1
    }

    /// Number of the row whose stretch contains the record at `offset`: the last that starts at or before it.
    pub(crate) fn row_of_offset(&self, offset: Offset) -> usize {
        self.rows.partition_point(|row| row.offset <= offset).max(1) - 1
    }

    /// Where row `number` ends.
    pub(crate) fn row_end(&self, number: usize) -> u64 {
        self.rows.get(number + 1).map_or(self.length, |row| row.position)
    }

    /// Keeps `length` bytes: the batches before `index`. The timestamps of a stretch that is cut through are those of `rest`, the
    /// batches of the stretch that stay, as far as they are known.
    pub(crate) fn cut(&mut self, index: Index, length: u64, end: Offset, rest: impl Iterator<Item = (Offset, i64)>) {
        assert!(length <= self.length, "a cut makes a segment shorter");
        while self.rows.last().is_some_and(|row| row.index >= index) {
            self.rows.pop();
        }
        self.length = length;
        self.written = self.written.min(length);
        if let Some(row) = self.rows.last_mut()
            && row.max_timestamp_offset >= end
        {
            row.max_timestamp = -1;
            row.max_timestamp_offset = row.offset;
            for (offset, timestamp) in rest {
                if timestamp > row.max_timestamp {
                    row.max_timestamp = timestamp;
                    row.max_timestamp_offset = offset;
                }
            }
        }
        self.max_timestamp = self.rows.iter().map(|row| row.max_timestamp).max().unwrap_or(-1);
        if self.max_timestamp < 0 {
            self.first_timestamp = -1;
        }
    }

    /// Keeps about every eighth row: a sealed segment is read in long runs. Once more changes nothing.
    pub(crate) fn seal(&mut self) {
        let mut thin: Vec<Row> = Vec::with_capacity(self.rows.len() / 8 + 1);
        for row in &self.rows {
            match thin.last_mut().filter(|last| row.position - last.position < 8 * INDEX_INTERVAL_BYTES) {
                None => thin.push(*row),
                Some(last) if row.max_timestamp > last.max_timestamp => {
                    last.max_timestamp = row.max_timestamp;
                    last.max_timestamp_offset = row.max_timestamp_offset;
                }
                Some(_) => {}
            }
        }
        self.rows = thin;
    }
}
