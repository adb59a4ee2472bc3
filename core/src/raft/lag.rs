//! Which followers keep up, as Kafka judges it: a follower is caught up at the latest time for which it holds everything that was in the
//! leader's log then (`Partition.scala`, `isFollowerInSync`), and it must have been heard of since.
//!
//! Knows nothing of raft; the leader's driver tells it what answers say.

use crate::ids::{BrokerId, Index};
use crate::time::Instant;

#[derive(Debug, Clone, Copy)]
struct Follower {
    broker: BrokerId,
    /// Last index of the leader's log when it was heard of last.
    mark: Index,
    marked_at: Instant,
    caught_up_at: Instant,
    /// It lost what it had, and has not caught up since.
    is_lost: bool,
}

/// All followers of a group that is led here.
#[derive(Debug, Default)]
pub(crate) struct Lag {
    followers: Vec<Follower>,
}

impl Lag {
    /// Leadership begins: everybody gets the benefit of the doubt.
    pub(crate) fn begin(&mut self, followers: impl Iterator<Item = BrokerId>, last: Index, now: Instant) {
        self.followers.clear();
        self.followers.extend(followers.map(|broker| Follower {
            broker,
            mark: last,
            marked_at: now,
            caught_up_at: now,
            is_lost: false,
        }));
    }

    /// A follower answered and holds entries up to `matched`; the leader's log ends at `last`.
    pub(crate) fn heard(&mut self, broker: BrokerId, matched: Index, last: Index, now: Instant) {
        let Some(follower) = self.followers.iter_mut().find(|follower| follower.broker == broker) else { return };
        if matched >= last {
            follower.caught_up_at = now;
            follower.is_lost = false;
        } else if matched >= follower.mark && !follower.is_lost {
            follower.caught_up_at = follower.caught_up_at.max(follower.marked_at);
        }
        follower.mark = last;
        follower.marked_at = now;
    }

    /// A follower lost what it had.
    pub(crate) fn forget(&mut self, broker: BrokerId) {
        if let Some(follower) = self.followers.iter_mut().find(|follower| follower.broker == broker) {
            follower.is_lost = true;
        }
    }

    /// When a follower was heard of last, and the latest time for which it was caught up.
    pub(crate) fn times(&self, broker: BrokerId) -> Option<(Instant, Instant)> {
        let follower = self.followers.iter().find(|follower| follower.broker == broker)?;
        Some((follower.marked_at, follower.caught_up_at))
    }

    /// Followers that were caught up within the last `lag_ms_max`.
    pub(crate) fn in_sync(&self, now: Instant, lag_ms_max: u64) -> impl Iterator<Item = BrokerId> {
        let lag_us_max = lag_ms_max.saturating_mul(1000);
        self.followers
            .iter()
            .filter(move |follower| !follower.is_lost && now.since_us(follower.caught_up_at) <= lag_us_max)
            .map(|follower| follower.broker)
    }
}
