//! ApiVersions: which APIs at which versions, and which features. Derived from [`SERVED`].
//!
//! Knows nothing of connections: that an unknown version is answered in version 0 is [`answer_version`], for whoever writes the frame.
//!
//! Features: [`FEATURES`] names `metadata.version` only, because tools want one. `transaction.version`, `group.version` and the rest name
//! protocols that this broker does not speak; a client that finds them missing falls back to the older one.
//!
//! Source: KIP-35, KIP-511 (software names, unknown versions), KIP-584 (features); golden `api-versions-*`.

use super::{SERVED, served};
use crate::protocol::messages::api_versions::response::{ApiKeys, FinalizedFeatures, SupportedFeatures};
use crate::protocol::messages::api_versions::{ApiVersionsRequest, ApiVersionsResponse};
use crate::protocol::{ApiKey, ErrorCode};

/// A feature of KIP-584. Its finalized level is the highest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Feature {
    /// Its name.
    pub name: &'static str,
    /// The lowest level that is supported.
    pub min: i16,
    /// The highest.
    pub max: i16,
}

/// The features of this broker, with the levels of Kafka 4.3.
pub const FEATURES: [Feature; 1] = [Feature { name: "metadata.version", min: 7, max: 30 }];

/// The version an answer is written in: a client of the future is answered in the oldest (KIP-511).
#[must_use]
pub fn answer_version(version: i16) -> i16 {
    if is_served(version) { version } else { 0 }
}

/// Answers a request of any version.
#[must_use]
pub fn respond(request: &ApiVersionsRequest, version: i16) -> ApiVersionsResponse {
    if !is_served(version) {
        // One entry is enough for the client to ask again (golden README 10).
        let own = served(ApiKey::ApiVersions).into_iter();
        return failed(ErrorCode::UnsupportedVersion, own.map(|s| entry(s.key, s.advertised)).collect());
    }
    if version >= 3 && !(is_software_name(&request.client_software_name) && is_software_name(&request.client_software_version)) {
        return failed(ErrorCode::InvalidRequest, Vec::new());
    }
    ApiVersionsResponse {
        api_keys: SERVED.iter().map(|s| entry(s.key, s.advertised)).collect(),
        supported_features: FEATURES.iter().map(supported).collect(),
        finalized_features_epoch: 0,
        finalized_features: FEATURES.iter().map(finalized).collect(),
        ..ApiVersionsResponse::default()
    }
}

fn is_served(version: i16) -> bool {
    served(ApiKey::ApiVersions).is_some_and(|s| s.answers(version))
}

fn entry(key: ApiKey, (min_version, max_version): (i16, i16)) -> ApiKeys {
    ApiKeys { api_key: key.code(), min_version, max_version }
}

fn supported(feature: &Feature) -> SupportedFeatures {
    SupportedFeatures { name: feature.name.into(), min_version: feature.min, max_version: feature.max }
}

fn finalized(feature: &Feature) -> FinalizedFeatures {
    FinalizedFeatures { name: feature.name.into(), max_version_level: feature.max, min_version_level: feature.max }
}

fn failed(code: ErrorCode, api_keys: Vec<ApiKeys>) -> ApiVersionsResponse {
    ApiVersionsResponse { error_code: code.code(), api_keys, ..ApiVersionsResponse::default() }
}

/// Letters and digits, with dots and dashes inside (KIP-511).
fn is_software_name(text: &str) -> bool {
    let is_alphanumeric = |b: &u8| b.is_ascii_alphanumeric();
    text.as_bytes().first().is_some_and(is_alphanumeric)
        && text.as_bytes().last().is_some_and(is_alphanumeric)
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(version: i16, name: &str, software_version: &str) -> (i16, Vec<i16>) {
        let request = ApiVersionsRequest { client_software_name: name.into(), client_software_version: software_version.into() };
        let response = respond(&request, version);
        (response.error_code, response.api_keys.iter().map(|k| k.api_key).collect())
    }

    #[test]
    fn api_versions_lists_what_is_served() {
        for version in 0..=4 {
            let (code, keys) = ask(version, "probe", "1.0");
            assert_eq!(code, 0);
            assert_eq!(keys, SERVED.iter().map(|s| s.key.code()).collect::<Vec<_>>());
            assert_eq!(answer_version(version), version);
        }
        assert_eq!(ask(0, "", "").0, 0, "no names before version 3");
    }

    #[test]
    fn api_versions_too_new() {
        for version in [5, 99, -1] {
            assert_eq!(ask(version, "", ""), (35, vec![18]));
            assert_eq!(answer_version(version), 0);
        }
    }

    #[test]
    fn api_versions_bad_name() {
        for (name, software_version) in [("", ""), ("bad name!", "1"), ("probe-", "1"), ("probe", "1 2"), ("-a", "1")] {
            assert_eq!(ask(3, name, software_version), (42, vec![]), "{name:?} {software_version:?}");
        }
        assert_eq!(ask(3, "apache-kafka-java", "4.3.1").0, 0);
    }

    #[test]
    fn no_feature_is_claimed_that_is_not_there() {
        let request = ApiVersionsRequest { client_software_name: "a".into(), client_software_version: "1".into() };
        let response = respond(&request, 4);
        let names: Vec<&str> = response.finalized_features.iter().map(|f| &*f.name).collect();
        assert_eq!(names, ["metadata.version"]);
    }
}
