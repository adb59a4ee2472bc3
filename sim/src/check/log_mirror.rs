//! What the logs of one broker contain, read off its disk and not asked of it.
//!
//! A segment is plain Kafka v2 batches back to back; batch k of a file has raft index `base_index + k` and its term is the leader
//! epoch plus 2. The mirror parses only batch headers, incrementally, as appends reach the page cache.
//!
//! ```text
//! 0             8        12        16    17    21     23              27 ..
//! base offset   length   epoch     magic crc   attr   last offset delta
//! i64           i32      i32       i8    u32   i16    i32
//! ```
//! Knows nothing of raft or of other brokers. Invariant: entries of a segment lie back to back from position 0.

use super::sequences::Produced;
use crate::batch::crc32c;
use ottla_core::disk::FileName;
use ottla_core::ids::{GroupId, Index, Offset, Term};
use std::collections::{BTreeMap, BTreeSet};

/// One entry as it lies on the disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct EntrySeen {
    /// Leader epoch plus 2.
    pub(crate) term: Term,
    /// CRC-32C of the batch, which covers all but offset, length and epoch.
    pub(crate) crc: u32,
    /// Offset of the first record.
    pub(crate) base_offset: Offset,
    /// Offset after the last record; equal to `base_offset` for raft's own entries.
    pub(crate) offset_end: Offset,
    /// Whose it is, if it has a producer id.
    pub(crate) produced: Option<Produced>,
    /// Where the batch ends in its file.
    pub(crate) end: u64,
}

#[derive(Debug)]
struct SegmentSeen {
    file: FileName,
    entries: Vec<EntrySeen>,
    parsed: u64,
    durable: u64,
}

/// The log of one group on one broker: segments by their base index.
#[derive(Debug, Default)]
pub(crate) struct GroupMirror {
    segments: BTreeMap<u64, SegmentSeen>,
    /// Copies of another broker's segments, by base index: no part of the log yet.
    copies: BTreeMap<u64, SegmentSeen>,
    /// Segments that still have the names of copies. Until they get theirs, files with the names of segments are of the log before.
    unnamed: BTreeSet<u64>,
    /// What is before was let go, and counts as held.
    start: Index,
    /// First offset of the first segment that is kept.
    start_offset: Offset,
}

impl GroupMirror {
    /// How many segments.
    pub(crate) fn segments(&self) -> usize {
        self.segments.len()
    }

    /// The file that holds an entry, and where in it the entry begins and ends.
    pub(crate) fn place(&self, index: Index) -> Option<(FileName, u64, u64)> {
        let (base, segment) = self.segments.range(..=index.0).next_back()?;
        let number = usize::try_from(index.0 - base).ok()?;
        let entry = segment.entries.get(number)?;
        let begin = number.checked_sub(1).map_or(0, |before| segment.entries[before].end);
        Some((segment.file, begin, entry.end))
    }

    /// The entry at `index`, if it is there, and whether it is durable.
    pub(crate) fn entry(&self, index: Index) -> Option<(EntrySeen, bool)> {
        let (base, segment) = self.segments.range(..=index.0).next_back()?;
        let entry = segment.entries.get(usize::try_from(index.0 - base).ok()?)?;
        Some((*entry, segment.durable >= entry.end))
    }

    /// Whether an entry was let go, with all before it.
    pub(crate) fn is_gone(&self, index: Index) -> bool {
        index < self.start
    }

    /// Whether a record was let go, with its whole segment.
    pub(crate) fn is_offset_gone(&self, offset: Offset) -> bool {
        offset < self.start_offset
    }

    /// Whether all entries up to `index` are there and durable, those aside that were let go.
    pub(crate) fn is_durable_through(&self, index: Index) -> bool {
        if self.is_gone(index) {
            return true;
        }
        let Some((entry, is_durable)) = self.entry(index) else { return index.0 <= 1 };
        let mut segments = self.segments.range(..=index.0).rev();
        let mut next = segments.next().map(|(base, _)| *base);
        // Appends to different files may overtake each other: what belongs to the end of one may still be on its way.
        let is_whole = |(base, segment): (&u64, &SegmentSeen)| {
            let follows = next.replace(*base);
            follows == Some(base + count(segment.entries.len())) && segment.durable >= segment.parsed
        };
        is_durable && entry.end > 0 && segments.all(is_whole)
    }

    /// Term of the last durable entry; that of birth for none.
    pub(crate) fn last_durable_term(&self) -> Term {
        let durable = |s: &SegmentSeen| s.entries.iter().rev().find(|e| e.end <= s.durable).map(|e| e.term);
        self.segments.values().rev().find_map(durable).unwrap_or(Term::BIRTH)
    }

    /// The entry that holds `offset`, with its index, and whether it is durable.
    pub(crate) fn entry_of_offset(&self, offset: Offset) -> Option<(Index, EntrySeen, bool)> {
        for (base, segment) in self.segments.iter().rev() {
            for (n, entry) in segment.entries.iter().enumerate().rev() {
                if entry.base_offset <= offset && offset < entry.offset_end {
                    return Some((Index(base + count(n)), *entry, segment.durable >= entry.end));
                }
                if entry.offset_end <= offset {
                    return None;
                }
            }
        }
        None
    }
}

/// What an append or cut did to a log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum LogChange {
    /// Entries `first..=last` are readable.
    Added {
        /// First.
        first: Index,
        /// Last.
        last: Index,
    },
    /// Entry `index` is gone.
    Gone {
        /// Which.
        index: Index,
        /// What it was.
        entry: EntrySeen,
    },
}

/// All logs of one broker.
#[derive(Debug, Default)]
pub(crate) struct NodeMirror {
    groups: BTreeMap<GroupId, GroupMirror>,
}

impl NodeMirror {
    /// The log of a group.
    pub(crate) fn group(&self, group: GroupId) -> Option<&GroupMirror> {
        self.groups.get(&group)
    }

    /// Groups with a folder or a file.
    pub(crate) fn groups(&self) -> impl Iterator<Item = GroupId> + '_ {
        self.groups.keys().copied()
    }

    /// A folder was made.
    pub(crate) fn make(&mut self, group: GroupId) {
        self.groups.entry(group).or_default();
    }

    /// The meta log durably says that the log of a group starts here: what lies before does not count any more, wherever a crash left it.
    /// Says how many segments went.
    pub(crate) fn started(&mut self, group: GroupId, start: Index) -> u64 {
        let Some(mirror) = self.groups.get_mut(&group) else { return 0 };
        mirror.start = mirror.start.max(start);
        let kept = mirror.segments.split_off(&mirror.start.0);
        let gone = count(mirror.segments.len());
        mirror.segments = kept;
        if let Some(FileName::Segment { base_offset, .. }) = mirror.segments.values().next().map(|segment| segment.file) {
            mirror.start_offset = mirror.start_offset.max(base_offset);
        }
        gone
    }

    /// The meta log durably says that the copies with these base indexes are the log, whatever their names: the segments that were do not
    /// count any more. Says which entries it has now, by segment.
    pub(crate) fn installed(&mut self, group: GroupId, bases: &[u64]) -> Vec<(Index, Index)> {
        let Some(mirror) = self.groups.get_mut(&group) else { return Vec::new() };
        let mut copies = std::mem::take(&mut mirror.copies);
        copies.retain(|base, _| bases.contains(base));
        mirror.segments = copies;
        // A replica that had nothing before learns here from which offset on it has records.
        if let Some(FileName::Segment { base_offset, .. } | FileName::Copy { base_offset, .. }) =
            mirror.segments.values().next().map(|segment| segment.file)
        {
            mirror.start_offset = mirror.start_offset.max(base_offset);
        }
        mirror.unnamed = mirror.segments.keys().copied().collect();
        let last = |(base, segment): (&u64, &SegmentSeen)| {
            (Index(*base), Index((base + count(segment.entries.len())).saturating_sub(1)))
        };
        mirror.segments.iter().map(last).collect()
    }

    /// A copy has the name of a segment.
    pub(crate) fn renamed(&mut self, from: FileName) {
        if let FileName::Copy { group, base_index, .. } = from
            && let Some(mirror) = self.groups.get_mut(&group)
        {
            mirror.unnamed.remove(&base_index.0);
        }
    }

    /// Copies found at a start that are the log: [`NodeMirror::found`] saw them under the names they will have.
    pub(crate) fn found_unnamed(&mut self, copies: &[FileName]) {
        for file in copies {
            if let FileName::Segment { group, base_index, .. } = file {
                self.groups.entry(*group).or_default().unnamed.insert(base_index.0);
            }
        }
    }

    /// Where the file is mirrored, if it counts: the log or the copies of its group, with its base index.
    fn files_of(&mut self, file: FileName) -> Option<(GroupId, u64, &mut BTreeMap<u64, SegmentSeen>)> {
        match file {
            FileName::Segment { group, base_index, .. } => {
                let mirror = self.groups.get_mut(&group)?;
                mirror.unnamed.is_empty().then_some((group, base_index.0, &mut mirror.segments))
            }
            FileName::Copy { group, base_index, .. } => Some((group, base_index.0, &mut self.groups.get_mut(&group)?.copies)),
            FileName::Meta(_) | FileName::Producers { .. } | FileName::Index { .. } => None,
        }
    }

    /// A folder is gone.
    pub(crate) fn forget(&mut self, group: GroupId) {
        self.groups.remove(&group);
    }

    /// Everything is gone: a new look will follow.
    pub(crate) fn clear(&mut self) {
        self.groups.clear();
    }

    /// A file found at a start: only batches whose CRC is right count, up to the first that is not, because a crash may have
    /// left holes behind them. The CRC does not cover base offset and epoch: a sector torn there shows as a batch out of place.
    pub(crate) fn found(&mut self, file: FileName, data: &[u8]) {
        let FileName::Segment { base_offset, .. } = file else { return };
        let (mut valid, mut expected, mut term) = (0, base_offset, Term(0));
        while let Some(entry) = parse(data, valid) {
            let from = usize::try_from(valid).expect("parsed");
            let end = usize::try_from(entry.end).expect("parsed");
            if crc32c(&data[from + 21..end]) != entry.crc || entry.base_offset != expected || entry.term < term {
                break;
            }
            (valid, expected, term) = (entry.end, entry.offset_end, entry.term);
        }
        self.grown(file, &data[..usize::try_from(valid).expect("parsed")]);
    }

    /// A file grew; `data` is its whole readable content.
    pub(crate) fn grown(&mut self, file: FileName, data: &[u8]) -> Option<(GroupId, LogChange)> {
        self.groups.entry(file.group()?).or_default();
        let (group, base, files) = self.files_of(file)?;
        let name = match file {
            FileName::Copy { group, base_offset, base_index } => FileName::Segment { group, base_offset, base_index },
            FileName::Segment { .. } | FileName::Meta(_) | FileName::Producers { .. } | FileName::Index { .. } => file,
        };
        let segment = files.entry(base).or_insert(SegmentSeen { file: name, entries: Vec::new(), parsed: 0, durable: 0 });
        let before = count(segment.entries.len());
        while let Some(entry) = parse(data, segment.parsed) {
            segment.parsed = entry.end;
            segment.entries.push(entry);
        }
        let after = count(segment.entries.len());
        let is_log = matches!(file, FileName::Segment { .. });
        (is_log && after > before)
            .then_some((group, LogChange::Added { first: Index(base + before), last: Index(base + after - 1) }))
    }

    /// A file is durable up to `end`. Says which entries became durable.
    pub(crate) fn synced(&mut self, file: FileName, end: u64) -> Option<(GroupId, Index, Index)> {
        let (group, base, files) = self.files_of(file)?;
        let segment = files.get_mut(&base)?;
        let before = segment.entries.partition_point(|e| e.end <= segment.durable);
        segment.durable = end;
        let after = segment.entries.partition_point(|e| e.end <= end);
        let is_log = matches!(file, FileName::Segment { .. });
        (is_log && after > before).then(|| (group, Index(base + count(before)), Index(base + count(after) - 1)))
    }

    /// A file was cut to `end`, or removed (`end` 0 and `is_removed`). Says which entries are gone.
    pub(crate) fn cut(&mut self, file: FileName, end: u64, is_removed: bool) -> Vec<(GroupId, LogChange)> {
        let Some((group, base, files)) = self.files_of(file) else { return Vec::new() };
        if let FileName::Copy { .. } = file {
            // Copies are deleted as a whole.
            files.remove(&base);
            return Vec::new();
        }
        let Some(segment) = files.get_mut(&base).filter(|segment| segment.file == file) else { return Vec::new() };
        let keep = segment.entries.iter().take_while(|e| e.end <= end).count();
        let gone = segment.entries.split_off(keep);
        segment.parsed = segment.entries.last().map_or(0, |e| e.end);
        segment.durable = segment.durable.min(end);
        if is_removed {
            files.remove(&base);
        }
        gone.into_iter()
            .enumerate()
            .map(|(n, entry)| (group, LogChange::Gone { index: Index(base + count(keep + n)), entry }))
            .collect()
    }
}

/// The batch header at `position`, if the whole batch is there and looks like one.
fn parse(data: &[u8], position: u64) -> Option<EntrySeen> {
    let at = usize::try_from(position).ok()?;
    let header = data.get(at..at + 61)?;
    let base_offset = i64::from_be_bytes(header[0..8].try_into().ok()?);
    let length = usize::try_from(i32::from_be_bytes(header[8..12].try_into().ok()?)).ok()?;
    let epoch = i64::from(i32::from_be_bytes(header[12..16].try_into().ok()?));
    if header[16] != 2 || length < 49 || data.len() < at + 12 + length {
        return None;
    }
    let crc = u32::from_be_bytes(header[17..21].try_into().ok()?);
    let delta = i64::from(i32::from_be_bytes(header[23..27].try_into().ok()?));
    Some(EntrySeen {
        term: Term(u64::try_from(epoch + 2).ok()?),
        crc,
        base_offset: Offset(base_offset),
        offset_end: Offset(base_offset + delta + 1),
        produced: Produced::of(header),
        end: position + 12 + count(length),
    })
}

fn count(n: usize) -> u64 {
    u64::try_from(n).expect("a count fits 64 bits")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A header-only batch, good enough for the mirror.
    pub(crate) fn batch(base_offset: i64, epoch: i32, records: i32, crc: u32) -> Vec<u8> {
        let mut b = vec![0_u8; 61];
        b[0..8].copy_from_slice(&base_offset.to_be_bytes());
        b[8..12].copy_from_slice(&49_i32.to_be_bytes());
        b[12..16].copy_from_slice(&epoch.to_be_bytes());
        b[16] = 2;
        b[17..21].copy_from_slice(&crc.to_be_bytes());
        b[23..27].copy_from_slice(&(records - 1).to_be_bytes());
        b[43..51].copy_from_slice(&(-1_i64).to_be_bytes());
        b
    }

    pub(crate) fn segment(group: u64, base_index: u64) -> FileName {
        FileName::Segment { group: GroupId(group), base_offset: Offset(0), base_index: Index(base_index) }
    }

    #[test]
    fn entries_are_found_by_index_and_by_offset_and_go_away_when_cut() {
        let mut node = NodeMirror::default();
        let file = segment(3, 2);
        let mut data = batch(0, 0, 0, 7);
        data.extend(batch(0, 0, 3, 8));
        data.extend(batch(3, 1, 2, 9));
        let added = node.grown(file, &data[..150]);
        assert_eq!(added, Some((GroupId(3), LogChange::Added { first: Index(2), last: Index(3) })));
        node.grown(file, &data);
        node.synced(file, 122);
        let log = node.group(GroupId(3)).expect("made by its first file");
        assert!(log.is_durable_through(Index(3)) && !log.is_durable_through(Index(4)));
        let (index, entry, durable) = log.entry_of_offset(Offset(1)).expect("in the second batch");
        assert_eq!((index, entry.crc, durable), (Index(3), 8, true));
        let (index, entry, durable) = log.entry_of_offset(Offset(4)).expect("in the third batch");
        assert_eq!((index, entry.term, durable), (Index(4), Term(3), false));
        assert!(log.entry_of_offset(Offset(5)).is_none());
        let gone = node.cut(file, 122, false);
        assert!(matches!(gone.as_slice(), [(_, LogChange::Gone { index: Index(4), .. })]));
        assert!(node.group(GroupId(3)).is_some_and(|log| log.entry(Index(4)).is_none()));
    }

    #[test]
    fn an_entry_that_is_missing_before_others_is_not_held() {
        let mut node = NodeMirror::default();
        node.grown(segment(3, 2), &batch(0, 0, 0, 7));
        node.synced(segment(3, 2), 61);
        node.grown(segment(3, 4), &batch(3, 0, 0, 9));
        node.synced(segment(3, 4), 61);
        let holds = |node: &NodeMirror, index| node.group(GroupId(3)).is_some_and(|log| log.is_durable_through(Index(index)));
        assert!(holds(&node, 2) && !holds(&node, 4), "what belongs to the end of the first segment is on its way");
        let data = [batch(0, 0, 0, 7), batch(0, 0, 3, 8)].concat();
        node.grown(segment(3, 2), &data);
        node.synced(segment(3, 2), 122);
        assert!(holds(&node, 4));
    }

    #[test]
    fn copies_are_the_log_as_soon_as_that_is_recorded_whatever_their_names() {
        let mut node = NodeMirror::default();
        let old = segment(3, 2);
        let copy = FileName::Copy { group: GroupId(3), base_offset: Offset(0), base_index: Index(2) };
        let (before, after) = (batch(0, 0, 3, 8), [batch(0, 0, 3, 8), batch(3, 1, 2, 9)].concat());
        node.grown(old, &before);
        assert_eq!(node.grown(copy, &after), None, "no part of the log yet");
        assert_eq!(node.synced(copy, 61), None);
        assert_eq!(node.installed(GroupId(3), &[2]), [(Index(2), Index(3))]);
        let holds = |node: &NodeMirror, index| node.group(GroupId(3)).is_some_and(|log| log.is_durable_through(Index(index)));
        assert!(holds(&node, 2) && !holds(&node, 3), "as far as the copy is durable");
        // What is still under way for the log before says nothing about this one.
        assert_eq!((node.synced(old, 122), node.cut(old, 0, true)), (None, Vec::new()));
        assert!(holds(&node, 2) && !holds(&node, 3));
        node.renamed(copy);
        assert_eq!(node.synced(old, 122), Some((GroupId(3), Index(3), Index(3))));
        assert!(holds(&node, 3));
    }
}
