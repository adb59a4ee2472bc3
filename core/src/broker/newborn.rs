//! Metadata of partitions that were created a moment ago and have no leader yet.
//!
//! Kafka's controller names the leader with the creation, so its clients never see a created topic without one. Here the preferred
//! replica elects itself once it heard of the creation. A client that asks in between and is told LEADER_NOT_AVAILABLE may keep that
//! answer for long: kafka-go for up to six seconds, longer than its writer tries, and franz-go for five. So a Metadata request that would
//! show such a partition waits until a leader is known here, at most [`FIRST_LEADER_MS_MAX`] after the creation.
//!
//! A partition makes nobody wait after its first leader, nor if it was created before this broker was registered: that is news to nobody.
//! A topic that is deleted while someone waits is waited for like one that finds no leader.
//!
//! Invariant: who waits is parked as [`Work::Metadata`], and waits for a partition that is listed here.

use super::Broker;
use super::parking::{Parked, Parking};
use super::work::Work;
use crate::api::ReplyTo;
use crate::api::metadata::shown_topics;
use crate::ids::GroupId;
use crate::limits::FIRST_LEADER_MS_MAX;
use crate::output::Outputs;
use crate::protocol::messages::metadata::MetadataRequest;
use crate::time::{Instant, Now};
use std::collections::{BTreeMap, BTreeSet};

/// Partitions without a first leader, and who waits for one.
#[derive(Debug, Default)]
pub(crate) struct Newborn {
    /// When a group has been waited for long enough.
    until: BTreeMap<GroupId, Instant>,
    /// Numbers of parked requests.
    waiting: BTreeSet<u64>,
}

impl Newborn {
    /// The relations of the module doc.
    ///
    /// # Panics
    /// When one is broken.
    pub(crate) fn check_invariants(&self, parking: &Parking<Work>) {
        let parked = parking.iter().filter(|(_, parked)| matches!(parked.work, Work::Metadata(_)));
        assert!(parked.map(|(number, _)| number).eq(self.waiting.iter().copied()), "parked and waiting Metadata requests differ");
        assert!(!self.until.is_empty() || self.waiting.is_empty(), "requests wait for no partition");
    }

    /// The client of a parked request is gone.
    pub(super) fn drop_request(&mut self, number: u64) {
        self.waiting.remove(&number);
    }
}

impl Broker {
    /// Partitions were created.
    pub(super) fn expect_leaders(&mut self, now: Now, groups: Vec<GroupId>) {
        if self.held.is_open() {
            let until = now.monotonic.plus_ms(FIRST_LEADER_MS_MAX);
            self.newborn.until.extend(groups.into_iter().map(|group| (group, until)));
        }
    }

    /// Answers a Metadata request, or parks it until what it would show has its first leader.
    pub(super) fn metadata(&mut self, now: Now, reply: ReplyTo, request: MetadataRequest, out: &mut Outputs) {
        let Some(deadline) = self.newborn_shown_until(&request, reply.version) else {
            return self.answer_metadata(now, reply, &request, out);
        };
        let number = self.parking.number();
        self.parking.park(number, Parked { reply, deadline: Some(deadline), work: Work::Metadata(request) });
        self.newborn.waiting.insert(number);
    }

    fn newborn_shown_until(&self, request: &MetadataRequest, version: i16) -> Option<Instant> {
        if self.newborn.until.is_empty() {
            return None;
        }
        let shown = shown_topics(self.local.controller.state(), request, version);
        shown.into_iter().flat_map(|topic| &topic.partitions).filter_map(|p| self.newborn.until.get(&p.group)).max().copied()
    }

    /// The request has waited as long as it may.
    pub(super) fn metadata_over(&mut self, now: Now, number: u64, out: &mut Outputs) {
        self.newborn.waiting.remove(&number);
        if let Some(Parked { reply, work: Work::Metadata(request), .. }) = self.parking.take(number) {
            self.answer_metadata(now, reply, &request, out);
        }
    }

    /// Looks which partitions have a leader by now, and answers who waited for no others.
    pub(super) fn release_newborn(&mut self, now: Now, out: &mut Outputs) {
        let before = self.newborn.until.len();
        let leaders = &self.local.leaders;
        let is_led = |group| leaders.get(group).is_some_and(|known| known.leader.is_some());
        self.newborn.until.retain(|group, until| now.monotonic < *until && !is_led(*group));
        if self.newborn.until.len() == before {
            return;
        }
        for number in std::mem::take(&mut self.newborn.waiting) {
            if let Some(Parked { reply, work: Work::Metadata(request), .. }) = self.parking.take(number) {
                self.metadata(now, reply, request, out);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::broker::rig::Rig;
    use crate::limits::FIRST_LEADER_MS_MAX;
    use crate::protocol::ErrorCode;
    use crate::protocol::messages::create_topics::CreateTopicsRequest;
    use crate::protocol::messages::create_topics::request::Topics as NewTopic;
    use crate::protocol::messages::metadata::request::Topics;
    use crate::protocol::messages::metadata::{MetadataRequest, MetadataResponse};

    const VERSION: i16 = 12;

    fn all() -> MetadataRequest {
        MetadataRequest { topics: None, ..MetadataRequest::default() }
    }

    fn one(name: &str) -> MetadataRequest {
        let topic = Topics { name: Some(name.into()), ..Topics::default() };
        MetadataRequest { topics: Some(vec![topic]), ..MetadataRequest::default() }
    }

    fn code(answer: &MetadataResponse) -> i16 {
        answer.topics[0].partitions[0].error_code
    }

    /// A broker with the topic `old`, and `new` whose group can't finish its election before the disk goes on.
    fn with_newborn() -> Rig {
        let mut rig = Rig::new();
        rig.topic("old", 1, &[]);
        rig.partitions_stall = true;
        let new = NewTopic { name: "new".into(), num_partitions: 1, replication_factor: 1, ..NewTopic::default() };
        let asked = rig.send(&CreateTopicsRequest { topics: vec![new], timeout_ms: 1000, ..CreateTopicsRequest::default() }, 7);
        rig.advance(50);
        assert_eq!(rig.answer::<CreateTopicsRequest>(asked, 7).expect("the controller goes on").topics[0].error_code, 0);
        rig
    }

    #[test]
    fn a_created_topic_is_shown_with_its_leader() {
        for request in [all(), one("new")] {
            let mut rig = with_newborn();
            let asked = rig.send(&request, VERSION);
            rig.advance(100);
            assert!(rig.answer::<MetadataRequest>(asked, VERSION).is_none());
            rig.release_fsyncs();
            rig.advance(100);
            let answer = rig.answer::<MetadataRequest>(asked, VERSION).expect("there is a leader");
            assert!(answer.topics.iter().all(|topic| topic.partitions[0].leader_id == 1), "{:?}", answer.topics);
        }
    }

    #[test]
    fn other_topics_are_shown_at_once() {
        let mut rig = with_newborn();
        assert_eq!(code(&rig.ask(&one("old"), VERSION)), 0);
    }

    #[test]
    fn patience_for_a_first_leader_ends_and_does_not_begin_again() {
        let mut rig = with_newborn();
        let asked = rig.send(&one("new"), VERSION);
        rig.advance(FIRST_LEADER_MS_MAX);
        let answer = rig.answer::<MetadataRequest>(asked, VERSION).expect("it has waited long enough");
        assert_eq!(code(&answer), ErrorCode::LeaderNotAvailable.code());
        assert_eq!(code(&rig.ask(&one("new"), VERSION)), ErrorCode::LeaderNotAvailable.code());
    }

    #[test]
    fn nobody_waits_for_a_client_that_is_gone() {
        let mut rig = with_newborn();
        let asked = rig.send(&one("new"), VERSION);
        rig.close();
        assert_eq!(rig.broker.parking.len(), 0);
        rig.release_fsyncs();
        rig.advance(100);
        assert!(rig.answer::<MetadataRequest>(asked, VERSION).is_none());
    }
}
