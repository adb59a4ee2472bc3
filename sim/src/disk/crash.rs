//! What a crash leaves of a disk: nothing that was synced is lost, everything else may be, in any combination.

use super::{SimDisk, SimFile, index, is_of, len64};
use crate::dice::{Draw, Stream, draw};
use ottla_core::disk::{DiskAction, FileName};
use ottla_core::ids::GroupId;

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

impl SimDisk {
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
            if op.is_full
                && let DiskAction::Append { file, position, data, .. } = &op.action
            {
                // A part of it may be there that was not taken back yet.
                if !stopped.contains(file)
                    && let Some(slot) = self.files.get_mut(file)
                    && len64(&slot.data) == *position
                {
                    let bytes: Vec<u8> = data.iter().flat_map(|part| part.iter().copied()).collect();
                    slot.data.extend_from_slice(&bytes[..index(dice.below(len64(&bytes)))]);
                }
                stopped.push(*file);
                continue;
            }
            let happens = dice.below(2) == 0;
            let file = match &op.action {
                DiskAction::Append { file, .. } | DiskAction::Truncate { file, .. } => Some(*file),
                DiskAction::CreateGroup { .. }
                | DiskAction::RemoveGroup { .. }
                | DiskAction::Read { .. }
                | DiskAction::Rename { .. }
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
                (DiskAction::Rename { files }, None) => {
                    for (from, to) in files {
                        if dice.below(2) == 0 {
                            self.rename(*from, *to, &mut Vec::new());
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
        self.files.retain(|name, _| name.group().is_none_or(|group| groups.contains_key(&group)));
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
