//! The order of one group's disk operations.
//!
//! Appends leave at once and in order. A cut waits for everything before it (appends that are under way, reads that may touch what
//! goes away, its own record in the meta log), and everything after it waits for the cut; an install of copies likewise. Files before the log start go beside all that
//! as soon as no read is under way that began before. A group's first append waits for its folder,
//! or for the repairs that recovery decided on.
//!
//! Invariants: writes complete in order whatever the disk says; `durable <= written`.

use super::disk_queue::{DiskQueue, Owner};
use crate::disk::{DiskAction, FileName};
use crate::ids::{DiskId, GroupId, Index};
use crate::log::{Cut, GroupLog, Write};
use crate::output::Outputs;
use std::collections::{BTreeSet, VecDeque};

#[derive(Debug)]
enum Work {
    Append {
        write: Write,
        is_awaited: bool,
    },
    Cut {
        number: u64,
        round: u64,
        cut: Cut,
    },
    /// Copies take their place, other files go.
    Install {
        number: u64,
        round: u64,
        rename: Vec<(FileName, FileName)>,
        remove: Vec<FileName>,
    },
}

#[derive(Debug)]
struct Flight {
    id: DiskId,
    file: FileName,
    end: u64,
    last_index: Index,
    is_written: bool,
    is_durable: bool,
}

/// What must be over before the next work.
#[derive(Debug)]
struct Barrier {
    operations: usize,
    /// Round of the meta log.
    round: u64,
    cut: Option<u64>,
}

/// One group's operations.
#[derive(Debug)]
pub(crate) struct Pipeline {
    group: GroupId,
    queue: VecDeque<Work>,
    flights: VecDeque<Flight>,
    /// How many of them, from the front, were counted as written.
    counted: usize,
    barrier: Option<Barrier>,
    reads: BTreeSet<DiskId>,
    /// Files to delete when no read that began before this operation is under way.
    removals: VecDeque<(DiskId, Vec<FileName>)>,
    /// Deletions under way: an install may give one of these names to another file, and waits for them.
    removing: BTreeSet<DiskId>,
    writes: u64,
    writes_durable: u64,
    written: Index,
    durable: Index,
}

impl Pipeline {
    /// Waits for `operations` that were issued and for `round` of the meta log before anything else; entries up to `durable` are there.
    pub(crate) fn new(group: GroupId, operations: usize, round: u64, durable: Index) -> Pipeline {
        Pipeline {
            group,
            queue: VecDeque::new(),
            flights: VecDeque::new(),
            counted: 0,
            barrier: Some(Barrier { operations, round, cut: None }),
            reads: BTreeSet::new(),
            removals: VecDeque::new(),
            removing: BTreeSet::new(),
            writes: 0,
            writes_durable: 0,
            written: durable,
            durable,
        }
    }

    /// Adds appends; they are complete when [`Pipeline::writes_durable`] reaches [`Pipeline::writes`] of now.
    pub(crate) fn append(&mut self, writes: Vec<Write>, is_awaited: bool) {
        self.writes += writes.len() as u64;
        self.queue.extend(writes.into_iter().map(|write| Work::Append { write, is_awaited }));
    }

    /// How many appends were added.
    pub(crate) fn writes(&self) -> u64 {
        self.writes
    }

    /// Adds a cut of the entries from `from` on, whose record is in `round` of the meta log.
    pub(crate) fn cut(&mut self, number: u64, round: u64, from: Index, cut: Cut) {
        let last = Index(from.0 - 1);
        // What is under way for the entries that go must not be counted for those that take their place.
        let clamp = |file: FileName, end: &mut u64, last_index: &mut Index| {
            *last_index = (*last_index).min(last);
            if cut.remove.contains(&file) {
                *end = 0;
            }
            if let Some((cut_file, length)) = cut.truncate
                && cut_file == file
            {
                *end = (*end).min(length);
            }
        };
        for flight in &mut self.flights {
            clamp(flight.file, &mut flight.end, &mut flight.last_index);
        }
        for work in &mut self.queue {
            if let Work::Append { write, .. } = work {
                clamp(write.file, &mut write.end, &mut write.last_index);
            }
        }
        self.written = self.written.min(last);
        self.durable = self.durable.min(last);
        self.queue.push_back(Work::Cut { number, round, cut });
    }

    /// Adds an install of copies that end with the entry `last`, whose record is in `round` of the meta log.
    pub(crate) fn install(
        &mut self,
        number: u64,
        round: u64,
        last: Index,
        rename: Vec<(FileName, FileName)>,
        remove: Vec<FileName>,
    ) {
        // What is under way is of the log that goes.
        for flight in &mut self.flights {
            flight.end = 0;
            flight.last_index = Index(0);
        }
        for work in &mut self.queue {
            if let Work::Append { write, .. } = work {
                write.end = 0;
                write.last_index = Index(0);
            }
        }
        self.written = last;
        self.durable = last;
        self.queue.push_back(Work::Install { number, round, rename, remove });
    }

    /// Adds files to delete, which nothing written or planned from now on touches.
    pub(crate) fn remove(&mut self, files: Vec<FileName>, disk: &DiskQueue) {
        if !files.is_empty() {
            self.removals.push_back((disk.next_id(), files));
        }
    }

    /// Issues what may go. Numbers of cuts that were made are added to `made`.
    pub(crate) fn pump(&mut self, round_durable: u64, disk: &mut DiskQueue, out: &mut Outputs, made: &mut Vec<u64>) {
        while self.removals.front().is_some_and(|(mark, _)| self.reads.first().is_none_or(|read| read >= mark)) {
            let (_, files) = self.removals.pop_front().expect("looked at above");
            self.removing.insert(disk.issue(Owner::Removal(self.group), DiskAction::Remove { files }, out));
        }
        loop {
            if let Some(barrier) = &self.barrier {
                if barrier.operations > 0 || round_durable < barrier.round {
                    return;
                }
                made.extend(barrier.cut);
                self.barrier = None;
            }
            match self.queue.front() {
                None => return,
                Some(Work::Cut { round, .. } | Work::Install { round, .. })
                    if !self.flights.is_empty() || !self.reads.is_empty() || round_durable < *round =>
                {
                    return;
                }
                Some(Work::Install { .. }) if !self.removing.is_empty() => return,
                Some(Work::Append { .. } | Work::Cut { .. } | Work::Install { .. }) => {}
            }
            let owner = Owner::Group(self.group);
            match self.queue.pop_front().expect("looked at above") {
                Work::Append { write, is_awaited } => {
                    let action = DiskAction::Append { file: write.file, position: write.position, data: write.data, is_awaited };
                    let id = disk.issue(Owner::Append(self.group), action, out);
                    self.flights.push_back(Flight {
                        id,
                        file: write.file,
                        end: write.end,
                        last_index: write.last_index,
                        is_written: false,
                        is_durable: false,
                    });
                }
                Work::Cut { number, cut, .. } => {
                    let mut operations = 0;
                    if let Some((file, length)) = cut.truncate {
                        disk.issue(owner, DiskAction::Truncate { file, length }, out);
                        operations += 1;
                    }
                    if !cut.remove.is_empty() {
                        disk.issue(owner, DiskAction::Remove { files: cut.remove }, out);
                        operations += 1;
                    }
                    self.barrier = Some(Barrier { operations, round: 0, cut: Some(number) });
                }
                Work::Install { number, rename, remove, .. } => {
                    let mut operations = 1;
                    disk.issue(owner, DiskAction::Rename { files: rename }, out);
                    if !remove.is_empty() {
                        disk.issue(owner, DiskAction::Remove { files: remove }, out);
                        operations += 1;
                    }
                    self.barrier = Some(Barrier { operations, round: 0, cut: Some(number) });
                }
            }
        }
    }

    /// Whether the first barrier is still there.
    pub(crate) fn is_waiting(&self) -> bool {
        self.barrier.is_some()
    }

    /// An append is in the page cache.
    pub(crate) fn append_written(&mut self, id: DiskId, log: &mut GroupLog) {
        if let Some(flight) = self.flights.iter_mut().find(|flight| flight.id == id) {
            flight.is_written = true;
        }
        while let Some(flight) = self.flights.get(self.counted).filter(|flight| flight.is_written) {
            self.written = self.written.max(flight.last_index);
            log.written(flight.file, flight.end, flight.last_index);
            self.counted += 1;
        }
    }

    /// An append is fsynced.
    pub(crate) fn append_durable(&mut self, id: DiskId, log: &mut GroupLog) {
        self.append_written(id, log);
        if let Some(flight) = self.flights.iter_mut().find(|flight| flight.id == id) {
            flight.is_durable = true;
        }
        while self.flights.front().is_some_and(|flight| flight.is_durable) {
            let flight = self.flights.pop_front().expect("looked at above");
            self.durable = self.durable.max(flight.last_index);
            self.writes_durable += 1;
            self.counted -= 1;
        }
        assert!(self.durable <= self.written, "what is durable was written");
    }

    /// An operation of the barrier is over.
    pub(crate) fn operation_done(&mut self) {
        let barrier = self.barrier.as_mut().expect("only barriers have such operations");
        barrier.operations -= 1;
    }

    /// A deletion is over.
    pub(crate) fn removal_done(&mut self, id: DiskId) {
        self.removing.remove(&id);
    }

    pub(crate) fn read_started(&mut self, id: DiskId) {
        self.reads.insert(id);
    }

    pub(crate) fn read_done(&mut self, id: DiskId) {
        self.reads.remove(&id);
    }

    /// How many appends, in order, are durable.
    pub(crate) fn writes_durable(&self) -> u64 {
        self.writes_durable
    }

    /// Entries up to here are in the page cache.
    pub(crate) fn written(&self) -> Index {
        self.written
    }

    /// Entries up to here are fsynced.
    pub(crate) fn durable(&self) -> Index {
        self.durable
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Offset;
    use crate::output::Output;

    const GROUP: GroupId = GroupId(7);

    /// What the disk is asked now, with its ids.
    fn asked(pipeline: &mut Pipeline, disk: &mut DiskQueue) -> Vec<(DiskId, DiskAction)> {
        let mut out = Outputs::default();
        pipeline.pump(9, disk, &mut out, &mut Vec::new());
        let actions =
            out.drain().filter_map(|output| if let Output::Disk(op) = output { Some((op.id, op.action)) } else { None });
        actions.collect()
    }

    #[test]
    fn a_name_is_given_to_another_file_when_the_old_one_is_deleted() {
        let (base_offset, base_index) = (Offset(5), Index(4));
        let segment = FileName::Segment { group: GROUP, base_offset, base_index };
        let copy = FileName::Copy { group: GROUP, base_offset, base_index };
        let mut disk = DiskQueue::new();
        let mut pipeline = Pipeline::new(GROUP, 0, 0, Index(9));
        pipeline.remove(vec![segment], &disk);
        pipeline.install(1, 1, Index(20), vec![(copy, segment)], Vec::new());
        let first = asked(&mut pipeline, &mut disk);
        assert!(matches!(first[..], [(_, DiskAction::Remove { .. })]), "{first:?}");
        pipeline.removal_done(first[0].0);
        let second = asked(&mut pipeline, &mut disk);
        assert!(matches!(second[..], [(_, DiskAction::Rename { .. })]), "{second:?}");
    }
}
