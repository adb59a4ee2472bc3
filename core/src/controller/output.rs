//! What the controller asks of its broker and tells it.

use super::command::RequestId;
use super::request::ControllerResponse;
use crate::config::TopicSettings;
use crate::ids::{BrokerId, GroupId, TopicId};
use bytes::Bytes;

/// What the controller asks of its broker.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ControllerOutput {
    /// Propose this command to group 0; when that is refused, say so with [`super::Controller::proposal_refused`].
    Propose(Bytes),
    /// Send this to the controller of another broker; may be lost. Comes out of its [`super::Controller::peer_message`].
    Send {
        /// To whom, never this broker.
        to: BrokerId,
        /// The message.
        message: Bytes,
    },
    /// Say how far the voters of group 0 are with [`super::Controller::quorum_described`], if this broker leads it.
    DescribeQuorum {
        /// Who asks, maybe this broker.
        to: BrokerId,
        /// Its request.
        id: RequestId,
    },
    /// The answer to a [`super::Controller::submit`]; given once for every token.
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
        /// Whether it was made for this broker when it had another data folder: an earlier self may have promised what is forgotten.
        is_forgotten: bool,
        /// Effective settings of the topic on this broker.
        settings: Box<TopicSettings>,
    },
    /// The effective settings of a replica's topic on this broker may have changed: they count at once.
    SettingsChanged {
        /// The replica's group.
        group: GroupId,
        /// All of them.
        settings: Box<TopicSettings>,
    },
    /// This broker's replica is gone with its topic: remove its group.
    ReplicaRemoved {
        /// The group.
        group: GroupId,
    },
    /// Partitions were created, with their topic or later.
    PartitionsCreated {
        /// Their groups, whether or not they have a replica here.
        groups: Vec<GroupId>,
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
