//! Damage of disks, laid only where a broker's own meta log proves that something was durable: a broker that looks there must notice.
//!
//! What lies above the recorded mark looks like the torn tail of a crash to whoever finds it, so nothing of it is damaged here. The first
//! bytes of a batch are spared by single flips: offset, length and epoch are not under its CRC, and are checked where they are read.

use super::event::Event;
use super::{Cluster, n64};
use crate::dice::{Draw, Stream, draw};
use crate::disk::{CrashKind, Damage};
use bytes::Bytes;
use ottla_core::disk::FileName;
use ottla_core::ids::{GroupId, Index};

/// An entry in its file: where it begins and ends.
type Place = (FileName, u64, u64);

impl Cluster {
    /// A broker loses power, and one bit of an entry that its meta log calls durable is read wrong from then on.
    pub(crate) fn rot(&mut self, node: usize, pick: u64, down_us: u64) {
        self.crash(node, CrashKind::PowerCut, Some(down_us));
        let mut dice = draw(pick, Stream::Disk, &[n64(node)]);
        let mirror = self.watch.mirror(node);
        let groups: Vec<GroupId> = mirror.groups().collect();
        let Some(group) = groups.get(usize::try_from(dice.below(n64(groups.len()))).expect("an index")) else { return };
        let mark = self.watch.promised(node, *group).map_or(0, |promised| promised.mark.0);
        let index = Index(2 + dice.below(mark.saturating_sub(2)));
        let Some(place) = mirror.group(*group).filter(|_| index.0 < mark).and_then(|log| log.place(index)) else { return };
        self.flip(node, place, &mut dice);
    }

    fn flip(&mut self, node: usize, (file, begin, end): Place, dice: &mut Draw) {
        let position = begin + 17 + dice.below(end - begin - 17);
        self.nodes[node].disk.damage(file, Damage::Flip { position, mask: 1 << dice.below(8) });
    }

    /// Bits of some entries are read wrong from now on, while the broker runs.
    pub(crate) fn rot_live(&mut self, node: usize, pick: u64) {
        let mut dice = draw(pick, Stream::Disk, &[n64(node)]);
        for _ in 0..dice.between(4, 40) {
            if let Some(place) = self.provable(node, &mut dice) {
                self.flip(node, place, &mut dice);
                self.counters.damaged += 1;
            }
        }
    }

    /// Some places can't be read any more.
    pub(crate) fn make_unreadable(&mut self, node: usize, pick: u64) {
        let mut dice = draw(pick, Stream::Disk, &[n64(node)]);
        for _ in 0..dice.between(1, 4) {
            if let Some((file, begin, end)) = self.provable(node, &mut dice) {
                let position = begin + dice.below(end - begin);
                self.nodes[node].disk.damage(file, Damage::Unreadable { position });
                self.counters.damaged += 1;
            }
        }
    }

    /// The write of an entry turns out to have gone to the place of another one, of this or another file; where it belongs are zeros.
    pub(crate) fn misdirect(&mut self, node: usize, pick: u64) {
        let mut dice = draw(pick, Stream::Disk, &[n64(node)]);
        let (Some((file, begin, end)), Some((other, at, _))) = (self.provable(node, &mut dice), self.provable(node, &mut dice))
        else {
            return;
        };
        if (file, begin) == (other, at) {
            return;
        }
        let disk = &self.nodes[node].disk;
        let written = |file: FileName, begin: u64, end: u64| {
            let (data, _) = disk.content(file)?;
            data.get(usize::try_from(begin).ok()?..usize::try_from(end).ok()?).map(Bytes::copy_from_slice)
        };
        let Some(bytes) = written(file, begin, end) else { return };
        // Where the same bytes stand anyway nothing is damaged: the empty entries with which leaders begin are often equal. Where only the
        // leader epoch differs nobody can tell: no checksum of Kafka's format covers it.
        let is_unnoticed = |there: &Bytes| there.get(..12) == bytes.get(..12) && there.get(16..) == bytes.get(16..);
        if written(other, at, at + (end - begin)).as_ref().is_some_and(is_unnoticed) {
            return;
        }
        let zeros = Bytes::from(vec![0; bytes.len()]);
        self.nodes[node].disk.damage(file, Damage::Foreign { position: begin, bytes: zeros });
        self.nodes[node].disk.damage(other, Damage::Foreign { position: at, bytes });
        self.counters.misdirected += 1;
    }

    /// Reads of a running broker give the bytes of another place now and then, for a while.
    pub(crate) fn misread(&mut self, node: usize, us: u64, ppm: u64) {
        let until = self.now + us;
        self.nodes[node].disk.misread(until, ppm);
    }

    /// A disk only claims to sync its segments for a while; then the power goes.
    pub(crate) fn lie(&mut self, node: usize, us: u64, down_us: u64) {
        let until = self.now + us;
        self.nodes[node].disk.lie(until);
        self.schedule(until, Event::PowerCut { node, down_us });
    }

    /// The power goes: of what syncs only claimed, a suffix of a file is lost, or reads as zeros, if the broker's records say that it was
    /// durable; else the disk was in time with it.
    pub(super) fn lose_lies(&mut self, node: usize) {
        let lies = self.nodes[node].disk.lies();
        for (file, honest, durable) in lies {
            let FileName::Segment { group, base_index, .. } = file else { continue };
            let mut dice = draw(self.seed, Stream::Disk, &[n64(node), self.now, base_index.0, 9]);
            let bound = self.provable_end(node, group);
            let Some(log) = self.watch.mirror(node).group(group) else { continue };
            let ends = (base_index.0..=bound.0).map_while(|n| log.place(Index(n)).filter(|(other, ..)| *other == file));
            let Some((_, _, last)) = ends.last() else { continue };
            if last <= honest {
                continue;
            }
            let cut = honest + dice.below(last - honest);
            // An entry may end in zeros: a batch does whose last record has no headers. Those are not missed, and what comes after it is not
            // known to be durable.
            let range = usize::try_from(cut).expect("simulated files are small")..usize::try_from(last).expect("so are these");
            let is_zero_anyway = self.nodes[node]
                .disk
                .content(file)
                .is_none_or(|(data, _)| data.get(range).is_none_or(|lost| lost.iter().all(|byte| *byte == 0)));
            let damage = if dice.below(2) == 0 || is_zero_anyway {
                Damage::Short { length: cut }
            } else {
                let lost = usize::try_from(durable.max(last) - cut).expect("simulated files are small");
                Damage::Foreign { position: cut, bytes: Bytes::from(vec![0; lost]) }
            };
            self.nodes[node].disk.damage(file, damage);
            self.counters.lies += 1;
        }
    }

    /// Entries up to here are called durable and committed by the meta log of a broker.
    fn provable_end(&self, node: usize, group: GroupId) -> Index {
        self.watch.promised(node, group).map_or(Index(0), |promised| promised.mark.min(promised.commit))
    }

    /// Where some such entry is.
    fn provable(&self, node: usize, dice: &mut Draw) -> Option<Place> {
        let mirror = self.watch.mirror(node);
        let groups: Vec<GroupId> = mirror.groups().collect();
        let group = *groups.get(usize::try_from(dice.below(n64(groups.len()))).expect("an index"))?;
        let end = self.provable_end(node, group).0;
        let index = Index(2 + dice.below(end.saturating_sub(1)));
        mirror.group(group).filter(|_| index.0 <= end)?.place(index)
    }
}
