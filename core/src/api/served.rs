//! Which APIs this broker answers, at which versions: the only list, from which dispatch and ApiVersions are derived.
//!
//! What is not served is not advertised. One entry differs: Produce is advertised from version 0 although versions below 3 are
//! refused, because librdkafka up to 2.0 (Debian 12 ships that) switches compression off otherwise (KAFKA-18659).

use crate::protocol::ApiKey;

/// The APIs with a handler; a match over them has to think of each.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Api {
    /// Produce.
    Produce,
    /// Fetch.
    Fetch,
    /// ListOffsets.
    ListOffsets,
    /// Metadata.
    Metadata,
    /// ApiVersions.
    ApiVersions,
    /// CreateTopics.
    CreateTopics,
    /// DeleteTopics.
    DeleteTopics,
    /// DeleteRecords.
    DeleteRecords,
    /// InitProducerId.
    InitProducerId,
    /// OffsetForLeaderEpoch.
    OffsetForLeaderEpoch,
    /// DescribeConfigs.
    DescribeConfigs,
    /// AlterConfigs.
    AlterConfigs,
    /// CreatePartitions.
    CreatePartitions,
    /// IncrementalAlterConfigs.
    IncrementalAlterConfigs,
    /// AlterReplicaLogDirs.
    AlterReplicaLogDirs,
    /// DescribeLogDirs.
    DescribeLogDirs,
    /// ElectLeaders.
    ElectLeaders,
    /// AlterPartitionReassignments.
    AlterPartitionReassignments,
    /// ListPartitionReassignments.
    ListPartitionReassignments,
    /// DescribeQuorum.
    DescribeQuorum,
    /// UpdateFeatures.
    UpdateFeatures,
    /// DescribeCluster.
    DescribeCluster,
    /// DescribeProducers.
    DescribeProducers,
    /// UnregisterBroker.
    UnregisterBroker,
    /// ListConfigResources.
    ListConfigResources,
    /// DescribeTopicPartitions.
    DescribeTopicPartitions,
}

/// One API.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Served {
    /// Whose handler.
    pub api: Api,
    /// Its key.
    pub key: ApiKey,
    /// Versions told to clients, both ends included.
    pub advertised: (i16, i16),
    /// Versions answered, both ends included.
    pub answered: (i16, i16),
}

const fn same(api: Api, key: ApiKey, first: i16, last: i16) -> Served {
    Served { api, key, advertised: (first, last), answered: (first, last) }
}

/// All of them, ascending by key.
pub const SERVED: [Served; 26] = [
    Served { api: Api::Produce, key: ApiKey::Produce, advertised: (0, 13), answered: (3, 13) },
    same(Api::Fetch, ApiKey::Fetch, 4, 18),
    same(Api::ListOffsets, ApiKey::ListOffsets, 1, 11),
    same(Api::Metadata, ApiKey::Metadata, 0, 13),
    same(Api::ApiVersions, ApiKey::ApiVersions, 0, 4),
    same(Api::CreateTopics, ApiKey::CreateTopics, 2, 7),
    same(Api::DeleteTopics, ApiKey::DeleteTopics, 1, 6),
    same(Api::DeleteRecords, ApiKey::DeleteRecords, 0, 2),
    same(Api::InitProducerId, ApiKey::InitProducerId, 0, 5),
    same(Api::OffsetForLeaderEpoch, ApiKey::OffsetForLeaderEpoch, 2, 4),
    same(Api::DescribeConfigs, ApiKey::DescribeConfigs, 1, 4),
    same(Api::AlterConfigs, ApiKey::AlterConfigs, 0, 2),
    same(Api::AlterReplicaLogDirs, ApiKey::AlterReplicaLogDirs, 1, 2),
    same(Api::DescribeLogDirs, ApiKey::DescribeLogDirs, 1, 5),
    same(Api::CreatePartitions, ApiKey::CreatePartitions, 0, 3),
    same(Api::ElectLeaders, ApiKey::ElectLeaders, 0, 2),
    same(Api::IncrementalAlterConfigs, ApiKey::IncrementalAlterConfigs, 0, 1),
    same(Api::AlterPartitionReassignments, ApiKey::AlterPartitionReassignments, 0, 1),
    same(Api::ListPartitionReassignments, ApiKey::ListPartitionReassignments, 0, 0),
    same(Api::DescribeQuorum, ApiKey::DescribeQuorum, 0, 2),
    same(Api::UpdateFeatures, ApiKey::UpdateFeatures, 0, 2),
    same(Api::DescribeCluster, ApiKey::DescribeCluster, 0, 2),
    same(Api::DescribeProducers, ApiKey::DescribeProducers, 0, 0),
    same(Api::UnregisterBroker, ApiKey::UnregisterBroker, 0, 0),
    same(Api::ListConfigResources, ApiKey::ListConfigResources, 0, 1),
    same(Api::DescribeTopicPartitions, ApiKey::DescribeTopicPartitions, 0, 0),
];

/// The entry of an API, if it is served.
#[must_use]
pub fn served(key: ApiKey) -> Option<&'static Served> {
    SERVED.iter().find(|s| s.key == key)
}

impl Served {
    /// Whether requests of this version are answered.
    #[must_use]
    pub fn answers(&self, version: i16) -> bool {
        self.answered.0 <= version && version <= self.answered.1
    }
}
