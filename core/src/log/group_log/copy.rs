//! What a log says of itself for a copy, and a copy that takes the place of a log.

use super::GroupLog;
use crate::disk::FileName;
use crate::ids::Index;
use crate::log::manifest::{FileRange, Manifest};
use bytes::Bytes;

impl GroupLog {
    /// Everything up to the last settled entry; `None` if there is nothing. `producers` is what is known of producers by then.
    pub(crate) fn manifest(&self, producers: Bytes) -> Option<Manifest> {
        let last = self.settled;
        let mut files: Vec<FileRange> = Vec::new();
        for segment in self.segments.iter().take_while(|segment| segment.base_index <= last) {
            files.push(FileRange {
                base_offset: segment.base_offset,
                base_index: segment.base_index,
                length: segment.length,
                chain: segment.base_chain,
            });
        }
        files.last_mut()?.length = self.settled_position_end;
        let (start, term, end, chain) = (self.start, self.epochs.term(last), self.settled_end, self.settled_chain);
        Some(Manifest { start, last, term, end, chain, files, producers })
    }

    /// Whether this, all of it settled, is the log that a manifest lists.
    pub(crate) fn is_listed_by(&self, manifest: &Manifest) -> bool {
        let same_chains =
            self.segments.iter().map(|segment| segment.base_chain).eq(manifest.files.iter().map(|range| range.chain));
        let here = (self.settled, self.last_index, self.last_term(), self.log_end, self.settled_chain);
        same_chains && here == (manifest.last, manifest.last, manifest.term, manifest.end, manifest.chain)
    }

    /// Its files.
    pub(crate) fn files(&self) -> Vec<FileName> {
        self.files_of(self.segments.len())
    }

    /// How much of a file may be read; `None` for a file that is not (or no longer) part of the log.
    pub(crate) fn readable(&self, file: FileName) -> Option<u64> {
        self.segments.iter().rev().find(|segment| segment.file(self.group) == file).map(|segment| segment.written)
    }

    /// Entries up to here are in the page cache.
    pub(crate) fn written_index(&self) -> Index {
        self.written_index
    }

    /// Takes the place of `before`, with its settings. Nothing of it may be read until [`GroupLog::reveal`].
    pub(crate) fn replacing(mut self, before: &GroupLog) -> GroupLog {
        self.segment_bytes_max = before.segment_bytes_max;
        self.segment_ms_max = before.segment_ms_max;
        for segment in &mut self.segments {
            segment.written = 0;
        }
        self
    }

    /// The files of an install have their names.
    pub(crate) fn reveal(&mut self, files: &[FileRange]) {
        for range in files {
            if let Some(segment) = self.segments.iter_mut().find(|segment| segment.base_index == range.base_index) {
                segment.written = segment.written.max(range.length.min(segment.length));
            }
        }
    }
}
