//! Leaderships go back to their preferred leaders: when a client asks, and by themselves when too many are elsewhere.
//!
//! Who leads a partition hands it over: raft stops to take proposals, waits until the successor holds everything and tells it to run.
//! Producers hear NOT_LEADER_OR_FOLLOWER meanwhile, which they retry. A request at another broker is passed on to the present leader as
//! kind 3 of the control messages between brokers: the groups, u64 little-endian each. Such a message may be lost; whoever waits for the
//! outcome repeats it.
//!
//! By itself each broker looks, every `leader.imbalance.check.interval.seconds`, which of the partitions it leads prefer another broker.
//!
//! Source: Kafka `ReplicationControlManager.maybeBalancePartitionLeaders` (there the controller does it for all), KIP-460.

use super::Broker;
use super::parking::Parked;
use super::spread::KIND_ELECT;
use super::work::Work;
use crate::api::ReplyTo;
use crate::api::elect_leaders::ElectJob;
use crate::ids::{BrokerId, GroupId};
use crate::output::Outputs;
use crate::protocol::messages::elect_leaders::ElectLeadersRequest;
use crate::time::{Instant, Now};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use std::collections::BTreeMap;

/// Milliseconds between two looks at elections that a client waits for.
const LOOK_MS: u64 = 50;
/// Every how many looks the leaders are asked again.
const ASK_LOOKS: u64 = 20;

/// An election that a client waits for.
#[derive(Debug)]
pub(crate) struct Election {
    job: ElectJob,
    end: Instant,
    looks: u64,
}

impl Broker {
    /// A client asks for elections.
    pub(super) fn elect_leaders(&mut self, now: Now, reply: ReplyTo, request: &ElectLeadersRequest, out: &mut Outputs) {
        let job = ElectJob::new(&self.local.view(now), request);
        let patience_ms = u64::try_from(request.timeout_ms).unwrap_or(0);
        let election = Election { job, end: now.monotonic.plus_ms(patience_ms), looks: 0 };
        let number = self.parking.number();
        self.go_on_with_election(now, number, reply, election, out);
    }

    /// Asks leaders where it is time, and parks the request until the next look, or answers it.
    fn go_on_with_election(&mut self, now: Now, number: u64, reply: ReplyTo, mut election: Election, out: &mut Outputs) {
        election.job.look_again(&self.local.view(now));
        let waiting: Vec<GroupId> = election.job.waiting().collect();
        if waiting.is_empty() || now.monotonic >= election.end {
            return reply.answer(&election.job.respond(), out);
        }
        if election.looks.is_multiple_of(ASK_LOOKS) {
            self.ask_for_preferred(now, &waiting);
        }
        election.looks += 1;
        let deadline = Some(election.end.min(now.monotonic.plus_ms(LOOK_MS)));
        self.parking.park(number, Parked { reply, deadline, work: Work::Elect(Box::new(election)) });
    }

    /// It is time for the next look.
    pub(super) fn look_at_election(&mut self, now: Now, number: u64, out: &mut Outputs) {
        if let Some(Parked { reply, work: Work::Elect(election), .. }) = self.parking.take(number) {
            self.go_on_with_election(now, number, reply, *election, out);
        }
    }

    /// Asks the leaders of these groups to hand over, this broker included.
    fn ask_for_preferred(&mut self, now: Now, groups: &[GroupId]) {
        let mut others: BTreeMap<BrokerId, BytesMut> = BTreeMap::new();
        for group in groups {
            match self.local.leaders.get(*group).and_then(|known| known.leader) {
                Some(leader) if leader == self.config.broker => self.hand_to_preferred(now, *group),
                Some(leader) => others.entry(leader).or_default().put_u64_le(group.0),
                None => {}
            }
        }
        for (leader, body) in others {
            self.local.replicas.send(leader, KIND_ELECT, body.freeze());
        }
    }

    /// Another broker's client asks.
    pub(super) fn elect_message(&mut self, now: Now, mut body: Bytes) {
        while body.len() >= 8 {
            self.hand_to_preferred(now, GroupId(body.get_u64_le()));
        }
    }

    /// Hands a group led here to its preferred leader, if that one is reachable and in sync.
    fn hand_to_preferred(&mut self, now: Now, group: GroupId) {
        let Some(preferred) = self.preferred_of(group).filter(|preferred| *preferred != self.config.broker) else { return };
        let Some(raft) = self.local.replicas.group(group) else { return };
        let may_take_over =
            self.peers_up.contains(&preferred) && raft.in_sync(now, self.settings.replica_lag_time_max_ms).contains(&preferred);
        if raft.is_serving() && may_take_over && !self.is_stopping() {
            self.local.replicas.transfer_leadership(group, preferred);
        }
    }

    fn preferred_of(&self, group: GroupId) -> Option<BrokerId> {
        let cluster = self.local.controller.state();
        let (topic, number) = cluster.partition_of(group)?;
        cluster.topic_by_id(topic)?.partition(number)?.replicas.first().copied()
    }

    /// When leaderships are balanced next; `None` where that is switched off.
    pub(super) fn balance_due(&self) -> Option<Instant> {
        self.settings.balance_interval_ms.map(|_| self.balance_at)
    }

    /// Hands over what this broker leads for others that lead too few of theirs.
    pub(super) fn balance(&mut self, now: Now) {
        let Some(interval_ms) = self.settings.balance_interval_ms else { return };
        self.balance_at = now.monotonic.plus_ms(interval_ms);
        let led: Vec<GroupId> = self.local.replicas.groups().filter(|raft| raft.is_leader()).map(|raft| raft.id()).collect();
        for group in led {
            self.hand_to_preferred(now, group);
        }
    }
}
