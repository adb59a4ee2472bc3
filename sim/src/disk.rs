//! A disk that keeps its promises and no more: what was not synced may be lost in any combination.
//!
//! Per file one page-cache image of which a prefix is durable; appends in flight apply in order, everything else when its time
//! comes. A power cut keeps, loses or tears (512-byte sectors) every un-synced write independently of its neighbours, so a later
//! write may survive an earlier one; files and folders whose entry was never synced may vanish. A kill of the process loses only
//! what had not reached the page cache. The host syncs what it finds before a broker starts from it, as the real one does.
//!
//! Knows nothing of what the bytes mean. Invariant per file: `durable <= data.len()`.
//! Source: POSIX, and the fault list of ALICE (Pillai et al., OSDI 2014).

use crate::dice::{Draw, Stream, draw};
use bytes::Bytes;
use ottla_core::disk::{DiskAction, DiskDone, DiskOp, DiskStage, FileName, Inventory};
use ottla_core::ids::{DiskId, GroupId};
use std::collections::BTreeMap;

/// How slow and how faulty a disk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskSettings {
    /// Microseconds until a write is in the page cache, lower bound.
    pub write_us_min: u64,
    /// Upper bound.
    pub write_us_max: u64,
    /// Microseconds of a sync, lower bound.
    pub sync_us_min: u64,
    /// Upper bound.
    pub sync_us_max: u64,
    /// Operations out of a million that stall.
    pub stall_ppm: u64,
    /// Longest stall.
    pub stall_us_max: u64,
    /// Syncs out of a million that fail.
    pub sync_failure_ppm: u64,
}

impl DiskSettings {
    /// A disk without faults.
    #[must_use]
    pub fn calm() -> DiskSettings {
        DiskSettings {
            write_us_min: 10,
            write_us_max: 50,
            sync_us_min: 100,
            sync_us_max: 800,
            stall_ppm: 0,
            stall_us_max: 0,
            sync_failure_ppm: 0,
        }
    }
}

/// What stops with the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CrashKind {
    /// `kill -9`: the page cache survives.
    Kill,
    /// The machine loses power: only what was synced is sure to survive.
    PowerCut,
}

/// What became of the tails of files at a crash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CrashLoss {
    /// Files of which some un-synced sectors survived and some did not.
    pub torn: u64,
    /// Files that lost all un-synced bytes.
    pub lost: u64,
    /// Files whose name vanished.
    pub vanished: u64,
}

/// What a disk event did to a file, for those who watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskChange {
    /// Bytes from `position` to `end` are readable.
    Appended {
        /// The file.
        file: FileName,
        /// Its length after.
        end: u64,
    },
    /// Bytes up to `end` are durable.
    Synced {
        /// The file.
        file: FileName,
        /// The durable length.
        end: u64,
    },
    /// The file was cut.
    Cut {
        /// The file.
        file: FileName,
        /// Its length after.
        end: u64,
    },
    /// The file is gone.
    Removed {
        /// The file.
        file: FileName,
    },
    /// A folder was made.
    GroupMade {
        /// The group.
        group: GroupId,
    },
    /// A folder is gone, with all in it.
    GroupRemoved {
        /// The group.
        group: GroupId,
    },
}

/// A later moment at which something of an operation happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskEvent {
    /// When.
    pub at: u64,
    /// Which operation.
    pub id: DiskId,
    /// Whether it is the page cache (else: the platter, or the only stage).
    pub is_written: bool,
}

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
        }
    }

    /// Takes the faults away: the world is healed.
    pub fn calm(&mut self) {
        self.settings = DiskSettings::calm();
        self.fail_next_sync = false;
        self.slow_until = 0;
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

    /// A broker starts from this disk: syncs what is there and lists it.
    pub fn start(&mut self) -> Inventory {
        self.life += 1;
        self.pending.clear();
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
            files: self.files.iter().map(|(name, file)| (*name, len64(&file.data))).collect(),
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
    /// A sentence when the range is not there.
    pub fn read_now(&self, file: FileName, position: u64, length: u32) -> Result<Bytes, String> {
        let data = &self.files.get(&file).ok_or_else(|| format!("{file:?} does not exist"))?.data;
        let end = position + u64::from(length);
        data.get(index(position)..index(end))
            .map(Bytes::copy_from_slice)
            .ok_or_else(|| format!("{file:?} has {} bytes, {position}..{end} was asked", data.len()))
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
        let write = dice.between(self.settings.write_us_min, self.settings.write_us_max) + extra / 4;
        let sync = dice.between(self.settings.sync_us_min, self.settings.sync_us_max) + extra;
        let fails = dice.ppm(self.settings.sync_failure_ppm);
        let id = op.id;
        let mut events = Vec::with_capacity(2);
        let mut end = 0;
        match &op.action {
            DiskAction::Append { file, position, data } => {
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
            | DiskAction::Remove { .. } => events.push(DiskEvent { at: now + write + sync, id, is_written: false }),
        }
        let earlier = self.pending.insert(id, Pending { action: op.action, is_applied: false, end, fails });
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
            let data = self.read_now(*file, *position, *length).map_err(|what| format!("read {id}: {what}"))?;
            DiskStage::Read(data)
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
            DiskAction::Append { file, position, data } => {
                if let FileName::Segment { group, .. } = file
                    && !self.groups.contains_key(group)
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
        }
        Ok(())
    }

    /// Makes an applied operation durable.
    fn harden(&mut self, pending: &Pending, changes: &mut Vec<DiskChange>) {
        match &pending.action {
            DiskAction::Append { file, .. } => {
                if let Some(slot) = self.files.get_mut(file) {
                    slot.durable = slot.durable.max(pending.end.min(len64(&slot.data)));
                    slot.is_named = true;
                    let durable = slot.durable;
                    slot.append_ends.retain(|end| *end > durable);
                    changes.push(DiskChange::Synced { file: *file, end: durable });
                }
                if let FileName::Segment { group, .. } = file
                    && let Some(folder) = self.groups.get_mut(group)
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
            DiskAction::RemoveGroup { .. } | DiskAction::Read { .. } | DiskAction::Remove { .. } => {}
        }
    }

    /// The process stops. Afterwards the disk holds what the next start will find.
    pub fn crash(&mut self, kind: CrashKind, now: u64) -> CrashLoss {
        let mut dice = draw(self.seed, Stream::Disk, &[self.node, self.life, u64::MAX, now]);
        let pending = std::mem::take(&mut self.pending);
        // An operation in flight may have happened or not; appends of one file happen in order, so one that did not
        // happen takes those behind it with it.
        let mut stopped: Vec<FileName> = Vec::new();
        for (_, mut op) in pending {
            if op.is_applied {
                continue;
            }
            let happens = dice.below(2) == 0;
            let file = match &op.action {
                DiskAction::Append { file, .. } | DiskAction::Truncate { file, .. } => Some(*file),
                DiskAction::CreateGroup { .. }
                | DiskAction::RemoveGroup { .. }
                | DiskAction::Read { .. }
                | DiskAction::Remove { .. } => None,
            };
            match (&op.action, file) {
                (_, Some(file)) if stopped.contains(&file) => {}
                (_, Some(file)) if !happens => stopped.push(file),
                (DiskAction::RemoveGroup { group }, None) => self.remove_some(*group, &mut dice),
                (DiskAction::Remove { files }, None) => {
                    for file in files {
                        if dice.below(2) == 0 {
                            self.files.remove(file);
                        }
                    }
                }
                (_, _) if happens => {
                    // The process is gone, so nobody is left to be told of a broken promise; the check was made on every
                    // operation that got to happen in time.
                    let _unreported = self.apply(&mut op, &mut Vec::new());
                    if let (CrashKind::Kill, DiskAction::Truncate { .. }) = (kind, &op.action) {
                        self.harden(&op, &mut Vec::new());
                    }
                }
                (_, _) => {}
            }
        }
        // A new file of which no append happened may still exist, empty; the entry made by `submit` goes away mostly.
        let mut loss = CrashLoss::default();
        match kind {
            CrashKind::Kill => self.files.retain(|_, file| file.is_named || !file.data.is_empty() || dice.below(4) == 0),
            CrashKind::PowerCut => self.lose_unsynced(&mut dice, &mut loss),
        }
        let groups = &self.groups;
        self.files.retain(|name, _| match name {
            FileName::Meta(_) => true,
            FileName::Segment { group, .. } => groups.contains_key(group),
        });
        loss
    }

    fn remove_some(&mut self, group: GroupId, dice: &mut Draw) {
        if dice.below(2) == 0 {
            return;
        }
        let names: Vec<FileName> = self.files.keys().copied().filter(|name| is_of(*name, group)).collect();
        let all = dice.below(2) == 0;
        let mut left = false;
        for name in names {
            if all || dice.below(2) == 0 {
                self.files.remove(&name);
            } else {
                left = true;
            }
        }
        if !left {
            self.groups.remove(&group);
        }
    }

    fn lose_unsynced(&mut self, dice: &mut Draw, loss: &mut CrashLoss) {
        let mut gone_groups = Vec::new();
        for (group, folder) in &self.groups {
            if !folder.is_named && dice.below(2) == 0 {
                gone_groups.push(*group);
            }
        }
        for group in gone_groups {
            self.groups.remove(&group);
            let before = self.files.len();
            self.files.retain(|name, _| !is_of(*name, group));
            loss.vanished += u64::try_from(before - self.files.len()).expect("small");
        }
        let mut vanished = Vec::new();
        for (name, file) in &mut self.files {
            if !file.is_named && dice.below(2) == 0 {
                vanished.push(*name);
                continue;
            }
            let length = len64(&file.data);
            if file.durable == length {
                continue;
            }
            match keep_subset(file, dice) {
                Kept::All => {}
                Kept::Nothing => loss.lost += 1,
                Kept::Torn => loss.torn += 1,
            }
        }
        for name in vanished {
            self.files.remove(&name);
            loss.vanished += 1;
        }
        for folder in self.groups.values_mut() {
            folder.is_named = true;
        }
    }
}

enum Kept {
    All,
    Nothing,
    Torn,
}

const SECTOR: u64 = 512;

/// Decides sector by sector (or write by write) what of an un-synced tail survives. Lost ranges below a surviving one read as
/// zeros, as a file system shows blocks it never wrote.
fn keep_subset(file: &mut SimFile, dice: &mut Draw) -> Kept {
    let length = len64(&file.data);
    let start = file.durable;
    let mode = dice.below(8);
    if mode == 0 {
        return Kept::All;
    }
    if mode <= 2 {
        file.data.truncate(index(start));
        return Kept::Nothing;
    }
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    if mode <= 4 {
        let mut from = start;
        for end in file.append_ends.iter().copied().chain([length]) {
            let end = end.clamp(from, length);
            if end > from {
                ranges.push((from, end));
            }
            from = end;
        }
    } else {
        let mut from = start;
        while from < length {
            let end = ((from / SECTOR + 1) * SECTOR).min(length);
            ranges.push((from, end));
            from = end;
        }
    }
    let mut kept_end = start;
    let (mut kept, mut dropped) = (0_u64, 0_u64);
    for (from, end) in ranges {
        if dice.below(2) == 0 {
            kept += 1;
            kept_end = end;
        } else {
            dropped += 1;
            file.data[index(from)..index(end)].fill(0);
        }
    }
    // The size of a file may be durable before its bytes are.
    if dice.below(4) != 0 {
        file.data.truncate(index(kept_end));
    }
    match (kept, dropped) {
        (_, 0) => Kept::All,
        (0, _) if file.data.len() == index(start) => Kept::Nothing,
        (_, _) => Kept::Torn,
    }
}

fn is_of(name: FileName, group: GroupId) -> bool {
    match name {
        FileName::Meta(_) => false,
        FileName::Segment { group: g, .. } => g == group,
    }
}

fn len64(data: &[u8]) -> u64 {
    u64::try_from(data.len()).expect("a length fits 64 bits")
}

fn index(position: u64) -> usize {
    usize::try_from(position).expect("simulated files are small")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn append(id: u64, file: u32, position: u64, size: usize) -> DiskOp {
        let data = vec![Bytes::from(vec![u8::try_from(id % 250 + 1).expect("below 256"); size])];
        DiskOp { id: DiskId(id), action: DiskAction::Append { file: FileName::Meta(file), position, data } }
    }

    fn run(disk: &mut SimDisk, op: DiskOp, durable: bool) {
        let id = op.id;
        let events = disk.submit(0, op);
        assert_eq!(events.len(), 2);
        assert!(events[0].at <= events[1].at);
        disk.advance(id, true).expect("in order").expect("the disk works");
        if durable {
            disk.advance(id, false).expect("in order").expect("the disk works");
        }
    }

    #[test]
    fn what_was_synced_survives_every_power_cut() {
        let (mut torn, mut lost, mut all) = (0, 0, 0);
        for seed in 0..500 {
            let mut disk = SimDisk::new(seed, 1, DiskSettings::calm());
            disk.start();
            run(&mut disk, append(1, 0, 0, 700), true);
            run(&mut disk, append(2, 0, 700, 1500), false);
            run(&mut disk, append(3, 0, 2200, 900), false);
            disk.crash(CrashKind::PowerCut, 5);
            let (data, _) = disk.content(FileName::Meta(0)).expect("its name was synced");
            assert!(data.len() >= 700 && data[..700].iter().all(|b| *b == 2), "seed {seed}");
            let tail = &data[700..];
            if tail.is_empty() {
                lost += 1;
            } else if tail.iter().all(|b| *b != 0) && tail.len() == 2400 {
                all += 1;
            } else {
                torn += 1;
            }
        }
        assert!(torn > 50 && lost > 50 && all > 20, "torn {torn} lost {lost} all {all}");
    }

    #[test]
    fn a_later_write_may_survive_an_earlier_one() {
        let found = (0..200).any(|seed| {
            let mut disk = SimDisk::new(seed, 1, DiskSettings::calm());
            disk.start();
            run(&mut disk, append(1, 0, 0, 512), true);
            run(&mut disk, append(2, 0, 512, 512), false);
            run(&mut disk, append(3, 0, 1024, 512), false);
            disk.crash(CrashKind::PowerCut, 5);
            let (data, _) = disk.content(FileName::Meta(0)).expect("its name was synced");
            data.len() == 1536 && data[512..1024].iter().all(|b| *b == 0) && data[1024] == 4
        });
        assert!(found);
    }

    #[test]
    fn a_kill_keeps_the_page_cache() {
        for seed in 0..50 {
            let mut disk = SimDisk::new(seed, 1, DiskSettings::calm());
            disk.start();
            run(&mut disk, append(1, 0, 0, 700), false);
            disk.crash(CrashKind::Kill, 5);
            assert_eq!(disk.start().files, vec![(FileName::Meta(0), 700)]);
        }
    }

    #[test]
    fn a_file_never_synced_may_vanish_and_may_stay() {
        let mut seen = [false; 2];
        for seed in 0..100 {
            let mut disk = SimDisk::new(seed, 1, DiskSettings::calm());
            disk.start();
            run(&mut disk, append(1, 3, 0, 10), false);
            disk.crash(CrashKind::PowerCut, 5);
            seen[usize::from(disk.content(FileName::Meta(3)).is_some())] = true;
        }
        assert_eq!(seen, [true, true]);
    }

    #[test]
    fn a_failed_sync_is_reported_once_and_stops_the_disk() {
        let mut disk = SimDisk::new(1, 1, DiskSettings::calm());
        disk.start();
        disk.submit(0, append(1, 0, 0, 10));
        disk.submit(0, append(2, 0, 10, 10));
        disk.fail_next_sync();
        disk.advance(DiskId(1), true).expect("legal").expect("written");
        let (done, _) = disk.advance(DiskId(1), false).expect("legal").expect("told once");
        assert!(matches!(done.stage, DiskStage::Failed(_)));
        assert_eq!(disk.advance(DiskId(2), true), Ok(None));
        assert!(disk.submit(0, append(3, 0, 20, 10)).is_empty());
    }

    #[test]
    fn an_append_that_did_not_wait_is_caught() {
        let mut disk = SimDisk::new(1, 1, DiskSettings::calm());
        disk.start();
        disk.submit(0, append(1, 0, 5, 10));
        let what = disk.advance(DiskId(1), true).expect_err("there are no five bytes");
        assert!(what.contains("at 5"), "{what}");
    }
}
