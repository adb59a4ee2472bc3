//! Names disk operations and knows whose they are.
//!
//! Ids ascend in the order of issue, so the owners are a queue whose front is the oldest operation under way.

use crate::disk::{DiskAction, DiskOp};
use crate::ids::{BrokerId, DiskId, GroupId};
use crate::output::{Output, Outputs};
use std::collections::VecDeque;

/// Whose an operation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    /// Appends entries of a group.
    Append(GroupId),
    /// Creates, repairs or cuts files of a group, or fetches entries for a follower.
    Group(GroupId),
    /// Deletes files of a group that nobody uses any more.
    Removal(GroupId),
    /// Writes or reads of a copy that is being made here, or what is known of producers; nothing of the log waits for it.
    Copy(GroupId),
    /// Reads for a replica that makes a copy of a group led here.
    Loan { group: GroupId, to: BrokerId },
    /// Reads for a client.
    Client { group: Option<GroupId>, token: u64 },
    /// Appends to the meta log.
    Meta,
    /// Nobody waits for it.
    Nobody,
}

impl Owner {
    fn group(self) -> Option<GroupId> {
        match self {
            Owner::Append(group)
            | Owner::Group(group)
            | Owner::Removal(group)
            | Owner::Copy(group)
            | Owner::Loan { group, .. } => Some(group),
            Owner::Client { group, .. } => group,
            Owner::Meta | Owner::Nobody => None,
        }
    }
}

/// The operations under way.
#[derive(Debug)]
pub(crate) struct DiskQueue {
    first: u64,
    owners: VecDeque<Option<Owner>>,
}

impl DiskQueue {
    pub(crate) fn new() -> DiskQueue {
        DiskQueue { first: 1, owners: VecDeque::new() }
    }

    /// The id the next operation will have.
    pub(crate) fn next_id(&self) -> DiskId {
        DiskId(self.first + self.owners.len() as u64)
    }

    pub(crate) fn issue(&mut self, owner: Owner, action: DiskAction, out: &mut Outputs) -> DiskId {
        let id = self.next_id();
        self.owners.push_back(Some(owner));
        out.push(Output::Disk(DiskOp { id, action }));
        id
    }

    fn slot(&mut self, id: DiskId) -> Option<&mut Option<Owner>> {
        let number = usize::try_from(id.0.checked_sub(self.first)?).ok()?;
        self.owners.get_mut(number)
    }

    /// Whose an operation is that goes on.
    pub(crate) fn owner(&mut self, id: DiskId) -> Option<Owner> {
        *self.slot(id)?
    }

    /// Whose an operation was that is over.
    pub(crate) fn take(&mut self, id: DiskId) -> Option<Owner> {
        let owner = self.slot(id)?.take();
        while self.owners.front().is_some_and(Option::is_none) {
            self.owners.pop_front();
            self.first += 1;
        }
        owner
    }

    /// How many operations of a group are under way.
    pub(crate) fn under_way(&self, group: GroupId) -> usize {
        self.owners.iter().flatten().filter(|owner| owner.group() == Some(group)).count()
    }
}
