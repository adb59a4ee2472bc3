//! `ottla log verify`: is what is on disk whole, and do replicas agree?
//!
//! In each folder, for each group: every batch has a fitting crc, offsets are dense within and across segments, leader epochs never fall,
//! a segment begins at the offset and the index that its name says and the one before ended at. Only the last segment may end in a torn
//! append (cut, or zeros): that is reported and is no damage, a restart cuts it.
//!
//! Between folders: the entries that all replicas of a group have must be the same bytes, whatever the segment boundaries are. One line per
//! group, then `replicas equal: yes` or `no` (also no when one is damaged). A replica may lag: the line says so. Before the cluster has settled,
//! entries that were never committed may differ. JSON is one object, with `groups` and what was found of the `whole`.
//!
//! The meta log is not looked at: a broker checks it when it starts. Memory: one batch per folder.

use super::segments::{Batch, GroupFiles, SegmentReader, groups_of};
use crate::cli::output::{Cell, Format, Report, Section};
use ottla_core::ids::{GroupId, Index, LeaderEpoch, Offset};
use ottla_core::record::{Continuity, HeaderFault, ScanFault};
use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;

/// What is told of a group.
struct Verdict {
    label: String,
    group: GroupId,
    segments: usize,
    batches: u64,
    /// Of the longest replica.
    offset_end: Offset,
    last_epoch: LeaderEpoch,
    /// Folders that have the group.
    replicas: usize,
    is_different: bool,
    /// Where the shortest replica ends, if they don't all end at one place.
    shortest: Option<Offset>,
    torn_bytes: u64,
}

const COLUMNS: &[&str] = &[
    "label",
    "group",
    "segments",
    "batches",
    "offset_end",
    "last_epoch",
    "replicas",
    "equal",
    "shortest_offset_end",
    "torn_bytes",
];

/// Verifies the folders; the error is the first damage or the difference, in one sentence.
///
/// For people there is a line per group as soon as it is judged. JSON is one object at the end, with what was judged up to the damage.
pub(super) fn verify(folders: &[PathBuf], format: Format, out: &mut impl Write) -> Result<(), String> {
    let replicas: Vec<Vec<GroupFiles>> = folders.iter().map(|folder| groups_of(folder)).collect::<Result<_, _>>()?;
    let groups: BTreeSet<GroupId> = replicas.iter().flatten().map(|files| files.group).collect();
    let mut judged = Section::new("groups", COLUMNS);
    let outcome = verify_groups(&groups, &replicas, folders, &mut |verdict| match format {
        Format::Table => print(out, &verdict.line(folders.len())),
        Format::Json => {
            judged.row(verdict.row(folders.len()));
            Ok(())
        }
    });
    let is_compared = folders.len() > 1;
    match format {
        Format::Table if is_compared => print(out, &format!("replicas equal: {}", if outcome.is_ok() { "yes" } else { "no" }))?,
        Format::Table => {}
        Format::Json => {
            let mut whole = Section::new("whole", &["damage", "replicas_equal"]);
            whole.row(vec![outcome.as_ref().err().cloned().into(), is_compared.then_some(outcome.is_ok()).into()]);
            let mut report = Report::default();
            report.add(judged);
            report.add(whole);
            print(out, report.render(Format::Json).trim_end())?;
        }
    }
    outcome
}

/// All groups up to the first damage; a difference does not hide damage in later groups.
fn verify_groups(
    groups: &BTreeSet<GroupId>,
    replicas: &[Vec<GroupFiles>],
    folders: &[PathBuf],
    tell: &mut impl FnMut(Verdict) -> Result<(), String>,
) -> Result<(), String> {
    let mut difference = None;
    for group in groups {
        let of_group: Vec<(usize, &GroupFiles)> = replicas
            .iter()
            .enumerate()
            .filter_map(|(at, groups)| Some((at, groups.iter().find(|files| files.group == *group)?)))
            .collect();
        let (verdict, found) = verify_group(&of_group, folders)?;
        tell(verdict)?;
        difference = difference.or(found);
    }
    difference.map_or(Ok(()), Err)
}

/// Walks all replicas of a group side by side; gives the first difference, too.
fn verify_group(replicas: &[(usize, &GroupFiles)], folders: &[PathBuf]) -> Result<(Verdict, Option<String>), String> {
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
    Ok((Verdict::of(replicas[0].1, &cursors, difference.is_some()), difference))
}

impl Verdict {
    fn of(files: &GroupFiles, cursors: &[Cursor<'_>], is_different: bool) -> Verdict {
        let ends: Vec<(Index, Offset)> =
            cursors.iter().map(|cursor| (cursor.next_index, cursor.continuity.next_offset)).collect();
        let longest = ends.iter().max().copied().unwrap_or_default();
        let shortest = ends.iter().min().copied().unwrap_or_default();
        Verdict {
            label: files.label.clone(),
            group: files.group,
            segments: cursors.iter().map(|cursor| cursor.files.segments.len()).max().unwrap_or(0),
            batches: cursors.iter().map(|cursor| cursor.batches).max().unwrap_or(0),
            offset_end: longest.1,
            last_epoch: cursors.iter().map(|cursor| cursor.continuity.epoch).max().unwrap_or(LeaderEpoch::NONE),
            replicas: cursors.len(),
            is_different,
            shortest: (longest != shortest).then_some(shortest.1),
            torn_bytes: cursors.iter().map(|cursor| cursor.torn_bytes).sum(),
        }
    }

    fn line(&self, folders: usize) -> String {
        let mut line = format!(
            "{} group {}: {} segments, {} batches, offset end {}, last epoch {}",
            self.label, self.group, self.segments, self.batches, self.offset_end, self.last_epoch
        );
        if folders > 1 {
            let verdict = if self.is_different { "DIFFERENT" } else { "equal" };
            line.push_str(&format!(", {} replicas {verdict}", self.replicas));
            if let Some(shortest) = self.shortest {
                line.push_str(&format!(" over what they share, the shortest ends at offset {shortest}"));
            }
        }
        if self.torn_bytes > 0 {
            line.push_str(&format!(", torn tail of {} bytes", self.torn_bytes));
        }
        line
    }

    fn row(&self, folders: usize) -> Vec<Cell> {
        let whole = |number: u64| Cell::Number(i64::try_from(number).unwrap_or(i64::MAX));
        vec![
            self.label.as_str().into(),
            whole(self.group.0),
            self.segments.into(),
            whole(self.batches),
            self.offset_end.0.into(),
            (self.last_epoch != LeaderEpoch::NONE).then_some(self.last_epoch.0).into(),
            self.replicas.into(),
            (folders > 1).then_some(!self.is_different).into(),
            self.shortest.map(|offset| offset.0).into(),
            whole(self.torn_bytes),
        ]
    }
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
