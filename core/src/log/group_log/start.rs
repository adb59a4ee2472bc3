//! Moving the start of a log: what may go, what retention lets go, and which files that frees.

use super::GroupLog;
use crate::disk::FileName;
use crate::ids::{Index, Offset};
use crate::log::LogStart;
use crate::log::segment::Segment;

impl GroupLog {
    /// Where the log would start with `offset` as the first that may be read: at a segment before which no entry is readable, and whose first
    /// entry is decided and not above `last`: a log with nothing decided could not be lent. Never before the present start.
    pub(crate) fn plan_start(&self, offset: Offset, last: Index) -> LogStart {
        let offset = offset.max(self.start.offset);
        let last = last.min(self.settled);
        let is_kept = |segment: &&Segment| segment.base_offset <= offset && segment.base_index <= last;
        match self.segments.iter().skip(1).take_while(is_kept).last() {
            None => LogStart { offset, ..self.start },
            Some(first) => LogStart {
                offset,
                index: first.base_index,
                base_offset: first.base_offset,
                term: self.epochs.term(Index(first.base_index.0 - 1)),
                chain: first.base_chain,
            },
        }
    }

    /// Moves the start; the files that nobody reads from now on.
    pub(crate) fn set_start(&mut self, start: LogStart) -> Vec<FileName> {
        assert!(start.offset >= self.start.offset && start.index >= self.start.index, "a log start never goes back: {start:?}");
        self.start = start;
        let gone = self.segments.partition_point(|segment| segment.base_index < start.index);
        let files = self.files_of(gone);
        self.segments.drain(..gone);
        self.indexed = self.indexed.saturating_sub(gone);
        files
    }

    pub(crate) fn start(&self) -> LogStart {
        self.start
    }

    /// What retention leaves of the log: its new start, if that moves. Segments go whole, oldest first, while everything in them is
    /// below `end` (the high watermark) and either all their records are older than `ms` at `now_ms`, or without them the log still has
    /// `bytes` bytes. -1: no limit. A segment of records without timestamps does not age.
    ///
    /// Source: Kafka `UnifiedLog.deleteOldSegments`.
    #[must_use]
    pub fn expired(&self, now_ms: i64, ms: i64, bytes: i64, end: Offset) -> Option<Offset> {
        let mut excess = match u64::try_from(bytes) {
            Ok(bytes) => self.bytes().saturating_sub(bytes),
            Err(_) => 0,
        };
        let mut start = self.start.offset;
        for (number, segment) in self.segments.iter().enumerate() {
            let next = self.segments.get(number + 1).map_or(self.log_end, |next| next.base_offset);
            let is_empty = next == segment.base_offset;
            let is_old = ms >= 0 && segment.max_timestamp >= 0 && now_ms.saturating_sub(segment.max_timestamp) > ms;
            let is_excess = bytes >= 0 && excess > 0 && segment.length <= excess;
            if next > end || !(is_empty || next <= start || is_old || is_excess) {
                break;
            }
            excess = excess.saturating_sub(segment.length);
            start = start.max(next);
        }
        (start > self.start.offset).then_some(start)
    }
}
