//! What a broker says of its groups, reduced to what the watch compares.

use ottla_core::Broker;
use ottla_core::ids::{GroupId, Index, Offset, Term};
use ottla_core::log::ProducerTable;
use ottla_core::raft::Role;
use ottla_core::random::keyed;

/// One group as its broker sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct GroupSeen {
    /// The group.
    pub(crate) group: GroupId,
    /// Current term.
    pub(crate) term: Term,
    /// Whether this broker leads.
    pub(crate) is_leader: bool,
    /// Last committed index it knows.
    pub(crate) commit: Index,
    /// Hash of all entries up to there.
    pub(crate) commit_chain: u64,
    /// Last index it holds durably.
    pub(crate) persisted: Index,
    /// Last index in its log.
    pub(crate) last_index: Index,
    /// What consumers may see.
    pub(crate) high_watermark: Offset,
    /// Offset of the next record.
    pub(crate) log_end: Offset,
    /// First offset that may be read.
    pub(crate) log_start: Offset,
    /// Digest of what is known of producers by what is committed; 0 for none.
    pub(crate) producers: u64,
}

/// Looks at all groups of a broker. What was `seen` of it in this life tells the digests of those that committed nothing since.
pub(crate) fn look(broker: &Broker, seen: &[GroupSeen], into: &mut Vec<GroupSeen>) {
    into.clear();
    for view in broker.group_views() {
        let known = seen.get(into.len()).filter(|known| (known.group, known.commit) == (view.group, view.commit));
        into.push(GroupSeen {
            group: view.group,
            term: view.term,
            is_leader: view.role == Role::Leader,
            commit: view.commit,
            commit_chain: view.commit_chain,
            persisted: view.persisted,
            last_index: view.last_index,
            high_watermark: view.high_watermark,
            log_end: view.log_end,
            log_start: view.log_start,
            producers: known.map_or_else(|| producers(broker, view.group), |known| known.producers),
        });
    }
}

/// Digest of what is known of a group's producers by what is committed; 0 for none.
pub(crate) fn producers(broker: &Broker, group: GroupId) -> u64 {
    broker.producers(group).map_or(0, digest)
}

fn digest(producers: &ProducerTable) -> u64 {
    let bits = |number: i64| u64::from_ne_bytes(number.to_ne_bytes());
    producers.iter().fold(0, |digest, (producer, window)| {
        let digest = keyed(digest, &[bits(producer), bits(i64::from(window.epoch())), bits(window.heard_ms())]);
        window.newest_first().fold(digest, |digest, batch| {
            let sequences = [bits(i64::from(batch.sequence_first)), bits(i64::from(batch.sequence_last))];
            keyed(digest, &[batch.index.0, bits(batch.base_offset.0), sequences[0], sequences[1], bits(batch.timestamp_ms)])
        })
    })
}
