//! Which APIs this broker answers, at which versions: the only list, from which dispatch and ApiVersions are derived.
//!
//! What is not served is not advertised. One entry differs: Produce is advertised from version 0 although versions below 3 are
//! refused, because librdkafka up to 2.0 (Debian 12 ships that) switches compression off otherwise (KAFKA-18659).

use crate::protocol::ApiKey;

/// One API.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Served {
    /// Its key.
    pub key: ApiKey,
    /// Versions told to clients, both ends included.
    pub advertised: (i16, i16),
    /// Versions answered, both ends included.
    pub answered: (i16, i16),
}

const fn same(key: ApiKey, first: i16, last: i16) -> Served {
    Served { key, advertised: (first, last), answered: (first, last) }
}

/// All of them, ascending by key.
pub const SERVED: [Served; 11] = [
    Served { key: ApiKey::Produce, advertised: (0, 13), answered: (3, 13) },
    same(ApiKey::Fetch, 4, 18),
    same(ApiKey::ListOffsets, 1, 11),
    same(ApiKey::Metadata, 0, 13),
    same(ApiKey::ApiVersions, 0, 4),
    same(ApiKey::CreateTopics, 2, 7),
    same(ApiKey::DeleteTopics, 1, 6),
    same(ApiKey::InitProducerId, 0, 5),
    same(ApiKey::OffsetForLeaderEpoch, 2, 4),
    same(ApiKey::DescribeConfigs, 1, 4),
    same(ApiKey::DescribeCluster, 0, 2),
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
