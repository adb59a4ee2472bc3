//! A leader whose follower lacks what this log has let go: it lends its files.
//!
//! Raft asks for a snapshot while it sends appends, and can't wait; so the ask is noted, what is known of producers is asked for at the owner
//! of the group, and raft is told to ask again when the manifest is there. From then on the files it lists are *on loan*: retention takes
//! them out of the log, but they are deleted only when no loan has them. A loan is renewed by every ask for a part, and given up
//! [`SNAPSHOT_LEASE_MS`] after the last one; then raft is told of the failure, and begins anew when the follower is heard of. It ends
//! with the leadership too: the next leader sends its own snapshot.

use super::{GroupEvent, RaftGroup, Round};
use crate::disk::{DiskAction, FileName};
use crate::ids::{BrokerId, DiskId, GroupId, Index};
use crate::limits::{SNAPSHOT_FILES_MAX, SNAPSHOT_LEASE_MS, SNAPSHOT_PART_BYTES_MAX};
use crate::log::{FileRange, Manifest, ProducerTable, encode_producers};
use crate::mutant::Mutant;
use crate::raft::ReplicasConfig;
use crate::raft::copy_message::{CopyMessage, SnapshotName};
use crate::raft::disk_queue::Owner;
use crate::time::Instant;
use bytes::Bytes;
use raft::eraftpb::Snapshot;
use raft::{ProgressState, SnapshotStatus};
use std::collections::BTreeSet;

/// A part that was asked for.
#[derive(Debug, Clone, Copy)]
struct Part {
    range: FileRange,
    position: u64,
    length: u32,
}

/// Files lent to one follower.
#[derive(Debug)]
struct Loan {
    to: BrokerId,
    name: SnapshotName,
    files: Vec<FileRange>,
    until: Instant,
    asked: Option<Part>,
    reading: Option<(DiskId, Part)>,
}

/// What a group lends.
#[derive(Debug, Default)]
pub(super) struct Lending {
    /// Raft ids of peers that need a snapshot.
    wanted: BTreeSet<u64>,
    /// The snapshot, until everything in it is in the page cache.
    offer: Option<Manifest>,
    loans: Vec<Loan>,
    /// Files that retention let go while they were on loan.
    kept: Vec<FileName>,
}

impl Lending {
    /// Whether something is to be done at `now` though nothing happened.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.loans.iter().any(|loan| now >= loan.until)
    }

    /// Of files that are no longer part of the log, those that can be deleted.
    pub(super) fn keep(&mut self, group: GroupId, files: Vec<FileName>) -> Vec<FileName> {
        let is_lent =
            |file: &FileName| self.loans.iter().any(|loan| loan.files.iter().any(|range| range.segment(group) == *file));
        let (kept, free): (Vec<FileName>, Vec<FileName>) = files.into_iter().partition(is_lent);
        self.kept.extend(kept);
        free
    }
}

impl RaftGroup {
    /// What is known of the producers of everything that is committed, as it was asked for; `None` where nobody wrote that has an id.
    pub(crate) fn producers_known(&mut self, config: &ReplicasConfig, producers: Option<&ProducerTable>) {
        self.is_asking_producers = false;
        let nobody = ProducerTable::new(config.producers);
        let table = producers.unwrap_or(&nobody);
        let bytes = encode_producers(table);
        self.start_producers(bytes.clone());
        if !self.lending.wanted.is_empty() {
            let is_empty = table.is_empty() || config.mutant.is(Mutant::SnapshotWithoutProducers);
            let bytes = if is_empty { Bytes::new() } else { bytes };
            self.lending.offer = self.log().manifest(bytes).filter(|manifest| manifest.files.len() <= SNAPSHOT_FILES_MAX);
            if self.lending.offer.is_none() {
                // Nothing that can be lent. Raft asks again when the follower is heard of again.
                self.lending.wanted.clear();
            }
        }
    }

    /// Asks the owner of the group what is known of producers.
    pub(super) fn ask_producers(&mut self) {
        self.wants_producers = true;
    }

    /// At the end of a visit, when all commits were told.
    pub(super) fn tell_wish(&mut self) {
        if core::mem::take(&mut self.wants_producers) && !self.is_asking_producers {
            self.is_asking_producers = true;
            self.events.push(GroupEvent::ProducersWanted);
        }
    }

    /// Sends snapshots that are wanted, reads parts that were asked for, ends loans.
    pub(super) fn lend(&mut self, round: &mut Round<'_>) {
        let wanted = core::mem::take(&mut self.raw.raft.store().catchup.borrow_mut().snapshot_wanted);
        if self.is_leader() {
            self.lending.wanted.extend(wanted);
            self.offer_snapshot(round);
        } else {
            self.lending.wanted.clear();
            self.lending.offer = None;
        }
        self.end_loans(round);
        self.read_parts(round);
    }

    fn offer_snapshot(&mut self, round: &mut Round<'_>) {
        if self.lending.wanted.is_empty() {
            return;
        }
        // What retention let go since the list was made can't be lent.
        let start = self.log().start();
        self.lending.offer.take_if(|manifest| manifest.start != start);
        let written = self.log().written_index();
        let Some(manifest) = self.lending.offer.take_if(|manifest| manifest.last <= written) else {
            if self.lending.offer.is_none() {
                self.ask_producers();
            }
            return;
        };
        let mut snapshot = Snapshot::default();
        let metadata = snapshot.mut_metadata();
        (metadata.index, metadata.term) = (manifest.last.0, manifest.term.0);
        metadata.set_conf_state(self.raw.raft.store().conf_state());
        snapshot.data = manifest.encode();
        self.raw.raft.store().catchup.borrow_mut().snapshot = Some(snapshot);
        for peer in core::mem::take(&mut self.lending.wanted) {
            self.raw.raft.send_append(peer);
            if self.pending_snapshot(peer) != Some(manifest.last) {
                continue;
            }
            let Some(to) = BrokerId::from_peer(peer) else { continue };
            self.lending.loans.retain(|loan| loan.to != to);
            self.lending.loans.push(Loan {
                to,
                name: SnapshotName { group: self.id, term: self.term(), last: manifest.last },
                files: manifest.files.clone(),
                until: round.now.monotonic.plus_ms(SNAPSHOT_LEASE_MS),
                asked: None,
                reading: None,
            });
        }
        self.raw.raft.store().catchup.borrow_mut().snapshot = None;
        self.impose_timeout(round.config);
    }

    /// The snapshot that raft waits for a peer to install.
    fn pending_snapshot(&self, peer: u64) -> Option<Index> {
        let progress = self.raw.raft.prs().get(peer)?;
        (progress.state == ProgressState::Snapshot).then_some(Index(progress.pending_snapshot))
    }

    fn end_loans(&mut self, round: &mut Round<'_>) {
        if self.lending.loans.is_empty() && self.lending.kept.is_empty() {
            return;
        }
        let (now, is_leader, term) = (round.now.monotonic, self.is_leader(), self.term());
        for loan in core::mem::take(&mut self.lending.loans) {
            let is_wanted = is_leader && loan.name.term == term && self.pending_snapshot(loan.to.peer()) == Some(loan.name.last);
            if is_wanted && now < loan.until {
                self.lending.loans.push(loan);
            } else if is_wanted {
                self.raw.report_snapshot(loan.to.peer(), SnapshotStatus::Failure);
                self.impose_timeout(round.config);
            }
        }
        let kept = core::mem::take(&mut self.lending.kept);
        let free = self.lending.keep(self.id, kept);
        self.pipeline.remove(free, round.disk);
    }

    /// A follower asks for a part, or needs no more.
    pub(super) fn part_asked(
        &mut self,
        config: &ReplicasConfig,
        now: Instant,
        from: BrokerId,
        name: SnapshotName,
        message: CopyMessage,
    ) {
        let Some(at) = self.lending.loans.iter().position(|loan| loan.to == from && loan.name == name) else {
            if let CopyMessage::Ask { .. } = message {
                self.said.push((from, name, CopyMessage::Over { is_done: false }));
            }
            return;
        };
        match message {
            CopyMessage::Ask { base_offset, base_index, position, length } => {
                let loan = &mut self.lending.loans[at];
                loan.until = now.plus_ms(SNAPSHOT_LEASE_MS);
                let range = loan.files.iter().find(|range| (range.base_offset, range.base_index) == (base_offset, base_index));
                if let Some(range) = range.filter(|range| position < range.length) {
                    loan.asked = Some(Part { range: *range, position, length: length.min(SNAPSHOT_PART_BYTES_MAX) });
                }
            }
            CopyMessage::Over { is_done } => {
                let status = if is_done { SnapshotStatus::Finish } else { SnapshotStatus::Failure };
                self.raw.report_snapshot(from.peer(), status);
                self.impose_timeout(config);
            }
            CopyMessage::Part { .. } => {}
        }
    }

    fn read_parts(&mut self, round: &mut Round<'_>) {
        let group = self.id;
        for at in 0..self.lending.loans.len() {
            let loan = &self.lending.loans[at];
            let Some(part) = loan.asked.filter(|_| loan.reading.is_none()) else { continue };
            let file = part.range.segment(group);
            // What retention took out of the log was written as a whole.
            let readable = self.log().readable(file).unwrap_or(part.range.length).min(part.range.length);
            let length = u64::from(part.length).min(readable.saturating_sub(part.position));
            let loan = &mut self.lending.loans[at];
            loan.asked = None;
            let Some(length) = u32::try_from(length).ok().filter(|length| *length > 0) else { continue };
            let action = DiskAction::Read { file, position: part.position, length };
            let id = round.disk.issue(Owner::Loan { group, to: loan.to }, action, round.out);
            loan.reading = Some((id, part));
            self.pipeline.read_started(id);
        }
    }

    /// A part was read: what to tell to whom.
    pub(crate) fn part_read(&mut self, id: DiskId, to: BrokerId, data: Bytes) -> Option<Bytes> {
        self.pipeline.read_done(id);
        let loan =
            self.lending.loans.iter_mut().find(|loan| loan.to == to && loan.reading.is_some_and(|(read, _)| read == id))?;
        let (_, part) = loan.reading.take()?;
        let message = CopyMessage::Part { base_index: part.range.base_index, position: part.position, data };
        Some(message.encode(loan.name))
    }
}
