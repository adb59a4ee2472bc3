//! Reads that go to another place of the same disk, once: what is asked for again comes back right.
//!
//! Where to is chosen to deceive: the same position of another file, if possible of one that begins with the same offset, or of the one
//! that had the name before a rename; the place of the read before, which begins with a whole entry, too; or any place of the same file. All of it comes from there, or what follows a sector of it. Only a running broker is deceived: what a start
//! reads above its recorded mark looks like the torn tail of a crash, see `damage`. Knows nothing of what the bytes mean.

use super::{SimDisk, index, len64};
use crate::dice::{Draw, Stream, draw};
use bytes::{Bytes, BytesMut};
use ottla_core::disk::{DiskAction, DiskOp, FileName};

const SECTOR: u64 = 512;

impl SimDisk {
    /// Until `until`, `ppm` of a million reads give the bytes of another place.
    pub fn misread(&mut self, until: u64, ppm: u64) {
        self.misread_until = until;
        self.misread_ppm = ppm;
    }

    /// Whether a read goes elsewhere, with the draw that says where.
    pub(super) fn draw_misread(&mut self, now: u64, op: &DiskOp) -> Option<Draw> {
        let DiskAction::Read { file, position, .. } = &op.action else { return None };
        let mut dice = draw(self.seed, Stream::Disk, &[self.node, self.life, op.id.0, 11]);
        if now < self.misread_until && dice.ppm(self.misread_ppm) {
            return Some(dice);
        }
        self.last_read = Some((*file, *position));
        None
    }

    /// What a read that goes elsewhere gives instead of `right`.
    pub(super) fn elsewhere(&mut self, file: FileName, position: u64, right: Bytes, mut dice: Draw) -> Bytes {
        let before = self.renamed_over.get(&file).filter(|_| dice.below(2) == 0);
        let other = |dice: &mut Draw, is_apt: &dyn Fn(&FileName) -> bool| {
            let reaches = |name: &FileName| self.files.get(name).is_some_and(|f| position < len64(&f.data));
            let others: Vec<FileName> =
                self.files.keys().copied().filter(|name| *name != file && reaches(name) && is_apt(name)).collect();
            others.get(index(dice.below(len64(&others)))).map(|name| (*name, position))
        };
        let place = match dice.below(4) {
            0 => self.files.get(&file).map(|f| (file, dice.below(len64(&f.data)))),
            1 => self.last_read,
            2 => other(&mut dice, &|_| true),
            _ => other(&mut dice, &|name| is_namesake(*name, file)),
        };
        let there = match (before, place) {
            (Some(data), _) => data.get(index(position)..),
            (None, Some((other, from))) => self.files.get(&other).and_then(|f| f.data.get(index(from)..)),
            (None, None) => None,
        };
        let Some(there) = there else { return right };
        let seam = if dice.below(3) == 0 { index(SECTOR * dice.below(len64(&right) / SECTOR + 1)) } else { 0 };
        let mut read = BytesMut::from(&right[..seam]);
        read.extend(there.iter().skip(seam).take(right.len() - seam));
        // Where the other file ends nothing was ever written.
        read.resize(right.len(), 0);
        if read != right {
            self.misread += 1;
        }
        read.freeze()
    }
}

/// Whether both are segments that begin with the same offset: Kafka would give them one name.
fn is_namesake(one: FileName, other: FileName) -> bool {
    match (one, other) {
        (FileName::Segment { base_offset: one, .. }, FileName::Segment { base_offset: other, .. }) => one == other,
        _ => false,
    }
}
