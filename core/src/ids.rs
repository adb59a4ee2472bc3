//! Newtypes for every identifier that could be swapped for another.
//!
//! The pairs that meet at the border of Kafka and Raft are fixed here: a Kafka *offset* is not a Raft *index*, a Kafka
//! *leader epoch* is a Raft *term* shifted by a constant, a *broker id* is one less than the raft peer id.
//!
//! Knows nothing of what the identifiers stand for. Source: Kafka protocol types; Raft paper section 5.

use core::fmt;
use ottla_protocol::Uuid;

macro_rules! newtype {
    ($(#[$doc:meta])* $name:ident($inner:ty), $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub $inner);
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { write!(f, concat!($prefix, "{}"), self.0) }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { write!(f, "{}", self.0) }
        }
    };
}

newtype!(/// Kafka's `node.id`, 0 or more. The raft peer id of a broker is this plus one ([`BrokerId::peer`]).
    BrokerId(i32), "b");
newtype!(/// One raft group. 0 is the controller; every partition replica set ever created gets the next number, so a
    /// recreated topic never meets the files or messages of its namesake.
    GroupId(u64), "g");
newtype!(/// Kafka offset of a record in a partition, 0 or more. -1 stands for none.
    Offset(i64), "o");
newtype!(/// Raft index of an entry in a group's log. The first real entry of a group has index 2.
    Index(u64), "i");
newtype!(/// Raft term of a group. Groups are born at term 1; the first leader has term 2.
    Term(u64), "t");
newtype!(/// Kafka leader epoch: `term - 2`, so that a fresh topic starts at epoch 0 as in Kafka. -1 stands for none.
    LeaderEpoch(i32), "e");
newtype!(/// Kafka producer id, 0 or more. -1 stands for none.
    ProducerId(i64), "p");
newtype!(/// One client connection of one life of the shell; never reused.
    ConnectionId(u64), "c");
newtype!(/// Number of a request on its connection, from 0, without holes: replies leave in this order.
    RequestNumber(u64), "r");
newtype!(/// One disk operation of one life of the broker; never reused, ascending in the order of issue.
    DiskId(u64), "d");
newtype!(/// A listener for clients: its place in [`crate::BrokerConfig::listeners`].
    ListenerId(u8), "listener ");

/// Kafka topic id (KIP-516): 128 random bits, never zero for a real topic.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TopicId(pub u128);

/// A partition of a topic by its topic id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TopicPartition {
    /// The topic.
    pub topic: TopicId,
    /// Partition number, 0 or more.
    pub partition: i32,
}

impl From<TopicId> for Uuid {
    fn from(id: TopicId) -> Uuid {
        Uuid(id.0)
    }
}

impl From<Uuid> for TopicId {
    fn from(id: Uuid) -> TopicId {
        TopicId(id.0)
    }
}

impl fmt::Debug for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "topic:{:032x}", self.0)
    }
}

impl GroupId {
    /// The controller's group: cluster metadata, replicated on every controller voter.
    pub const CONTROLLER: GroupId = GroupId(0);
}

impl BrokerId {
    /// Raft peer ids must not be 0, Kafka broker ids may.
    #[must_use]
    pub fn peer(self) -> u64 {
        u64::try_from(i64::from(self.0) + 1).expect("broker ids are checked to be 0 or more when they enter")
    }
    /// The inverse of [`BrokerId::peer`]; `None` for 0, raft's "nobody".
    #[must_use]
    pub fn from_peer(peer: u64) -> Option<BrokerId> {
        i32::try_from(peer.checked_sub(1)?).ok().map(BrokerId)
    }
}

impl Term {
    /// Term of the dummy entry before the first real one, the same on every replica of a new group.
    pub const BIRTH: Term = Term(1);
    /// The leader epoch that clients see for this term; -1 for [`Term::BIRTH`].
    #[must_use]
    pub fn leader_epoch(self) -> LeaderEpoch {
        LeaderEpoch(i32::try_from(self.0).map_or(i32::MAX, |term| term - 2))
    }
}

impl LeaderEpoch {
    /// No epoch.
    pub const NONE: LeaderEpoch = LeaderEpoch(-1);
    /// The inverse of [`Term::leader_epoch`], for epochs of -1 and above.
    #[must_use]
    pub fn term(self) -> Term {
        Term(u64::try_from(i64::from(self.0) + 2).unwrap_or(0))
    }
}

impl Offset {
    /// No offset.
    pub const NONE: Offset = Offset(-1);
}

impl Index {
    /// The dummy entry every group is born with; the first real entry follows it.
    pub const BIRTH: Index = Index(1);
}
