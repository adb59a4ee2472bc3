//! Looking for a record by its time within bytes that were read: a value that is worked on beside the core, because it decompresses.
//!
//! Knows nothing of logs and leaders: who asked judges what was found by what is true when it comes back.
//! Source: Kafka `FileRecords.searchForTimestamp`, KIP-79, KIP-734.

use super::group_log::RecordRun;
use crate::ids::{LeaderEpoch, Offset};
use crate::limits::DECOMPRESSED_BYTES_MAX;
use crate::record::{BatchHeader, Records, decompress_body};
use bytes::{Bytes, BytesMut};

/// Which record is looked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sought {
    /// The first record at or after this time, ms.
    AtOrAfter(i64),
    /// The first record with exactly this time, ms, the greatest of its batch.
    Exactly(i64),
}

/// A search through one run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TimeSearch {
    /// What was read.
    pub run: RecordRun,
    /// Which record.
    pub sought: Sought,
    /// Records before it are not looked at: the log may start within a batch.
    pub from: Offset,
    /// Bytes that may be looked through and decompressed.
    pub bytes_left: usize,
}

/// How a search ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SearchEnd {
    /// Here it is.
    Found {
        /// Its offset.
        offset: Offset,
        /// Its time, ms.
        timestamp: i64,
        /// The leader epoch of its batch.
        epoch: LeaderEpoch,
    },
    /// It is not before this offset, where the run ends.
    Passed(Offset),
    /// There were too few bytes left to go on.
    TooFewBytes,
}

/// What came of a search.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TimeSearched {
    /// How it ended.
    pub end: SearchEnd,
    /// Bytes that may still be looked through.
    pub bytes_left: usize,
}

impl TimeSearch {
    /// Does it. Takes as much memory as one batch has bytes, decompressed, [`DECOMPRESSED_BYTES_MAX`] at most.
    #[must_use]
    pub fn search(self) -> TimeSearched {
        let bytes = joined(&self.run);
        let mut bytes_left = self.bytes_left.saturating_sub(bytes.len());
        let mut rest = bytes.as_ref();
        let mut from = self.from;
        while let Ok(header) = BatchHeader::parse(rest) {
            let Some((batch, after)) = rest.split_at_checked(header.total_len()) else { break };
            if bytes_left == 0 {
                return TimeSearched { end: SearchEnd::TooFewBytes, bytes_left };
            }
            if let Some(end) = self.in_batch(&header, batch, &mut bytes_left) {
                return TimeSearched { end, bytes_left };
            }
            from = from.max(header.offset_end());
            rest = after;
        }
        TimeSearched { end: SearchEnd::Passed(from), bytes_left }
    }

    /// The first record of a batch that fits. What is decompressed for it is taken from `bytes_left`.
    fn in_batch(&self, header: &BatchHeader, batch: &[u8], bytes_left: &mut usize) -> Option<SearchEnd> {
        let is_it = |time: i64| match self.sought {
            Sought::AtOrAfter(wanted) => time >= wanted,
            Sought::Exactly(wanted) => time == wanted,
        };
        let found =
            |offset: Offset, timestamp: i64| Some(SearchEnd::Found { offset, timestamp, epoch: header.partition_leader_epoch });
        if !is_it(header.max_timestamp) {
            return None;
        }
        if header.is_log_append_time() {
            return found(header.base_offset.max(self.from), header.max_timestamp);
        }
        let body = decompress_body(header.codec().ok()?, &batch[BatchHeader::SIZE..], DECOMPRESSED_BYTES_MAX).ok()?;
        *bytes_left = bytes_left.saturating_sub(body.len());
        for record in Records::new(&body, header.record_count) {
            let record = record.ok()?;
            let time = header.base_timestamp.wrapping_add(record.timestamp_delta);
            let offset = Offset(header.base_offset.0 + i64::from(record.offset_delta));
            if is_it(time) && offset >= self.from {
                return found(offset, time);
            }
        }
        None
    }
}

fn joined(run: &RecordRun) -> Bytes {
    if let [one] = run.slices.as_slice() {
        return one.clone();
    }
    let mut whole = BytesMut::with_capacity(run.bytes);
    for slice in &run.slices {
        whole.extend_from_slice(slice);
    }
    whole.freeze()
}
