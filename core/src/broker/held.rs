//! Requests of clients that came before this life of the broker is registered with the controller.
//!
//! Right after a start a broker has not yet applied the controller's log: it would call topics unknown that exist and answer with
//! settings that were changed. Kafka's broker opens its port only after it caught up; this one takes connections at once, answers
//! ApiVersions and holds everything else. The registration is the proof: it is a command in the log, so whoever applied it has
//! applied everything before it.
//!
//! Knows nothing of what is asked. Order is kept over all connections. Invariant: at most [`HELD_REQUESTS_MAX`] are held, none after
//! the doors are open.
//!
//! Source: `BrokerServer.startup` of Kafka, which waits for the initial catch-up and the unfencing before it enables requests.

use super::Broker;
use crate::api::{Ask, ClientRequest};
use crate::ids::{ConnectionId, RequestNumber};
use crate::limits::HELD_REQUESTS_MAX;
use crate::output::{Output, Outputs};
use crate::time::Now;
use std::collections::VecDeque;

/// The doors of a broker: shut until it is registered.
#[derive(Debug, Default)]
pub(crate) struct Held {
    is_open: bool,
    requests: VecDeque<(ConnectionId, RequestNumber, ClientRequest)>,
}

impl Held {
    /// Whether clients are answered.
    pub(super) fn is_open(&self) -> bool {
        self.is_open
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.requests.len()
    }

    /// The relations of the module doc.
    ///
    /// # Panics
    /// When one is broken.
    pub(crate) fn check_invariants(&self) {
        assert!(self.requests.len() <= HELD_REQUESTS_MAX, "{} requests are held", self.requests.len());
        assert!(!self.is_open || self.requests.is_empty(), "requests are held although the doors are open");
    }

    /// A client is gone.
    pub(super) fn drop_connection(&mut self, connection: ConnectionId) {
        self.requests.retain(|(of, _, _)| *of != connection);
    }
}

impl Broker {
    /// Decides a request, or holds it until this life of the broker is registered.
    pub(super) fn admit(
        &mut self,
        now: Now,
        connection: ConnectionId,
        number: RequestNumber,
        request: ClientRequest,
        out: &mut Outputs,
    ) {
        if self.held.is_open || matches!(request.ask, Ask::ApiVersions(_)) {
            self.request(now, connection, number, request, out);
        } else if self.is_stopping() {
            out.push(Output::Close { connection, number, reason: "the broker stops before it knows the cluster" });
        } else if self.held.requests.len() >= HELD_REQUESTS_MAX {
            out.push(Output::Close { connection, number, reason: "too many requests before the broker knows the cluster" });
        } else {
            self.held.requests.push_back((connection, number, request));
        }
    }

    /// Decides what was held, once this life of the broker is registered; the doors stay open from then on.
    pub(super) fn release_held(&mut self, now: Now, out: &mut Outputs) {
        if self.held.is_open || !self.local.controller.is_registered() {
            return;
        }
        self.held.is_open = true;
        for (connection, number, request) in std::mem::take(&mut self.held.requests) {
            self.request(now, connection, number, request, out);
        }
    }

    /// A broker that stops does not wait to know the cluster: whoever waits for that learns at once that it has to ask elsewhere.
    pub(super) fn refuse_held(&mut self, out: &mut Outputs) {
        for (connection, number, _) in std::mem::take(&mut self.held.requests) {
            out.push(Output::Close { connection, number, reason: "the broker stops before it knows the cluster" });
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::broker::rig::Rig;
    use crate::input::Input;
    use crate::limits::HELD_REQUESTS_MAX;
    use crate::protocol::messages::api_versions::ApiVersionsRequest;
    use crate::protocol::messages::metadata::MetadataRequest;

    /// All topics.
    fn metadata() -> MetadataRequest {
        MetadataRequest { topics: None, ..MetadataRequest::default() }
    }

    /// A broker that can't lead again, and so not be registered, before its disk goes on.
    fn restarted() -> Rig {
        let mut rig = Rig::new();
        rig.topic("orders", 1, &[]);
        rig.fsync_stalls = true;
        let rig = rig.restart_without_waiting();
        assert!(!rig.broker.local.controller.is_registered());
        rig
    }

    #[test]
    fn a_broker_that_started_anew_knows_its_topics_when_it_answers() {
        let mut rig = restarted();
        let asked = rig.send(&metadata(), 12);
        assert_eq!(rig.broker.held.len(), 1);
        assert!(rig.answer::<MetadataRequest>(asked, 12).is_none());
        rig.release_fsyncs();
        rig.advance(1_000);
        let answer = rig.answer::<MetadataRequest>(asked, 12).expect("it is registered by now");
        assert_eq!(answer.topics.len(), 1);
        assert_eq!(rig.broker.held.len(), 0);
    }

    #[test]
    fn api_versions_is_answered_at_once() {
        let mut rig = restarted();
        assert_eq!(rig.ask(&ApiVersionsRequest::default(), 0).error_code, 0);
    }

    #[test]
    fn one_request_too_many_closes_its_connection() {
        let mut rig = restarted();
        let asked: Vec<u64> = (0..HELD_REQUESTS_MAX).map(|_| rig.send(&metadata(), 12)).collect();
        assert!(rig.closed.is_empty());
        let refused = rig.send(&metadata(), 12);
        assert!(rig.closed.contains(&refused));
        rig.release_fsyncs();
        rig.advance(1_000);
        assert!(asked.into_iter().all(|number| rig.answer::<MetadataRequest>(number, 12).is_some()));
    }

    #[test]
    fn nothing_is_held_for_a_client_that_is_gone() {
        let mut rig = restarted();
        let asked = rig.send(&metadata(), 12);
        rig.close();
        assert_eq!(rig.broker.held.len(), 0);
        rig.release_fsyncs();
        rig.advance(1_000);
        assert!(rig.answer::<MetadataRequest>(asked, 12).is_none());
    }

    #[test]
    fn a_stop_before_the_registration_closes_who_waits() {
        let mut rig = restarted();
        let asked = rig.send(&metadata(), 12);
        rig.step(Input::Stop);
        assert!(rig.closed.contains(&asked) && rig.is_stopped);
        let late = rig.send(&metadata(), 12);
        assert!(rig.closed.contains(&late));
    }
}
