//! One file per Kafka API: the handler and its tests. This file is the way in and out: frames to checked requests, answers to frames.
//!
//! [`decode`] is pure and runs on connection tasks: everything that costs per byte (CRCs, decompression) happens there and the
//! core only decides. It knows nothing of topics, leaders or settings. Where a topic wants a codec of its own, batches are compressed anew
//! beside the core as well: [`ClientRequest::recode_plan`].
//!
//! A frame that can't be answered closes the connection, as in Kafka; the one exception is an ApiVersions of a version nobody knows
//! yet, which is answered in version 0 (KIP-511).

pub mod alter_configs;
pub mod alter_partition_reassignments;
pub mod alter_replica_log_dirs;
pub mod api_versions;
pub mod create_partitions;
pub mod create_topics;
pub mod delete_records;
pub mod delete_topics;
pub mod describe_cluster;
pub mod describe_configs;
pub mod describe_log_dirs;
pub mod describe_producers;
pub mod describe_quorum;
pub mod describe_topic_partitions;
pub mod elect_leaders;
pub mod fetch;
pub mod fetch_session;
pub mod init_producer_id;
pub mod list_config_resources;
pub mod list_offsets;
pub mod list_partition_reassignments;
pub mod metadata;
pub mod offset_for_leader_epoch;
pub mod produce;
mod recode;
mod served;
pub mod unregister_broker;
pub mod update_features;
mod view;

pub use recode::RecodePlan;
pub use served::{Api, SERVED, Served, served};
pub use view::{Endpoint, TopicKey, View, check_epoch};

use crate::disk::Volume;
use crate::ids::{ConnectionId, ListenerId, RequestNumber};
use crate::limits::{
    ANSWER_BYTES_EXPECTED, DECOMPRESSED_BYTES_MAX, DECOMPRESSED_BYTES_PER_REQUEST_MAX, FETCH_BYTES_MAX, PINNED_BATCH_BYTES_MIN,
    PINNED_FRAME_BYTES_MAX,
};
use crate::output::{Output, Outputs};
use crate::protocol::messages::{
    alter_configs::AlterConfigsRequest, alter_partition_reassignments::AlterPartitionReassignmentsRequest,
    alter_replica_log_dirs::AlterReplicaLogDirsRequest, api_versions::ApiVersionsRequest,
    create_partitions::CreatePartitionsRequest, create_topics::CreateTopicsRequest, delete_records::DeleteRecordsRequest,
    delete_topics::DeleteTopicsRequest, describe_cluster::DescribeClusterRequest, describe_configs::DescribeConfigsRequest,
    describe_log_dirs::DescribeLogDirsRequest, describe_producers::DescribeProducersRequest,
    describe_quorum::DescribeQuorumRequest, describe_topic_partitions::DescribeTopicPartitionsRequest,
    elect_leaders::ElectLeadersRequest, fetch::FetchRequest, incremental_alter_configs::IncrementalAlterConfigsRequest,
    init_producer_id::InitProducerIdRequest, list_config_resources::ListConfigResourcesRequest, list_offsets::ListOffsetsRequest,
    list_partition_reassignments::ListPartitionReassignmentsRequest, metadata::MetadataRequest,
    offset_for_leader_epoch::OffsetForLeaderEpochRequest, produce::ProduceRequest, unregister_broker::UnregisterBrokerRequest,
    update_features::UpdateFeaturesRequest,
};
use crate::protocol::{DecodeError, Message, Reader, RequestHeader, encode_response};
use crate::record::{BatchFault, BatchHeader, CheckLimits, CheckedBatch, Codec, check};
use bytes::{Bytes, BytesMut};
use core::ops::Range;

/// A decoded and checked request.
#[derive(Debug)]
pub struct ClientRequest {
    /// Who asks which API at which version.
    pub header: RequestHeader,
    /// By which listener it came: the first one, unless the shell says otherwise.
    pub listener: ListenerId,
    /// What is asked.
    pub ask: Ask,
}

/// The body of a request, one variant per served API.
#[derive(Debug)]
pub enum Ask {
    /// Produce.
    Produce {
        /// The request; its records were taken out.
        request: ProduceRequest,
        /// The batch of every partition, in the order of the request.
        batches: Vec<Result<CheckedBatch, BatchFault>>,
    },
    /// Fetch.
    Fetch(FetchRequest),
    /// ListOffsets.
    ListOffsets(ListOffsetsRequest),
    /// OffsetForLeaderEpoch.
    OffsetForLeaderEpoch(OffsetForLeaderEpochRequest),
    /// Metadata.
    Metadata(MetadataRequest),
    /// ApiVersions, also of an unknown version (then empty).
    ApiVersions(ApiVersionsRequest),
    /// CreateTopics.
    CreateTopics(CreateTopicsRequest),
    /// DeleteTopics.
    DeleteTopics(DeleteTopicsRequest),
    /// DeleteRecords.
    DeleteRecords(DeleteRecordsRequest),
    /// InitProducerId.
    InitProducerId(InitProducerIdRequest),
    /// DescribeConfigs.
    DescribeConfigs(DescribeConfigsRequest),
    /// AlterConfigs.
    AlterConfigs(AlterConfigsRequest),
    /// CreatePartitions.
    CreatePartitions(CreatePartitionsRequest),
    /// IncrementalAlterConfigs.
    IncrementalAlterConfigs(IncrementalAlterConfigsRequest),
    /// AlterReplicaLogDirs.
    AlterReplicaLogDirs(AlterReplicaLogDirsRequest),
    /// DescribeLogDirs.
    DescribeLogDirs {
        /// The request.
        request: DescribeLogDirsRequest,
        /// The volume of the data folder: unknown, unless the shell says otherwise.
        volume: Option<Volume>,
    },
    /// ElectLeaders.
    ElectLeaders(ElectLeadersRequest),
    /// DescribeQuorum.
    DescribeQuorum(DescribeQuorumRequest),
    /// AlterPartitionReassignments.
    AlterPartitionReassignments(AlterPartitionReassignmentsRequest),
    /// ListPartitionReassignments.
    ListPartitionReassignments(ListPartitionReassignmentsRequest),
    /// DescribeCluster.
    DescribeCluster(DescribeClusterRequest),
    /// DescribeProducers.
    DescribeProducers(DescribeProducersRequest),
    /// UpdateFeatures.
    UpdateFeatures(UpdateFeaturesRequest),
    /// UnregisterBroker.
    UnregisterBroker(UnregisterBrokerRequest),
    /// ListConfigResources.
    ListConfigResources(ListConfigResourcesRequest),
    /// DescribeTopicPartitions.
    DescribeTopicPartitions(DescribeTopicPartitionsRequest),
}

impl ClientRequest {
    /// Tells it the volume of the data folder, if it asks for that.
    pub fn tell_volume(&mut self, look: impl FnOnce() -> Option<Volume>) {
        if let Ask::DescribeLogDirs { volume, .. } = &mut self.ask {
            *volume = look();
        }
    }

    /// Bytes of answer that a connection reckons with before it is made, so that who asks for much and reads nothing is asked to wait. 0 where
    /// the answer is hardly larger than the request.
    #[must_use]
    pub fn answer_bytes_expected(&self) -> usize {
        match &self.ask {
            Ask::Fetch(request) => usize::try_from(request.max_bytes.min(FETCH_BYTES_MAX)).unwrap_or(0),
            Ask::Produce { .. }
            | Ask::ListOffsets(_)
            | Ask::OffsetForLeaderEpoch(_)
            | Ask::ApiVersions(_)
            | Ask::DeleteTopics(_)
            | Ask::DeleteRecords(_)
            | Ask::InitProducerId(_)
            | Ask::AlterConfigs(_)
            | Ask::CreatePartitions(_)
            | Ask::IncrementalAlterConfigs(_)
            | Ask::AlterReplicaLogDirs(_)
            | Ask::UpdateFeatures(_)
            | Ask::UnregisterBroker(_)
            | Ask::AlterPartitionReassignments(_)
            | Ask::ListPartitionReassignments(_) => 0,
            Ask::Metadata(_)
            | Ask::CreateTopics(_)
            | Ask::DescribeConfigs(_)
            | Ask::DescribeLogDirs { .. }
            | Ask::ElectLeaders(_)
            | Ask::DescribeQuorum(_)
            | Ask::DescribeCluster(_)
            | Ask::DescribeProducers(_)
            | Ask::ListConfigResources(_)
            | Ask::DescribeTopicPartitions(_) => ANSWER_BYTES_EXPECTED,
        }
    }
}

/// Why a frame is not answered: the connection is closed, as Kafka does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// No such API, or one that this broker does not serve.
    UnknownApi,
    /// The API is served, but not at this version.
    UnsupportedVersion,
    /// Header or body can't be read.
    Malformed,
}

impl Refusal {
    /// For the log and [`crate::output::Output::Close`].
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Refusal::UnknownApi => "unknown API key",
            Refusal::UnsupportedVersion => "unsupported API version",
            Refusal::Malformed => "malformed request",
        }
    }
}

impl From<DecodeError> for Refusal {
    fn from(error: DecodeError) -> Refusal {
        match error {
            DecodeError::Truncated { .. } | DecodeError::Invalid(_) | DecodeError::TooLarge => Refusal::Malformed,
            DecodeError::UnknownApi(_) => Refusal::UnknownApi,
            DecodeError::UnsupportedVersion { .. } => Refusal::UnsupportedVersion,
        }
    }
}

/// Decodes one frame (without its size field) and checks the records in it. The frame should be the only owner of its memory:
/// then record batches are checked, patched and written without a copy.
///
/// # Errors
/// The connection must be closed without an answer.
pub fn decode(frame: BytesMut) -> Result<ClientRequest, Refusal> {
    let frame = frame.freeze();
    let mut reader = Reader::new(frame.clone());
    let mut header = RequestHeader::decode(&mut reader)?;
    // A slice would keep the frame from being patched in place and alive as long as the request.
    header.client_id = header.client_id.as_deref().map(Bytes::copy_from_slice);
    let version = header.api_version;
    let served = served(header.api_key).ok_or(Refusal::UnknownApi)?;
    if !served.answers(version) {
        return if served.api == Api::ApiVersions {
            Ok(ClientRequest { header, listener: ListenerId::default(), ask: Ask::ApiVersions(ApiVersionsRequest::default()) })
        } else {
            Err(Refusal::UnsupportedVersion)
        };
    }
    let ask = match served.api {
        Api::Produce => {
            let request = ProduceRequest::decode(&mut reader, version)?;
            drop(reader);
            split(frame, request, version, DECOMPRESSED_BYTES_PER_REQUEST_MAX)
        }
        Api::Fetch => Ask::Fetch(FetchRequest::decode(&mut reader, version)?),
        Api::ListOffsets => Ask::ListOffsets(ListOffsetsRequest::decode(&mut reader, version)?),
        Api::OffsetForLeaderEpoch => Ask::OffsetForLeaderEpoch(OffsetForLeaderEpochRequest::decode(&mut reader, version)?),
        Api::Metadata => Ask::Metadata(MetadataRequest::decode(&mut reader, version)?),
        Api::ApiVersions => Ask::ApiVersions(ApiVersionsRequest::decode(&mut reader, version)?),
        Api::CreateTopics => Ask::CreateTopics(CreateTopicsRequest::decode(&mut reader, version)?),
        Api::DeleteTopics => Ask::DeleteTopics(DeleteTopicsRequest::decode(&mut reader, version)?),
        Api::DeleteRecords => Ask::DeleteRecords(DeleteRecordsRequest::decode(&mut reader, version)?),
        Api::InitProducerId => Ask::InitProducerId(InitProducerIdRequest::decode(&mut reader, version)?),
        Api::DescribeConfigs => Ask::DescribeConfigs(DescribeConfigsRequest::decode(&mut reader, version)?),
        Api::AlterConfigs => Ask::AlterConfigs(AlterConfigsRequest::decode(&mut reader, version)?),
        Api::CreatePartitions => Ask::CreatePartitions(CreatePartitionsRequest::decode(&mut reader, version)?),
        Api::IncrementalAlterConfigs => {
            Ask::IncrementalAlterConfigs(IncrementalAlterConfigsRequest::decode(&mut reader, version)?)
        }
        Api::AlterReplicaLogDirs => Ask::AlterReplicaLogDirs(AlterReplicaLogDirsRequest::decode(&mut reader, version)?),
        Api::DescribeLogDirs => {
            Ask::DescribeLogDirs { request: DescribeLogDirsRequest::decode(&mut reader, version)?, volume: None }
        }
        Api::ElectLeaders => Ask::ElectLeaders(ElectLeadersRequest::decode(&mut reader, version)?),
        Api::DescribeQuorum => Ask::DescribeQuorum(DescribeQuorumRequest::decode(&mut reader, version)?),
        Api::AlterPartitionReassignments => {
            Ask::AlterPartitionReassignments(AlterPartitionReassignmentsRequest::decode(&mut reader, version)?)
        }
        Api::ListPartitionReassignments => {
            Ask::ListPartitionReassignments(ListPartitionReassignmentsRequest::decode(&mut reader, version)?)
        }
        Api::ListConfigResources => Ask::ListConfigResources(ListConfigResourcesRequest::decode(&mut reader, version)?),
        Api::DescribeTopicPartitions => {
            Ask::DescribeTopicPartitions(DescribeTopicPartitionsRequest::decode(&mut reader, version)?)
        }
        Api::DescribeCluster => Ask::DescribeCluster(DescribeClusterRequest::decode(&mut reader, version)?),
        Api::DescribeProducers => Ask::DescribeProducers(DescribeProducersRequest::decode(&mut reader, version)?),
        Api::UpdateFeatures => Ask::UpdateFeatures(UpdateFeaturesRequest::decode(&mut reader, version)?),
        Api::UnregisterBroker => Ask::UnregisterBroker(UnregisterBrokerRequest::decode(&mut reader, version)?),
    };
    Ok(ClientRequest { header, listener: ListenerId::default(), ask })
}

/// Takes the record batches out of a produce frame, each as the only owner of its bytes, and checks them. All together may take
/// `allowance` bytes when decompressed.
fn split(frame: Bytes, mut request: ProduceRequest, version: i16, mut allowance: usize) -> Ask {
    let start = frame.as_ptr().addr();
    let mut ranges: Vec<Option<Range<usize>>> = Vec::new();
    for topic in &mut request.topic_data {
        for partition in &mut topic.partition_data {
            ranges.push(partition.records.take().map(|records| {
                let records = records.into_bytes();
                let from = if records.is_empty() { 0 } else { records.as_ptr().addr() - start };
                from..from + records.len()
            }));
        }
    }
    let is_pinning = frame.len() > PINNED_FRAME_BYTES_MAX;
    // Nobody points into the frame any more, so this is a change of type. A frame that the shell still shares is copied once.
    let mut rest = frame.try_into_mut().unwrap_or_else(|shared| BytesMut::from(shared.as_ref()));
    let mut taken = 0;
    let batches = ranges
        .into_iter()
        .map(|range| {
            // Kafka never answers null records, its handler breaks; here they are no batch like empty ones.
            let range = range.ok_or(BatchFault::NoBatch)?;
            let limits =
                CheckLimits { decompressed_bytes_max: DECOMPRESSED_BYTES_MAX.min(allowance), is_zstd_known: version >= 7 };
            if range.is_empty() {
                return check(BytesMut::new(), &limits);
            }
            drop(rest.split_to(range.start - taken));
            taken = range.end;
            let batch = rest.split_to(range.len());
            let is_small = batch.len() < PINNED_BATCH_BYTES_MIN;
            let is_compressed = BatchHeader::parse(&batch).is_ok_and(|header| header.codec() != Ok(Codec::None));
            let checked = check(if is_pinning && is_small { BytesMut::from(batch.as_ref()) } else { batch }, &limits);
            if is_compressed {
                allowance -= decompressed(&checked, &limits);
            }
            checked
        })
        .collect();
    Ask::Produce { request, batches }
}

/// Bytes that were decompressed to judge a compressed batch; of one that turned out to be wrong only afterwards it is not known, so as many
/// as it might have been.
fn decompressed(checked: &Result<CheckedBatch, BatchFault>, limits: &CheckLimits) -> usize {
    match checked {
        Ok(batch) => batch.facts.decompressed_bytes,
        Err(fault) if fault.follows_decompression() => limits.decompressed_bytes_max,
        Err(_) => 0,
    }
}

/// Where an answer goes and how it is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReplyTo {
    /// The connection.
    pub connection: ConnectionId,
    /// The request's number on it.
    pub number: RequestNumber,
    /// Version of the answer.
    pub version: i16,
    /// The client's name for the request.
    pub correlation_id: i32,
    /// By which listener it came.
    pub listener: ListenerId,
}

impl ReplyTo {
    /// Sends an answer.
    pub fn answer<M: Message>(&self, body: &M, out: &mut Outputs) {
        let frame = encode_response(body, self.version, self.correlation_id);
        out.push(Output::Reply { connection: self.connection, number: self.number, frame: Some(frame) });
    }

    /// Says that there is no answer, so that later ones need not wait.
    pub fn skip(&self, out: &mut Outputs) {
        out.push(Output::Reply { connection: self.connection, number: self.number, frame: None });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::encode_request;
    use crate::protocol::messages::produce::request::{PartitionData, TopicData};
    use crate::record::BatchBuilder;

    /// What is said of batches of one record each, as they come in one request.
    fn judged(codecs: &[Codec], allowance: usize) -> Vec<Option<BatchFault>> {
        let batch = |codec: &Codec| {
            let mut builder = BatchBuilder::new().codec(*codec);
            builder.push(1_700_000_000_000, None, Some(&[0; 1000]));
            PartitionData { index: 0, records: Some(builder.build().freeze().into()) }
        };
        let topic = TopicData { partition_data: codecs.iter().map(batch).collect(), ..TopicData::default() };
        let request = ProduceRequest { topic_data: vec![topic], ..ProduceRequest::default() };
        let frame = Bytes::from(encode_request(&request, 9, 1, "test").concat());
        let mut reader = Reader::new(frame.clone());
        RequestHeader::decode(&mut reader).expect("a header");
        let request = ProduceRequest::decode(&mut reader, 9).expect("a body");
        let Ask::Produce { batches, .. } = split(frame, request, 9, allowance) else { panic!("it is a produce request") };
        batches.into_iter().map(Result::err).collect()
    }

    #[test]
    fn the_batches_of_a_request_share_what_they_may_take_when_decompressed() {
        let codecs = [Codec::Gzip, Codec::None, Codec::Lz4, Codec::Zstd, Codec::None];
        assert_eq!(judged(&codecs, 4_000), [None, None, None, None, None]);
        let too_large = Some(BatchFault::DecompressedTooLarge);
        assert_eq!(judged(&codecs, 2_500), [None, None, None, too_large.clone(), None]);
        assert_eq!(judged(&codecs, 100), [too_large.clone(), None, too_large.clone(), too_large, None]);
    }

    /// A produce request of uncompressed batches with values of these sizes, split; and where its frame was.
    fn taken(values: &[usize]) -> (Range<usize>, Vec<CheckedBatch>) {
        let batch = |bytes: &usize| {
            let mut builder = BatchBuilder::new();
            builder.push(1_700_000_000_000, None, Some(&vec![0; *bytes]));
            PartitionData { index: 0, records: Some(builder.build().freeze().into()) }
        };
        let topic = TopicData { partition_data: values.iter().map(batch).collect(), ..TopicData::default() };
        let request = ProduceRequest { topic_data: vec![topic], ..ProduceRequest::default() };
        let frame = BytesMut::from(&encode_request(&request, 9, 1, "test").concat()[..]);
        let start = frame.as_ptr().addr();
        let range = start..start + frame.len();
        let Ask::Produce { batches, .. } = decode(frame).expect("it is served").ask else { panic!("it is a produce request") };
        (range, batches.into_iter().map(|batch| batch.expect("legal")).collect())
    }

    #[test]
    fn a_small_batch_does_not_keep_a_large_frame() {
        let is_inside = |(range, batches): &(Range<usize>, Vec<CheckedBatch>)| -> Vec<bool> {
            batches.iter().map(|batch| range.contains(&batch.bytes.as_ptr().addr())).collect()
        };
        let large = taken(&[100, PINNED_FRAME_BYTES_MAX, PINNED_BATCH_BYTES_MIN - 200, PINNED_BATCH_BYTES_MIN]);
        assert_eq!(is_inside(&large), [false, true, false, true]);
        assert_eq!(is_inside(&taken(&[100, PINNED_BATCH_BYTES_MIN])), [true, true]);
    }

    #[test]
    fn what_an_answer_may_take_is_known_before_it_is_made() {
        let fetch = |max_bytes| ClientRequest {
            listener: ListenerId::default(),
            header: RequestHeader {
                api_key: crate::protocol::ApiKey::Fetch,
                api_version: 12,
                correlation_id: 1,
                client_id: None,
            },
            ask: Ask::Fetch(FetchRequest { max_bytes, ..FetchRequest::default() }),
        };
        assert_eq!(fetch(1000).answer_bytes_expected(), 1000);
        assert_eq!(fetch(i32::MAX).answer_bytes_expected(), usize::try_from(FETCH_BYTES_MAX).expect("positive"));
        assert_eq!(fetch(-1).answer_bytes_expected(), 0);
        let metadata = ClientRequest { ask: Ask::Metadata(MetadataRequest::default()), ..fetch(0) };
        assert_eq!(metadata.answer_bytes_expected(), ANSWER_BYTES_EXPECTED);
    }
}
