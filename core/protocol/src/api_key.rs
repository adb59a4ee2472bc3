//! [`ApiKey`]: which request a frame holds, with what Kafka 4.3 knows about it.
//!
//! Deliberately does not know which of them this broker serves: that is `ottla_core::api`.

include!(concat!(env!("OUT_DIR"), "/api_key.rs"));

struct Facts {
    key: ApiKey,
    name: &'static str,
    first: i16,
    last: i16,
    last_stable: i16,
    flexible: Option<i16>,
    is_on_broker_listener: bool,
}

impl ApiKey {
    /// Every key, ascending.
    pub fn all() -> impl Iterator<Item = ApiKey> {
        FACTS.iter().map(|facts| facts.key)
    }

    /// The key of a code; `None` if Kafka 4.3 has no such API.
    #[must_use]
    pub fn from_code(code: i16) -> Option<ApiKey> {
        FACTS.binary_search_by_key(&code, |facts| facts.key.code()).ok().map(|at| FACTS[at].key)
    }

    /// The number on the wire.
    #[must_use]
    pub fn code(self) -> i16 {
        self as i16
    }

    /// Kafka's name, such as `InitProducerId`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.facts().name
    }

    /// First and last version whose layout is known, both included.
    #[must_use]
    pub fn versions(self) -> (i16, i16) {
        (self.facts().first, self.facts().last)
    }

    /// The newest version that Kafka offers; newer ones exist but are not released.
    #[must_use]
    pub fn version_last_stable(self) -> i16 {
        self.facts().last_stable
    }

    /// First flexible version (KIP-482); `None` if no version is.
    #[must_use]
    pub fn version_first_flexible(self) -> Option<i16> {
        self.facts().flexible
    }

    /// Whether clients may send it to a broker; the others are spoken between Kafka's brokers and controllers.
    #[must_use]
    pub fn is_on_broker_listener(self) -> bool {
        self.facts().is_on_broker_listener
    }

    /// 2 in flexible versions, otherwise 1. Also right for versions nobody knows: an ApiVersions of the future is read with it.
    #[must_use]
    pub fn request_header_version(self, version: i16) -> i16 {
        if self.facts().flexible.is_some_and(|first| version >= first) { 2 } else { 1 }
    }

    /// 1 in flexible versions, otherwise 0; always 0 for ApiVersions, whose client does not know yet what the broker speaks (KIP-511).
    #[must_use]
    pub fn response_header_version(self, version: i16) -> i16 {
        if self == ApiKey::ApiVersions { 0 } else { self.request_header_version(version) - 1 }
    }

    fn facts(self) -> &'static Facts {
        let at = FACTS.binary_search_by_key(&self.code(), |facts| facts.key.code());
        &FACTS[at.expect("the table is generated from the same list as the enum, in ascending order")]
    }
}

impl core::fmt::Display for ApiKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.name())
    }
}
