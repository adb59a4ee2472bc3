//! Rebuilds one group's log from its segments: a state machine over read values.
//!
//! Reads every segment in order, checks each batch (structure, CRC, dense offsets, terms that never descend), and decides about the
//! first thing that is wrong: at or below the recorded durable mark it is damage, and the broker must not start; above it, it is the torn
//! tail of writes that nobody was told about, and it is cut away with everything behind it. An open cut (see `meta_state`) ends the log
//! before its index whatever follows.
//!
//! Does not perform the repairs: they are part of the result, and gate the group's first append.
//!
//! A segment that is complete and committed has a file of its own that says what is in it; as long as all before it had one too that file is read
//! instead, if what the meta log says of producers covers it. Damage of such a segment is then met by who reads it.
//!
//! An open install (see `meta_state`) is made again: its segments are read under whichever name they have, and nothing else counts. The same
//! scan checks a log while it is being copied from another broker, where what it wants to read comes from there.

use super::batch::{Batch, BatchError, full_header, private_payload};
use super::group_log::GroupLog;
use super::log_start::StartCommand;
use super::manifest::Manifest;
use super::meta_state::{GroupMeta, Install};
use super::producer_bytes::decode_producers;
use super::producer_table::{ProducerRules, ProducerTable};
use super::producer_window::ProducedBatch;
use super::segment_index::decode_index;
use crate::disk::FileName;
use crate::ids::{GroupId, Index, Offset};
use crate::mutant::Mutant;
use crate::record::{BatchHeader, PrivateKind};
use bytes::{Bytes, BytesMut};
use std::collections::{BTreeMap, VecDeque};

/// Bytes of one read at start.
const CHUNK_BYTES: u64 = 1024 * 1024;

/// What the scan wants next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ScanStep {
    Read {
        file: FileName,
        position: u64,
        length: u32,
    },
    Done,
    /// Durable data is damaged: a sentence.
    Corrupt(String),
}

/// A rebuilt log.
#[derive(Debug)]
pub(crate) struct Scanned {
    pub log: GroupLog,
    /// Files to cut to a length. A length that is the present one makes a file durable that might be in the page cache only: what a
    /// killed process wrote may be counted as persisted only after that.
    pub truncate: Vec<(FileName, u64)>,
    pub remove: Vec<FileName>,
    /// Copies that take their place as segments.
    pub rename: Vec<(FileName, FileName)>,
    /// All log start entries, in index order.
    pub starts: VecDeque<(Index, StartCommand)>,
    /// All commands, in index order.
    pub commands: VecDeque<(Index, Bytes)>,
    /// Producers as of the commit index that the meta log knows.
    pub producers: ProducerTable,
    /// Headers of the batches above it that have a producer id, in index order.
    pub produced: Vec<(Index, BatchHeader)>,
}

#[derive(Debug, Clone, Copy)]
struct Found {
    base_offset: Offset,
    base_index: Index,
    length: u64,
    /// Whether it still has the name of a copy.
    is_copy: bool,
}

/// The scan of one group.
#[derive(Debug)]
pub(crate) struct GroupScan {
    group: GroupId,
    label: String,
    log: GroupLog,
    files: Vec<Found>,
    /// Number of the file being read.
    at: usize,
    /// Bytes of it that became batches.
    taken: u64,
    /// Bytes read beyond those.
    rest: Bytes,
    /// Whether the file at `at` is open in the log.
    is_open: bool,
    /// Bytes the batch at `taken` needs, if known to be more than `rest`.
    need: u64,
    durable: Index,
    commit: Index,
    cut_from: Option<Index>,
    is_over: bool,
    corrupt: Option<String>,
    truncate: Vec<(FileName, u64)>,
    remove: Vec<FileName>,
    rename: Vec<(FileName, FileName)>,
    starts: VecDeque<(Index, StartCommand)>,
    commands: VecDeque<(Index, Bytes)>,
    producers: ProducerTable,
    /// The file to read first, with its length.
    producers_file: Option<(FileName, u64)>,
    /// Entries up to here are in it.
    producers_last: Index,
    producer_rules: ProducerRules,
    produced: Vec<(Index, BatchHeader)>,
    /// Files that say what is in a segment, with their lengths, by what the segment begins with.
    indexes: BTreeMap<(Index, Offset), u64>,
    /// Whether what was asked for last is such a file.
    is_index_asked: bool,
    /// Whether the log is being copied, so that what was read can't be read again.
    is_copying: bool,
    mutant: Mutant,
}

/// What the disk must do before the group goes on.
#[derive(Debug, Default)]
struct Repairs {
    truncate: Vec<(FileName, u64)>,
    remove: Vec<FileName>,
    rename: Vec<(FileName, FileName)>,
}

impl Repairs {
    /// Makes an install again; the segments that count.
    fn install(&mut self, group: GroupId, install: &Install, found: &[Found], files: &[(FileName, u64)]) -> Vec<Found> {
        let mut listed = Vec::new();
        for range in &install.files {
            let length_of = |name: FileName| files.iter().find(|(file, _)| *file == name).map(|(_, length)| *length);
            let (segment, copy) = (range.segment(group), range.copy(group));
            let (base_offset, base_index) = (range.base_offset, range.base_index);
            if let Some(length) = length_of(copy) {
                self.rename.push((copy, segment));
                listed.push(Found { base_offset, base_index, length: length.min(range.length), is_copy: true });
            } else if let Some(length) = length_of(segment) {
                // What was appended since was told to nobody.
                if length > range.length {
                    self.truncate.push((segment, range.length));
                }
                listed.push(Found { base_offset, base_index, length: length.min(range.length), is_copy: false });
            }
        }
        let is_listed = |found: &Found| {
            listed.iter().any(|other| other.base_index == found.base_index && other.base_offset == found.base_offset)
        };
        let others = found.iter().filter(|found| !is_listed(found));
        self.remove.extend(others.map(|found| FileName::Segment {
            group,
            base_offset: found.base_offset,
            base_index: found.base_index,
        }));
        listed
    }
}

impl GroupScan {
    /// `files` are the group's segments in any order, with lengths.
    pub(crate) fn new(
        group: GroupId,
        meta: &GroupMeta,
        files: &[(FileName, u64)],
        segment_bytes_max: u64,
        tail_bytes_max: usize,
        producers: ProducerRules,
        mutant: Mutant,
    ) -> GroupScan {
        let mut found = Vec::new();
        let mut repairs = Repairs::default();
        let mut producers_file = None;
        let mut indexes = BTreeMap::new();
        for (file, length) in files {
            match *file {
                FileName::Segment { group: owner, base_offset, base_index } if owner == group => {
                    found.push(Found { base_offset, base_index, length: *length, is_copy: false });
                }
                FileName::Producers { group: owner, index } if owner == group => {
                    if meta.producers == Some(index) {
                        producers_file = Some((*file, *length));
                    } else {
                        repairs.remove.push(*file);
                    }
                }
                FileName::Index { group: owner, base_offset, base_index } if owner == group => {
                    indexes.insert((base_index, base_offset), *length);
                }
                FileName::Copy { group: owner, .. } if owner == group => {
                    let is_listed = |install: &Install| install.files.iter().any(|range| range.copy(group) == *file);
                    if !meta.install.as_ref().is_some_and(is_listed) {
                        repairs.remove.push(*file);
                    }
                }
                FileName::Segment { .. }
                | FileName::Producers { .. }
                | FileName::Index { .. }
                | FileName::Copy { .. }
                | FileName::Meta(_) => {}
            }
        }
        if let Some(install) = &meta.install {
            // They may be of what is replaced.
            let all = core::mem::take(&mut indexes).into_keys();
            repairs.remove.extend(all.map(|(base_index, base_offset)| FileName::Index { group, base_offset, base_index }));
            found = repairs.install(group, install, &found, files);
        }
        found.sort_by_key(|found| found.base_index);
        // What is before the start was to be deleted when the broker ended.
        let gone = found.partition_point(|found| found.base_index < meta.start.index);
        let gone = found.drain(..gone);
        repairs.remove.extend(gone.map(|found| FileName::Segment {
            group,
            base_offset: found.base_offset,
            base_index: found.base_index,
        }));
        let mut scan = GroupScan::begin(group, meta, found, segment_bytes_max, tail_bytes_max, producers, mutant);
        scan.indexes = indexes;
        if let Some(index) = meta.producers {
            scan.producers_last = index;
            scan.producers_file = producers_file;
            if producers_file.is_none() {
                scan.corrupt =
                    Some(format!("group {group} ({}): the file that says who wrote up to {index} is missing", meta.label));
            }
        }
        scan.truncate = repairs.truncate;
        scan.remove = repairs.remove;
        scan.rename = repairs.rename;
        scan
    }

    /// The scan of a log that is being copied: what it reads comes from elsewhere, and the log must be that of the manifest.
    pub(crate) fn of_copy(
        group: GroupId,
        manifest: &Manifest,
        segment_bytes_max: u64,
        tail_bytes_max: usize,
        producers: ProducerTable,
        rules: ProducerRules,
    ) -> GroupScan {
        let meta = GroupMeta {
            label: "a copy".to_owned(),
            voters: Vec::new(),
            term: manifest.term,
            vote: None,
            durable: manifest.last,
            commit: manifest.last,
            start: manifest.start,
            producers: None,
            install: None,
            cuts: Vec::new(),
            memory: super::memory::Memory::Whole,
            born_with: Vec::new(),
        };
        let found = manifest.files.iter().map(|range| Found {
            base_offset: range.base_offset,
            base_index: range.base_index,
            length: range.length,
            is_copy: false,
        });
        let found = found.collect();
        let mut scan = GroupScan::begin(group, &meta, found, segment_bytes_max, tail_bytes_max, rules, Mutant::None);
        scan.producers = producers;
        scan.producers_last = manifest.last;
        scan.is_copying = true;
        scan
    }

    fn begin(
        group: GroupId,
        meta: &GroupMeta,
        found: Vec<Found>,
        segment_bytes_max: u64,
        tail_bytes_max: usize,
        producers: ProducerRules,
        mutant: Mutant,
    ) -> GroupScan {
        GroupScan {
            group,
            label: meta.label.clone(),
            log: GroupLog::resumed(group, meta.start, segment_bytes_max, tail_bytes_max),
            files: found,
            at: 0,
            taken: 0,
            rest: Bytes::new(),
            is_open: false,
            need: 0,
            durable: meta.durable,
            commit: meta.commit,
            cut_from: meta.cuts.iter().map(|(_, from)| *from).min(),
            is_over: false,
            corrupt: None,
            truncate: Vec::new(),
            remove: Vec::new(),
            rename: Vec::new(),
            starts: VecDeque::new(),
            commands: VecDeque::new(),
            producers: ProducerTable::new(producers),
            producers_file: None,
            producers_last: Index(0),
            producer_rules: producers,
            produced: Vec::new(),
            indexes: BTreeMap::new(),
            is_index_asked: false,
            is_copying: false,
            mutant,
        }
    }

    fn name(&self, number: usize) -> FileName {
        let Found { base_offset, base_index, is_copy, .. } = self.files[number];
        match is_copy {
            true => FileName::Copy { group: self.group, base_offset, base_index },
            false => FileName::Segment { group: self.group, base_offset, base_index },
        }
    }

    /// What to do next.
    pub(crate) fn poll(&mut self) -> ScanStep {
        loop {
            if let Some(what) = &self.corrupt {
                return ScanStep::Corrupt(what.clone());
            }
            if let Some((file, length)) = self.producers_file {
                let length = u32::try_from(length).expect("so many producers are not remembered");
                return ScanStep::Read { file, position: 0, length };
            }
            if self.is_over || self.at == self.files.len() {
                if !self.is_over && self.log.last_index() < self.durable {
                    self.stop("the files end");
                    continue;
                }
                return ScanStep::Done;
            }
            let found = self.files[self.at];
            if !self.is_open {
                if self.is_at_cut() {
                    self.cut_here();
                    continue;
                }
                if let Some((file, length)) = self.index_of(self.at) {
                    self.is_index_asked = true;
                    return ScanStep::Read { file, position: 0, length };
                }
                if !self.log.found_segment(found.base_offset, found.base_index) {
                    self.stop("the segment does not continue the one before it");
                    continue;
                }
                self.is_open = true;
            }
            let have = self.taken + self.rest.len() as u64;
            if have < found.length {
                let length = (found.length - have).min(CHUNK_BYTES.max(self.need.saturating_sub(self.rest.len() as u64)));
                let length = u32::try_from(length).expect("batches are below 4 GiB");
                return ScanStep::Read { file: self.name(self.at), position: have, length };
            }
            if !self.rest.is_empty() {
                self.stop("the file ends within a batch");
                continue;
            }
            self.next_file();
        }
    }

    /// The file that can be read instead of a segment.
    fn index_of(&self, number: usize) -> Option<(FileName, u32)> {
        let Found { base_offset, base_index, .. } = self.files[number];
        // Only what all of the records cover can be passed over: what is committed and durable, and known of producers.
        let is_covered = base_index <= self.producers_last.min(self.commit).min(self.durable);
        let length = self.indexes.get(&(base_index, base_offset)).filter(|_| is_covered)?;
        let file = FileName::Index { group: self.group, base_offset, base_index };
        u32::try_from(*length).ok().map(|length| (file, length))
    }

    /// What the file that was read instead of a segment says; if it is of no use the segment is read.
    fn index_read(&mut self, data: Bytes) {
        let Found { base_offset, base_index, length, .. } = self.files[self.at];
        let covered = self.producers_last.min(self.commit).min(self.durable);
        let index =
            decode_index(data, base_offset, base_index).filter(|index| index.segment.length == length && index.last <= covered);
        if index.is_some_and(|index| self.log.adopt(index)) {
            self.indexes.remove(&(base_index, base_offset));
            self.next_file();
        } else {
            // Nor are those behind it.
            self.forget_indexes();
        }
    }

    fn forget_indexes(&mut self) {
        let group = self.group;
        let files = core::mem::take(&mut self.indexes).into_keys();
        self.remove.extend(files.map(|(base_index, base_offset)| FileName::Index { group, base_offset, base_index }));
    }

    fn next_file(&mut self) {
        self.at += 1;
        self.taken = 0;
        self.need = 0;
        self.rest = Bytes::new();
        self.is_open = false;
    }

    /// What the last read found.
    pub(crate) fn read_done(&mut self, data: Bytes) {
        if let Some((file, _)) = self.producers_file.take() {
            match decode_producers(data, self.producer_rules) {
                Some(producers) => self.producers = producers,
                None => self.corrupt = Some(format!("{file:?} is damaged, although it was durable")),
            }
            return;
        }
        if core::mem::take(&mut self.is_index_asked) {
            self.index_read(data);
            return;
        }
        let mut data = if self.rest.is_empty() {
            data
        } else {
            let mut joined = BytesMut::with_capacity(self.rest.len() + data.len());
            joined.extend_from_slice(&self.rest);
            joined.extend_from_slice(&data);
            joined.freeze()
        };
        self.need = 0;
        while !self.is_over && !data.is_empty() {
            if self.is_at_cut() {
                self.cut_here();
                return;
            }
            match self.parse(&data) {
                Ok(batch) => {
                    let bytes = data.split_to(batch.length);
                    if let Err(what) = self.take(&batch, &bytes) {
                        self.stop(what);
                        return;
                    }
                    self.taken += batch.length as u64;
                }
                Err(BatchError::Short(need)) => {
                    self.need = need as u64;
                    break;
                }
                Err(BatchError::Invalid(what)) => {
                    self.stop(what);
                    return;
                }
            }
        }
        // The begin of a batch is read again with the batch: cheaper than to copy all that follows it.
        let is_short = self.need > 0 && data.len() as u64 <= CHUNK_BYTES / 4;
        let is_there = |found: &Found| self.taken + self.need <= found.length;
        let is_read_again = is_short && !self.is_copying && self.files.get(self.at).is_some_and(is_there);
        self.rest = if is_read_again { Bytes::new() } else { data };
    }

    fn parse(&self, data: &Bytes) -> Result<Batch, BatchError> {
        if self.mutant.is(Mutant::CrcNotChecked) {
            let batch = Batch::parse(data)?;
            return if data.len() < batch.length { Err(BatchError::Short(batch.length)) } else { Ok(batch) };
        }
        Batch::parse_whole(data)
    }

    fn take(&mut self, batch: &Batch, bytes: &Bytes) -> Result<(), &'static str> {
        if batch.base_offset != self.log.log_end() {
            return Err("its base offset does not continue the log");
        }
        if batch.term < self.log.last_term() {
            return Err("its leader epoch is older than the one before it");
        }
        let index = Index(self.log.last_index().0 + 1);
        if batch.is_private {
            match private_payload(bytes) {
                None => return Err("it is a private control batch of an unknown kind"),
                // A copy, so that a small command does not hold a large read in memory.
                Some((PrivateKind::Command, payload)) => self.commands.push_back((index, Bytes::copy_from_slice(&payload))),
                Some((PrivateKind::LogStart, payload)) => {
                    self.starts.extend(StartCommand::parse(&payload).map(|start| (index, start)))
                }
                Some((PrivateKind::Noop | PrivateKind::ConfChange, _)) => {}
            }
        } else if batch.producer_id >= 0 {
            let header = full_header(bytes);
            if index <= self.producers_last {
                // The table has it.
            } else if index <= self.commit {
                self.producers.apply(header.producer_id, header.producer_epoch, ProducedBatch::of(index, &header));
            } else {
                self.produced.push((index, header));
            }
        }
        self.log.found(batch);
        if index <= self.commit {
            self.log.settle(index);
        }
        Ok(())
    }

    fn is_at_cut(&self) -> bool {
        self.cut_from.is_some_and(|from| from.0 <= self.log.last_index().0 + 1)
    }

    /// The log ends here because something is wrong with what follows.
    fn stop(&mut self, what: &str) {
        let last = self.log.last_index();
        if last < self.durable && !self.mutant.is(Mutant::CutAtAnyDamage) {
            let place = if self.at < self.files.len() {
                format!("{:?} position {}", self.name(self.at), self.taken)
            } else {
                "its last segment".to_owned()
            };
            self.corrupt = Some(format!(
                "group {} ({}), {place}: {what}, although entries up to {} were durable and only {last} is readable",
                self.group, self.label, self.durable
            ));
        } else {
            self.cut_here();
        }
    }

    /// The log ends here.
    fn cut_here(&mut self) {
        if self.at < self.files.len() {
            if self.taken == 0 {
                self.remove.push(self.name(self.at));
            } else {
                self.truncate.push((self.name(self.at), self.taken));
            }
            for number in self.at + 1..self.files.len() {
                self.remove.push(self.name(number));
            }
        }
        self.is_over = true;
    }

    /// The log, after [`ScanStep::Done`].
    pub(crate) fn finish(mut self) -> Scanned {
        self.forget_indexes();
        self.log.drop_empty_segment();
        // An empty file at the end is a segment whose first append was lost: its name is needed for the append that comes.
        for (number, found) in self.files.iter().enumerate() {
            if found.length == 0 && !self.remove.contains(&self.name(number)) {
                self.remove.push(FileName::Segment {
                    group: self.group,
                    base_offset: found.base_offset,
                    base_index: found.base_index,
                });
            }
        }
        for (file, length) in self.log.files_after(self.durable) {
            if !self.truncate.iter().any(|(cut, _)| *cut == file) {
                self.truncate.push((file, length));
            }
        }
        Scanned {
            log: self.log,
            truncate: self.truncate,
            remove: self.remove,
            rename: self.rename,
            starts: self.starts,
            commands: self.commands,
            producers: self.producers,
            produced: self.produced,
        }
    }
}
