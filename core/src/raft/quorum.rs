//! How far the voters of a group are, as its leader sees it. Only for people: nothing is decided by it.
//!
//! Positions count entries, the birth of a group included, and are exclusive ends, as Kafka shows offsets of its metadata log.
//!
//! Source: Kafka `LeaderState.describeQuorum`, KIP-595, KIP-836 (times).

use super::group::RaftGroup;
use crate::ids::{BrokerId, Index, LeaderEpoch};
use crate::time::{Instant, Now};

/// A group as its leader sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Quorum {
    /// Who says it.
    pub leader: BrokerId,
    /// Of its term.
    pub epoch: LeaderEpoch,
    /// What is committed ends before this position.
    pub high_watermark: i64,
    /// All voters, ascending by broker.
    pub voters: Vec<Voter>,
}

/// One voter.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Voter {
    /// Who.
    pub broker: BrokerId,
    /// What it holds ends before this position.
    pub log_end: i64,
    /// When it was heard of last, milliseconds of the leader's wall clock.
    pub heard_ms: i64,
    /// The latest time for which it holds everything the leader had then, milliseconds of the leader's wall clock.
    pub caught_up_ms: i64,
}

/// The quorum of a group that is led here; `None` for others.
#[must_use]
pub fn quorum_of(group: &RaftGroup, now: Now) -> Option<Quorum> {
    if !group.is_leader() {
        return None;
    }
    let leader = group.leader()?;
    let end = |index: Index| i64::try_from(index.0).unwrap_or(i64::MAX).saturating_add(1);
    let wall = |at: Instant| {
        let ago_ms = now.monotonic.since_us(at) / 1000;
        now.wall.0.saturating_sub(i64::try_from(ago_ms).unwrap_or(i64::MAX))
    };
    let mut voters: Vec<Voter> = group
        .positions()
        .map(|(broker, matched)| {
            if broker == leader {
                let log_end = end(group.log().last_index());
                return Voter { broker, log_end, heard_ms: now.wall.0, caught_up_ms: now.wall.0 };
            }
            let (heard_ms, caught_up_ms) = group.follower_times(broker).map_or((-1, -1), |(h, c)| (wall(h), wall(c)));
            Voter { broker, log_end: end(matched), heard_ms, caught_up_ms }
        })
        .collect();
    voters.sort_by_key(|voter| voter.broker);
    let high_watermark = end(group.view().commit);
    Some(Quorum { leader, epoch: group.term().leader_epoch(), high_watermark, voters })
}
