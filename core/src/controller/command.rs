//! The commands of the controller's log and their bytes.
//!
//! A command says what happens, never what should be worked out: ids, placement and blocks were drawn by the leader. Knows nothing of
//! whether a command is legal; that is [`super::ClusterState::apply`].
//!
//! Bytes, little-endian (texts: u16 length and UTF-8; lists: u32 length and items; options: u8 0 or 1 and the value):
//! ```text
//! 0         1      2                10               18
//! +---------+------+----------------+----------------+----------
//! | version | kind | proposer term  | proposal       | body
//! | u8 = 1  | u8   | u64            | u64            | by kind
//! +---------+------+----------------+----------------+----------
//! kind 1 RegisterBroker   broker i32, incarnation u64, host text, port u16, rack option text, directory u128: of the listener PLAINTEXT; read,
//!                         not written any more
//! kind 2 FenceBroker      broker i32, incarnation u64
//! kind 3 CreateTopic      name text, id u128, configs list (name text, value text),
//!                         partitions list (group u64, replicas list i32), incarnation u64, number u64
//! kind 4 DeleteTopic      id u128, incarnation u64, number u64
//! kind 5 ProducerIdBlock  broker i32, first i64, length i32
//! kind 6 SetTopicConfigs  id u128, configs list (name text, value text)
//! kind 7 SetConfigs       resource (see ConfigResource), configs list (name text, value text)
//! kind 8 AddPartitions    id u128, partitions list (group u64, replicas list i32), incarnation u64, number u64
//! kind 9 RegisterBroker   broker i32, incarnation u64, endpoints list (listener text, host text, port u16), rack option text, directory u128
//! kind 10 OrderReplicas   id u128, orders list (partition i32, replicas list i32)
//! ```
//! Term and proposal number let the proposer recognise its own command when it is committed. Bytes of another version or kind do not
//! decode and are ignored by everyone; a later version that adds kinds must not propose them before every broker knows them.

use super::bytes_io::{ByteReader, ByteWriter};
use super::config_resource::ConfigResource;
use crate::ids::{BrokerId, GroupId, Term, TopicId};
use bytes::Bytes;

const VERSION: u8 = 1;

/// One replicated change of the cluster.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Command {
    /// A broker is there (again). Unfences it.
    RegisterBroker(Registration),
    /// A broker was silent too long.
    FenceBroker {
        /// Its id.
        id: BrokerId,
        /// The life that was silent; a later life is not fenced by it.
        incarnation: u64,
    },
    /// A topic with all its partitions.
    CreateTopic {
        /// Its name.
        name: String,
        /// Its id, drawn by the leader.
        id: TopicId,
        /// Overrides, checked by the leader; ascending by name.
        configs: Vec<(String, String)>,
        /// Partition 0 first.
        partitions: Vec<NewPartition>,
        /// Which request asked for it, so that a repeated request finds its own work.
        origin: RequestId,
    },
    /// The topic is gone, with its groups.
    DeleteTopic {
        /// Its id.
        id: TopicId,
        /// Which request asked for it.
        origin: RequestId,
    },
    /// `length` producer ids from `first` on belong to `broker`.
    ProducerIdBlock {
        /// The owner.
        broker: BrokerId,
        /// First id.
        first: i64,
        /// How many.
        length: i32,
    },
    /// These are all overrides of a topic.
    SetTopicConfigs {
        /// Its id.
        id: TopicId,
        /// Checked by the leader; ascending by name.
        configs: Vec<(String, String)>,
    },
    /// These are all settings of a resource that is no topic.
    SetConfigs {
        /// Whose.
        resource: ConfigResource,
        /// Checked by the leader; ascending by name.
        configs: Vec<(String, String)>,
    },
    /// A topic gets more partitions.
    AddPartitions {
        /// Its id.
        id: TopicId,
        /// The added ones, in order.
        partitions: Vec<NewPartition>,
        /// Which request asked for it, so that a repeated request finds its own work.
        origin: RequestId,
    },
    /// Partitions of a topic have their replicas in another order; they stay the same ones.
    OrderReplicas {
        /// The topic's id.
        id: TopicId,
        /// Partitions and all their replicas, the preferred leader first.
        orders: Vec<(i32, Vec<BrokerId>)>,
    },
}

/// How a broker presents itself; a heartbeat repeats it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Registration {
    /// Its id.
    pub id: BrokerId,
    /// Drawn at the start of each life.
    pub incarnation: u64,
    /// Where clients reach it, by listener; not empty.
    pub endpoints: Vec<ListenerEndpoint>,
    /// Rack, if any.
    pub rack: Option<String>,
    /// Id of its data folder; 0 as long as folders have none.
    pub directory: u128,
}

/// Where one listener of a broker is reached: its name is the same on all brokers, and clients are told the addresses of the name they came by.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListenerEndpoint {
    /// Name, in capitals.
    pub name: String,
    /// What clients connect to.
    pub host: String,
    /// And its port.
    pub port: u16,
}

impl ListenerEndpoint {
    /// Kafka's name for a listener unless it has another.
    pub const PLAINTEXT: &'static str = "PLAINTEXT";

    /// The endpoints of a broker with one listener of Kafka's name.
    #[must_use]
    pub fn alone(host: impl Into<String>, port: u16) -> Vec<ListenerEndpoint> {
        vec![ListenerEndpoint { name: Self::PLAINTEXT.to_string(), host: host.into(), port }]
    }
}

/// A partition's raft group and its replicas, the preferred leader first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewPartition {
    /// The group.
    pub group: GroupId,
    /// The replicas.
    pub replicas: Vec<BrokerId>,
}

/// Names a request of a broker for ever: the life that asked, and the request's number in it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct RequestId {
    /// Incarnation of the asking broker's life.
    pub incarnation: u64,
    /// From 0.
    pub number: u64,
}

/// Which proposal of which leader a command is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct ProposalId {
    /// The leader's term.
    pub term: Term,
    /// From 0 in each term.
    pub number: u64,
}

impl Command {
    /// Its bytes.
    #[must_use]
    pub fn encode(&self, proposal: ProposalId) -> Bytes {
        let mut out = ByteWriter::default();
        out.u8(VERSION);
        out.u8(match self {
            Command::RegisterBroker(_) => 9,
            Command::FenceBroker { .. } => 2,
            Command::CreateTopic { .. } => 3,
            Command::DeleteTopic { .. } => 4,
            Command::ProducerIdBlock { .. } => 5,
            Command::SetTopicConfigs { .. } => 6,
            Command::SetConfigs { .. } => 7,
            Command::AddPartitions { .. } => 8,
            Command::OrderReplicas { .. } => 10,
        });
        out.u64(proposal.term.0);
        out.u64(proposal.number);
        match self {
            Command::RegisterBroker(registration) => registration.write(&mut out),
            Command::FenceBroker { id, incarnation } => {
                out.i32(id.0);
                out.u64(*incarnation);
            }
            Command::CreateTopic { name, id, configs, partitions, origin } => {
                out.text(name);
                out.u128(id.0);
                write_configs(&mut out, configs);
                write_partitions(&mut out, partitions);
                origin.write(&mut out);
            }
            Command::DeleteTopic { id, origin } => {
                out.u128(id.0);
                origin.write(&mut out);
            }
            Command::ProducerIdBlock { broker, first, length } => {
                out.i32(broker.0);
                out.i64(*first);
                out.i32(*length);
            }
            Command::SetTopicConfigs { id, configs } => {
                out.u128(id.0);
                write_configs(&mut out, configs);
            }
            Command::SetConfigs { resource, configs } => {
                resource.write(&mut out);
                write_configs(&mut out, configs);
            }
            Command::AddPartitions { id, partitions, origin } => {
                out.u128(id.0);
                write_partitions(&mut out, partitions);
                origin.write(&mut out);
            }
            Command::OrderReplicas { id, orders } => {
                out.u128(id.0);
                out.list(orders, |out, (partition, replicas)| {
                    out.i32(*partition);
                    write_replicas(out, replicas);
                });
            }
        }
        Bytes::from(out.0)
    }

    /// The inverse of [`Command::encode`]; `None` for bytes that are no command of this version.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<(ProposalId, Command)> {
        let mut reader = ByteReader(bytes);
        let input = &mut reader;
        if input.u8()? != VERSION {
            return None;
        }
        let kind = input.u8()?;
        let proposal = ProposalId { term: Term(input.u64()?), number: input.u64()? };
        let command = match kind {
            1 => Command::RegisterBroker(Registration::read_unnamed(input)?),
            2 => Command::FenceBroker { id: BrokerId(input.i32()?), incarnation: input.u64()? },
            3 => Command::CreateTopic {
                name: input.text()?,
                id: TopicId(input.u128()?),
                configs: read_configs(input)?,
                partitions: read_partitions(input)?,
                origin: RequestId::read(input)?,
            },
            4 => Command::DeleteTopic { id: TopicId(input.u128()?), origin: RequestId::read(input)? },
            5 => Command::ProducerIdBlock { broker: BrokerId(input.i32()?), first: input.i64()?, length: input.i32()? },
            6 => Command::SetTopicConfigs { id: TopicId(input.u128()?), configs: read_configs(input)? },
            7 => Command::SetConfigs { resource: ConfigResource::read(input)?, configs: read_configs(input)? },
            8 => Command::AddPartitions {
                id: TopicId(input.u128()?),
                partitions: read_partitions(input)?,
                origin: RequestId::read(input)?,
            },
            9 => Command::RegisterBroker(Registration::read(input)?),
            10 => Command::OrderReplicas {
                id: TopicId(input.u128()?),
                orders: input.list(8, |input| Some((input.i32()?, read_replicas(input)?)))?,
            },
            _ => return None,
        };
        input.end()?;
        Some((proposal, command))
    }
}

fn write_configs(out: &mut ByteWriter, configs: &[(String, String)]) {
    out.list(configs, |out, (name, value)| {
        out.text(name);
        out.text(value);
    });
}

fn read_configs(input: &mut ByteReader<'_>) -> Option<Vec<(String, String)>> {
    input.list(4, |input| Some((input.text()?, input.text()?)))
}

fn write_partitions(out: &mut ByteWriter, partitions: &[NewPartition]) {
    out.list(partitions, |out, partition| {
        out.u64(partition.group.0);
        write_replicas(out, &partition.replicas);
    });
}

fn read_partitions(input: &mut ByteReader<'_>) -> Option<Vec<NewPartition>> {
    input.list(12, |input| {
        let group = GroupId(input.u64()?);
        Some(NewPartition { group, replicas: read_replicas(input)? })
    })
}

fn write_replicas(out: &mut ByteWriter, replicas: &[BrokerId]) {
    out.list(replicas, |out, broker| out.i32(broker.0));
}

fn read_replicas(input: &mut ByteReader<'_>) -> Option<Vec<BrokerId>> {
    input.list(4, |input| input.i32().map(BrokerId))
}

impl Registration {
    /// Where clients of this listener reach it.
    #[must_use]
    pub fn endpoint(&self, listener: &str) -> Option<&ListenerEndpoint> {
        self.endpoints.iter().find(|endpoint| endpoint.name == listener)
    }

    pub(super) fn write(&self, out: &mut ByteWriter) {
        out.i32(self.id.0);
        out.u64(self.incarnation);
        out.list(&self.endpoints, |out, endpoint| {
            out.text(&endpoint.name);
            out.text(&endpoint.host);
            out.u16(endpoint.port);
        });
        out.option(self.rack.as_deref(), ByteWriter::text);
        out.u128(self.directory);
    }

    pub(super) fn read(input: &mut ByteReader<'_>) -> Option<Registration> {
        let endpoint =
            |input: &mut ByteReader<'_>| Some(ListenerEndpoint { name: input.text()?, host: input.text()?, port: input.u16()? });
        Some(Registration {
            id: BrokerId(input.i32()?),
            incarnation: input.u64()?,
            endpoints: input.list(6, endpoint)?,
            rack: input.option(ByteReader::text)?,
            directory: input.u128()?,
        })
    }

    /// As logs have it that were written before a broker had several listeners: one address without a name.
    fn read_unnamed(input: &mut ByteReader<'_>) -> Option<Registration> {
        Some(Registration {
            id: BrokerId(input.i32()?),
            incarnation: input.u64()?,
            endpoints: ListenerEndpoint::alone(input.text()?, input.u16()?),
            rack: input.option(ByteReader::text)?,
            directory: input.u128()?,
        })
    }
}

impl RequestId {
    pub(super) fn write(self, out: &mut ByteWriter) {
        out.u64(self.incarnation);
        out.u64(self.number);
    }
    pub(super) fn read(input: &mut ByteReader<'_>) -> Option<RequestId> {
        Some(RequestId { incarnation: input.u64()?, number: input.u64()? })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    fn replicas() -> impl Strategy<Value = Vec<BrokerId>> {
        prop::collection::vec((0..4i32).prop_map(BrokerId), 0..4)
    }

    /// Any command, legal or not; names, ids, groups and brokers are drawn from few, so that they meet.
    pub(crate) fn any_command() -> impl Strategy<Value = Command> {
        let endpoint =
            ("[A-Z]{1,2}", "[a-z]{0,3}", any::<u16>()).prop_map(|(name, host, port)| ListenerEndpoint { name, host, port });
        let endpoints = prop::collection::vec(endpoint, 0..3);
        let registration =
            (0..4i32, 0..3u64, endpoints, prop::option::of("r[12]")).prop_map(|(id, incarnation, endpoints, rack)| {
                Command::RegisterBroker(Registration { id: BrokerId(id), incarnation, endpoints, rack, directory: 0 })
            });
        let fence = (0..4i32, 0..3u64).prop_map(|(id, incarnation)| Command::FenceBroker { id: BrokerId(id), incarnation });
        let partitions = || {
            let partition = (1..6u64, replicas()).prop_map(|(group, replicas)| NewPartition { group: GroupId(group), replicas });
            prop::collection::vec(partition, 0..3)
        };
        let configs = || prop::collection::vec(("[ab]", "[a-z]{0,2}"), 0..3);
        let create =
            ("[ab._]{1,2}", 0..6u128, partitions(), 0..3u64).prop_map(|(name, id, partitions, number)| Command::CreateTopic {
                name,
                id: TopicId(id),
                configs: vec![("retention.ms".into(), "1".into())],
                partitions,
                origin: RequestId { incarnation: 1, number },
            });
        let set_topic = (0..6u128, configs()).prop_map(|(id, configs)| Command::SetTopicConfigs { id: TopicId(id), configs });
        let set = (0..4usize, configs()).prop_map(|(kind, configs)| {
            let resources = [
                ConfigResource::Broker(BrokerId(1)),
                ConfigResource::AllBrokers,
                ConfigResource::ClientMetrics("m".into()),
                ConfigResource::Group("g".into()),
            ];
            Command::SetConfigs { resource: resources[kind].clone(), configs }
        });
        let grow = (0..6u128, partitions(), 0..3u64).prop_map(|(id, partitions, number)| Command::AddPartitions {
            id: TopicId(id),
            partitions,
            origin: RequestId { incarnation: 1, number },
        });
        let delete = (0..6u128, 0..3u64)
            .prop_map(|(id, number)| Command::DeleteTopic { id: TopicId(id), origin: RequestId { incarnation: 1, number } });
        let block = (0..4i32, 0..3i64, -1..3i32).prop_map(|(broker, first, length)| Command::ProducerIdBlock {
            broker: BrokerId(broker),
            first,
            length,
        });
        let orders = prop::collection::vec((-1..3i32, replicas()), 0..3);
        let order = (0..6u128, orders).prop_map(|(id, orders)| Command::OrderReplicas { id: TopicId(id), orders });
        prop_oneof![registration, fence, create, delete, block, set_topic, set, grow, order]
    }

    #[test]
    fn a_registration_of_before_listeners_had_names_is_plaintext() {
        let registration = Registration {
            id: BrokerId(1),
            incarnation: 2,
            endpoints: ListenerEndpoint::alone("h", 3),
            rack: Some("r".into()),
            directory: 4,
        };
        let mut old = ByteWriter::default();
        old.u8(VERSION);
        old.u8(1);
        old.u64(2);
        old.u64(7);
        old.i32(1);
        old.u64(2);
        old.text("h");
        old.u16(3);
        old.option(Some("r"), ByteWriter::text);
        old.u128(4);
        let proposal = ProposalId { term: Term(2), number: 7 };
        assert_eq!(Command::decode(&old.0), Some((proposal, Command::RegisterBroker(registration))));
    }

    proptest! {
        #[test]
        fn a_command_comes_back_as_it_was(command in any_command(), term in any::<u64>(), number in any::<u64>()) {
            let proposal = ProposalId { term: Term(term), number };
            prop_assert_eq!(Command::decode(&command.encode(proposal)), Some((proposal, command)));
        }

        #[test]
        fn cut_and_changed_bytes_never_panic(command in any_command(), cut in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let mut bytes = command.encode(ProposalId::default()).to_vec();
            let at = at.index(bytes.len());
            prop_assert_eq!(Command::decode(&bytes[..cut.index(bytes.len())]), None);
            bytes[at] = byte;
            let _ = Command::decode(&bytes);
        }

        #[test]
        fn any_bytes_never_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..200), kind in 0..12u8) {
            let _ = Command::decode(&bytes);
            if bytes.len() > 2 {
                bytes[0] = VERSION;
                bytes[1] = kind;
                let _ = Command::decode(&bytes);
            }
        }
    }

    #[test]
    fn the_bytes_are_those_of_the_ruler() {
        let command = Command::FenceBroker { id: BrokerId(2), incarnation: 0x0102 };
        let bytes = command.encode(ProposalId { term: Term(3), number: 4 });
        let mut expect = vec![1, 2, 3, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0];
        expect.extend([2, 1, 0, 0, 0, 0, 0, 0]);
        assert_eq!(bytes, expect);
    }
}
