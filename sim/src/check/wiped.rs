//! A broker that lost its disk: what it held no longer binds its next life, but what it promised does.
//!
//! - I19: a broker votes once in a term, whatever happens to its disk.
//!
//! An entry may be committed by an acknowledgement of the copy that is lost; where the judges ask for a quorum of disks it counts until the broker
//! has caught up. That the entry is in the log of every later leader (I3) and is read at the end is asked without it.

use super::log_mirror::NodeMirror;
use super::meta_mirror::MetaMirror;
use super::watch::{Breach, Watch, breach};
use ottla_core::ids::{GroupId, Term};

impl Watch {
    /// Whether the disk of a broker has all that it should, as far as its meta log tells: its replicas know what they promised.
    pub(crate) fn is_whole(&self, node: usize) -> bool {
        let meta = &self.nodes[node].meta;
        meta.group(GroupId::CONTROLLER).is_some() && meta.groups().all(|(_, promised)| !promised.is_forgetful)
    }

    /// The replicas that do not know what they promised, as the disks of their brokers say.
    pub(crate) fn forgetful(&self) -> Vec<(usize, GroupId)> {
        let of = |(node, watched): (usize, &super::watch::WatchedNode)| {
            let groups = watched.meta.groups().filter(|(_, promised)| promised.is_forgetful);
            groups.map(|(group, _)| (node, group)).collect::<Vec<_>>()
        };
        self.nodes.iter().enumerate().flat_map(of).collect()
    }

    /// What a broker held on a disk that it lost, until it has as much again.
    pub(super) fn lost(&self, node: usize) -> Option<&NodeMirror> {
        self.nodes[node].lost.as_ref()
    }

    /// The disk of a broker is lost.
    pub(crate) fn wiped(&mut self, node: usize) {
        let watched = &mut self.nodes[node];
        watched.lost = Some(std::mem::take(&mut watched.mirror));
        watched.meta = MetaMirror::default();
        watched.forget_life();
    }

    /// What a broker that lost its disk held counts no more when it holds as much again.
    pub(super) fn look_if_regained(&mut self, node: usize) {
        let watched = &self.nodes[node];
        let has = |group: GroupId| self.removed.contains(&group) || watched.meta.group(group).is_some();
        if watched.lost.as_ref().is_some_and(|lost| lost.groups().all(has)) && self.is_whole(node) {
            self.nodes[node].lost = None;
        }
    }

    /// A broker tells another that it has its vote.
    pub(super) fn vote_told(&mut self, node: usize, to: usize, group: GroupId, term: Term) -> Result<(), Breach> {
        let first = *self.votes.entry((node, group, term)).or_insert(to);
        if first == to {
            return Ok(());
        }
        breach(
            "I19",
            format!(
                "A broker votes once in a term, but broker {node} told brokers {first} and {to} that they have its vote for group {group} term {term}."
            ),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_disk_takes_no_vote_back() {
        let mut watch = Watch::new(3);
        assert_eq!(watch.vote_told(0, 1, GroupId(3), Term(5)), Ok(()));
        assert_eq!(watch.vote_told(0, 1, GroupId(3), Term(5)), Ok(()));
        watch.wiped(0);
        assert_eq!(watch.vote_told(0, 2, GroupId(3), Term(6)), Ok(()));
        assert_eq!(watch.vote_told(0, 2, GroupId(3), Term(5)).expect_err("a second vote").check, "I19");
    }
}
