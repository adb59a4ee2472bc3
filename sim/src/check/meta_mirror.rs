//! What one broker durably promised, read off its meta log: term, vote and voters of each group.
//!
//! The format is the one drawn in `core/src/log/meta_log.rs`: a 32-byte header with a salt, then frames of length, CRC, sequence, durable
//! count and record. Only records of kind 1 and 9 (voters), 2 (term and vote), 3 (mark), 4 (removed), 5 and 6 (cuts), 7 (start),
//! 8 (install of a snapshot), 10 and 11 (whether it knows what it promised) matter here.

use crate::batch::crc32c;
use ottla_core::disk::FileName;
use ottla_core::ids::{BrokerId, GroupId, Index, Offset, Term};
use ottla_core::random::keyed;
use std::collections::BTreeMap;

/// What is durable of a group.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Promised {
    /// Term.
    pub(crate) term: Term,
    /// Vote in it.
    pub(crate) vote: Option<BrokerId>,
    /// All voters.
    pub(crate) voters: Vec<BrokerId>,
    /// Entries up to here were durable when it said so last: damage there is no torn tail.
    pub(crate) mark: Index,
    /// And up to here committed.
    pub(crate) commit: Index,
    /// Index of the first entry that is kept; 0 if the log never lost its front.
    pub(crate) start: Index,
    /// First offset that may be read.
    pub(crate) start_offset: Offset,
    /// Whether it does not know what it promised, or has not caught up with it.
    pub(crate) is_forgetful: bool,
    /// An install that is not closed: its number, and the base indexes of its segments.
    pub(crate) install: Option<(u64, Vec<u64>)>,
}

/// How far a file was read.
#[derive(Clone, Copy, Debug)]
struct Parsed {
    /// Where the next frame begins.
    at: usize,
    /// Frames before it.
    frames: u64,
}

/// The durable meta log of one broker.
#[derive(Clone, Debug, Default)]
pub(crate) struct MetaMirror {
    /// Files whose checkpoint is durable as a whole: no other counts.
    parsed: BTreeMap<u32, Parsed>,
    groups: BTreeMap<GroupId, Promised>,
    /// Groups of which a start was found since it was last asked.
    started: Vec<GroupId>,
    /// Groups of which an install of a snapshot was found since that was last asked.
    installed: Vec<GroupId>,
}

const HEADER: usize = 32;
const FRAME: usize = 24;

impl MetaMirror {
    /// What is durable of a group.
    pub(crate) fn group(&self, group: GroupId) -> Option<&Promised> {
        self.groups.get(&group)
    }

    /// Groups of which a start became durable since the last call, with it.
    pub(crate) fn take_started(&mut self) -> Vec<(GroupId, Index)> {
        let groups = std::mem::take(&mut self.started);
        groups.into_iter().filter_map(|group| Some((group, self.groups.get(&group)?.start))).collect()
    }

    /// Groups of which an install of a snapshot became durable since the last call, with the base indexes of its segments.
    pub(crate) fn take_installed(&mut self) -> Vec<(GroupId, Vec<u64>)> {
        let bases = |group: &GroupId| self.groups.get(group)?.install.as_ref().map(|(_, bases)| bases.clone());
        std::mem::take(&mut self.installed).into_iter().filter_map(|group| Some((group, bases(&group)?))).collect()
    }

    /// All groups.
    pub(crate) fn groups(&self) -> impl Iterator<Item = (GroupId, &Promised)> {
        self.groups.iter().map(|(group, promised)| (*group, promised))
    }

    /// The durable part of a file is now `data`.
    pub(crate) fn synced(&mut self, file: u32, data: &[u8]) {
        if data.len() < HEADER {
            return;
        }
        let salt = u64::from_le_bytes(data[16..24].try_into().expect("eight bytes"));
        let checkpoint = u64::from(u32::from_le_bytes(data[24..28].try_into().expect("four bytes")));
        let start = self.parsed.get(&file).copied().unwrap_or(Parsed { at: HEADER, frames: 0 });
        let mut next = start;
        while let Some(record) = frame_at(salt, data, next) {
            next = Parsed { at: next.at + FRAME + record.len(), frames: next.frames + 1 };
        }
        // A part of a checkpoint (the disk was full, the power went) promised nothing to anybody: a broker starts from the file before.
        if next.frames < checkpoint {
            return;
        }
        let mut at = start;
        while let Some(record) = frame_at(salt, data, at) {
            self.fold(record);
            at = Parsed { at: at.at + FRAME + record.len(), frames: at.frames + 1 };
        }
        self.parsed.insert(file, next);
    }

    /// Folds in one record; one that is too short says nothing.
    fn fold(&mut self, record: &[u8]) -> Option<()> {
        let long = |from: usize| record.get(from..from + 8).map(|b| u64::from_le_bytes(b.try_into().expect("eight bytes")));
        let group = GroupId(long(1)?);
        match record[0] {
            1 | 9 => {
                let label = usize::from(u16::from_le_bytes(record.get(9..11)?.try_into().ok()?));
                let voters = record.get(11 + label + 2..)?;
                let promised = self.groups.entry(group).or_default();
                promised.term = promised.term.max(Term::BIRTH);
                promised.is_forgetful = record[0] == 9;
                promised.voters =
                    voters.chunks_exact(4).map(|b| BrokerId(i32::from_le_bytes(b.try_into().expect("four bytes")))).collect();
            }
            2 => {
                let term = Term(long(9)?);
                let vote = i32::from_le_bytes(record.get(17..21)?.try_into().ok()?);
                let promised = self.groups.entry(group).or_default();
                // Files become durable out of order: an older record of this term, without the vote, may come after the newer one.
                if term > promised.term || (term == promised.term && vote >= 0) {
                    promised.term = term;
                    promised.vote = (vote >= 0).then_some(BrokerId(vote));
                }
            }
            3 => {
                let (mark, commit) = (Index(long(9)?), Index(long(17)?));
                let promised = self.groups.entry(group).or_default();
                (promised.mark, promised.commit) = (mark, commit);
            }
            4 => {
                self.groups.remove(&group);
            }
            5 => {
                let before = Index(long(17)?.saturating_sub(1));
                let promised = self.groups.entry(group).or_default();
                promised.mark = promised.mark.min(before);
            }
            6 => {
                let closed = long(9)?;
                let promised = self.groups.entry(group).or_default();
                promised.install = promised.install.take().filter(|(number, _)| *number != closed);
            }
            7 | 8 => {
                let offset = i64::from_le_bytes(record.get(9..17)?.try_into().ok()?);
                let (index, commit) = (Index(long(17)?), Index(long(49)?));
                let promised = self.groups.entry(group).or_default();
                promised.start = promised.start.max(index);
                promised.start_offset = promised.start_offset.max(Offset(offset));
                promised.mark = promised.mark.max(commit);
                promised.commit = promised.commit.max(commit);
                self.started.push(group);
                if record[0] == 8 {
                    let bases = record
                        .get(77..)?
                        .chunks_exact(32)
                        .map(|range| u64::from_le_bytes(range[8..16].try_into().expect("eight bytes")));
                    let number = long(65)?;
                    // A checkpoint says it again.
                    let is_news = promised.install.as_ref().is_none_or(|(open, _)| *open != number);
                    promised.install = Some((number, bases.collect()));
                    if is_news {
                        self.installed.push(group);
                    }
                }
            }
            10 => self.groups.entry(group).or_default().is_forgetful = *record.get(9)? != 0,
            11 => self.groups.entry(group).or_default().is_forgetful = false,
            _ => {}
        }
        Some(())
    }
}

/// The name that a file will have as soon as the broker starts: that of a segment for a copy that takes the place of a log, none for a segment
/// whose place is taken. Meta files are looked at first.
pub(super) fn name_to_be(promised: Option<&Promised>, file: FileName, files: &[(FileName, &[u8], u64)]) -> Option<FileName> {
    let Some((_, bases)) = promised.and_then(|promised| promised.install.as_ref()) else { return Some(file) };
    match file {
        FileName::Segment { group, base_offset, base_index } => {
            let is_copy = |other: &FileName| *other == FileName::Copy { group, base_offset, base_index };
            let is_replaced = !bases.contains(&base_index.0) || files.iter().any(|(other, ..)| is_copy(other));
            (!is_replaced).then_some(file)
        }
        FileName::Copy { group, base_offset, base_index } if bases.contains(&base_index.0) => {
            Some(FileName::Segment { group, base_offset, base_index })
        }
        FileName::Copy { .. } | FileName::Producers { .. } | FileName::Index { .. } | FileName::Meta(_) => Some(file),
    }
}

/// The record of the frame that begins here.
fn frame_at(salt: u64, data: &[u8], from: Parsed) -> Option<&[u8]> {
    let at = from.at;
    let header = data.get(at..at + FRAME)?;
    let length = usize::try_from(u32::from_le_bytes(header[0..4].try_into().ok()?)).ok()?;
    let end = at + FRAME + length;
    let covered = data.get(at + 8..end)?;
    let crc = u32::from_le_bytes(header[4..8].try_into().ok()?);
    let sequence = u64::from_le_bytes(header[8..16].try_into().ok()?);
    let folded = keyed(salt, &[u64::from(crc32c(covered)), u64::try_from(covered.len()).ok()?]);
    let is_frame = length > 0 && sequence == from.frames && u32::try_from(folded >> 32).ok()? == crc;
    is_frame.then(|| &data[at + FRAME..end])
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A mirror that knows the voters of one group.
    pub(crate) fn with_voters(group: u64, voters: &[i32]) -> MetaMirror {
        let voters = voters.iter().map(|v| BrokerId(*v)).collect();
        let promised = Promised { term: Term(1), voters, ..Promised::default() };
        MetaMirror { groups: BTreeMap::from([(GroupId(group), promised)]), ..MetaMirror::default() }
    }

    fn frame(salt: u64, sequence: u64, record: &[u8]) -> Vec<u8> {
        let mut covered = sequence.to_le_bytes().to_vec();
        covered.extend([0_u8; 8]);
        covered.extend(record);
        let folded = keyed(salt, &[u64::from(crc32c(&covered)), u64::try_from(covered.len()).expect("small")]);
        let mut out = u32::try_from(record.len()).expect("small").to_le_bytes().to_vec();
        out.extend(u32::try_from(folded >> 32).expect("half").to_le_bytes());
        out.extend(covered);
        out
    }

    fn vote(group: u64, term: u64, vote: i32) -> Vec<u8> {
        let mut record = vec![2];
        record.extend(group.to_le_bytes());
        record.extend(term.to_le_bytes());
        record.extend(vote.to_le_bytes());
        record
    }

    /// A meta file that says that a copy with this base index takes the place of the log of a group.
    pub(crate) fn installing(group: u64, base_index: u64) -> Vec<u8> {
        let mut record = vec![8];
        // Group, start (offset, index, base offset, term, chain), last entry, file about producers, number.
        for field in [group, 0, base_index, 0, 1, 0, base_index, 0, 1] {
            record.extend(field.to_le_bytes());
        }
        record.extend(1_u32.to_le_bytes());
        for field in [0, base_index, 61, 0] {
            record.extend(field.to_le_bytes());
        }
        let mut data = vec![0_u8; HEADER];
        data.extend(frame(0, 0, &record));
        data
    }

    #[test]
    fn votes_are_folded_as_they_become_durable_and_torn_ones_are_not() {
        let mut data = vec![0_u8; HEADER];
        data[16] = 9;
        data.extend(frame(9, 0, &vote(3, 5, 1)));
        let one = data.len();
        data.extend(frame(9, 1, &vote(3, 6, -1)));
        let mut mirror = MetaMirror::default();
        mirror.synced(0, &data[..one + 5]);
        assert_eq!(mirror.group(GroupId(3)).map(|p| (p.term, p.vote)), Some((Term(5), Some(BrokerId(1)))));
        mirror.synced(0, &data);
        assert_eq!(mirror.group(GroupId(3)).map(|p| (p.term, p.vote)), Some((Term(6), None)));
        let last = data.len() - 1;
        data.extend(frame(9, 2, &vote(3, 7, 2)));
        data[last + 20] ^= 1;
        mirror.synced(0, &data);
        assert_eq!(mirror.group(GroupId(3)).map(|p| p.term), Some(Term(6)));
    }
    #[test]
    fn a_start_never_goes_back() {
        let start = |offset: i64, index: u64| {
            let mut record = vec![7];
            record.extend(3_u64.to_le_bytes());
            record.extend(offset.to_le_bytes());
            record.extend(index.to_le_bytes());
            record.extend([0; 24]);
            record.extend(9_u64.to_le_bytes());
            record
        };
        let mut data = vec![0_u8; HEADER];
        data.extend(frame(0, 0, &start(5, 4)));
        data.extend(frame(0, 1, &start(4, 3)));
        let mut mirror = MetaMirror::default();
        mirror.synced(0, &data);
        let seen = mirror.group(GroupId(3)).map(|p| (p.start, p.start_offset, p.mark));
        assert_eq!(seen, Some((Index(4), Offset(5), Index(9))));
    }

    #[test]
    fn a_part_of_a_checkpoint_promised_nothing() {
        let mut data = vec![0_u8; HEADER];
        data[16] = 9;
        data[24] = 2; // frames of the checkpoint
        data.extend(frame(9, 0, &vote(3, 5, 1)));
        let mut mirror = MetaMirror::default();
        mirror.synced(4, &data);
        assert_eq!(mirror.group(GroupId(3)), None);
        data.extend(frame(9, 1, &vote(4, 6, 2)));
        mirror.synced(4, &data);
        assert_eq!(mirror.group(GroupId(3)).map(|p| p.term), Some(Term(5)));
        assert_eq!(mirror.group(GroupId(4)).map(|p| p.term), Some(Term(6)));
    }
}
