//! A disk that keeps its promises and no more: what was not synced may be lost in any combination.
//!
//! Per file one page-cache image of which a prefix is durable; appends in flight apply in order, everything else when its time
//! comes. A power cut keeps, loses or tears (512-byte sectors) every un-synced write independently of its neighbours, so a later
//! write may survive an earlier one; files and folders whose entry was never synced may vanish. A kill of the process loses only
//! what had not reached the page cache. The host syncs what it finds before a broker starts from it, as the real one does.
//!
//! Knows nothing of what the bytes mean. Invariant per file: `durable <= data.len()`.
//! Source: POSIX, and the fault list of ALICE (Pillai et al., OSDI 2014).

mod change;
mod crash;
mod damage;
mod misread;
mod settings;
#[cfg(test)]
mod tests;

pub use change::{DiskChange, DiskEvent};
pub use crash::{CrashKind, CrashLoss};
pub use damage::Damage;
pub use settings::DiskSettings;

use crate::dice::{Draw, Stream, draw};
use bytes::Bytes;
use damage::Lie;
use ottla_core::disk::{DiskAction, DiskDone, DiskOp, DiskStage, FileName, Inventory};
use ottla_core::ids::{DiskId, GroupId};
use ottla_core::mutant::Mutant;
use std::collections::BTreeMap;

#[derive(Debug, Default)]
struct SimFile {
    data: Vec<u8>,
    durable: u64,
    is_named: bool,
    /// Ends of appends beyond `durable`, ascending.
    append_ends: Vec<u64>,
    /// No later operation of this file completes before.
    written_at: u64,
    durable_at: u64,
}

#[derive(Debug)]
struct Folder {
    label: String,
    is_named: bool,
}

#[derive(Debug)]
struct Pending {
    action: DiskAction,
    is_applied: bool,
    end: u64,
    fails: bool,
    is_full: bool,
    is_lie: bool,
    /// Where a read goes instead, to be drawn.
    misread: Option<Draw>,
}

/// The disk of one broker.
#[derive(Debug)]
pub struct SimDisk {
    seed: u64,
    node: u64,
    life: u64,
    settings: DiskSettings,
    files: BTreeMap<FileName, SimFile>,
    groups: BTreeMap<GroupId, Folder>,
    pending: BTreeMap<DiskId, Pending>,
    broken: Option<String>,
    fail_next_sync: bool,
    slow_until: u64,
    slow_us: u64,
    /// Until when nothing completes.
    hung_until: u64,
    /// Until when there is no space.
    full_until: u64,
    /// What is read otherwise than it was written.
    damage: Vec<(FileName, Damage)>,
    lies: BTreeMap<FileName, Lie>,
    /// Until when syncs of segments are only claimed.
    lie_until: u64,
    /// Until when reads of a running broker may give another place, and how many of a million do.
    misread_until: u64,
    misread_ppm: u64,
    /// What was asked for last.
    last_read: Option<(FileName, u64)>,
    /// What had a name before a rename gave it to another file, in this life.
    renamed_over: BTreeMap<FileName, Vec<u8>>,
    /// Reads that gave other bytes than those of their place.
    pub(crate) misread: u64,
    /// Reads of a running broker that met damage, for the vacuity counters.
    pub(crate) damage_met: u64,
    /// Appends that found no room.
    pub(crate) disk_full: u64,
    mutant: Mutant,
}

impl SimDisk {
    /// An empty disk.
    #[must_use]
    pub fn new(seed: u64, node: u64, settings: DiskSettings) -> SimDisk {
        SimDisk {
            seed,
            node,
            life: 0,
            settings,
            files: BTreeMap::new(),
            groups: BTreeMap::new(),
            pending: BTreeMap::new(),
            broken: None,
            fail_next_sync: false,
            slow_until: 0,
            slow_us: 0,
            hung_until: 0,
            full_until: 0,
            damage: Vec::new(),
            lies: BTreeMap::new(),
            lie_until: 0,
            misread_until: 0,
            misread_ppm: 0,
            last_read: None,
            renamed_over: BTreeMap::new(),
            misread: 0,
            damage_met: 0,
            disk_full: 0,
            mutant: Mutant::None,
        }
    }

    /// A disk whose host has a deliberate bug.
    #[must_use]
    pub fn with_mutant(self, mutant: Mutant) -> SimDisk {
        SimDisk { mutant, ..self }
    }

    /// Takes the faults away: the world is healed.
    pub fn calm(&mut self) {
        self.settings = DiskSettings::calm();
        self.fail_next_sync = false;
        self.slow_until = 0;
        self.full_until = 0;
        self.damage.clear();
        self.lies.clear();
        self.lie_until = 0;
        self.misread_until = 0;
    }

    /// Everything on it is lost: another disk, in effect. The process is gone by then.
    pub fn wipe(&mut self) {
        assert!(self.pending.is_empty(), "who loses a disk does not run");
        self.files.clear();
        self.groups.clear();
        self.damage.clear();
        self.lies.clear();
    }

    /// The next sync that completes fails.
    pub fn fail_next_sync(&mut self) {
        self.fail_next_sync = true;
    }

    /// Every operation takes up to `extra_us` longer until `until`.
    pub fn slow_down(&mut self, until: u64, extra_us: u64) {
        self.slow_until = until;
        self.slow_us = extra_us;
    }

    /// Nothing completes until `until`.
    pub fn hang(&mut self, until: u64) {
        self.hung_until = until;
    }

    /// Appends and new folders wait for room until `until`.
    pub fn fill(&mut self, until: u64) {
        self.full_until = until;
    }

    /// A broker starts from this disk: syncs what is there and lists it.
    pub fn start(&mut self) -> Inventory {
        self.life += 1;
        self.pending.clear();
        self.renamed_over.clear();
        self.last_read = None;
        self.broken = None;
        for file in self.files.values_mut() {
            file.durable = len64(&file.data);
            file.is_named = true;
            file.append_ends.clear();
            file.written_at = 0;
            file.durable_at = 0;
        }
        for folder in self.groups.values_mut() {
            folder.is_named = true;
        }
        self.inventory()
    }

    /// What is on the disk.
    #[must_use]
    pub fn inventory(&self) -> Inventory {
        Inventory {
            groups: self.groups.keys().copied().collect(),
            files: self.files.iter().map(|(name, file)| (*name, self.shown_length(*name, len64(&file.data)))).collect(),
        }
    }

    /// Readable content of a file and how much of it is durable.
    #[must_use]
    pub fn content(&self, file: FileName) -> Option<(&[u8], u64)> {
        self.files.get(&file).map(|f| (f.data.as_slice(), f.durable))
    }

    /// All files, ascending.
    pub fn files(&self) -> impl Iterator<Item = FileName> + '_ {
        self.files.keys().copied()
    }

    /// Cosmetic name of a group's folder.
    #[must_use]
    pub fn label(&self, group: GroupId) -> Option<&str> {
        self.groups.get(&group).map(|folder| folder.label.as_str())
    }

    /// A read of recovery, which is not simulated in time.
    ///
    /// # Errors
    /// A sentence when the range is not there or can't be read.
    pub fn read_now(&self, file: FileName, position: u64, length: u32) -> Result<Bytes, String> {
        let data = &self.files.get(&file).ok_or_else(|| format!("{file:?} does not exist"))?.data;
        let end = position + u64::from(length);
        let found = data
            .get(index(position)..index(end))
            .ok_or_else(|| format!("{file:?} has {} bytes, {position}..{end} was asked", data.len()))?;
        if self.damage.is_empty() {
            return Ok(Bytes::copy_from_slice(found));
        }
        if self.is_unreadable(file, position, length) {
            return Err(READ_ERROR.to_string());
        }
        Ok(self.shown(file, position, found))
    }

    /// Takes an operation in. The returned events are to be fed back with [`SimDisk::advance`] at their times.
    pub fn submit(&mut self, now: u64, op: DiskOp) -> Vec<DiskEvent> {
        if self.broken.is_some() {
            return Vec::new();
        }
        let mut dice = draw(self.seed, Stream::Disk, &[self.node, self.life, op.id.0]);
        let mut extra = 0;
        if dice.ppm(self.settings.stall_ppm) {
            extra += dice.log_between(1_000, self.settings.stall_us_max.max(1_000));
        }
        if now < self.slow_until {
            extra += dice.below(self.slow_us + 1);
        }
        let is_full = now < self.full_until && matches!(op.action, DiskAction::Append { .. } | DiskAction::CreateGroup { .. });
        let is_lie = now < self.lie_until;
        let misread = self.draw_misread(now, &op);
        let now = now.max(self.hung_until).max(if is_full { self.full_until } else { 0 });
        self.disk_full += u64::from(is_full);
        let write = dice.between(self.settings.write_us_min, self.settings.write_us_max) + extra / 4;
        let sync = dice.between(self.settings.sync_us_min, self.settings.sync_us_max) + extra;
        let fails = dice.ppm(self.settings.sync_failure_ppm);
        let id = op.id;
        let mut events = Vec::with_capacity(2);
        let mut end = 0;
        match &op.action {
            DiskAction::Append { file, position, data, .. } => {
                let length: usize = data.iter().map(Bytes::len).sum();
                end = position + u64::try_from(length).expect("small");
                let slot = self.files.entry(*file).or_default();
                let written_at = (now + write).max(slot.written_at);
                let durable_at = (written_at + sync).max(slot.durable_at);
                slot.written_at = written_at;
                slot.durable_at = durable_at;
                events.push(DiskEvent { at: written_at, id, is_written: true });
                events.push(DiskEvent { at: durable_at, id, is_written: false });
            }
            DiskAction::Read { .. } => events.push(DiskEvent { at: now + write, id, is_written: false }),
            DiskAction::CreateGroup { .. }
            | DiskAction::RemoveGroup { .. }
            | DiskAction::Truncate { .. }
            | DiskAction::Rename { .. }
            | DiskAction::Remove { .. } => events.push(DiskEvent { at: now + write + sync, id, is_written: false }),
        }
        let earlier =
            self.pending.insert(id, Pending { action: op.action, is_applied: false, end, fails, is_full, is_lie, misread });
        assert!(earlier.is_none(), "disk operation {id} was issued twice");
        events
    }

    /// Performs one stage of an operation. `None` if the operation is no longer of interest (the disk broke meanwhile).
    ///
    /// # Errors
    /// A sentence when the core broke a promise it made to the disk: an append not at the end of its file, a read of what is not
    /// there.
    pub fn advance(&mut self, id: DiskId, is_written: bool) -> Result<Option<(DiskDone, Vec<DiskChange>)>, String> {
        if self.broken.is_some() {
            return Ok(None);
        }
        let Some(mut pending) = self.pending.remove(&id) else { return Ok(None) };
        let is_append = matches!(pending.action, DiskAction::Append { .. });
        if !is_written && (pending.fails || self.fail_next_sync) && !matches!(pending.action, DiskAction::Read { .. }) {
            self.fail_next_sync = false;
            if self.mutant.is(Mutant::SyncErrorIgnored) {
                let mut changes = Vec::new();
                self.apply(&mut pending, &mut changes)?;
                return Ok(Some((DiskDone { id, stage: DiskStage::Durable }, changes)));
            }
            let what = "input/output error on fsync".to_string();
            self.broken = Some(what.clone());
            self.pending.insert(id, pending);
            return Ok(Some((DiskDone { id, stage: DiskStage::Failed(what) }, Vec::new())));
        }
        let mut changes = Vec::new();
        let stage = if is_append && is_written {
            self.apply(&mut pending, &mut changes)?;
            self.pending.insert(id, pending);
            DiskStage::Written
        } else if let DiskAction::Read { file, position, length } = &pending.action {
            self.damage_met += u64::from(self.is_damaged(*file, *position, *length));
            if self.is_unreadable(*file, *position, *length) {
                self.broken = Some(READ_ERROR.to_string());
                DiskStage::Failed(READ_ERROR.to_string())
            } else {
                let data = self.read_now(*file, *position, *length).map_err(|what| format!("read {id}: {what}"))?;
                DiskStage::Read(match pending.misread {
                    Some(dice) => self.elsewhere(*file, *position, data, dice),
                    None => data,
                })
            }
        } else {
            self.apply(&mut pending, &mut changes)?;
            self.harden(&pending, &mut changes);
            DiskStage::Durable
        };
        Ok(Some((DiskDone { id, stage }, changes)))
    }

    /// Brings an operation into the page cache.
    fn apply(&mut self, pending: &mut Pending, changes: &mut Vec<DiskChange>) -> Result<(), String> {
        if std::mem::replace(&mut pending.is_applied, true) {
            return Ok(());
        }
        match &pending.action {
            DiskAction::CreateGroup { group, label } => {
                let folder = self.groups.entry(*group).or_insert(Folder { label: label.clone(), is_named: false });
                folder.label.clone_from(label);
                changes.push(DiskChange::GroupMade { group: *group });
            }
            DiskAction::RemoveGroup { group } => {
                let group = *group;
                self.groups.remove(&group);
                self.files.retain(|name, _| !is_of(*name, group));
                changes.push(DiskChange::GroupRemoved { group });
            }
            DiskAction::Append { file, position, data, .. } => {
                if let Some(group) = file.group()
                    && !self.groups.contains_key(&group)
                {
                    return Err(format!("append to {file:?} before its group has a folder"));
                }
                let slot = self.files.entry(*file).or_default();
                if len64(&slot.data) != *position {
                    return Err(format!(
                        "append to {file:?} at {position}, but it has {} bytes: what must wait did not",
                        slot.data.len()
                    ));
                }
                for part in data {
                    slot.data.extend_from_slice(part);
                }
                slot.append_ends.push(pending.end);
                changes.push(DiskChange::Appended { file: *file, end: pending.end });
            }
            DiskAction::Read { .. } => {}
            DiskAction::Truncate { file, length } => {
                let slot = self.files.get_mut(file).ok_or_else(|| format!("truncate of {file:?}, which does not exist"))?;
                if *length > len64(&slot.data) {
                    return Err(format!("truncate of {file:?} to {length}, but it has {} bytes", slot.data.len()));
                }
                slot.data.truncate(index(*length));
                slot.durable = slot.durable.min(*length);
                slot.append_ends.retain(|end| end <= length);
                changes.push(DiskChange::Cut { file: *file, end: *length });
            }
            DiskAction::Remove { files } => {
                for file in files {
                    if self.files.remove(file).is_some() {
                        changes.push(DiskChange::Removed { file: *file });
                    }
                }
            }
            DiskAction::Rename { files } => {
                for (from, to) in files {
                    self.rename(*from, *to, changes);
                }
            }
        }
        Ok(())
    }

    /// Gives a file another name, in place of the one that has it; nothing if it is missing.
    fn rename(&mut self, from: FileName, to: FileName, changes: &mut Vec<DiskChange>) {
        let Some(file) = self.files.remove(&from) else { return };
        if let Some(before) = self.files.insert(to, file) {
            self.renamed_over.insert(to, before.data);
        }
        changes.push(DiskChange::Renamed { from, to });
    }

    /// Makes an applied operation durable.
    fn harden(&mut self, pending: &Pending, changes: &mut Vec<DiskChange>) {
        match &pending.action {
            DiskAction::Append { file, .. } => {
                self.note_sync(*file, pending.is_lie);
                if let Some(slot) = self.files.get_mut(file) {
                    slot.durable = slot.durable.max(pending.end.min(len64(&slot.data)));
                    slot.is_named |= !self.mutant.is(Mutant::NamesNotSynced);
                    let durable = slot.durable;
                    slot.append_ends.retain(|end| *end > durable);
                    changes.push(DiskChange::Synced { file: *file, end: durable });
                }
                if let Some(group) = file.group()
                    && let Some(folder) = self.groups.get_mut(&group)
                {
                    folder.is_named = true;
                }
            }
            DiskAction::Truncate { file, length } => {
                if let Some(slot) = self.files.get_mut(file) {
                    slot.durable = slot.durable.max((*length).min(len64(&slot.data)));
                    slot.is_named = true;
                    changes.push(DiskChange::Synced { file: *file, end: slot.durable });
                }
            }
            DiskAction::CreateGroup { group, .. } => {
                if let Some(folder) = self.groups.get_mut(group) {
                    folder.is_named = true;
                }
            }
            DiskAction::RemoveGroup { .. } | DiskAction::Read { .. } | DiskAction::Remove { .. } | DiskAction::Rename { .. } => {}
        }
    }
}

const READ_ERROR: &str = "input/output error on read";

fn is_of(name: FileName, group: GroupId) -> bool {
    name.group() == Some(group)
}

fn len64<T>(data: &[T]) -> u64 {
    u64::try_from(data.len()).expect("a length fits 64 bits")
}

fn index(position: u64) -> usize {
    usize::try_from(position).expect("simulated files are small")
}
