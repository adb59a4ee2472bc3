//! `ottla log verify`: is what is on disk whole, and do replicas agree?
//!
//! In each folder, for each group: every batch has a fitting crc, offsets are dense within and across segments, leader epochs never fall,
//! a segment begins at the offset and the index that its name says and the one before ended at. Only the last segment may end in a torn
//! append (cut, or zeros): that is reported and is no damage, a restart cuts it.
//!
//! Between folders: the entries that all replicas of a group have must be the same bytes, whatever the segment boundaries are. One line per
//! group, then `replicas equal: yes` or `no` (also no when one is damaged). A replica may lag: the line says so. Before the cluster has settled, entries that were never
//! committed may differ.
//!
//! The meta log is not looked at: a broker checks it when it starts. Memory: one batch per folder.

use super::segments::{Batch, GroupFiles, SegmentReader, groups_of};
use ottla_core::ids::{GroupId, Index, LeaderEpoch, Offset};
use ottla_core::record::{Continuity, HeaderFault, ScanFault};
use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;

/// Verifies the folders; the error is the first damage or the difference, in one sentence.
pub(super) fn verify(folders: &[PathBuf], out: &mut impl Write) -> Result<(), String> {
    let replicas: Vec<Vec<GroupFiles>> = folders.iter().map(|folder| groups_of(folder)).collect::<Result<_, _>>()?;
    let groups: BTreeSet<GroupId> = replicas.iter().flatten().map(|files| files.group).collect();
    let outcome = verify_groups(&groups, &replicas, folders, out);
    if folders.len() > 1 {
        print(out, &format!("replicas equal: {}", if outcome.is_ok() { "yes" } else { "no" }))?;
    }
    outcome
}

/// All groups up to the first damage; a difference does not hide damage in later groups.
fn verify_groups(
    groups: &BTreeSet<GroupId>,
    replicas: &[Vec<GroupFiles>],
    folders: &[PathBuf],
    out: &mut impl Write,
) -> Result<(), String> {
    let mut difference = None;
    for group in groups {
        let of_group: Vec<(usize, &GroupFiles)> = replicas
            .iter()
            .enumerate()
            .filter_map(|(at, groups)| Some((at, groups.iter().find(|files| files.group == *group)?)))
            .collect();
        let found = verify_group(&of_group, folders, out)?;
        difference = difference.or(found);
    }
    difference.map_or(Ok(()), Err)
}

/// Walks all replicas of a group side by side; gives the first difference.
fn verify_group(replicas: &[(usize, &GroupFiles)], folders: &[PathBuf], out: &mut impl Write) -> Result<Option<String>, String> {
    let mut cursors: Vec<Cursor<'_>> = replicas.iter().map(|(_, files)| Cursor::new(files)).collect();
    let mut difference = None;
    let mut heads = Vec::new();
    for cursor in &mut cursors {
        heads.push(cursor.next()?);
    }
    while let Some(index) = heads.iter().flatten().map(|(index, _)| *index).min() {
        let same_index: Vec<usize> =
            (0..heads.len()).filter(|at| heads[*at].as_ref().is_some_and(|(head, _)| *head == index)).collect();
        let batch = |at: usize| heads[at].as_ref().map(|(_, batch)| batch).expect("it was found at this index");
        if difference.is_none()
            && let Some(other) = same_index.iter().find(|at| batch(**at).bytes != batch(same_index[0]).bytes)
        {
            let name = |at: usize| folders[replicas[at].0].display();
            let (one, two) = (&batch(same_index[0]).header, &batch(*other).header);
            difference = Some(format!(
                "{} group {}: index {index} differs: {} has offset {} of epoch {}, {} has offset {} of epoch {}",
                replicas[0].1.label,
                replicas[0].1.group,
                name(same_index[0]),
                one.base_offset,
                one.partition_leader_epoch,
                name(*other),
                two.base_offset,
                two.partition_leader_epoch,
            ));
        }
        for at in same_index {
            heads[at] = cursors[at].next()?;
        }
    }
    let torn: u64 = cursors.iter().map(|cursor| cursor.torn_bytes).sum();
    print(out, &group_line(replicas[0].1, &cursors, folders.len(), torn, difference.is_some()))?;
    Ok(difference)
}

fn group_line(files: &GroupFiles, cursors: &[Cursor<'_>], folders: usize, torn: u64, is_different: bool) -> String {
    let ends: Vec<(Index, Offset)> = cursors.iter().map(|cursor| (cursor.next_index, cursor.continuity.next_offset)).collect();
    let longest = ends.iter().max().copied().unwrap_or_default();
    let shortest = ends.iter().min().copied().unwrap_or_default();
    let batches = cursors.iter().map(|cursor| cursor.batches).max().unwrap_or(0);
    let mut line = format!(
        "{} group {}: {} segments, {batches} batches, offset end {}, last epoch {}",
        files.label,
        files.group,
        cursors.iter().map(|cursor| cursor.files.segments.len()).max().unwrap_or(0),
        longest.1,
        cursors.iter().map(|cursor| cursor.continuity.epoch).max().unwrap_or(LeaderEpoch::NONE),
    );
    if folders > 1 {
        let verdict = if is_different { "DIFFERENT" } else { "equal" };
        line.push_str(&format!(", {} replicas {verdict}", cursors.len()));
        if longest != shortest {
            line.push_str(&format!(" over what they share, the shortest ends at offset {}", shortest.1));
        }
    }
    if torn > 0 {
        line.push_str(&format!(", torn tail of {torn} bytes"));
    }
    line
}

/// The batches of a group in one folder, one after the other, each checked.
struct Cursor<'a> {
    files: &'a GroupFiles,
    /// Next segment to open.
    next_segment: usize,
    reader: Option<SegmentReader>,
    continuity: Continuity,
    next_index: Index,
    batches: u64,
    torn_bytes: u64,
}

impl<'a> Cursor<'a> {
    fn new(files: &'a GroupFiles) -> Cursor<'a> {
        let first = files.segments.first();
        let continuity = Continuity::new(first.map_or(Offset(0), |segment| segment.base_offset), LeaderEpoch::NONE);
        let next_index = first.and_then(|segment| segment.base_index).unwrap_or_default();
        Cursor { files, next_segment: 0, reader: None, continuity, next_index, batches: 0, torn_bytes: 0 }
    }

    /// The next batch and its raft index; `None` at the end.
    fn next(&mut self) -> Result<Option<(Index, Batch)>, String> {
        loop {
            let Some(mut reader) = self.reader.take() else {
                if !self.open_next()? {
                    return Ok(None);
                }
                continue;
            };
            let position = reader.position();
            let mut start = Vec::new();
            let step = reader.next(&mut start).map_err(|error| self.damage(position, &error.to_string()))?;
            let checked = match step {
                Ok(None) => continue,
                Ok(Some(batch)) => self.continuity.accept(&batch.header).map(|()| batch),
                Err(fault) => Err(fault),
            };
            match checked {
                Ok(batch) => {
                    let index = self.next_index;
                    self.next_index = Index(index.0 + 1);
                    self.batches += 1;
                    self.reader = Some(reader);
                    return Ok(Some((index, batch)));
                }
                Err(fault) => {
                    let left = reader.left();
                    let is_last = self.next_segment == self.files.segments.len();
                    if !(is_last && is_torn(fault, reader, &start)) {
                        return Err(self.damage(position, &fault.to_string()));
                    }
                    self.torn_bytes = left;
                    return Ok(None);
                }
            }
        }
    }

    /// Opens the next segment, whose name must continue what came before; `false` if there is none.
    fn open_next(&mut self) -> Result<bool, String> {
        let Some(segment) = self.files.segments.get(self.next_segment) else { return Ok(false) };
        self.next_segment += 1;
        let index = segment.base_index.ok_or_else(|| format!("{}: the name has no index", segment.path.display()))?;
        if (segment.base_offset, index) != (self.continuity.next_offset, self.next_index) {
            return Err(format!(
                "{}: the segment begins at offset {} and index {index}, but the one before ended at offset {} and index {}",
                segment.path.display(),
                segment.base_offset,
                self.continuity.next_offset,
                self.next_index,
            ));
        }
        self.reader = Some(segment.open()?);
        Ok(true)
    }

    fn damage(&self, position: u64, what: &str) -> String {
        let path = &self.files.segments[self.next_segment - 1].path;
        format!(
            "{}: position {position} (offset {}, index {}): {what}",
            path.display(),
            self.continuity.next_offset,
            self.next_index
        )
    }
}

/// Whether the fault is what an append leaves that was under way when the machine stopped.
fn is_torn(fault: ScanFault, reader: SegmentReader, start: &[u8]) -> bool {
    match fault {
        ScanFault::Cut { .. } | ScanFault::Header(HeaderFault::Cut) => true,
        ScanFault::Header(HeaderFault::Magic(_) | HeaderFault::Length(_)) | ScanFault::Crc { .. } => reader.ends_in_zeros(start),
        ScanFault::LastOffsetDelta(_) | ScanFault::Offset { .. } | ScanFault::Epoch { .. } => false,
    }
}

fn print(out: &mut impl Write, line: &str) -> Result<(), String> {
    writeln!(out, "{line}").map_err(|error| format!("can't print: {error}"))
}

#[cfg(test)]
#[path = "verify_tests.rs"]
mod tests;
