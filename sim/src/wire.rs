//! Requests and responses of the simulated clients, through the broker's real codec, as encoded frames.
//!
//! Knows versions and field names; hides them from the workload. A version is part of every call, so that runs differ in it.

use crate::batch::{self, RecordRead};
use bytes::Bytes;
use ottla_core::ids::TopicId;
use ottla_core::protocol::messages::create_topics::CreateTopicsRequest;
use ottla_core::protocol::messages::create_topics::CreateTopicsResponse;
use ottla_core::protocol::messages::create_topics::request::{Configs, Topics};
use ottla_core::protocol::messages::delete_records::{self, DeleteRecordsRequest, DeleteRecordsResponse};
use ottla_core::protocol::messages::delete_topics::{self, DeleteTopicsRequest, DeleteTopicsResponse};
use ottla_core::protocol::messages::fetch::{self, FetchRequest, FetchResponse};
use ottla_core::protocol::messages::list_offsets::{self, ListOffsetsRequest, ListOffsetsResponse};
use ottla_core::protocol::messages::metadata::{self, MetadataRequest, MetadataResponse};
use ottla_core::protocol::messages::produce::request::{PartitionData, TopicData};
use ottla_core::protocol::messages::produce::{ProduceRequest, ProduceResponse};
use ottla_core::protocol::{DecodeError, Request, Text, Uuid, decode_response, encode_request};

/// Kafka's numbers of the errors the workload tells apart.
pub(crate) mod error {
    pub(crate) const NONE: i16 = 0;
    pub(crate) const OFFSET_OUT_OF_RANGE: i16 = 1;
    pub(crate) const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
    pub(crate) const LEADER_NOT_AVAILABLE: i16 = 5;
    /// A broker's wall clock is more than an hour behind the client's.
    pub(crate) const INVALID_TIMESTAMP: i16 = 32;
    pub(crate) const TOPIC_ALREADY_EXISTS: i16 = 36;
    pub(crate) const NOT_ENOUGH_REPLICAS: i16 = 19;
    pub(crate) const KAFKA_STORAGE_ERROR: i16 = 56;
    pub(crate) const OUT_OF_ORDER_SEQUENCE_NUMBER: i16 = 45;
    pub(crate) const INVALID_PRODUCER_EPOCH: i16 = 47;
    pub(crate) const UNKNOWN_TOPIC_ID: i16 = 100;
}

fn frame<R: Request>(request: &R, version: i16, correlation: i32) -> Bytes {
    crate::cluster::contiguous(encode_request(request, version, correlation, "sim"))
}

/// One topic with one partition's batch.
pub(crate) struct ProducePart {
    pub(crate) topic: String,
    pub(crate) id: TopicId,
    pub(crate) partition: i32,
    pub(crate) batch: Bytes,
}

pub(crate) fn produce(parts: &[ProducePart], acks: i16, timeout_ms: i32, version: i16, correlation: i32) -> Bytes {
    let mut topic_data: Vec<TopicData> = Vec::new();
    for part in parts {
        let data = PartitionData { index: part.partition, records: Some(part.batch.clone().into()) };
        let slot = topic_data.iter_mut().find(|t| *t.name == *part.topic && t.topic_id == Uuid(part.id.0));
        match slot {
            Some(topic) => topic.partition_data.push(data),
            None => topic_data.push(TopicData {
                topic_id: Uuid(part.id.0),
                name: Text::from(part.topic.as_str()),
                partition_data: vec![data],
            }),
        }
    }
    let request = ProduceRequest { transactional_id: None, acks, timeout_ms, topic_data };
    frame(&request, version, correlation)
}

/// What a broker said about one partition of a produce request.
#[derive(Clone, Debug)]
pub(crate) struct ProduceAnswer {
    pub(crate) topic: String,
    pub(crate) id: TopicId,
    pub(crate) partition: i32,
    pub(crate) error: i16,
    pub(crate) base_offset: i64,
    pub(crate) log_append_time_ms: i64,
}

pub(crate) fn produce_answers(frame: Bytes, version: i16) -> Result<Vec<ProduceAnswer>, DecodeError> {
    let (_, response) = decode_response::<ProduceResponse>(frame, version)?;
    let mut answers = Vec::new();
    for topic in response.responses {
        for partition in topic.partition_responses {
            answers.push(ProduceAnswer {
                topic: topic.name.to_string(),
                id: TopicId(topic.topic_id.0),
                partition: partition.index,
                error: partition.error_code,
                base_offset: partition.base_offset,
                log_append_time_ms: partition.log_append_time_ms,
            });
        }
    }
    Ok(answers)
}

pub(crate) struct FetchPart {
    pub(crate) topic: String,
    pub(crate) id: TopicId,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) epoch: i32,
    pub(crate) bytes_max: i32,
}

pub(crate) fn fetch(parts: &[FetchPart], wait_ms: i32, version: i16, correlation: i32) -> Bytes {
    let topics = parts
        .iter()
        .map(|part| fetch::request::Topics {
            topic_id: Uuid(part.id.0),
            topic: Text::from(part.topic.as_str()),
            partitions: vec![fetch::request::Partitions {
                partition: part.partition,
                current_leader_epoch: part.epoch,
                fetch_offset: part.offset,
                partition_max_bytes: part.bytes_max,
                ..Default::default()
            }],
        })
        .collect();
    let request = FetchRequest { max_wait_ms: wait_ms, min_bytes: 1, max_bytes: 1 << 20, topics, ..Default::default() };
    frame(&request, version, correlation)
}

/// What a broker said about one partition of a fetch request.
#[derive(Clone, Debug)]
pub(crate) struct FetchAnswer {
    pub(crate) topic: String,
    pub(crate) id: TopicId,
    pub(crate) partition: i32,
    pub(crate) error: i16,
    pub(crate) high_watermark: i64,
    pub(crate) records: Result<Vec<RecordRead>, String>,
}

pub(crate) fn fetch_answers(frame: Bytes, version: i16) -> Result<(i16, Vec<FetchAnswer>), DecodeError> {
    let (_, response) = decode_response::<FetchResponse>(frame, version)?;
    let mut answers = Vec::new();
    for topic in response.responses {
        for partition in topic.partitions {
            let mut records = Vec::new();
            let read = batch::read(&partition.records.clone().unwrap_or_default().into_bytes(), &mut records);
            answers.push(FetchAnswer {
                topic: topic.topic.to_string(),
                id: TopicId(topic.topic_id.0),
                partition: partition.partition_index,
                error: partition.error_code,
                high_watermark: partition.high_watermark,
                records: read.map(|()| records),
            });
        }
    }
    Ok((response.error_code, answers))
}

pub(crate) fn list_offsets(topic: &str, partition: i32, timestamp: i64, version: i16, correlation: i32) -> Bytes {
    let request = ListOffsetsRequest {
        topics: vec![list_offsets::request::Topics {
            name: Text::from(topic),
            partitions: vec![list_offsets::request::Partitions { partition_index: partition, timestamp, ..Default::default() }],
        }],
        ..Default::default()
    };
    frame(&request, version, correlation)
}

/// Deletes all records before `offset`.
pub(crate) fn delete_records(topic: &str, partition: i32, offset: i64, version: i16, correlation: i32) -> Bytes {
    let partitions = vec![delete_records::request::Partitions { partition_index: partition, offset }];
    let topics = vec![delete_records::request::Topics { name: Text::from(topic), partitions }];
    frame(&DeleteRecordsRequest { topics, timeout_ms: 1_000 }, version, correlation)
}

/// Error and log start of the only partition asked.
pub(crate) fn delete_records_answer(frame: Bytes, version: i16) -> Result<Option<(i16, i64)>, DecodeError> {
    let (_, response) = decode_response::<DeleteRecordsResponse>(frame, version)?;
    Ok(response.topics.first().and_then(|t| t.partitions.first()).map(|p| (p.error_code, p.low_watermark)))
}

/// Error, offset and leader epoch (-1 before version 4) of the only partition asked.
pub(crate) fn list_offsets_answer(frame: Bytes, version: i16) -> Result<Option<(i16, i64, i32)>, DecodeError> {
    let (_, response) = decode_response::<ListOffsetsResponse>(frame, version)?;
    Ok(response.topics.first().and_then(|t| t.partitions.first()).map(|p| (p.error_code, p.offset, p.leader_epoch)))
}

pub(crate) fn metadata(version: i16, correlation: i32) -> Bytes {
    // Before version 1 an empty list, from then on null asks for all topics.
    let topics = if version == 0 { Some(Vec::new()) } else { None };
    let request = MetadataRequest { topics, allow_auto_topic_creation: false, ..Default::default() };
    frame(&request, version, correlation)
}

/// One partition as Metadata shows it.
#[derive(Clone, Debug)]
pub(crate) struct PartitionSeen {
    pub(crate) topic: String,
    pub(crate) id: TopicId,
    pub(crate) partition: i32,
    pub(crate) error: i16,
    pub(crate) leader: i32,
    pub(crate) epoch: i32,
}

pub(crate) fn metadata_answer(frame: Bytes, version: i16) -> Result<Vec<PartitionSeen>, DecodeError> {
    let (_, response): (i32, MetadataResponse) = decode_response(frame, version)?;
    let mut seen = Vec::new();
    for topic in response.topics {
        let name = topic.name.as_ref().map(ToString::to_string).unwrap_or_default();
        for metadata::response::Partitions { error_code, partition_index, leader_id, leader_epoch, .. } in topic.partitions {
            seen.push(PartitionSeen {
                topic: name.clone(),
                id: TopicId(topic.topic_id.0),
                partition: partition_index,
                error: error_code,
                leader: leader_id,
                epoch: leader_epoch,
            });
        }
    }
    Ok(seen)
}

pub(crate) fn create_topic(
    name: &str,
    partitions: i32,
    replicas: i16,
    configs: &[(String, String)],
    version: i16,
    correlation: i32,
) -> Bytes {
    let topic = Topics {
        name: Text::from(name),
        num_partitions: partitions,
        replication_factor: replicas,
        assignments: Vec::new(),
        configs: configs
            .iter()
            .map(|(name, value)| Configs { name: Text::from(name.as_str()), value: Some(Text::from(value.as_str())) })
            .collect(),
    };
    frame(&CreateTopicsRequest { topics: vec![topic], timeout_ms: 5_000, validate_only: false }, version, correlation)
}

/// Deletes by id, from version 6 on.
pub(crate) fn delete_topic(id: TopicId, correlation: i32) -> Bytes {
    let topics = vec![delete_topics::request::Topics { name: None, topic_id: Uuid(id.0) }];
    frame(&DeleteTopicsRequest { topics, topic_names: Vec::new(), timeout_ms: 3_000 }, 6, correlation)
}

/// Error of the only topic asked.
pub(crate) fn delete_topic_answer(frame: Bytes) -> Result<Option<i16>, DecodeError> {
    let (_, response) = decode_response::<DeleteTopicsResponse>(frame, 6)?;
    Ok(response.responses.first().map(|t| t.error_code))
}

/// Error of the only topic asked.
pub(crate) fn create_topic_answer(frame: Bytes, version: i16) -> Result<Option<i16>, DecodeError> {
    let (_, response) = decode_response::<CreateTopicsResponse>(frame, version)?;
    Ok(response.topics.first().map(|t| t.error_code))
}
