//! Segment files of a data folder, found by their names and read batch by batch.
//!
//! Names: `<label>.<group>/<base offset, 20 digits>.<base index, 16 hex digits>.log` as in `ottla_core::disk`. A bare
//! `<base offset>.log`, as Kafka writes it, is read too, without indices. Memory: one batch per open group.
//!
//! Does not judge: what continues what is checked by the callers.

use ottla_core::ids::{GroupId, Index, Offset};
use ottla_core::limits;
use ottla_core::record::{BatchHeader, HeaderFault, ScanFault, verify_batch};
use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

/// A segment file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Segment {
    /// Where it is.
    pub path: PathBuf,
    /// Offset of its first record.
    pub base_offset: Offset,
    /// Raft index of its first batch; `None` for a file of Kafka.
    pub base_index: Option<Index>,
}

/// The segments of one group of one data folder, by base index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct GroupFiles {
    /// The group.
    pub group: GroupId,
    /// The first part of the folder's name, such as `orders-0`.
    pub label: String,
    /// Its segments, ascending.
    pub segments: Vec<Segment>,
}

/// Reads a segment from its start.
#[derive(Debug)]
pub(super) struct SegmentReader {
    file: BufReader<File>,
    length: u64,
    position: u64,
}

/// A batch as it lies in the file, or why there is none.
pub(super) type Step = Result<Option<Batch>, ScanFault>;

/// A whole batch with a fitting crc.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Batch {
    /// Bytes from the start of the file.
    pub position: u64,
    /// Its header.
    pub header: BatchHeader,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// All groups of a data folder, ascending by id.
pub(super) fn groups_of(folder: &Path) -> Result<Vec<GroupFiles>, String> {
    let mut groups = Vec::new();
    for path in entries(folder)? {
        let Some((label, group)) = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.rsplit_once('.')) else {
            continue;
        };
        let (true, Ok(group)) = (path.is_dir(), group.parse()) else { continue };
        groups.push(GroupFiles { group: GroupId(group), label: label.to_owned(), segments: segments_of(&path)? });
    }
    groups.sort_by_key(|files| files.group);
    Ok(groups)
}

/// The segments right inside a folder, ascending.
pub(super) fn segments_of(folder: &Path) -> Result<Vec<Segment>, String> {
    let mut segments: Vec<Segment> = entries(folder)?.iter().filter_map(|path| Segment::named(path)).collect();
    segments.sort_by_key(|segment| (segment.base_index, segment.base_offset));
    Ok(segments)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let list = || -> io::Result<Vec<PathBuf>> { fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect() };
    let mut paths = list().map_err(|error| format!("{}: can't be listed: {error}", folder.display()))?;
    paths.sort();
    Ok(paths)
}

impl Segment {
    /// The segment of this name; `None` if it is not one's name.
    pub(super) fn named(path: &Path) -> Option<Segment> {
        let stem = path.file_name()?.to_str()?.strip_suffix(".log")?;
        let (offset, index) = stem.split_once('.').map_or((stem, None), |(offset, index)| (offset, Some(index)));
        if offset.len() != 20 || index.is_some_and(|index| index.len() != 16) {
            return None;
        }
        let base_index = index.map(|index| u64::from_str_radix(index, 16)).transpose().ok()?.map(Index);
        Some(Segment { path: path.to_owned(), base_offset: Offset(offset.parse().ok()?), base_index })
    }

    /// Opens it for reading.
    pub(super) fn open(&self) -> Result<SegmentReader, String> {
        SegmentReader::open(&self.path)
    }
}

impl SegmentReader {
    /// Opens any file.
    pub(super) fn open(path: &Path) -> Result<SegmentReader, String> {
        let open = || -> io::Result<SegmentReader> {
            let file = File::open(path)?;
            let length = file.metadata()?.len();
            Ok(SegmentReader { file: BufReader::with_capacity(1 << 18, file), length, position: 0 })
        };
        open().map_err(|error| format!("{}: can't be opened: {error}", path.display()))
    }

    /// Where the next batch begins.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Bytes from there to the end of the file as it was when it was opened.
    pub(super) fn left(&self) -> u64 {
        self.length - self.position
    }

    /// Whether all that is left is zeros: what a file system may leave of an append that never became durable. Reads to the end.
    pub(super) fn ends_in_zeros(mut self, batch_start: &[u8]) -> bool {
        let mut rest = Vec::new();
        batch_start.iter().all(|byte| *byte == 0)
            && self.file.read_to_end(&mut rest).is_ok()
            && rest.iter().all(|byte| *byte == 0)
    }

    /// The next batch; `Ok(None)` at the end. After a fault the reader is done for. `start` is left with the bytes of the batch that
    /// were looked at.
    pub(super) fn next(&mut self, start: &mut Vec<u8>) -> Result<Step, io::Error> {
        start.clear();
        let left = self.left();
        if left == 0 {
            return Ok(Ok(None));
        }
        if left < as_u64(BatchHeader::SIZE) {
            self.take(start, left)?;
            return Ok(Err(ScanFault::Header(HeaderFault::Cut)));
        }
        self.take(start, as_u64(BatchHeader::SIZE))?;
        let need = match BatchHeader::parse(start) {
            Err(fault) => return Ok(Err(ScanFault::Header(fault))),
            Ok(header) => header.total_len(),
        };
        if as_u64(need) > left || need > limits::REQUEST_BYTES_MAX {
            return Ok(Err(ScanFault::Cut { need, have: usize::try_from(left).unwrap_or(usize::MAX) }));
        }
        self.take(start, as_u64(need - BatchHeader::SIZE))?;
        Ok(verify_batch(start).map(|header| {
            let position = self.position;
            self.position += as_u64(need);
            Some(Batch { position, header, bytes: std::mem::take(start) })
        }))
    }

    fn take(&mut self, into: &mut Vec<u8>, bytes: u64) -> io::Result<()> {
        let read = self.file.by_ref().take(bytes).read_to_end(into)?;
        if as_u64(read) == bytes { Ok(()) } else { Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file became shorter")) }
    }
}

fn as_u64(bytes: usize) -> u64 {
    u64::try_from(bytes).expect("usize fits in 64 bits")
}
