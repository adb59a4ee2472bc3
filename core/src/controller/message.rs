//! What controllers of different brokers say to each other.
//!
//! Requests and answers may be lost, repeated or late: a request has an id of its own for ever ([`RequestId`]), is repeated by its
//! asker until its deadline, and is answered once what it led to was applied. A heartbeat repeats the whole registration.
//!
//! Bytes, little-endian, encoded as in [`super::command`]:
//! ```text
//! 0         1      2
//! +---------+------+-------
//! | version | kind | body by kind
//! | u8 = 1  | u8   |
//! +---------+------+-------
//! kind 1 request         id (u64, u64), question
//! kind 2 answer          id (u64, u64), applied index u64, answer
//! kind 3 not the leader  id (u64, u64)
//! kind 4 heartbeat       registration
//! question: u8 1 CreateTopics (list topics, validate only bool), 2 DeleteTopics (list), 3 producer ids,
//!           4 AlterConfigs (list changes, validate only bool), 5 CreatePartitions (list topics, validate only bool), 6 quorum,
//!           7 Reassign (list topics, allow factor change bool)
//! answer:   u8 1 CreateTopics (list), 2 DeleteTopics (list), 3 producer ids (first i64, length i32), 4 failed (i16),
//!           5 AlterConfigs (list option refusal), 6 CreatePartitions (list (name text, option refusal)),
//!           7 quorum (leader i32, epoch i32, high watermark i64, list (broker i32, log end i64, heard i64, caught up i64)),
//!           8 Reassign (list option refusal)
//! ```

use super::bytes_io::{ByteReader, ByteWriter};
use super::command::{Registration, RequestId};
use super::request::{
    ConfigChange, CreatedTopic, Growth, NewTopic, Reassignment, Refusal, TopicCreation, TopicDeletion, TopicGrowth, TopicRef,
};
use super::request_bytes::{read_config_change, read_growth, read_quorum, read_reassignment};
use super::request_bytes::{write_config_change, write_growth, write_quorum, write_reassignment};
use crate::ids::{BrokerId, Index, TopicId};
use crate::protocol::ErrorCode;
use crate::raft::Quorum;
use bytes::Bytes;

const VERSION: u8 = 1;

/// One message between two controllers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Message {
    /// To the leader.
    Request { id: RequestId, question: Question },
    /// From the leader; what it tells holds for a state that has applied `index`.
    Answer { id: RequestId, index: Index, answer: Answer },
    /// The asked broker does not lead, or not yet.
    NotLeader { id: RequestId },
    /// This broker lives.
    Heartbeat(Registration),
}

/// What the leader is asked to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Question {
    CreateTopics { topics: Vec<NewTopic>, validate_only: bool },
    DeleteTopics(Vec<TopicRef>),
    ProducerIds,
    AlterConfigs { changes: Vec<ConfigChange>, validate_only: bool },
    CreatePartitions { topics: Vec<Growth>, validate_only: bool },
    Reassign { topics: Vec<Reassignment>, allow_factor_change: bool },
    Quorum,
}

/// What came of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Answer {
    CreateTopics(Vec<TopicCreation>),
    DeleteTopics(Vec<TopicDeletion>),
    ProducerIds { first: i64, length: i32 },
    AlterConfigs(Vec<Option<Refusal>>),
    CreatePartitions(Vec<TopicGrowth>),
    Reassign(Vec<Option<Refusal>>),
    Quorum(Quorum),
    Failed(ErrorCode),
}

impl Message {
    pub(super) fn encode(&self) -> Bytes {
        let mut out = ByteWriter::default();
        out.u8(VERSION);
        match self {
            Message::Request { id, question } => {
                out.u8(1);
                id.write(&mut out);
                question.write(&mut out);
            }
            Message::Answer { id, index, answer } => {
                out.u8(2);
                id.write(&mut out);
                out.u64(index.0);
                answer.write(&mut out);
            }
            Message::NotLeader { id } => {
                out.u8(3);
                id.write(&mut out);
            }
            Message::Heartbeat(registration) => {
                out.u8(4);
                registration.write(&mut out);
            }
        }
        Bytes::from(out.0)
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Message> {
        let mut reader = ByteReader(bytes);
        let input = &mut reader;
        if input.u8()? != VERSION {
            return None;
        }
        let message = match input.u8()? {
            1 => Message::Request { id: RequestId::read(input)?, question: Question::read(input)? },
            2 => Message::Answer { id: RequestId::read(input)?, index: Index(input.u64()?), answer: Answer::read(input)? },
            3 => Message::NotLeader { id: RequestId::read(input)? },
            4 => Message::Heartbeat(Registration::read(input)?),
            _ => return None,
        };
        input.end()?;
        Some(message)
    }
}

impl Question {
    fn write(&self, out: &mut ByteWriter) {
        match self {
            Question::CreateTopics { topics, validate_only } => {
                out.u8(1);
                out.list(topics, write_new_topic);
                out.bool(*validate_only);
            }
            Question::DeleteTopics(topics) => {
                out.u8(2);
                out.list(topics, |out, topic| {
                    out.option(topic.name.as_deref(), ByteWriter::text);
                    out.u128(topic.id.0);
                });
            }
            Question::ProducerIds => out.u8(3),
            Question::Quorum => out.u8(6),
            Question::AlterConfigs { changes, validate_only } => {
                out.u8(4);
                out.list(changes, write_config_change);
                out.bool(*validate_only);
            }
            Question::CreatePartitions { topics, validate_only } => {
                out.u8(5);
                out.list(topics, write_growth);
                out.bool(*validate_only);
            }
            Question::Reassign { topics, allow_factor_change } => {
                out.u8(7);
                out.list(topics, write_reassignment);
                out.bool(*allow_factor_change);
            }
        }
    }
    fn read(input: &mut ByteReader<'_>) -> Option<Question> {
        match input.u8()? {
            1 => Some(Question::CreateTopics { topics: input.list(16, read_new_topic)?, validate_only: input.bool()? }),
            2 => Some(Question::DeleteTopics(
                input.list(17, |input| Some(TopicRef { name: input.option(ByteReader::text)?, id: TopicId(input.u128()?) }))?,
            )),
            3 => Some(Question::ProducerIds),
            6 => Some(Question::Quorum),
            4 => Some(Question::AlterConfigs { changes: input.list(6, read_config_change)?, validate_only: input.bool()? }),
            5 => Some(Question::CreatePartitions { topics: input.list(7, read_growth)?, validate_only: input.bool()? }),
            7 => Some(Question::Reassign { topics: input.list(6, read_reassignment)?, allow_factor_change: input.bool()? }),
            _ => None,
        }
    }
}

impl Answer {
    fn write(&self, out: &mut ByteWriter) {
        match self {
            Answer::CreateTopics(creations) => {
                out.u8(1);
                out.list(creations, |out, creation| {
                    out.text(&creation.name);
                    match &creation.result {
                        Ok(topic) => {
                            out.u8(0);
                            write_created(out, topic);
                        }
                        Err(refusal) => {
                            out.u8(1);
                            write_refusal(out, refusal);
                        }
                    }
                });
            }
            Answer::DeleteTopics(deletions) => {
                out.u8(2);
                out.list(deletions, |out, deletion| {
                    out.option(deletion.name.as_deref(), ByteWriter::text);
                    out.u128(deletion.id.0);
                    out.option(deletion.refusal.as_ref(), write_refusal);
                });
            }
            Answer::ProducerIds { first, length } => {
                out.u8(3);
                out.i64(*first);
                out.i32(*length);
            }
            Answer::Failed(code) => {
                out.u8(4);
                out.i16(code.code());
            }
            Answer::AlterConfigs(verdicts) => {
                out.u8(5);
                out.list(verdicts, |out, refusal| out.option(refusal.as_ref(), write_refusal));
            }
            Answer::Reassign(verdicts) => {
                out.u8(8);
                out.list(verdicts, |out, refusal| out.option(refusal.as_ref(), write_refusal));
            }
            Answer::Quorum(quorum) => {
                out.u8(7);
                write_quorum(out, quorum);
            }
            Answer::CreatePartitions(growths) => {
                out.u8(6);
                out.list(growths, |out, growth| {
                    out.text(&growth.name);
                    out.option(growth.refusal.as_ref(), write_refusal);
                });
            }
        }
    }
    fn read(input: &mut ByteReader<'_>) -> Option<Answer> {
        match input.u8()? {
            1 => Some(Answer::CreateTopics(input.list(3, |input| {
                let name = input.text()?;
                let result = match input.u8()? {
                    0 => Ok(read_created(input)?),
                    1 => Err(read_refusal(input)?),
                    _ => return None,
                };
                Some(TopicCreation { name, result })
            })?)),
            2 => Some(Answer::DeleteTopics(input.list(18, |input| {
                Some(TopicDeletion {
                    name: input.option(ByteReader::text)?,
                    id: TopicId(input.u128()?),
                    refusal: input.option(read_refusal)?,
                })
            })?)),
            3 => Some(Answer::ProducerIds { first: input.i64()?, length: input.i32()? }),
            4 => Some(Answer::Failed(ErrorCode::from_code(input.i16()?)?)),
            7 => Some(Answer::Quorum(read_quorum(input)?)),
            5 => Some(Answer::AlterConfigs(input.list(1, |input| input.option(read_refusal))?)),
            8 => Some(Answer::Reassign(input.list(1, |input| input.option(read_refusal))?)),
            6 => Some(Answer::CreatePartitions(
                input.list(3, |input| Some(TopicGrowth { name: input.text()?, refusal: input.option(read_refusal)? }))?,
            )),
            _ => None,
        }
    }
}

fn write_new_topic(out: &mut ByteWriter, topic: &NewTopic) {
    out.text(&topic.name);
    out.i32(topic.partitions);
    out.i16(topic.replication_factor);
    out.list(&topic.assignments, |out, (partition, replicas)| {
        out.i32(*partition);
        out.list(replicas, |out, broker| out.i32(broker.0));
    });
    out.list(&topic.configs, |out, (name, value)| {
        out.text(name);
        out.option(value.as_deref(), ByteWriter::text);
    });
}

fn read_new_topic(input: &mut ByteReader<'_>) -> Option<NewTopic> {
    Some(NewTopic {
        name: input.text()?,
        partitions: input.i32()?,
        replication_factor: input.i16()?,
        assignments: input.list(8, |input| Some((input.i32()?, input.list(4, |input| input.i32().map(BrokerId))?)))?,
        configs: input.list(3, |input| Some((input.text()?, input.option(ByteReader::text)?)))?,
    })
}

fn write_created(out: &mut ByteWriter, topic: &CreatedTopic) {
    out.u128(topic.id.0);
    out.i32(topic.partitions);
    out.i16(topic.replication_factor);
    out.list(&topic.configs, |out, (name, value)| {
        out.text(name);
        out.text(value);
    });
}

fn read_created(input: &mut ByteReader<'_>) -> Option<CreatedTopic> {
    Some(CreatedTopic {
        id: TopicId(input.u128()?),
        partitions: input.i32()?,
        replication_factor: input.i16()?,
        configs: input.list(4, |input| Some((input.text()?, input.text()?)))?,
    })
}

fn write_refusal(out: &mut ByteWriter, refusal: &Refusal) {
    out.i16(refusal.code.code());
    out.text(&refusal.message);
}

fn read_refusal(input: &mut ByteReader<'_>) -> Option<Refusal> {
    Some(Refusal { code: ErrorCode::from_code(input.i16()?)?, message: input.text()? })
}

#[cfg(test)]
mod tests {
    use super::super::command::ListenerEndpoint;
    use super::super::config_resource::ConfigResource;
    use super::super::request::ConfigTarget;
    use super::*;
    use crate::config::{Change, Edit};
    use crate::ids::LeaderEpoch;
    use crate::raft::Voter;
    use proptest::prelude::*;

    fn config_changes() -> Vec<ConfigChange> {
        let edits = [Edit::Set("v".into()), Edit::Delete, Edit::Append("a,b".into()), Edit::Subtract(String::new())];
        let edits = Change::Edit(edits.into_iter().map(|edit| ("k".to_string(), edit)).collect());
        let replace = Change::Replace(vec![("k".into(), "v".into())]);
        let other = [
            ConfigResource::Broker(BrokerId(1)),
            ConfigResource::AllBrokers,
            ConfigResource::ClientMetrics("m".into()),
            ConfigResource::Group("g".into()),
        ];
        let other = other.map(|resource| ConfigChange { target: ConfigTarget::Other(resource), change: replace.clone() });
        let mut changes = vec![ConfigChange { target: ConfigTarget::Topic("t".into()), change: edits }];
        changes.extend(other);
        changes
    }

    fn samples() -> Vec<Message> {
        let id = RequestId { incarnation: u64::MAX, number: 3 };
        let new_topic = NewTopic {
            name: "a".into(),
            partitions: -1,
            replication_factor: 2,
            assignments: vec![(0, vec![BrokerId(1), BrokerId(2)])],
            configs: vec![("retention.ms".into(), Some("1".into())), ("segment.ms".into(), None)],
        };
        let created =
            CreatedTopic { id: TopicId(7), partitions: 3, replication_factor: 1, configs: vec![("k".into(), "v".into())] };
        let refusal = Refusal::new(ErrorCode::TopicAlreadyExists, "there");
        let answer = |answer| Message::Answer { id, index: Index(9), answer };
        let request = |question| Message::Request { id, question };
        vec![
            request(Question::CreateTopics { topics: vec![new_topic, NewTopic::default()], validate_only: true }),
            request(Question::DeleteTopics(vec![
                TopicRef { name: None, id: TopicId(1) },
                TopicRef { name: Some("x".into()), id: TopicId(0) },
            ])),
            request(Question::ProducerIds),
            request(Question::Quorum),
            answer(Answer::Quorum(Quorum {
                leader: BrokerId(1),
                epoch: LeaderEpoch(2),
                high_watermark: 3,
                voters: vec![Voter { broker: BrokerId(4), log_end: 5, heard_ms: -1, caught_up_ms: 6 }],
            })),
            request(Question::AlterConfigs { changes: config_changes(), validate_only: true }),
            request(Question::CreatePartitions {
                topics: vec![
                    Growth { name: "a".into(), count: 4, assignments: Some(vec![vec![BrokerId(1)], vec![]]) },
                    Growth { name: "b".into(), count: -1, assignments: None },
                ],
                validate_only: false,
            }),
            answer(Answer::CreateTopics(vec![
                TopicCreation { name: "a".into(), result: Ok(created) },
                TopicCreation { name: "b".into(), result: Err(refusal.clone()) },
            ])),
            answer(Answer::DeleteTopics(vec![TopicDeletion { name: None, id: TopicId(1), refusal: Some(refusal.clone()) }])),
            answer(Answer::AlterConfigs(vec![None, Some(refusal.clone())])),
            answer(Answer::CreatePartitions(vec![TopicGrowth { name: "a".into(), refusal: Some(refusal.clone()) }])),
            request(Question::Reassign {
                topics: vec![Reassignment {
                    name: "a".into(),
                    targets: vec![(0, Some(vec![BrokerId(2), BrokerId(1)])), (1, None)],
                }],
                allow_factor_change: true,
            }),
            answer(Answer::Reassign(vec![None, Some(refusal)])),
            answer(Answer::ProducerIds { first: 1000, length: 1000 }),
            answer(Answer::Failed(ErrorCode::RequestTimedOut)),
            Message::NotLeader { id },
            Message::Heartbeat(Registration {
                id: BrokerId(1),
                incarnation: 2,
                endpoints: ListenerEndpoint::alone("h", 3),
                rack: Some("r".into()),
                directory: 4,
            }),
        ]
    }

    #[test]
    fn a_message_comes_back_as_it_was() {
        for message in samples() {
            assert_eq!(Message::decode(&message.encode()), Some(message));
        }
    }

    #[test]
    fn cut_messages_are_dropped() {
        for message in samples() {
            let bytes = message.encode();
            for cut in 0..bytes.len() {
                assert_eq!(Message::decode(&bytes[..cut]), None, "{message:?} cut at {cut}");
            }
        }
    }

    proptest! {
        #[test]
        fn hostile_bytes_never_panic(sample in 0..samples().len(), at in any::<prop::sample::Index>(), byte in any::<u8>(), tail in prop::collection::vec(any::<u8>(), 0..64)) {
            let mut bytes = samples()[sample].encode().to_vec();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            let _ = Message::decode(&bytes);
            bytes.truncate(at);
            bytes.extend(tail);
            let _ = Message::decode(&bytes);
        }
    }
}
