//! A graceful stop: others take over what this broker leads, then the process may end.
//!
//! `kill -9` is a supported shutdown; this one only spares clients the wait for an election. Nothing is written for it.

use super::Broker;
use crate::ids::{BrokerId, GroupId};
use crate::limits::STOP_MS_MAX;
use crate::output::{Output, Outputs};
use crate::raft::RaftGroup;
use crate::time::{Instant, Now};

/// Milliseconds between attempts to hand over what is still led: a chosen successor may have died or be stopping as well.
const RETRY_MS: u64 = 1_000;

/// How far a stop is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Stopping {
    /// Not asked for.
    #[default]
    No,
    /// Leaderships are being handed over.
    HandingOver {
        /// When the stop no longer waits for that.
        end: Instant,
        /// When to try again with other successors.
        retry: Instant,
        /// How often it was tried.
        attempts: u64,
    },
    /// [`Output::Stopped`] was given out.
    Done,
}

impl Stopping {
    pub(super) fn deadline(self) -> Option<Instant> {
        match self {
            Stopping::HandingOver { end, retry, .. } => Some(end.min(retry)),
            Stopping::No | Stopping::Done => None,
        }
    }
}

impl Broker {
    /// Starts to hand leaderships over; requests that wait for the registration are not waited for.
    pub(super) fn stop(&mut self, now: Now, out: &mut Outputs) {
        if self.stopping == Stopping::No {
            self.refuse_held(out);
            self.hand_over(now, 0);
            let (end, retry) = (now.monotonic.plus_ms(STOP_MS_MAX), now.monotonic.plus_ms(RETRY_MS));
            self.stopping = Stopping::HandingOver { end, retry, attempts: 1 };
        }
    }

    /// Whether it was asked to.
    pub(super) fn is_stopping(&self) -> bool {
        self.stopping != Stopping::No
    }

    /// Ends the stop once nothing is led that another could lead, or when time is over.
    pub(super) fn finish_stop(&mut self, now: Now, out: &mut Outputs) {
        let Stopping::HandingOver { end, retry, attempts } = self.stopping else { return };
        if now.monotonic >= end || !self.leads_what_another_could() {
            self.stopping = Stopping::Done;
            out.push(Output::Stopped);
        } else if now.monotonic >= retry {
            self.hand_over(now, attempts);
            self.stopping = Stopping::HandingOver { end, retry: now.monotonic.plus_ms(RETRY_MS), attempts: attempts + 1 };
        }
    }

    /// When every other voter is gone too, as when a whole cluster stops, there is nobody to wait for.
    fn leads_what_another_could(&self) -> bool {
        let another = |raft: &RaftGroup| raft.voters().iter().any(|voter| self.peers_up.contains(voter));
        self.local.replicas.groups().any(|raft| raft.is_leader() && another(raft))
    }

    /// Hands each leadership to a connected replica in sync; which one depends on the group, so that they spread, and on the attempt.
    fn hand_over(&mut self, now: Now, attempt: u64) {
        let mut transfers: Vec<(GroupId, BrokerId)> = Vec::new();
        for raft in self.local.replicas.groups().filter(|raft| raft.is_leader()) {
            let mut others = raft.in_sync(now, self.settings.replica_lag_time_max_ms);
            others.retain(|broker| self.peers_up.contains(broker));
            let Ok(count) = u64::try_from(others.len()) else { continue };
            let pick = raft.id().0.wrapping_add(attempt);
            if let Some(place) = pick.checked_rem(count).and_then(|place| usize::try_from(place).ok()) {
                transfers.push((raft.id(), others[place]));
            }
        }
        for (group, to) in transfers {
            self.local.replicas.transfer_leadership(group, to);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::broker::rig::Rig;
    use crate::input::Input;
    use crate::limits::STOP_MS_MAX;

    #[test]
    fn a_broker_that_nobody_could_replace_stops_at_once() {
        let mut rig = Rig::new();
        rig.topic("orders", 1, &[]);
        assert!(!rig.is_stopped);
        rig.step(Input::Stop);
        assert!(rig.is_stopped);
    }

    /// A voter that is there and wins no election: what it says plays no part, so the broker itself stands for it.
    #[test]
    fn who_never_takes_over_is_waited_for_so_long() {
        let mut rig = Rig::new();
        rig.topic("orders", 1, &[]);
        rig.broker.peers_up.insert(rig.broker.config.broker);
        rig.step(Input::Stop);
        rig.advance(STOP_MS_MAX - 1);
        assert!(!rig.is_stopped);
        rig.advance(1);
        assert!(rig.is_stopped);
    }
}
