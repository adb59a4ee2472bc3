//! The topic a measurement writes to, made if it is not there.

use super::super::Failed;
use super::produce::TIMEOUT_MS;
use crate::client::{Client, Failure, Target};
use ottla_core::protocol::messages::create_topics::{CreateTopicsRequest, request as create};
use ottla_core::protocol::{ErrorCode, Text};

/// What it is like if it has to be made.
#[derive(Clone, Copy, Debug)]
pub(super) struct NewTopic<'a> {
    pub name: &'a str,
    pub partitions: i32,
    /// -1 leaves it to the broker.
    pub replication_factor: i16,
}

impl NewTopic<'_> {
    /// Makes the topic if need be.
    pub(super) fn make(&self, client: &mut Client) -> Result<(), Failure> {
        let topic = create::Topics {
            name: Text::from(self.name),
            num_partitions: self.partitions,
            replication_factor: self.replication_factor,
            ..Default::default()
        };
        let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: TIMEOUT_MS, ..Default::default() };
        let answer = client.ask(Target::Controller, &request)?;
        let code = answer.topics.first().map_or(0, |topic| topic.error_code);
        if code == ErrorCode::TopicAlreadyExists.code() {
            return Ok(());
        }
        Failure::check(code, None, || format!("topic {}", self.name))
    }

    /// Makes the topic if need be; its partitions and where their leaders are.
    pub(super) fn leaders(&self, client: &mut Client) -> Result<Vec<(i32, String)>, Failed> {
        if client.partitions(self.name).is_err() {
            client.persist(|client| self.make(client))?;
        }
        client
            .persist(|client| {
                let partitions = client.partitions(self.name)?;
                let led = partitions.iter().map(|partition| {
                    Failure::check(partition.error_code, None, || format!("partition {}", partition.partition_index))?;
                    Ok((partition.partition_index, client.address(partition.leader_id)?))
                });
                led.collect::<Result<Vec<_>, Failure>>()
            })
            .map_err(Failed::from)
    }
}
