//! The log of one group: the raft log, which is the partition's log, as segments of plain batches.
//!
//! A value: it plans appends, cuts and reads, and is told what the disk did. It does not know raft's types, who leads, or what is
//! committed beyond what [`GroupLog::settle`] told it. The raft entry at `index` is exactly one batch; entries that take no offset are
//! private control batches (see `batch`).
//!
//! Invariants: `settled <= last_index`; `written_index <= last_index`; offsets are dense: each batch starts where the one before it
//! ended; terms never descend; segments are contiguous in index and offset; the tail ends at `last_index` and holds at least
//! everything above `written_index`; `first segment's base offset <= log start <= settled end`.

mod checked;
mod copy;
mod sealed;
mod start;

use super::batch::{self, Batch, BatchError, start_command};
use super::epochs::Epochs;
use super::log_start::LogStart;
use super::segment::{Mark, Row, Segment};
use super::tail::{Tail, TailEntry};
use crate::disk::FileName;
use crate::ids::{GroupId, Index, LeaderEpoch, Offset, Term};
use crate::random::keyed;
use bytes::Bytes;
use std::collections::VecDeque;

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
        /// What begins there.
        stretch: Stretch,
    },
}

/// What a read from the disk begins with, as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stretch {
    /// Base offset of the first batch.
    offset: Offset,
    /// Bytes of which it is known what comes first that is no no-op.
    length: u64,
    mark: Option<Mark>,
}

impl Stretch {
    fn of(row: &Row, end: u64) -> Stretch {
        Stretch { offset: row.offset, length: end.saturating_sub(row.position), mark: row.mark }
    }

    /// Whether a batch with this CRC can be the first that is no no-op, `at` bytes behind the begin.
    fn may_begin_with(&self, at: usize, crc: u32) -> bool {
        match self.mark {
            Some(mark) => crc == mark.crc && u32::try_from(at) == Ok(mark.at),
            None => at as u64 >= self.length,
        }
    }
}

/// An append to one file.
#[derive(Debug)]
pub(crate) struct Write {
    pub file: FileName,
    pub position: u64,
    pub data: Vec<Bytes>,
    /// Length of the file after it.
    pub end: u64,
    /// Index of its last entry.
    pub last_index: Index,
}

/// What the disk must do to forget a suffix: later files go, the last one that stays is cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cut {
    pub truncate: Option<(FileName, u64)>,
    pub remove: Vec<FileName>,
}

/// A range that holds entries for a follower.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FetchPlan {
    pub file: FileName,
    pub position: u64,
    pub length: u32,
    /// Index of the first batch of the range.
    pub first: Index,
    /// And what begins there.
    pub stretch: Stretch,
}

/// What is remembered of each entry that may still be cut away.
#[derive(Debug, Clone, Copy)]
struct Unsettled {
    /// Offset after it.
    end: Offset,
    /// Hash over all entries up to it.
    chain: u64,
    /// Length of its segment after it.
    position_end: u64,
}

/// The log of one group.
#[derive(Debug)]
pub struct GroupLog {
    group: GroupId,
    segment_bytes_max: u64,
    segment_ms_max: i64,
    start: LogStart,
    segments: Vec<Segment>,
    epochs: Epochs,
    tail: Tail,
    last_index: Index,
    log_end: Offset,
    /// Everything up to here stays for ever.
    settled: Index,
    settled_end: Offset,
    settled_chain: u64,
    settled_position_end: u64,
    unsettled: VecDeque<Unsettled>,
    written_index: Index,
    /// How many segments, from the first, have a file that says what is in them (see `sealed`).
    indexed: usize,
}

impl GroupLog {
    /// A new group's log, the same on every replica.
    pub(crate) fn born(group: GroupId, segment_bytes_max: u64, tail_bytes_max: usize) -> GroupLog {
        GroupLog::resumed(group, LogStart::BIRTH, segment_bytes_max, tail_bytes_max)
    }

    /// A log without entries behind its start.
    pub(crate) fn resumed(group: GroupId, start: LogStart, segment_bytes_max: u64, tail_bytes_max: usize) -> GroupLog {
        let before = Index(start.index.0 - 1);
        GroupLog {
            group,
            segment_bytes_max,
            segment_ms_max: i64::MAX,
            start,
            segments: Vec::new(),
            epochs: Epochs::resumed(start.term, start.index, start.base_offset),
            tail: Tail::new(start.index, start.base_offset, tail_bytes_max),
            last_index: before,
            log_end: start.base_offset,
            settled: before,
            settled_end: start.base_offset,
            settled_chain: start.chain,
            settled_position_end: 0,
            unsettled: VecDeque::new(),
            written_index: before,
            indexed: 0,
        }
    }

    pub(crate) fn set_segment_bytes(&mut self, bytes_max: u64) {
        self.segment_bytes_max = bytes_max;
    }

    /// A segment is closed when a batch is newer than its first one by more than `ms_max` (`segment.ms`).
    pub(crate) fn set_segment_ms(&mut self, ms_max: i64) {
        self.segment_ms_max = ms_max;
    }

    // What is in it.

    /// First offset that may be read.
    #[must_use]
    pub fn log_start(&self) -> Offset {
        self.start.offset
    }

    /// Raft index of the first entry that is kept.
    #[must_use]
    pub fn first_index(&self) -> Index {
        self.start.index
    }

    /// Offset of the next record.
    #[must_use]
    pub fn log_end(&self) -> Offset {
        self.log_end
    }

    /// Raft index of the last entry.
    #[must_use]
    pub fn last_index(&self) -> Index {
        self.last_index
    }

    /// Everything up to here is committed and stays, as far as this log was told.
    #[must_use]
    pub fn settled(&self) -> Index {
        self.settled
    }

    /// Term of the last entry.
    #[must_use]
    pub fn last_term(&self) -> Term {
        self.epochs.last_term()
    }

    /// Term of the entry at `index`, from the one before the first to the last.
    #[must_use]
    pub fn term(&self, index: Index) -> Term {
        assert!(self.start.index.0 <= index.0 + 1 && index <= self.last_index, "{index} is not in the log of {}", self.group);
        self.epochs.term(index)
    }

    /// Offset end (exclusive) of the log prefix up to and including `index`. Exact for every entry that may still be cut away and the
    /// last one that may not; a lower bound (by at most a stretch of the sparse index) for older ones.
    #[must_use]
    pub fn offset_end_at(&self, index: Index) -> Offset {
        assert!(index <= self.last_index, "{index} is beyond the log of {}", self.group);
        match self.unsettled_at(index) {
            Some(entry) => entry.end,
            None if index == self.settled => self.settled_end,
            None => self.segment_of_index(index).map_or(Offset(0), |segment| segment.rows[segment.row_of_index(index)].offset),
        }
    }

    /// Hash over all entries up to `index`, which must be the last settled one or later.
    ///
    /// # Panics
    /// An earlier one is asked for.
    #[must_use]
    pub fn chain_at(&self, index: Index) -> u64 {
        match self.unsettled_at(index) {
            Some(entry) => entry.chain,
            None => {
                assert_eq!(index, self.settled, "the chain of older entries is not remembered");
                self.settled_chain
            }
        }
    }

    fn unsettled_at(&self, index: Index) -> Option<&Unsettled> {
        let number = index.0.checked_sub(self.settled.0 + 1)?;
        self.unsettled.get(usize::try_from(number).ok()?)
    }

    /// Kafka `OffsetForLeaderEpoch`: the largest epoch at or below the asked one and its end offset; (-1, -1) if unknown.
    #[must_use]
    pub fn epoch_end(&self, epoch: LeaderEpoch) -> (LeaderEpoch, Offset) {
        self.epochs.epoch_end(epoch, self.start.offset, self.log_end)
    }

    /// Epoch of the record at `offset`.
    #[must_use]
    pub fn epoch_at(&self, offset: Offset) -> LeaderEpoch {
        self.epochs.epoch_at(offset)
    }

    /// How many segments it has.
    #[must_use]
    pub fn segments(&self) -> usize {
        self.segments.len()
    }

    /// Bytes of all segments.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.length).sum()
    }

    // Growing and shrinking.

    /// Appends one entry: exactly one batch whose offset and term fit. What the disk has to do is added to `writes`; appends to the
    /// same file merge.
    pub(crate) fn append(&mut self, data: Bytes, writes: &mut Vec<Write>) -> Batch {
        let batch = Batch::parse(&data).expect("entries were checked where they came in");
        assert_eq!(batch.length, data.len(), "an entry is exactly one batch");
        let index = Index(self.last_index.0 + 1);
        if self.segments.last().is_none_or(|segment| self.is_closed_by(segment, &batch, &data)) {
            self.begin_segment();
        }
        let segment = self.segments.last().expect("there is an active segment");
        let (file, position) = (segment.file(self.group), segment.length);
        self.admit(&batch);
        let end = position + batch.length as u64;
        match writes.last_mut() {
            Some(write) if write.file == file => {
                write.data.push(data.clone());
                write.end = end;
                write.last_index = index;
            }
            _ => writes.push(Write { file, position, data: vec![data.clone()], end, last_index: index }),
        }
        let entry = TailEntry { data, end: batch.end_offset, is_private: batch.is_private };
        self.tail.push(entry, self.written_index);
        batch
    }

    /// Whether a segment ends before this batch: it is full, its first records are too old to lie beside it (`segment.ms`), or none of
    /// its records is readable once the batch, a log start entry, is committed, so that it can be deleted then.
    fn is_closed_by(&self, segment: &Segment, batch: &Batch, data: &Bytes) -> bool {
        let is_full = segment.length + batch.length as u64 > self.segment_bytes_max;
        let is_old =
            segment.first_timestamp >= 0 && batch.max_timestamp.saturating_sub(segment.first_timestamp) > self.segment_ms_max;
        let has_records = segment.base_offset < self.log_end;
        let is_over = || batch.is_private && start_command(data).is_some_and(|start| start.offset >= self.log_end);
        segment.length > 0 && (is_full || is_old || has_records && is_over())
    }

    fn begin_segment(&mut self) {
        if let Some(segment) = self.segments.last_mut() {
            segment.seal();
        }
        let chain = self.unsettled.back().map_or(self.settled_chain, |entry| entry.chain);
        self.segments.push(Segment::new(self.log_end, Index(self.last_index.0 + 1), chain));
    }

    /// Counts a batch at the end of the active segment, in memory.
    fn admit(&mut self, batch: &Batch) {
        let index = Index(self.last_index.0 + 1);
        assert_eq!(batch.base_offset, self.log_end, "offsets are dense: {} entry {index}", self.group);
        self.epochs.append(batch.term, index, batch.base_offset);
        let segment = self.segments.last_mut().expect("there is an active segment");
        segment.append(batch, index);
        let before = self.unsettled.back().map_or(self.settled_chain, |entry| entry.chain);
        let chain = keyed(before, &[index.0, batch.term.0, u64::from(batch.crc)]);
        self.unsettled.push_back(Unsettled { end: batch.end_offset, chain, position_end: segment.length });
        self.last_index = index;
        self.log_end = batch.end_offset;
    }

    /// Entries up to `index` stay for ever: they are committed.
    pub(crate) fn settle(&mut self, index: Index) {
        while self.settled < index {
            let entry = self.unsettled.pop_front().expect("what is committed is in the log");
            self.settled.0 += 1;
            self.settled_end = entry.end;
            self.settled_chain = entry.chain;
            self.settled_position_end = entry.position_end;
        }
    }

    /// Forgets the entries from `from` on, which are not committed.
    pub(crate) fn cut(&mut self, from: Index) -> Cut {
        assert!(from > self.settled, "committed entries are never cut: {from} in {}, settled {}", self.group, self.settled);
        assert!(from <= self.last_index, "there is something to cut");
        let keep = usize::try_from(from.0 - self.settled.0 - 1).expect("it fits memory");
        self.unsettled.truncate(keep);
        let end = self.unsettled.back().map_or(self.settled_end, |entry| entry.end);
        let mut cut = Cut { truncate: None, remove: Vec::new() };
        while self.segments.last().is_some_and(|segment| segment.base_index >= from) {
            let segment = self.segments.pop().expect("looked at above");
            cut.remove.push(segment.file(self.group));
        }
        if self.indexed > 0 && self.indexed == self.segments.len() {
            // The segment is to grow again.
            self.indexed -= 1;
            cut.remove.extend(self.segments.last().map(|segment| segment.index_file(self.group)));
        }
        self.tail.cut(from, end);
        let group = self.group;
        if let Some(segment) = self.segments.last_mut() {
            let length = self.unsettled.back().map_or(self.settled_position_end, |entry| entry.position_end);
            let first = segment.rows.last().map_or(from, |row| row.index);
            let rest = self.tail.from(first).filter(|entry| !entry.is_private).filter_map(|entry| {
                let batch = Batch::parse(&entry.data).ok()?;
                Some((batch.base_offset, batch.max_timestamp))
            });
            let rest: Vec<_> = rest.collect();
            if length < segment.length {
                cut.truncate = Some((segment.file(group), length));
            }
            segment.cut(from, length, end, rest.into_iter());
        }
        self.epochs.cut(from);
        self.last_index = Index(from.0 - 1);
        self.log_end = end;
        self.written_index = self.written_index.min(self.last_index);
        cut
    }

    /// The first `end` bytes of `file`, entries up to `index`, are in the page cache.
    pub(crate) fn written(&mut self, file: FileName, end: u64, index: Index) {
        let group = self.group;
        if let Some(segment) = self.segments.iter_mut().rev().find(|segment| segment.file(group) == file) {
            segment.written = segment.written.max(end.min(segment.length));
        }
        self.written_index = self.written_index.max(index.min(self.last_index));
        self.tail.evict(self.written_index);
    }

    // Reading for followers.

    /// The tail is within its budget, but for entries that nobody else has yet.
    ///
    /// # Panics
    /// When it is not.
    pub(crate) fn check_tail(&self) {
        self.tail.check(self.written_index);
    }

    /// Whether `low` is in memory.
    pub(crate) fn has_in_tail(&self, low: Index) -> bool {
        low >= self.tail.first()
    }

    /// Bytes of the entry at `index`, if in memory.
    pub(crate) fn entry(&self, index: Index) -> Option<Bytes> {
        self.tail.get(index).map(|entry| entry.data.clone())
    }

    /// Entries `low..high` from memory, at least one, then as many as fit in `bytes_max`.
    pub(crate) fn entries(&self, low: Index, high: Index, bytes_max: u64) -> impl Iterator<Item = Bytes> {
        let count = usize::try_from(high.0 - low.0).expect("it fits memory");
        let mut bytes = 0u64;
        self.tail.from(low).take(count).enumerate().map_while(move |(number, entry)| {
            bytes += entry.data.len() as u64;
            (number == 0 || bytes <= bytes_max).then(|| entry.data.clone())
        })
    }

    /// Where the entry `low`, which is not in memory, and some that follow are on the disk.
    pub(crate) fn plan_fetch(&self, low: Index, bytes_max: u64) -> FetchPlan {
        let segment = self.segment_of_index(low).expect("what is not in memory is on the disk");
        let number = segment.row_of_index(low);
        let row = segment.rows[number];
        let first_end = segment.row_end(number);
        let length = (first_end - row.position).max(bytes_max).min(segment.written - row.position);
        FetchPlan {
            file: segment.file(self.group),
            position: row.position,
            length: u32::try_from(length).expect("reads are bounded by a message or a stretch"),
            first: row.index,
            stretch: Stretch::of(&row, first_end.min(segment.written)),
        }
    }

    fn segment_of_index(&self, index: Index) -> Option<&Segment> {
        let after = self.segments.partition_point(|segment| segment.base_index <= index);
        self.segments.get(after.checked_sub(1)?)
    }

    // Reading for clients.

    /// How to read data records from the batch that contains `from`, below `end` (exclusive: high watermark or LSO), at most
    /// `bytes_max`: the first batch is always whole (KIP-74), the last may be cut short, as Kafka does. A read from the disk is one
    /// range of one segment.
    #[must_use]
    pub fn plan_read(&self, from: Offset, end: Offset, bytes_max: u32) -> ReadPlan {
        let end = end.min(self.log_end);
        if from < self.log_start() || from >= end {
            return ReadPlan::Empty;
        }
        if let Some(entries) = self.tail.at_offset(from) {
            let mut run = RunBuilder::new(from, end, bytes_max);
            for entry in entries {
                if !run.take(&entry.data, entry.end, entry.is_private) {
                    break;
                }
            }
            return match run.finish() {
                run if run.bytes == 0 => ReadPlan::Empty,
                run => ReadPlan::Ready(run),
            };
        }
        let after = self.segments.partition_point(|segment| segment.base_offset <= from);
        let segment = &self.segments[after.checked_sub(1).expect("the log starts with a segment")];
        let number = segment.row_of_offset(from);
        let position = segment.rows[number].position;
        let first_end = segment.row_end(number);
        // Behind the stretch where records at or after `end` begin there is nothing to find.
        let last = segment.rows.partition_point(|row| row.offset < end);
        let useful = segment.row_end(last.max(1) - 1).min(segment.written);
        let length = (first_end - position + u64::from(bytes_max)).min(useful.saturating_sub(position));
        match u32::try_from(length).unwrap_or(u32::MAX) {
            0 => ReadPlan::Empty,
            length => {
                let stretch = Stretch::of(&segment.rows[number], first_end.min(segment.written));
                ReadPlan::Disk { file: segment.file(self.group), position, length, stretch }
            }
        }
    }

    /// Where a record with a timestamp at or after `timestamp` may first be, below `end`: every batch before the returned offset is
    /// older, and if such a record exists it is at or after it. `None` if there is none. The caller reads on from there with
    /// [`GroupLog::plan_read`] and walks records.
    #[must_use]
    pub fn first_batch_at_time(&self, timestamp: i64, end: Offset) -> Option<Offset> {
        let end = end.min(self.log_end);
        let segments = self.segments.iter().take_while(|segment| segment.base_offset < end);
        for segment in segments.filter(|segment| segment.max_timestamp >= timestamp) {
            let row = segment.rows.iter().find(|row| row.max_timestamp >= timestamp);
            if let Some(row) = row.filter(|row| row.offset < end) {
                return Some(row.offset.max(self.start.offset)).filter(|offset| *offset < end);
            }
        }
        None
    }

    /// The batch below `end` with the greatest max timestamp (the first of them): its base offset, for ListOffsets -3.
    #[must_use]
    pub fn max_timestamp_batch(&self, end: Offset) -> Option<(Offset, i64)> {
        let end = end.min(self.log_end);
        let rows = self.segments.iter().flat_map(|segment| segment.rows.iter());
        let mut best: Option<(Offset, i64)> = None;
        for row in rows.take_while(|row| row.offset < end) {
            let is_readable = row.max_timestamp >= 0 && row.max_timestamp_offset >= self.start.offset;
            let is_better = is_readable && best.is_none_or(|(_, timestamp)| row.max_timestamp > timestamp);
            if is_better && row.max_timestamp_offset < end {
                best = Some((row.max_timestamp_offset, row.max_timestamp));
            }
        }
        best
    }

    // Rebuilding.

    /// Counts a batch found on the disk at start, at the end of the last segment.
    pub(crate) fn found(&mut self, batch: &Batch) {
        self.admit(batch);
        let last = self.segments.last_mut().expect("admitted into it");
        last.written = last.length;
        self.written_index = self.last_index;
        self.tail = Tail::new(Index(self.last_index.0 + 1), self.log_end, self.tail.bytes_max());
    }

    /// Starts a segment found on the disk at start; false if it does not continue the log.
    pub(crate) fn found_segment(&mut self, base_offset: Offset, base_index: Index) -> bool {
        let fits = base_offset == self.log_end && base_index.0 == self.last_index.0 + 1;
        if fits {
            self.begin_segment();
        }
        fits
    }

    /// Drops the last segment if nothing was found in it.
    pub(crate) fn drop_empty_segment(&mut self) {
        if self.segments.last().is_some_and(|segment| segment.length == 0) {
            self.segments.pop();
        }
    }

    /// Files that hold entries after `index`, with their lengths.
    pub(crate) fn files_after(&self, index: Index) -> Vec<(FileName, u64)> {
        let mut files = Vec::new();
        for (number, segment) in self.segments.iter().enumerate() {
            let next = self.segments.get(number + 1).map_or(self.last_index.0 + 1, |next| next.base_index.0);
            if next > index.0 + 1 {
                files.push((segment.file(self.group), segment.length));
            }
        }
        files
    }

    /// Bug 6 of the mutation catalogue: the terms of the leader's entries are taken over, the bytes are not.
    pub(crate) fn keep_suffix(&mut self, from: Index, terms: &[Term]) {
        self.epochs.cut(from);
        let mut index = from;
        for term in terms {
            if index > self.last_index {
                break;
            }
            let offset = self.offset_end_at(Index(index.0 - 1));
            self.epochs.append(*term, index, offset);
            index.0 += 1;
        }
    }
}

/// Collects the slices of a run.
struct RunBuilder {
    run: RecordRun,
    from: Offset,
    end: Offset,
    bytes_max: usize,
}

impl RunBuilder {
    fn new(from: Offset, end: Offset, bytes_max: u32) -> RunBuilder {
        RunBuilder { run: RecordRun::default(), from, end, bytes_max: usize::try_from(bytes_max).unwrap_or(usize::MAX) }
    }

    /// Takes a batch (its bytes may be cut short); false when the run is complete.
    fn take(&mut self, data: &Bytes, batch_end: Offset, is_private: bool) -> bool {
        if batch_end <= self.from || is_private {
            return true;
        }
        if batch_end > self.end {
            return false;
        }
        if self.run.slices.is_empty() {
            self.run.bytes = data.len();
            self.run.slices.push(data.clone());
            return self.run.bytes < self.bytes_max;
        }
        let room = self.bytes_max - self.run.bytes;
        let length = data.len().min(room);
        self.run.bytes += length;
        self.run.slices.push(data.slice(..length));
        self.run.bytes < self.bytes_max
    }

    fn is_empty(&self) -> bool {
        self.run.slices.is_empty()
    }

    fn finish(self) -> RecordRun {
        self.run
    }
}

/// Checks that `data` is one or more whole batches of ascending terms and dense offsets, and calls `each` for every one.
pub(crate) fn walk_run(data: &Bytes, mut each: impl FnMut(Batch, Bytes)) -> Result<(), &'static str> {
    let mut at = 0;
    let mut last: Option<Batch> = None;
    while at < data.len() {
        let batch = match Batch::parse_whole(&data[at..]) {
            Ok(batch) => batch,
            Err(BatchError::Short(_)) => return Err("a batch is cut short"),
            Err(BatchError::Invalid(what)) => return Err(what),
        };
        if let Some(last) = last {
            if batch.term < last.term {
                return Err("terms descend");
            }
            if batch.base_offset != last.end_offset {
                return Err("offsets are not dense");
            }
        }
        let bytes = data.slice(at..at + batch.length);
        if batch.is_private && batch::private_payload(&bytes).is_none() {
            return Err("a private control batch is not one of ours");
        }
        at += batch.length;
        each(batch, bytes);
        last = Some(batch);
    }
    Ok(())
}
