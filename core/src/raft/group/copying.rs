//! A replica that lacks what its leader has let go: it is made whole by a snapshot.
//!
//! Raft is not given the snapshot when it comes, because then it would forget its log while nothing is there to take its place. First the
//! ranges of the manifest are fetched from the leader, one part after the other, written under the names of copies, and checked as at a start.
//! When all of it is durable here, raft is given the message, and if it takes it, the log in memory is replaced at once and the files by an
//! install (see `log/meta_state.rs`); what raft says then waits for that like for any write.
//!
//! What was copied is committed, so it stays valid whoever leads: another snapshot, of another leader too, goes on where the last one ended
//! as far as their ranges are the same. Copies that nobody goes on with are deleted after a while, and at the next start.
//!
//! Source: Raft section 7; the fetching of snapshots by the replica is KIP-630's `FetchSnapshot`.

use super::{GroupEvent, RaftGroup, Role, Round};
use crate::disk::{DiskAction, FileName};
use crate::ids::{BrokerId, DiskId, GroupId, Index, Offset};
use crate::limits::{SNAPSHOT_COPIES_MAX, SNAPSHOT_LEASE_MS, SNAPSHOT_PART_BYTES_MAX, SNAPSHOT_RETRY_MS};
use crate::log::{
    FileRange, GroupScan, Install, LogStart, Manifest, MetaRecord, ProducerTable, ScanStep, Scanned, decode_producers,
};
use crate::raft::ReplicasConfig;
use crate::raft::copy_message::{CopyMessage, KIND_COPY, SnapshotName};
use crate::raft::disk_queue::Owner;
use crate::time::Instant;
use bytes::Bytes;
use raft::eraftpb::{Message, MessageType};
use std::collections::{BTreeMap, BTreeSet};

/// Place of a segment in a log.
type Place = (Offset, Index);

/// How far a copy is.
#[derive(Debug)]
enum Step {
    /// Too many others are being made, or files of an earlier one are being worked on.
    Queued,
    /// The scan says what comes next.
    Next,
    /// The leader was asked for a part.
    Asked { range: FileRange, position: u64, length: u32 },
    /// It came.
    Came { range: FileRange, position: u64, data: Bytes },
    /// It is being written.
    Writing { id: DiskId, data: Bytes },
    /// A part that is here already is being read.
    Reading { id: DiskId },
    /// What is known of producers is being written.
    Last { id: DiskId },
    /// All is durable.
    Whole,
}

/// A copy that is being made.
#[derive(Debug)]
struct Copying {
    leader: BrokerId,
    name: SnapshotName,
    message: Message,
    manifest: Manifest,
    producers: ProducerTable,
    scan: GroupScan,
    step: Step,
    /// When the leader was asked last, and when it was heard of last.
    asked_at: Instant,
    heard_at: Instant,
}

/// What a disk operation of a copy is for.
#[derive(Debug, Clone, Copy)]
enum Operation {
    /// Makes a file this long.
    Part(Place, u64),
    Producers(Index),
    Read,
    Remove,
}

/// A copy that raft was given and that waits for the visit.
#[derive(Debug)]
struct Taken {
    leader: BrokerId,
    name: SnapshotName,
    manifest: Manifest,
    producers: ProducerTable,
    scanned: Scanned,
}

/// Files that are getting their names.
#[derive(Debug)]
struct Installing {
    leader: BrokerId,
    name: SnapshotName,
    number: u64,
    start: LogStart,
    files: Vec<FileRange>,
}

/// Everything of one group about copies that are made here.
#[derive(Debug, Default)]
pub(super) struct Copies {
    now: Option<Copying>,
    taken: Option<Taken>,
    installing: Option<Installing>,
    /// Files that are there, with their durable lengths and the hash over all before them.
    files: BTreeMap<Place, (u64, u64)>,
    operations: BTreeMap<DiskId, Operation>,
    /// Files that say what is known of producers.
    producers: BTreeSet<Index>,
    /// The end of a snapshot that raft was given and does not count as applied yet.
    unapplied: Option<Index>,
    /// When copies that nobody goes on with are deleted.
    until: Option<Instant>,
}

impl Copies {
    /// A group that starts with a file about producers.
    pub(super) fn with_producers(file: Option<Index>) -> Copies {
        Copies { producers: file.into_iter().collect(), ..Copies::default() }
    }

    /// Whether the log in memory is a copy whose files are getting their names.
    pub(super) fn is_installing(&self) -> bool {
        self.installing.is_some()
    }

    /// Whether this is the number of the install that is being made.
    pub(super) fn is_install(&self, number: u64) -> bool {
        self.installing.as_ref().is_some_and(|installing| installing.number == number)
    }

    /// Whether something is to be done at `now` though nothing happened.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        let is_due =
            |copying: &Copying| matches!(copying.step, Step::Queued) || now >= copying.asked_at.plus_ms(SNAPSHOT_RETRY_MS);
        self.now.as_ref().is_some_and(is_due) || self.until.is_some_and(|until| now >= until)
    }

    /// Writes what is known of producers; `None` if there is such a file already.
    pub(super) fn write_producers(&mut self, index: Index, data: Bytes, group: GroupId, round: &mut Round<'_>) -> Option<DiskId> {
        if self.producers.contains(&index) {
            return None;
        }
        // What is known by an entry is always the same: the log's start and a copy may both want it written.
        let is_it = |operation: &Operation| matches!(operation, Operation::Producers(other) if *other == index);
        if let Some((id, _)) = self.operations.iter().find(|(_, operation)| is_it(operation)) {
            return Some(*id);
        }
        let action =
            DiskAction::Append { file: FileName::Producers { group, index }, position: 0, data: vec![data], is_awaited: true };
        let id = round.disk.issue(Owner::Copy(group), action, round.out);
        self.operations.insert(id, Operation::Producers(index));
        Some(id)
    }

    /// Whether a write is still under way.
    pub(super) fn is_under_way(&self, id: DiskId) -> bool {
        self.operations.contains_key(&id)
    }

    /// Whether nothing is under way.
    pub(super) fn is_quiet(&self) -> bool {
        self.operations.is_empty()
    }

    /// Files about producers that nobody needs when `kept` is recorded; none from `next` on, which may be written again.
    pub(super) fn forget_producers(&mut self, kept: Option<Index>, next: Index, group: GroupId) -> Vec<FileName> {
        let is_gone = |index: &Index| *index < next && kept.is_none_or(|kept| *index < kept);
        let gone: Vec<Index> = self.producers.iter().copied().filter(is_gone).collect();
        for index in &gone {
            self.producers.remove(index);
        }
        gone.into_iter().map(|index| FileName::Producers { group, index }).collect()
    }
}

impl RaftGroup {
    /// The leader offers a snapshot. False if it is of no use.
    pub(super) fn snapshot_offered(
        &mut self,
        config: &ReplicasConfig,
        now: Instant,
        from: BrokerId,
        mut message: Message,
    ) -> bool {
        if message.term < self.raw.raft.term {
            return false;
        }
        // Raft learns of the sign of life, and of the leader's term, but not of the snapshot.
        let mut sign = Message::default();
        sign.set_msg_type(MessageType::MsgHeartbeat);
        (sign.from, sign.to, sign.term) = (message.from, message.to, message.term);
        let is_accepted = self.raw.step(sign).is_ok();
        self.impose_timeout(config);
        if !is_accepted || self.leader() != Some(from) || self.role() != Role::Follower || self.copies.is_installing() {
            return false;
        }
        let Some(manifest) = Manifest::decode(message.mut_snapshot().take_data()) else { return false };
        let metadata = message.get_snapshot().get_metadata();
        if (metadata.index, metadata.term) != (manifest.last.0, manifest.term.0) {
            return false;
        }
        let Some(producers) = producers_of(&manifest, config) else { return false };
        let name = SnapshotName { group: self.id, term: self.term(), last: manifest.last };
        if self.copies.now.as_ref().is_some_and(|copying| copying.name == name) {
            return true;
        }
        if !self.needs(&manifest) {
            self.decline(config, name, from, message);
            return true;
        }
        if self.starts_before(&manifest) {
            self.said.push((from, name, CopyMessage::Over { is_done: false }));
            return true;
        }
        let scan = GroupScan::of_copy(
            self.id,
            &manifest,
            config.segment_bytes_max,
            config.raft.tail_bytes_max,
            producers.clone(),
            config.producers,
        );
        let step = Step::Queued;
        self.copies.until = None;
        self.copies.now =
            Some(Copying { leader: from, name, message, manifest, producers, scan, step, asked_at: now, heard_at: now });
        true
    }

    /// Whether the leader has nothing else for this replica: the entry after the last one that is surely the leader's own is gone there.
    fn needs(&self, manifest: &Manifest) -> bool {
        let commit = self.raw.raft.raft_log.committed;
        manifest.last.0 > commit && commit + 1 < manifest.start.index.0
    }

    /// Whether this replica recorded a later log start than the leader knew of: a log start never goes back. The leader's will be as late soon.
    fn starts_before(&self, manifest: &Manifest) -> bool {
        let recorded = self.starting.back().map_or(self.log().log_start(), |(_, start)| start.offset);
        manifest.start.offset < recorded
    }

    /// Appends will do: raft is given a snapshot of what is committed here, which it has, and tells the leader so.
    fn decline(&mut self, config: &ReplicasConfig, name: SnapshotName, leader: BrokerId, mut message: Message) {
        let commit = self.raw.raft.raft_log.committed;
        // Raft is asked and not the log, which has no entries that came since the last visit.
        let term = self.raw.raft.raft_log.term(commit).expect("what is committed is kept, or the entry before the start");
        let metadata = message.mut_snapshot().mut_metadata();
        (metadata.index, metadata.term) = (commit, term);
        metadata.set_conf_state(self.raw.raft.store().conf_state());
        let _ = self.raw.step(message);
        self.impose_timeout(config);
        self.said.push((leader, name, CopyMessage::Over { is_done: false }));
    }

    /// A part came, or the leader has no more.
    pub(super) fn part_came(&mut self, now: Instant, from: BrokerId, name: SnapshotName, message: CopyMessage) {
        let Some(copying) = self.copies.now.as_mut().filter(|copying| copying.name == name && copying.leader == from) else {
            return;
        };
        match message {
            CopyMessage::Part { base_index, position, data } => {
                let Step::Asked { range, position: asked, length } = copying.step else { return };
                let is_asked = range.base_index == base_index && position == asked;
                if is_asked && u32::try_from(data.len()).is_ok_and(|came| came <= length) {
                    copying.heard_at = now;
                    copying.step = Step::Came { range, position, data };
                }
            }
            CopyMessage::Over { .. } => self.leave_copy(now),
            CopyMessage::Ask { .. } => {}
        }
    }

    /// Nobody goes on with the copy for now; its files stay a while.
    fn leave_copy(&mut self, now: Instant) {
        self.copies.now = None;
        self.copies.until = Some(now.plus_ms(2 * SNAPSHOT_LEASE_MS));
    }

    /// An operation of a copy is over, with what it read.
    pub(crate) fn copy_done(&mut self, id: DiskId, read: Option<Bytes>) {
        if self.index_id.take_if(|index| *index == id).is_some() {
            self.pipeline.read_done(id);
            return;
        }
        let Some(operation) = self.copies.operations.remove(&id) else { return };
        match operation {
            Operation::Part(place, length) => {
                if let Some(file) = self.copies.files.get_mut(&place) {
                    file.0 = length;
                }
            }
            Operation::Producers(index) => {
                self.copies.producers.insert(index);
            }
            Operation::Read | Operation::Remove => {}
        }
        let Some(copying) = &mut self.copies.now else { return };
        let data = match &mut copying.step {
            Step::Writing { id: awaited, data } if *awaited == id => core::mem::take(data),
            Step::Reading { id: awaited } if *awaited == id => read.unwrap_or_default(),
            Step::Last { id: awaited } if *awaited == id => {
                copying.step = Step::Whole;
                return;
            }
            Step::Queued
            | Step::Next
            | Step::Asked { .. }
            | Step::Came { .. }
            | Step::Writing { .. }
            | Step::Reading { .. }
            | Step::Last { .. }
            | Step::Whole => return,
        };
        copying.scan.read_done(data);
        copying.step = Step::Next;
    }

    /// Goes on with the copy as far as that is possible without the world.
    pub(super) fn go_on_copying(&mut self, round: &mut Round<'_>) {
        let now = round.now.monotonic;
        self.finish_install(round);
        if let Some(copying) = &self.copies.now {
            let is_current = self.raw.raft.term == copying.name.term.0 && self.role() == Role::Follower;
            let is_alone = now >= copying.heard_at.plus_ms(SNAPSHOT_LEASE_MS) && !matches!(copying.step, Step::Queued);
            if !is_current || is_alone {
                self.leave_copy(now);
            }
        }
        if self.copies.until.is_some_and(|until| now >= until) && self.copies.is_quiet() {
            self.copies.until = None;
            let files: Vec<Place> = self.copies.files.keys().copied().collect();
            self.drop_copies(&files, round);
        }
        while self.copies.now.is_some() && self.copy_step(round) {}
        if self.copies.now.is_none() {
            round.copies.remove(&self.id);
        }
    }

    /// Deletes copies.
    fn drop_copies(&mut self, places: &[Place], round: &mut Round<'_>) {
        if places.is_empty() {
            return;
        }
        let group = self.id;
        let files = places.iter().map(|(base_offset, base_index)| FileName::Copy {
            group,
            base_offset: *base_offset,
            base_index: *base_index,
        });
        let action = DiskAction::Remove { files: files.collect() };
        let id = round.disk.issue(Owner::Copy(group), action, round.out);
        self.copies.operations.insert(id, Operation::Remove);
        for place in places {
            self.copies.files.remove(place);
        }
    }

    /// One step; whether another may follow at once.
    fn copy_step(&mut self, round: &mut Round<'_>) -> bool {
        let (group, now) = (self.id, round.now.monotonic);
        let copies = &mut self.copies;
        let Some(copying) = &mut copies.now else { return false };
        match &mut copying.step {
            Step::Queued => {
                let has_turn = round.copies.contains(&group) || round.copies.len() < SNAPSHOT_COPIES_MAX;
                copying.heard_at = now;
                if !copies.operations.is_empty() || !has_turn {
                    return false;
                }
                let is_useful = |place: &Place, (length, chain): &(u64, u64)| {
                    let range = copying.manifest.files.iter().find(|range| (range.base_offset, range.base_index) == *place);
                    range.is_some_and(|range| range.chain == *chain && *length <= range.length)
                };
                let useless: Vec<Place> =
                    copies.files.iter().filter(|(place, file)| !is_useful(place, file)).map(|(place, _)| *place).collect();
                if !useless.is_empty() {
                    // One of these names may be written anew: that waits until the old file is gone.
                    self.drop_copies(&useless, round);
                    return false;
                }
                round.copies.insert(group);
                copying.step = Step::Next;
                true
            }
            Step::Next => match copying.scan.poll() {
                ScanStep::Read { file, position, length } => {
                    let range = copying.manifest.files.iter().find(|range| range.segment(group) == file);
                    let range = *range.expect("the scan reads what the manifest lists");
                    let have = copies.files.get(&(range.base_offset, range.base_index)).map_or(0, |(length, _)| *length);
                    if position < have {
                        let length = u64::from(length).min(have - position).min(u64::from(SNAPSHOT_PART_BYTES_MAX));
                        let length = u32::try_from(length).expect("no more than was asked for");
                        let action = DiskAction::Read { file: range.copy(group), position, length };
                        let id = round.disk.issue(Owner::Copy(group), action, round.out);
                        copies.operations.insert(id, Operation::Read);
                        copying.step = Step::Reading { id };
                    } else {
                        copying.step = Step::Asked { range, position, length: length.min(SNAPSHOT_PART_BYTES_MAX) };
                        self.ask(now);
                    }
                    false
                }
                ScanStep::Corrupt(_) => {
                    // The leader lent what is not its log: another one may do better.
                    let (leader, name) = (copying.leader, copying.name);
                    self.said.push((leader, name, CopyMessage::Over { is_done: false }));
                    self.leave_copy(now);
                    let files: Vec<Place> = self.copies.files.keys().copied().collect();
                    self.drop_copies(&files, round);
                    false
                }
                ScanStep::Done => {
                    let (last, data) = (copying.manifest.last, copying.manifest.producers.clone());
                    copying.step = Step::Whole;
                    if !data.is_empty()
                        && let Some(id) = copies.write_producers(last, data, group, round)
                        && let Some(copying) = &mut copies.now
                    {
                        copying.step = Step::Last { id };
                        return false;
                    }
                    true
                }
            },
            Step::Asked { .. } => {
                if now >= copying.asked_at.plus_ms(SNAPSHOT_RETRY_MS) {
                    self.ask(now);
                }
                false
            }
            Step::Came { range, position, data } => {
                let (range, position, data) = (*range, *position, core::mem::take(data));
                let place = (range.base_offset, range.base_index);
                let action = DiskAction::Append { file: range.copy(group), position, data: vec![data.clone()], is_awaited: true };
                let id = round.disk.issue(Owner::Copy(group), action, round.out);
                copies.operations.insert(id, Operation::Part(place, position + data.len() as u64));
                copies.files.entry(place).or_insert((0, range.chain));
                copying.step = Step::Writing { id, data };
                false
            }
            Step::Writing { .. } | Step::Reading { .. } | Step::Last { .. } => false,
            Step::Whole => {
                self.take_snapshot(round);
                false
            }
        }
    }

    /// Asks for the next part.
    fn ask(&mut self, now: Instant) {
        let Some(copying) = &mut self.copies.now else { return };
        let Step::Asked { range, position, length } = copying.step else { return };
        copying.asked_at = now;
        let FileRange { base_offset, base_index, .. } = range;
        let ask = CopyMessage::Ask { base_offset, base_index, position, length };
        self.said.push((copying.leader, copying.name, ask));
    }

    /// All of it is durable here: raft is asked whether it takes it.
    fn take_snapshot(&mut self, round: &mut Round<'_>) {
        let now = round.now.monotonic;
        let Some(copying) = self.copies.now.take() else { return };
        let Copying { leader, name, mut message, manifest, producers, scan, .. } = copying;
        let scanned = scan.finish();
        if !scanned.log.is_listed_by(&manifest) {
            self.said.push((leader, name, CopyMessage::Over { is_done: false }));
            self.copies.until = Some(now);
            return;
        }
        if !self.needs(&manifest) {
            self.decline(round.config, name, leader, message);
            self.copies.until = Some(now);
            return;
        }
        if self.starts_before(&manifest) {
            // The log start moved while it was copied. Most of it will be of use for the next one.
            self.said.push((leader, name, CopyMessage::Over { is_done: false }));
            self.copies.until = Some(now.plus_ms(2 * SNAPSHOT_LEASE_MS));
            return;
        }
        message.mut_snapshot().mut_metadata().set_conf_state(self.raw.raft.store().conf_state());
        let _ = self.raw.step(message);
        self.impose_timeout(round.config);
        if self.raw.snap().is_some() {
            self.copies.taken = Some(Taken { leader, name, manifest, producers, scanned });
        } else {
            self.copies.until = Some(now);
        }
    }

    /// Raft took the snapshot: the copy is the log from now on, in memory at once, on the disk when its record is durable.
    pub(super) fn install(&mut self, round: &mut Round<'_>) {
        let taken = self.copies.taken.take().expect("raft is given nothing but what is whole");
        let Taken { leader, name, manifest, producers, scanned } = taken;
        let group = self.id;
        let Manifest { start, last, files, .. } = manifest;
        self.cuts += 1;
        let number = self.cuts;
        let file = (!manifest.producers.is_empty()).then_some(last);
        let install = Install { number, start, last, producers: file, files: files.clone() };
        let recorded = round.meta.record(&MetaRecord::InstallOpened { group, install });
        round.waiting.push_back((recorded, group));
        let names: Vec<(FileName, FileName)> = files.iter().map(|range| (range.copy(group), range.segment(group))).collect();
        let mut old = self.log().files();
        old.retain(|file| !names.iter().any(|(_, name)| name == file));
        self.pipeline.install(number, recorded, last, names, old);
        if self.log().last_index() > self.shown_commit {
            self.events.push(GroupEvent::Truncated(Index(self.shown_commit.0 + 1)));
        }
        let store = self.raw.raft.mut_store();
        store.log = scanned.log.replacing(&store.log);
        self.commands = scanned.commands;
        self.starts = scanned.starts;
        self.starting.clear();
        self.start_due = None;
        self.pending = None;
        self.producers_file = file;
        self.marked = (last, last);
        self.shown_written = last;
        self.copies.files.clear();
        self.copies.unapplied = Some(last);
        self.copies.installing = Some(Installing { leader, name, number, start, files });
        let producers = Some(producers).filter(|producers| !producers.is_empty()).map(Box::new);
        self.events.push(GroupEvent::Restored { last, producers });
    }

    /// The files of an install have their names for good.
    fn finish_install(&mut self, round: &mut Round<'_>) {
        let closed = self.cuts_closed;
        let Some(installing) = self.copies.installing.take_if(|installing| installing.number <= closed) else { return };
        let Installing { leader, name, start, files, .. } = installing;
        self.log_mut().reveal(&files);
        let old = self.copies.forget_producers(self.producers_file, self.shown_commit, self.id);
        self.pipeline.remove(old, round.disk);
        self.events.push(GroupEvent::LogStart(start.offset));
        self.said.push((leader, name, CopyMessage::Over { is_done: true }));
    }

    /// Raft counts the snapshot as applied when it is persisted.
    pub(super) fn apply_snapshot(&mut self) {
        let persisted = self.raw.raft.raft_log.persisted;
        if let Some(last) = self.copies.unapplied.take_if(|last| persisted >= last.0)
            && self.raw.raft.raft_log.applied() < last.0
        {
            self.raw.advance_apply_to(last.0);
        }
    }

    /// Hands out what is to be said about snapshots.
    pub(super) fn say(&mut self, round: &mut Round<'_>) {
        for (to, name, message) in self.said.drain(..) {
            round.outbox.other(to, KIND_COPY, message.encode(name));
        }
    }
}

fn producers_of(manifest: &Manifest, config: &ReplicasConfig) -> Option<ProducerTable> {
    if manifest.producers.is_empty() {
        return Some(ProducerTable::new(config.producers));
    }
    decode_producers(manifest.producers.clone(), config.producers)
}
