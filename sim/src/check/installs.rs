//! Copies of another broker's segments that take the place of a log.
//!
//! They are the log from the moment at which the meta log durably says so: before they have its names, and also after a crash. So what a broker
//! promises then is held against them, and a record that is durable before its copies are is a promise too early (I6, I7).
//!
//! Source: `core/src/raft/group/copying.rs` for the order.

use super::watch::{Breach, Watch};
use ottla_core::disk::FileName;
use ottla_core::ids::GroupId;

impl Watch {
    /// A broker durably said that the copies with these base indexes are the log of a group.
    pub(super) fn installed(&mut self, node: usize, group: GroupId, bases: &[u64]) -> Result<(), Breach> {
        self.counters.snapshots += 1;
        for (first, last) in self.nodes[node].mirror.installed(group, bases) {
            self.entries_added(node, group, first, last)?;
            self.entries_durable(node, group, first, last)?;
        }
        Ok(())
    }

    /// A file has another name.
    pub(crate) fn renamed(&mut self, node: usize, from: FileName) {
        self.nodes[node].mirror.renamed(from);
    }
}

#[cfg(test)]
mod tests {
    use super::super::log_mirror::tests::segment;
    use super::super::meta_mirror::tests::installing;
    use super::*;
    use ottla_core::ids::{Index, Offset};

    #[test]
    fn what_a_crash_leaves_of_an_install_is_the_log() {
        let install = |watch: &mut Watch, name: FileName| {
            let files = [(FileName::Meta(1), installing(3, 2)), (name, crate::batch::build(&[1], 1_000, 20).to_vec())];
            let files = files.iter().map(|(name, data)| (*name, data.as_slice(), data.len() as u64));
            watch.looked(0, [GroupId(3)].into_iter(), files).expect("legal");
            watch.mirror(0).group(GroupId(3)).is_some_and(|log| log.is_durable_through(Index(2)))
        };
        let mut watch = Watch::new(1);
        assert!(install(&mut watch, segment(3, 2)));
        assert!(install(&mut watch, FileName::Copy { group: GroupId(3), base_offset: Offset(0), base_index: Index(2) }));
        assert!(!install(&mut watch, FileName::Copy { group: GroupId(3), base_offset: Offset(0), base_index: Index(4) }));
    }
}
