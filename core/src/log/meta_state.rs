//! What a broker must remember of its groups beside their entries: membership, term and vote, how far the log was durable, cuts that
//! are under way. The state is the fold of the records of the meta log.
//!
//! A *cut* (conflict truncation, Raft section 5.3) is the one operation that is not an append. Its record is durable before a file is
//! touched, and it is closed when the files are cut; nothing that was appended after a cut is acknowledged before the cut is closed for
//! good. So a cut that is found open at start may be made again: it can only drop what nobody was told about. A closed one must
//! never be made again.
//!
//! An *install* puts a log that was copied from another broker in the place of what was there. It is numbered with the cuts, and the same
//! holds for it: its record is durable before a file is renamed or deleted (all that is listed in it is durable under the names of copies by
//! then), and an open one is made again at start.

use super::log_start::LogStart;
use super::manifest::{FILES_MAX, FileRange};
use super::memory::{Memory, Position};
use crate::ids::{BrokerId, GroupId, Index, Term};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use std::collections::{BTreeMap, BTreeSet};

/// One record. Little-endian: kind u8, then the fields in the order of their declaration; ids u64 or i32, strings and lists with a
/// u16 count in front.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum MetaRecord {
    /// Kind 1: this broker became a replica. Kind 9, with `is_asking`: and an earlier self may have been one. Not two records: half of a
    /// round may survive a crash.
    Created { group: GroupId, label: String, voters: Vec<BrokerId>, is_asking: bool },
    /// Kind 2: it is in `term` and voted for `vote` (-1: nobody).
    Vote { group: GroupId, term: Term, vote: Option<BrokerId> },
    /// Kind 3: entries up to `durable` are fsynced, those up to `commit` committed. Written lazily.
    Mark { group: GroupId, durable: Index, commit: Index },
    /// Kind 4: the replica is gone for ever.
    Removed { group: GroupId },
    /// Kind 5: cut `number` will drop the entries from `from` on.
    CutOpened { group: GroupId, number: u64, from: Index },
    /// Kind 6: it did, and must not again.
    CutClosed { group: GroupId, number: u64 },
    /// Kind 7: the log starts here; what lies before it may be deleted. Entries up to `commit`, those that decided so among them, are committed and fsynced.
    /// `producers` names the file that says what was known of producers (0: none).
    Started { group: GroupId, start: LogStart, commit: Index, producers: Option<Index> },
    /// Kind 8: a copied log takes the place of what was there.
    InstallOpened { group: GroupId, install: Install },
    /// Kind 10: what it remembers: u8 (0 whole, 1 asking, 2 below), term u64 and index u64 of the position.
    Memory { group: GroupId, memory: Memory },
    /// Kind 11: it never had an earlier self, nor had those whose data folders are listed (u16 count; broker i32, folder u64), when they said
    /// that they know nothing.
    Born { group: GroupId, with: Vec<(BrokerId, u64)> },
    /// Kind 12: the id of this data folder.
    Folder { id: u64 },
}

/// A copied log that takes its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Install {
    /// Counted with the cuts.
    pub number: u64,
    /// Where it starts.
    pub start: LogStart,
    /// Its last entry.
    pub last: Index,
    /// The file that says what is known of producers.
    pub producers: Option<Index>,
    /// All its segments.
    pub files: Vec<FileRange>,
}

/// What is remembered of one group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GroupMeta {
    pub label: String,
    pub voters: Vec<BrokerId>,
    pub term: Term,
    pub vote: Option<BrokerId>,
    pub durable: Index,
    pub commit: Index,
    /// Where its log starts.
    pub start: LogStart,
    /// The file that says what is known of producers up to that entry; older entries may be gone.
    pub producers: Option<Index>,
    /// An open install.
    pub install: Option<Install>,
    /// Open cuts.
    pub cuts: Vec<(u64, Index)>,
    /// What it remembers.
    pub memory: Memory,
    /// Those who knew nothing either when it was born.
    pub born_with: Vec<(BrokerId, u64)>,
}

/// The fold of all records.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct MetaState {
    pub groups: BTreeMap<GroupId, GroupMeta>,
    /// Group ids are never used again, so this is what keeps a replayed command from bringing one back.
    pub removed: BTreeSet<GroupId>,
    /// The id of this data folder, drawn when it was empty; 0 for one of before there were such ids.
    pub folder: u64,
}

impl MetaState {
    /// Folds one record in. A record of an unknown group is one of a removed group.
    pub(crate) fn apply(&mut self, record: &MetaRecord) {
        match record {
            MetaRecord::Created { group, label, voters, is_asking } => {
                let meta = GroupMeta {
                    label: label.clone(),
                    voters: voters.clone(),
                    term: Term::BIRTH,
                    vote: None,
                    durable: Index::BIRTH,
                    commit: Index::BIRTH,
                    start: LogStart::BIRTH,
                    producers: None,
                    install: None,
                    cuts: Vec::new(),
                    memory: if *is_asking { Memory::Asking } else { Memory::Whole },
                    born_with: Vec::new(),
                };
                self.groups.entry(*group).or_insert(meta);
            }
            MetaRecord::Removed { group } => {
                self.groups.remove(group);
                self.removed.insert(*group);
            }
            MetaRecord::Vote { group, term, vote } => {
                if let Some(meta) = self.groups.get_mut(group) {
                    assert!(*term >= meta.term, "terms never go back: {group} had {} and is told {term}", meta.term);
                    meta.term = *term;
                    meta.vote = *vote;
                }
            }
            MetaRecord::Mark { group, durable, commit } => {
                if let Some(meta) = self.groups.get_mut(group) {
                    meta.durable = *durable;
                    meta.commit = *commit;
                }
            }
            MetaRecord::CutOpened { group, number, from } => {
                if let Some(meta) = self.groups.get_mut(group) {
                    meta.cuts.push((*number, *from));
                    // What will be dropped need not be found again.
                    meta.durable = meta.durable.min(Index(from.0 - 1));
                }
            }
            MetaRecord::CutClosed { group, number } => {
                if let Some(meta) = self.groups.get_mut(group) {
                    meta.cuts.retain(|(open, _)| open != number);
                    meta.install = meta.install.take().filter(|install| install.number != *number);
                }
            }
            MetaRecord::Started { group, start, commit, producers } => {
                if let Some(meta) = self.groups.get_mut(group) {
                    assert!(start.offset >= meta.start.offset, "a log start never goes back: {group}, {start:?}");
                    meta.start = *start;
                    meta.producers = *producers;
                    meta.durable = meta.durable.max(*commit);
                    meta.commit = meta.commit.max(*commit);
                }
            }
            MetaRecord::InstallOpened { group, install } => {
                if let Some(meta) = self.groups.get_mut(group) {
                    assert!(install.start.offset >= meta.start.offset, "a log start never goes back: {group}, {install:?}");
                    meta.start = install.start;
                    meta.durable = install.last;
                    meta.commit = install.last;
                    meta.producers = install.producers;
                    // What they would cut is replaced.
                    meta.cuts.clear();
                    meta.install = Some(install.clone());
                }
            }
            MetaRecord::Memory { group, memory } => {
                if let Some(meta) = self.groups.get_mut(group) {
                    meta.memory = *memory;
                }
            }
            MetaRecord::Born { group, with } => {
                if let Some(meta) = self.groups.get_mut(group) {
                    meta.memory = Memory::Whole;
                    meta.born_with.clone_from(with);
                }
            }
            MetaRecord::Folder { id } => self.folder = *id,
        }
    }

    /// Records whose fold is this state.
    pub(crate) fn checkpoint(&self) -> Vec<MetaRecord> {
        let mut records = Vec::with_capacity(1 + self.removed.len() + 3 * self.groups.len());
        if self.folder != 0 {
            records.push(MetaRecord::Folder { id: self.folder });
        }
        records.extend(self.removed.iter().map(|group| MetaRecord::Removed { group: *group }));
        for (group, meta) in &self.groups {
            let group = *group;
            let is_asking = meta.memory == Memory::Asking;
            records.push(MetaRecord::Created { group, label: meta.label.clone(), voters: meta.voters.clone(), is_asking });
            if let Memory::Below(_) = meta.memory {
                records.push(MetaRecord::Memory { group, memory: meta.memory });
            }
            if !meta.born_with.is_empty() {
                records.push(MetaRecord::Born { group, with: meta.born_with.clone() });
            }
            records.push(MetaRecord::Vote { group, term: meta.term, vote: meta.vote });
            records.extend(meta.install.iter().map(|install| MetaRecord::InstallOpened { group, install: install.clone() }));
            // Cuts come before the mark: opening one lowers it.
            records.extend(meta.cuts.iter().map(|(number, from)| MetaRecord::CutOpened { group, number: *number, from: *from }));
            records.push(MetaRecord::Mark { group, durable: meta.durable, commit: meta.commit });
            if meta.start != LogStart::BIRTH || meta.producers.is_some() {
                let (start, commit, producers) = (meta.start, meta.commit, meta.producers);
                records.push(MetaRecord::Started { group, start, commit, producers });
            }
        }
        records
    }
}

fn put_len(out: &mut BytesMut, length: usize) {
    out.put_u16_le(u16::try_from(length).expect("labels and voter lists are short"));
}

fn file_index(value: u64) -> Option<Index> {
    (value > 0).then_some(Index(value))
}

fn broker(value: i32) -> Option<BrokerId> {
    (value >= 0).then_some(BrokerId(value))
}

impl MetaRecord {
    pub(crate) fn encode(&self, out: &mut BytesMut) {
        match self {
            MetaRecord::Created { group, label, voters, is_asking } => {
                out.put_u8(if *is_asking { 9 } else { 1 });
                out.put_u64_le(group.0);
                put_len(out, label.len());
                out.put_slice(label.as_bytes());
                put_len(out, voters.len());
                for voter in voters {
                    out.put_i32_le(voter.0);
                }
            }
            MetaRecord::Vote { group, term, vote } => {
                out.put_u8(2);
                out.put_u64_le(group.0);
                out.put_u64_le(term.0);
                out.put_i32_le(vote.map_or(-1, |vote| vote.0));
            }
            MetaRecord::Mark { group, durable, commit } => {
                out.put_u8(3);
                out.put_u64_le(group.0);
                out.put_u64_le(durable.0);
                out.put_u64_le(commit.0);
            }
            MetaRecord::Removed { group } => {
                out.put_u8(4);
                out.put_u64_le(group.0);
            }
            MetaRecord::CutOpened { group, number, from } => {
                out.put_u8(5);
                out.put_u64_le(group.0);
                out.put_u64_le(*number);
                out.put_u64_le(from.0);
            }
            MetaRecord::CutClosed { group, number } => {
                out.put_u8(6);
                out.put_u64_le(group.0);
                out.put_u64_le(*number);
            }
            MetaRecord::Started { group, start, commit, producers } => {
                out.put_u8(7);
                out.put_u64_le(group.0);
                start.encode(out);
                out.put_u64_le(commit.0);
                out.put_u64_le(producers.map_or(0, |index| index.0));
            }
            MetaRecord::InstallOpened { group, install } => {
                out.put_u8(8);
                out.put_u64_le(group.0);
                install.start.encode(out);
                out.put_u64_le(install.last.0);
                out.put_u64_le(install.producers.map_or(0, |index| index.0));
                out.put_u64_le(install.number);
                FileRange::encode_all(&install.files, out);
            }
            MetaRecord::Memory { group, memory } => {
                out.put_u8(10);
                out.put_u64_le(group.0);
                let (state, term, index) = match memory {
                    Memory::Whole => (0, 0, 0),
                    Memory::Asking => (1, 0, 0),
                    Memory::Below(floor) => (2, floor.term.0, floor.index.0),
                };
                out.put_u8(state);
                out.put_u64_le(term);
                out.put_u64_le(index);
            }
            MetaRecord::Born { group, with } => {
                out.put_u8(11);
                out.put_u64_le(group.0);
                put_len(out, with.len());
                for (broker, folder) in with {
                    out.put_i32_le(broker.0);
                    out.put_u64_le(*folder);
                }
            }
            MetaRecord::Folder { id } => {
                out.put_u8(12);
                out.put_u64_le(*id);
            }
        }
    }

    /// The record that `bytes` are, all of them.
    pub(crate) fn decode(mut bytes: Bytes) -> Option<MetaRecord> {
        let input = &mut bytes;
        let kind = input.try_get_u8().ok()?;
        let group = GroupId(input.try_get_u64_le().ok()?);
        let record = match kind {
            1 | 9 => {
                let length = usize::from(input.try_get_u16_le().ok()?);
                if input.len() < length {
                    return None;
                }
                let label = String::from_utf8(input.split_to(length).to_vec()).ok()?;
                let count = usize::from(input.try_get_u16_le().ok()?);
                let mut voters = Vec::new();
                for _ in 0..count {
                    voters.push(broker(input.try_get_i32_le().ok()?)?);
                }
                MetaRecord::Created { group, label, voters, is_asking: kind == 9 }
            }
            2 => {
                let term = Term(input.try_get_u64_le().ok()?);
                MetaRecord::Vote { group, term, vote: broker(input.try_get_i32_le().ok()?) }
            }
            3 => {
                let durable = Index(input.try_get_u64_le().ok()?);
                MetaRecord::Mark { group, durable, commit: Index(input.try_get_u64_le().ok()?) }
            }
            4 => MetaRecord::Removed { group },
            5 => {
                let number = input.try_get_u64_le().ok()?;
                let from = Index(input.try_get_u64_le().ok()?);
                if from <= Index::BIRTH {
                    return None;
                }
                MetaRecord::CutOpened { group, number, from }
            }
            6 => MetaRecord::CutClosed { group, number: input.try_get_u64_le().ok()? },
            7 => {
                let start = LogStart::decode(input)?;
                let commit = Index(input.try_get_u64_le().ok()?);
                if start.index.0 > commit.0 + 1 {
                    return None;
                }
                MetaRecord::Started { group, start, commit, producers: file_index(input.try_get_u64_le().ok()?) }
            }
            8 => {
                let start = LogStart::decode(input)?;
                let last = Index(input.try_get_u64_le().ok()?);
                let producers = file_index(input.try_get_u64_le().ok()?);
                let number = input.try_get_u64_le().ok()?;
                let files = FileRange::decode_all(input, FILES_MAX)?;
                if start.index.0 > last.0 + 1 {
                    return None;
                }
                MetaRecord::InstallOpened { group, install: Install { number, start, last, producers, files } }
            }
            10 => {
                let state = input.try_get_u8().ok()?;
                let term = Term(input.try_get_u64_le().ok()?);
                let floor = Position { term, index: Index(input.try_get_u64_le().ok()?) };
                let memory = match state {
                    0 => Memory::Whole,
                    1 => Memory::Asking,
                    2 => Memory::Below(floor),
                    _ => return None,
                };
                MetaRecord::Memory { group, memory }
            }
            11 => {
                let count = usize::from(input.try_get_u16_le().ok()?);
                let mut with = Vec::new();
                for _ in 0..count {
                    let other = broker(input.try_get_i32_le().ok()?)?;
                    with.push((other, input.try_get_u64_le().ok()?));
                }
                MetaRecord::Born { group, with }
            }
            12 => MetaRecord::Folder { id: group.0 },
            _ => return None,
        };
        input.is_empty().then_some(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Offset;

    const GROUP: GroupId = GroupId(7);

    fn start(offset: i64, index: u64) -> LogStart {
        LogStart { offset: Offset(offset), index: Index(index), base_offset: Offset(offset), term: Term(2), chain: 5 }
    }

    /// A state into which these records were folded after they had been bytes.
    fn folded(records: &[MetaRecord]) -> MetaState {
        let mut state = MetaState::default();
        for record in records {
            let mut bytes = BytesMut::new();
            record.encode(&mut bytes);
            let bytes = bytes.freeze();
            for length in 0..bytes.len() {
                assert_ne!(MetaRecord::decode(bytes.slice(..length)).as_ref(), Some(record), "cut to {length}");
            }
            state.apply(&MetaRecord::decode(bytes).expect("it was just made"));
        }
        state
    }

    #[test]
    fn a_checkpoint_in_the_midst_of_an_install_says_everything() {
        let range = FileRange { base_offset: Offset(30), base_index: Index(40), length: 1000, chain: 5 };
        let install =
            Install { number: 4, start: start(30, 40), last: Index(70), producers: Some(Index(70)), files: vec![range] };
        let records = [
            MetaRecord::Created {
                group: GROUP,
                label: "orders-0".to_owned(),
                voters: vec![BrokerId(0), BrokerId(1)],
                is_asking: false,
            },
            MetaRecord::Vote { group: GROUP, term: Term(3), vote: Some(BrokerId(1)) },
            MetaRecord::CutOpened { group: GROUP, number: 3, from: Index(20) },
            MetaRecord::InstallOpened { group: GROUP, install },
            MetaRecord::CutOpened { group: GROUP, number: 5, from: Index(72) },
            MetaRecord::Mark { group: GROUP, durable: Index(71), commit: Index(71) },
            MetaRecord::Started { group: GROUP, start: start(35, 40), commit: Index(71), producers: Some(Index(71)) },
        ];
        let state = folded(&records);
        assert_eq!(state.groups[&GROUP].cuts, [(5, Index(72))], "what an install replaces is not cut");
        assert_eq!(folded(&state.checkpoint()), state);
        let mut closed = state.clone();
        closed.apply(&MetaRecord::CutClosed { group: GROUP, number: 4 });
        assert_eq!((&closed.groups[&GROUP].install, closed.groups[&GROUP].start), (&None, start(35, 40)));
        assert_eq!(folded(&closed.checkpoint()), closed);
    }

    #[test]
    fn what_is_forgotten_is_known_after_every_checkpoint() {
        let created =
            MetaRecord::Created { group: GROUP, label: "orders-0".to_owned(), voters: vec![BrokerId(0)], is_asking: true };
        let mut records = vec![MetaRecord::Folder { id: 99 }, created];
        let floor = Position { term: Term(3), index: Index(9) };
        let born = MetaRecord::Born { group: GROUP, with: vec![(BrokerId(1), 55)] };
        let steps = [
            (None, Memory::Asking),
            (Some(MetaRecord::Memory { group: GROUP, memory: Memory::Below(floor) }), Memory::Below(floor)),
            (Some(MetaRecord::Memory { group: GROUP, memory: Memory::Whole }), Memory::Whole),
            (Some(MetaRecord::Memory { group: GROUP, memory: Memory::Asking }), Memory::Asking),
            (Some(born), Memory::Whole),
        ];
        for (record, memory) in steps {
            records.extend(record);
            let state = folded(&records);
            assert_eq!((state.folder, state.groups[&GROUP].memory), (99, memory));
            assert_eq!(folded(&state.checkpoint()), state);
        }
        assert_eq!(folded(&records).groups[&GROUP].born_with, [(BrokerId(1), 55)]);
    }
}
