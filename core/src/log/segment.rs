//! One segment of a log: a file of batches back to back, and a sparse index of it in memory.
//!
//! Does not know its bytes. Batch k of the file has index `base_index + k`; every row of the index describes the batches from its
//! position up to the next row's, about [`INDEX_INTERVAL_BYTES`] of them. Invariant: `written <= length`.

use super::batch::Batch;
use crate::disk::FileName;
use crate::ids::{GroupId, Index, Offset};

/// A new row at the first batch this far from the last row's.
pub(crate) const INDEX_INTERVAL_BYTES: u64 = 16 * 1024;

/// The first batch of a stretch that is no no-op: by it what a disk gives is told from what was written elsewhere. Offset and epoch do not tell:
/// another group has the same ones, and in the controller's log all offsets are 0. Nor do no-ops, of which one is like another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Where it starts, in bytes behind the begin of the stretch.
    pub at: u32,
    /// Its CRC-32C as stored.
    pub crc: u32,
}

impl Mark {
    fn new(at: u64, crc: u32) -> Mark {
        Mark { at: u32::try_from(at).expect("a stretch has a row when it is a few KiB long"), crc }
    }
}

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
    /// `None` as long as it has nothing but no-ops.
    pub mark: Option<Mark>,
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
                mark: None,
            });
        }
        let row = self.rows.last_mut().expect("pushed above if there was none");
        if !batch.is_private && batch.max_timestamp > row.max_timestamp {
            row.max_timestamp = batch.max_timestamp;
            row.max_timestamp_offset = batch.base_offset;
        }
        if row.mark.is_none() && !batch.is_noop() {
            row.mark = Some(Mark::new(self.length - row.position, batch.crc));
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
        if let Some(row) = self.rows.last_mut() {
            row.mark.take_if(|mark| row.position + u64::from(mark.at) >= length);
        }
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
            let last = thin.last_mut().filter(|last| row.position - last.position < 8 * INDEX_INTERVAL_BYTES);
            let Some(last) = last else {
                thin.push(*row);
                continue;
            };
            if last.mark.is_none()
                && let Some(first) = row.mark
            {
                last.mark = Some(Mark::new(row.position - last.position + u64::from(first.at), first.crc));
            }
            if row.max_timestamp > last.max_timestamp {
                last.max_timestamp = row.max_timestamp;
                last.max_timestamp_offset = row.max_timestamp_offset;
            }
        }
        self.rows = thin;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Term;
    use crate::log::batch::{encode_private, test_batch};
    use crate::record::{PrivateKind, patch_offset_and_epoch};

    /// Three rows: one of no-ops only, two with a record each.
    fn segment() -> Segment {
        let mut segment = Segment::new(Offset(0), Index(2), 0);
        let mut index = Index(2);
        let mut append = |segment: &mut Segment, batch: &Batch| {
            segment.append(batch, index);
            index.0 += 1;
        };
        let noop = Batch::parse(&encode_private(PrivateKind::Noop, Offset(0), Term(4), &[])).expect("a batch");
        for offset in 0..2 {
            let begin = segment.length;
            while segment.length < begin + INDEX_INTERVAL_BYTES + 100 {
                append(&mut segment, &noop);
            }
            let mut data = test_batch(1, 40, -1, 1_000);
            patch_offset_and_epoch(&mut data, Offset(offset), Term(4).leader_epoch());
            append(&mut segment, &Batch::parse(&data).expect("a batch"));
        }
        segment
    }

    #[test]
    fn a_mark_is_the_first_batch_that_says_something() {
        let mut segment = segment();
        let marks = |segment: &Segment| -> Vec<Option<u64>> {
            segment.rows.iter().map(|row| row.mark.map(|mark| row.position + u64::from(mark.at))).collect()
        };
        let before = marks(&segment);
        assert!(matches!(before[..], [None, Some(_), Some(_)]), "{before:?}");
        let (last, length) = (segment.rows[2], segment.length);
        segment.cut(
            Index(last.index.0 + 1),
            last.position + u64::from(last.mark.expect("it has one").at),
            Offset(1),
            [].into_iter(),
        );
        assert_eq!(marks(&segment), [before[0], before[1], None], "it was cut away, not the row");
        assert!(segment.length < length);
        segment.seal();
        assert_eq!(marks(&segment), [before[1]]);
    }
}
