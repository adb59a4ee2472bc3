//! What a snapshot of a partition is: a list of immutable byte ranges of segment files, and what can't be read from them.
//!
//! Everything up to the last entry of a manifest is committed, so its bytes never change: nothing is copied to make one, and a replica
//! that was sent one fetches the ranges at its own pace. Each range has the hash over all entries before it, so a range is known by what
//! is in it and in front of it; ranges that two manifests have in common are fetched once. Terms, index and everything else about the
//! segments is read from them while they are fetched.
//!
//! Binary form, little-endian: version u32 = 1, start (see [`LogStart::encode`]), last index u64, its term u64, offset end i64, chain u64,
//! ranges (count u32, each base offset i64, base index u64, length u64, chain u64), then what is known of producers (see
//! `producer_bytes`), empty for nobody.
//!
//! Invariant: ranges are in log order, the first begins where the log starts.

use super::log_start::LogStart;
use crate::disk::FileName;
use crate::ids::{GroupId, Index, Offset, Term};
use bytes::{Buf, BufMut, Bytes, BytesMut};

const VERSION: u32 = 1;
/// Segments that a copied log may have: its record in the meta log lists them and has a bound. A log of more is not copied; the replica
/// that needs it stays behind until retention made it shorter.
pub(crate) const FILES_MAX: usize = crate::limits::SNAPSHOT_FILES_MAX;

/// The first bytes of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileRange {
    /// Offset of its first record.
    pub base_offset: Offset,
    /// Index of its first entry.
    pub base_index: Index,
    /// How many bytes.
    pub length: u64,
    /// Hash over all entries before it.
    pub chain: u64,
}

impl FileRange {
    /// The segment.
    pub(crate) fn segment(&self, group: GroupId) -> FileName {
        FileName::Segment { group, base_offset: self.base_offset, base_index: self.base_index }
    }

    /// Its name while it is being copied.
    pub(crate) fn copy(&self, group: GroupId) -> FileName {
        FileName::Copy { group, base_offset: self.base_offset, base_index: self.base_index }
    }

    pub(crate) fn encode_all(ranges: &[FileRange], out: &mut BytesMut) {
        out.put_u32_le(u32::try_from(ranges.len()).expect("bounded by SNAPSHOT_FILES_MAX"));
        for range in ranges {
            out.put_i64_le(range.base_offset.0);
            out.put_u64_le(range.base_index.0);
            out.put_u64_le(range.length);
            out.put_u64_le(range.chain);
        }
    }

    pub(crate) fn decode_all(input: &mut Bytes, count_max: usize) -> Option<Vec<FileRange>> {
        let count = usize::try_from(input.try_get_u32_le().ok()?).ok()?;
        if count > count_max {
            return None;
        }
        let mut ranges = Vec::new();
        for _ in 0..count {
            ranges.push(FileRange {
                base_offset: Offset(input.try_get_i64_le().ok()?),
                base_index: Index(input.try_get_u64_le().ok()?),
                length: input.try_get_u64_le().ok()?,
                chain: input.try_get_u64_le().ok()?,
            });
        }
        Some(ranges)
    }
}

/// A snapshot of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Manifest {
    /// Where the log starts.
    pub start: LogStart,
    /// The last entry it has; committed.
    pub last: Index,
    /// The term of that entry.
    pub term: Term,
    /// Offset after it.
    pub end: Offset,
    /// Hash over all entries up to it.
    pub chain: u64,
    /// All its segments.
    pub files: Vec<FileRange>,
    /// What is known of producers by then; empty for nobody.
    pub producers: Bytes,
}

impl Manifest {
    pub(crate) fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        out.put_u32_le(VERSION);
        self.start.encode(&mut out);
        out.put_u64_le(self.last.0);
        out.put_u64_le(self.term.0);
        out.put_i64_le(self.end.0);
        out.put_u64_le(self.chain);
        FileRange::encode_all(&self.files, &mut out);
        out.put_slice(&self.producers);
        out.freeze()
    }

    /// The manifest that `bytes` are; `None` if they are not trustworthy: they come from another broker.
    pub(crate) fn decode(mut bytes: Bytes) -> Option<Manifest> {
        let input = &mut bytes;
        if input.try_get_u32_le().ok()? != VERSION {
            return None;
        }
        let start = LogStart::decode(input)?;
        let last = Index(input.try_get_u64_le().ok()?);
        let term = Term(input.try_get_u64_le().ok()?);
        let end = Offset(input.try_get_i64_le().ok()?);
        let chain = input.try_get_u64_le().ok()?;
        let files = FileRange::decode_all(input, FILES_MAX)?;
        let first = files.first()?;
        let is_first = (first.base_offset, first.base_index, first.chain) == (start.base_offset, start.index, start.chain);
        let is_ordered = files.windows(2).all(|pair| pair[0].base_index < pair[1].base_index);
        let is_whole = files.iter().all(|range| range.length > 0 && range.base_index <= last);
        let is_log = is_first && is_ordered && is_whole && start.offset <= end && term >= start.term;
        is_log.then_some(Manifest { start, last, term, end, chain, files, producers: bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::SNAPSHOT_FILES_MAX;

    fn manifest() -> Manifest {
        let start = LogStart { offset: Offset(7), index: Index(5), base_offset: Offset(6), term: Term(2), chain: 9 };
        let range = |base_offset, base_index, chain| FileRange {
            base_offset: Offset(base_offset),
            base_index: Index(base_index),
            length: 100,
            chain,
        };
        Manifest {
            start,
            last: Index(12),
            term: Term(3),
            end: Offset(20),
            chain: 11,
            files: vec![range(6, 5, 9), range(10, 8, 10)],
            producers: Bytes::from_static(b"table"),
        }
    }

    #[test]
    fn a_manifest_gives_itself_back_and_no_cut_one_is_taken() {
        let (manifest, bytes) = (manifest(), manifest().encode());
        let ranges_end = bytes.len() - manifest.producers.len();
        assert_eq!(Manifest::decode(bytes.clone()), Some(manifest));
        for length in 0..ranges_end {
            assert_eq!(Manifest::decode(bytes.slice(..length)), None, "cut to {length}");
        }
    }

    #[test]
    fn a_list_that_is_no_log_is_refused() {
        let is_refused = |change: fn(&mut Manifest)| {
            let mut bad = manifest();
            change(&mut bad);
            Manifest::decode(bad.encode()).is_none()
        };
        assert!(is_refused(|m| m.files.clear()));
        assert!(is_refused(|m| m.files.swap(0, 1)));
        assert!(is_refused(|m| m.files[0].chain = 1));
        assert!(is_refused(|m| m.files[1].length = 0));
        assert!(is_refused(|m| m.files[1].base_index = Index(13)));
        assert!(is_refused(|m| m.end = Offset(6)));
        assert!(is_refused(|m| m.term = Term(1)));
        assert!(!is_refused(|_| ()));
    }

    #[test]
    fn a_log_of_too_many_segments_is_not_copied() {
        let with = |count: usize| {
            let first = manifest().files[0];
            let files = (0..count as u64).map(|number| FileRange { base_index: Index(5 + number), ..first });
            Manifest { files: files.collect(), last: Index(5 + count as u64), ..manifest() }
        };
        assert!(Manifest::decode(with(SNAPSHOT_FILES_MAX).encode()).is_some());
        assert!(Manifest::decode(with(SNAPSHOT_FILES_MAX + 1).encode()).is_none());
    }
}
