//! A graceful stop: others take over what this broker leads, then the process may end.
//!
//! `kill -9` is a supported shutdown; this one only spares clients the wait for an election. Nothing is written for it.

use super::Broker;
use crate::api::produce::IN_SYNC_LAG_MS_MAX;
use crate::ids::{BrokerId, GroupId};
use crate::limits::STOP_MS_MAX;
use crate::output::{Output, Outputs};
use crate::time::{Instant, Now};

/// How far a stop is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Stopping {
    /// Not asked for.
    #[default]
    No,
    /// Leaderships are being handed over, until then at most.
    Until(Instant),
    /// [`Output::Stopped`] was given out.
    Done,
}

impl Stopping {
    pub(super) fn deadline(self) -> Option<Instant> {
        match self {
            Stopping::Until(at) => Some(at),
            Stopping::No | Stopping::Done => None,
        }
    }
}

impl Broker {
    /// Starts to hand leaderships over, each to a replica in sync; which one depends on the group, so that they spread.
    pub(super) fn stop(&mut self, now: Now) {
        if self.stopping != Stopping::No {
            return;
        }
        self.stopping = Stopping::Until(now.monotonic.plus_ms(STOP_MS_MAX));
        let mut transfers: Vec<(GroupId, BrokerId)> = Vec::new();
        for raft in self.local.replicas.groups().filter(|raft| raft.is_leader()) {
            let mut others = raft.in_sync(now, IN_SYNC_LAG_MS_MAX);
            others.retain(|broker| *broker != self.config.broker);
            let Ok(count) = u64::try_from(others.len()) else { continue };
            if let Some(place) = raft.id().0.checked_rem(count).and_then(|place| usize::try_from(place).ok()) {
                transfers.push((raft.id(), others[place]));
            }
        }
        for (group, to) in transfers {
            self.local.replicas.transfer_leadership(group, to);
        }
    }

    /// Ends the stop once nothing is led that another could lead, or when time is over.
    pub(super) fn finish_stop(&mut self, now: Now, out: &mut Outputs) {
        let Stopping::Until(at) = self.stopping else { return };
        let leads = |raft: &crate::raft::RaftGroup| raft.is_leader() && raft.voters().len() > 1;
        if now.monotonic >= at || !self.local.replicas.groups().any(leads) {
            self.stopping = Stopping::Done;
            out.push(Output::Stopped);
        }
    }
}
