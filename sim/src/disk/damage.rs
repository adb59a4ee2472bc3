//! What a disk shows instead of what it holds, and what it only claimed to hold: rot, unreadable places, misdirected writes, lying syncs.
//!
//! An overlay: the pristine bytes stay below, so that damage can be taken away when the world heals, and the judges keep comparing what was
//! written. Whoever lays damage keeps to the fault atlas: one broker of a seed, and only where that broker's own records prove that something
//! was durable. Knows nothing of what the bytes mean.

use super::{SimDisk, index, len64};
use bytes::{Bytes, BytesMut};
use ottla_core::disk::FileName;

/// Something wrong with a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Damage {
    /// Bits of one byte are read wrong.
    Flip {
        /// Where.
        position: u64,
        /// Which bits.
        mask: u8,
    },
    /// A read of this byte fails.
    Unreadable {
        /// Where.
        position: u64,
    },
    /// Other bytes stand there: those of a write that was meant for another place, or the zeros of one that went elsewhere.
    Foreign {
        /// Where.
        position: u64,
        /// What is read.
        bytes: Bytes,
    },
    /// The file ends early.
    Short {
        /// Where.
        length: u64,
    },
}

impl Damage {
    /// The bytes that are not as they were written.
    fn range(&self) -> (u64, u64) {
        match self {
            Damage::Flip { position, .. } | Damage::Unreadable { position } => (*position, position + 1),
            Damage::Foreign { position, bytes } => (*position, position + len64(bytes)),
            Damage::Short { length } => (*length, u64::MAX),
        }
    }
}

/// Syncs that were only claimed: how much of the file is truly on the platter.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lie {
    honest: u64,
}

impl SimDisk {
    /// From now on a file is read like this.
    pub fn damage(&mut self, file: FileName, damage: Damage) {
        self.damage.push((file, damage));
    }

    /// Whether something on the disk is not as it was written.
    #[must_use]
    pub fn is_rotten(&self) -> bool {
        let is_there = |file: FileName, from: u64| self.files.get(&file).is_some_and(|f| from < len64(&f.data));
        self.damage.iter().any(|(file, damage)| is_there(*file, damage.range().0))
    }

    /// Whether a file lacks its end.
    #[must_use]
    pub fn is_shortened(&self) -> bool {
        let is_there = |file: FileName, from: u64| self.files.get(&file).is_some_and(|f| from < len64(&f.data));
        self.damage.iter().any(|(file, damage)| matches!(damage, Damage::Short { length } if is_there(*file, *length)))
    }

    /// Whether a range of a file is not as it was written.
    #[must_use]
    pub fn is_damaged(&self, file: FileName, position: u64, length: u32) -> bool {
        let end = position + u64::from(length);
        self.damage_of(file).any(|damage| damage.range().0 < end && position < damage.range().1)
    }

    pub(super) fn is_unreadable(&self, file: FileName, position: u64, length: u32) -> bool {
        let range = position..position + u64::from(length);
        self.damage_of(file).any(|damage| matches!(damage, Damage::Unreadable { position } if range.contains(position)))
    }

    fn damage_of(&self, file: FileName) -> impl Iterator<Item = &Damage> {
        self.damage.iter().filter(move |(damaged, _)| *damaged == file).map(|(_, damage)| damage)
    }

    /// How long a file seems to be.
    pub(super) fn shown_length(&self, file: FileName, length: u64) -> u64 {
        let shorts =
            self.damage_of(file).filter_map(|damage| if let Damage::Short { length } = damage { Some(*length) } else { None });
        shorts.fold(length, u64::min)
    }

    /// The bytes at `position` as they are read.
    pub(super) fn shown(&self, file: FileName, position: u64, found: &[u8]) -> Bytes {
        let end = position + len64(found);
        let mut read = BytesMut::from(found);
        for damage in self.damage_of(file) {
            match damage {
                Damage::Flip { position: at, mask } if (position..end).contains(at) => read[index(at - position)] ^= mask,
                Damage::Foreign { position: at, bytes } => {
                    for (n, byte) in (*at..).zip(bytes) {
                        if (position..end).contains(&n) {
                            read[index(n - position)] = *byte;
                        }
                    }
                }
                Damage::Flip { .. } | Damage::Unreadable { .. } | Damage::Short { .. } => {}
            }
        }
        read.freeze()
    }

    /// Until `until` syncs of segments succeed without making anything durable. What was claimed counts as durable for everybody who
    /// watches; a power cut may show otherwise, see [`SimDisk::lies`].
    pub fn lie(&mut self, until: u64) {
        self.lie_until = until;
    }

    /// A sync of a file completes. An honest one takes along what earlier ones left.
    pub(super) fn note_sync(&mut self, file: FileName, is_lie: bool) {
        if !is_lie {
            self.lies.remove(&file);
        } else if let (Some(slot), FileName::Segment { .. }) = (self.files.get(&file), file) {
            self.lies.entry(file).or_insert(Lie { honest: slot.durable });
        }
    }

    /// Files of which a part is not on the platter although a sync said so: how much is, and how much was claimed. Whoever cuts the power
    /// decides what of it is lost; the page cache takes care of the rest.
    pub fn lies(&mut self) -> Vec<(FileName, u64, u64)> {
        let lies = std::mem::take(&mut self.lies);
        let told = |(file, lie): (FileName, Lie)| {
            let durable = self.files.get(&file)?.durable;
            (lie.honest < durable).then_some((file, lie.honest, durable))
        };
        lies.into_iter().filter_map(told).collect()
    }
}
