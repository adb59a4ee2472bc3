//! What a broker says of its groups, reduced to what the watch compares.

use ottla_core::Broker;
use ottla_core::ids::{GroupId, Index, Offset, Term};

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
    /// What consumers may see.
    pub(crate) high_watermark: Offset,
    /// Offset of the next record.
    pub(crate) log_end: Offset,
}

/// Looks at all groups of a broker.
pub(crate) fn look(_broker: &Broker, into: &mut Vec<GroupSeen>) {
    into.clear();
}
