//! Segments that are complete: what is known of them leaves for a file of its own, and comes back from there at a start.

use super::GroupLog;
use crate::disk::FileName;
use crate::ids::Index;
use crate::log::segment_index::{SegmentIndex, encode_index};
use crate::log::tail::Tail;
use bytes::Bytes;

impl GroupLog {
    /// The last entry of the last segment that is sealed and settled; the one before the log's first if there is none.
    pub(crate) fn sealed_end(&self) -> Index {
        let ends = self.segments.iter().skip(1).map(|next| Index(next.base_index.0 - 1));
        ends.rev().find(|last| *last <= self.settled).unwrap_or(Index(self.start.index.0 - 1))
    }

    /// The last entry of the first segment that is sealed, settled and has no file that says what is in it.
    pub(crate) fn index_due(&self) -> Option<Index> {
        let next = self.segments.get(self.indexed + 1)?;
        Some(Index(next.base_index.0 - 1)).filter(|last| *last <= self.settled)
    }

    /// That file; it counts as there from now on.
    pub(crate) fn write_index(&mut self) -> Option<(FileName, Bytes)> {
        let last = self.index_due()?;
        let (segment, next) = (&self.segments[self.indexed], &self.segments[self.indexed + 1]);
        let terms = self.epochs.began(segment.base_index, next.base_index);
        let data = encode_index(segment, next.base_chain, next.base_offset, last, terms);
        let file = segment.index_file(self.group);
        self.indexed += 1;
        Some((file, data))
    }

    /// The files of the first `count` segments.
    pub(super) fn files_of(&self, count: usize) -> Vec<FileName> {
        let segments = self.segments.iter().take(count).map(|segment| segment.file(self.group));
        let indexes = self.segments.iter().take(count.min(self.indexed)).map(|segment| segment.index_file(self.group));
        segments.chain(indexes).collect()
    }

    /// Takes a whole segment over from its file at a start; false if it does not continue what was taken over so far.
    pub(crate) fn adopt(&mut self, index: SegmentIndex) -> bool {
        let SegmentIndex { segment, chain, end, last, terms } = index;
        let is_next = self.indexed == self.segments.len()
            && self.unsettled.is_empty()
            && (segment.base_offset, segment.base_index.0) == (self.log_end, self.last_index.0 + 1)
            && segment.base_chain == self.settled_chain;
        let mut term = self.last_term();
        let ascend = terms.iter().all(|(next, ..)| core::mem::replace(&mut term, *next) < *next);
        if !is_next || !ascend {
            return false;
        }
        for (term, index, offset) in terms {
            self.epochs.append(term, index, offset);
        }
        (self.last_index, self.settled, self.written_index) = (last, last, last);
        (self.log_end, self.settled_end) = (end, end);
        self.settled_chain = chain;
        self.settled_position_end = segment.length;
        self.tail = Tail::new(Index(last.0 + 1), end, self.tail.bytes_max());
        self.segments.push(segment);
        self.indexed += 1;
        true
    }
}
