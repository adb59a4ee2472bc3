//! STUB of the seam.

use super::{ClusterState, ControllerRequest, ControllerResponse};
use crate::config::{BrokerSettings, TopicSettings};
use crate::ids::{BrokerId, GroupId, Index, Term, TopicId};
use crate::time::{Instant, Now};
use bytes::Bytes;

/// What a controller is told at start.
#[derive(Clone, Debug)]
pub struct ControllerConfig {
    /// This broker.
    pub broker: BrokerId,
    /// What clients are told to connect to.
    pub host: String,
    /// And its port.
    pub port: u16,
    /// Rack, if any.
    pub rack: Option<String>,
    /// Seed of all randomness of this life.
    pub seed: u64,
    /// This broker's settings.
    pub settings: BrokerSettings,
}

/// What the controller asks of its broker.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ControllerOutput {
    /// Propose this command to group 0; when that is refused, say so with [`Controller::proposal_refused`].
    Propose(Bytes),
    /// Send this to the controller of another broker; may be lost. Comes out of its [`Controller::peer_message`].
    Send {
        /// To whom, never this broker.
        to: BrokerId,
        /// The message.
        message: Bytes,
    },
    /// The answer to a [`Controller::submit`]; given once for every token.
    Done {
        /// Of the submit.
        token: u64,
        /// The answer.
        response: ControllerResponse,
    },
}

/// What a command changed, as far as others must know.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ClusterChange {
    /// This broker is a replica of a new partition: create its group.
    ReplicaAssigned {
        /// The group.
        group: GroupId,
        /// The topic.
        topic: TopicId,
        /// The partition.
        partition: i32,
        /// For people and folder names: `<topic>-<partition>`, at most 200 bytes.
        label: String,
        /// All replicas, ascending.
        voters: Vec<BrokerId>,
        /// Whether this broker is the preferred leader: it elects itself at once.
        preferred: bool,
        /// Effective settings of the topic on this broker.
        settings: Box<TopicSettings>,
    },
    /// This broker's replica is gone with its topic: remove its group.
    ReplicaRemoved {
        /// The group.
        group: GroupId,
    },
    /// A topic was created: parked requests may know it.
    TopicCreated {
        /// Its id.
        topic: TopicId,
    },
    /// A topic was deleted: parked requests on it fail.
    TopicDeleted {
        /// Its id.
        topic: TopicId,
        /// All its groups, whether or not they had a replica here.
        groups: Vec<GroupId>,
    },
    /// A broker was registered, fenced or unfenced.
    BrokerChanged {
        /// Which.
        broker: BrokerId,
    },
}

/// This broker's part in the controller: forwards requests, and decides them while it leads group 0.
#[derive(Debug)]
pub struct Controller {}

impl Controller {
    /// A controller with an empty state; commands are applied from the start of the log.
    pub fn new(_now: Now, _config: ControllerConfig) -> Controller {
        unimplemented!()
    }
    /// Takes a request of this broker's client. The answer comes as [`ControllerOutput::Done`], at the latest when its timeout is over.
    pub fn submit(&mut self, _now: Now, _request: ControllerRequest, _token: u64) {
        unimplemented!()
    }
    /// Takes a message of another broker's controller. Nonsense is dropped.
    pub fn peer_message(&mut self, _now: Now, _from: BrokerId, _message: Bytes) {
        unimplemented!()
    }
    /// Who leads group 0, as far as this broker knows. `serving`: this broker leads and has committed an entry of its own term.
    pub fn leadership(&mut self, _now: Now, _leader: Option<BrokerId>, _term: Term, _serving: bool) {
        unimplemented!()
    }
    /// A proposal handed out by [`Controller::poll`] was not taken.
    pub fn proposal_refused(&mut self, _now: Now, _payload: &Bytes) {
        unimplemented!()
    }
    /// A committed command, in index order.
    pub fn apply(&mut self, _index: Index, _payload: &Bytes) -> Vec<ClusterChange> {
        unimplemented!()
    }
    /// Time passed.
    pub fn tick(&mut self, _now: Now) {
        unimplemented!()
    }
    /// When [`Controller::tick`] is due.
    pub fn next_deadline(&self) -> Option<Instant> {
        unimplemented!()
    }
    /// Takes out what it asks for, in order.
    pub fn poll(&mut self) -> Vec<ControllerOutput> {
        unimplemented!()
    }
    /// What this broker knows of the cluster.
    pub fn state(&self) -> &ClusterState {
        unimplemented!()
    }
}
