//! The effective settings of a topic on this broker, parsed, and the check of the overrides a client asks for.
//!
//! Overrides are replicated as texts; each broker resolves them over its own file. Resolving is total: a text that does not parse
//! (written by a later version) counts as not given.
//!
//! Source: Kafka `LogConfig`.

use super::{BrokerLayers, Values, topic_setting, topic_value};
use std::collections::BTreeMap;

/// Overrides of the topic over this broker's settings over the defaults: what this broker acts upon.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TopicSettings {
    /// `max.message.bytes`: bytes of one batch, compressed.
    pub max_message_bytes: i32,
    /// `min.insync.replicas`.
    pub min_insync_replicas: i32,
    /// `segment.bytes`.
    pub segment_bytes: i32,
    /// `segment.ms`.
    pub segment_ms: i64,
    /// `retention.bytes`, -1: no limit.
    pub retention_bytes: i64,
    /// `retention.ms`, -1: no limit.
    pub retention_ms: i64,
    /// `cleanup.policy`.
    pub cleanup_policy: CleanupPolicy,
    /// `compression.type`.
    pub compression_type: CompressionType,
    /// `compression.gzip.level`, -1: gzip's own default.
    pub gzip_level: i32,
    /// `compression.zstd.level`.
    pub zstd_level: i32,
    /// `message.timestamp.type`.
    pub timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`.
    pub timestamp_before_max_ms: i64,
    /// `message.timestamp.after.max.ms`.
    pub timestamp_after_max_ms: i64,
}

/// `cleanup.policy`, a set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CleanupPolicy {
    /// Old segments are deleted.
    pub delete: bool,
    /// Older records of a key are removed.
    pub compact: bool,
}

/// `compression.type`: what batches are stored as.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CompressionType {
    /// As the producer sent them.
    Producer,
    /// Uncompressed.
    Uncompressed,
    /// Gzip.
    Gzip,
    /// Snappy.
    Snappy,
    /// LZ4.
    Lz4,
    /// Zstandard.
    Zstd,
}

/// `message.timestamp.type`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TimestampType {
    /// The producer's.
    CreateTime,
    /// The leader's wall clock at the append.
    LogAppendTime,
}

impl TopicSettings {
    /// The settings that count for a topic with these overrides on this broker.
    #[must_use]
    pub fn resolve(broker: BrokerLayers<'_>, overrides: &Values) -> TopicSettings {
        let text = |name: &str| -> String {
            let setting = topic_setting(name).expect("a name of the table");
            let value = topic_value(name, overrides, broker).and_then(|effective| effective.value);
            let legal = value.and_then(|value| setting.check(&value).ok());
            legal.unwrap_or_else(|| setting.default.unwrap_or_default().to_string())
        };
        let long = |name: &str| -> i64 { text(name).parse().expect("checked or a default") };
        let int = |name: &str| -> i32 { text(name).parse().expect("checked or a default") };
        let policy = text("cleanup.policy");
        TopicSettings {
            max_message_bytes: int("max.message.bytes"),
            min_insync_replicas: int("min.insync.replicas"),
            segment_bytes: int("segment.bytes"),
            segment_ms: long("segment.ms"),
            retention_bytes: long("retention.bytes"),
            retention_ms: long("retention.ms"),
            cleanup_policy: CleanupPolicy {
                delete: policy.split(',').any(|item| item == "delete"),
                compact: policy.split(',').any(|item| item == "compact"),
            },
            compression_type: match text("compression.type").as_str() {
                "uncompressed" => CompressionType::Uncompressed,
                "gzip" => CompressionType::Gzip,
                "snappy" => CompressionType::Snappy,
                "lz4" => CompressionType::Lz4,
                "zstd" => CompressionType::Zstd,
                _ => CompressionType::Producer,
            },
            gzip_level: int("compression.gzip.level"),
            zstd_level: int("compression.zstd.level"),
            timestamp_type: match text("message.timestamp.type").as_str() {
                "LogAppendTime" => TimestampType::LogAppendTime,
                _ => TimestampType::CreateTime,
            },
            timestamp_before_max_ms: long("message.timestamp.before.max.ms"),
            timestamp_after_max_ms: long("message.timestamp.after.max.ms"),
        }
    }
}

impl Default for TopicSettings {
    fn default() -> Self {
        TopicSettings::resolve(BrokerLayers::of_file(&Values::new()), &Values::new())
    }
}

/// Checks the overrides of a topic to be created; of a name given twice the last counts (`create-config-twice`).
///
/// # Errors
/// Kafka's sentence for INVALID_CONFIG (40), about the first wrong one.
pub fn check_overrides(asked: &[(String, Option<String>)]) -> Result<BTreeMap<String, String>, String> {
    if let Some((name, _)) = asked.iter().find(|(_, value)| value.is_none()) {
        return Err(format!("Null value not supported for topic configs: {name}"));
    }
    let mut checked = BTreeMap::new();
    for (name, value) in asked {
        let setting = topic_setting(name).ok_or_else(|| format!("Unknown topic config name: {name}"))?;
        checked.insert(name.clone(), setting.check(value.as_deref().unwrap_or_default())?);
    }
    let resolved = |name: &str| -> i64 {
        let default = topic_setting(name).and_then(|setting| setting.default).unwrap_or_default();
        checked.get(name).map_or(default, String::as_str).parse().unwrap_or(0)
    };
    let (low, high) = (resolved("min.compaction.lag.ms"), resolved("max.compaction.lag.ms"));
    if low > high {
        return Err(format!("conflict topic config setting min.compaction.lag.ms ({low}) > max.compaction.lag.ms ({high})"));
    }
    Ok(checked)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::BrokerSettings;

    #[track_caller]
    fn check(asked: &[(&str, Option<&str>)], expect: Result<&[(&str, &str)], &str>) {
        let asked: Vec<_> = asked.iter().map(|(name, value)| ((*name).to_string(), value.map(str::to_string))).collect();
        let got = check_overrides(&asked).map(|map| map.into_iter().collect::<Vec<_>>());
        let expect = expect.map(|pairs| pairs.iter().map(|(n, v)| ((*n).to_string(), (*v).to_string())).collect::<Vec<_>>());
        assert_eq!(got, expect.map_err(str::to_string));
    }

    #[test]
    fn create_config_rules() {
        check(&[("no.such.key", Some("1"))], Err("Unknown topic config name: no.such.key"));
        check(&[("message.format.version", Some("2.8"))], Err("Unknown topic config name: message.format.version"));
        check(&[("retention.ms", None)], Err("Null value not supported for topic configs: retention.ms"));
        check(&[("retention.ms", Some("1000")), ("retention.ms", Some("2000"))], Ok(&[("retention.ms", "2000")]));
        check(
            &[("min.compaction.lag.ms", Some("2000")), ("max.compaction.lag.ms", Some("1000"))],
            Err("conflict topic config setting min.compaction.lag.ms (2000) > max.compaction.lag.ms (1000)"),
        );
        check(&[("cleanup.policy", Some(""))], Ok(&[("cleanup.policy", "")]));
    }

    #[test]
    fn overrides_count_over_the_brokers_file_over_defaults() {
        let broker = BrokerSettings::parse(&[
            ("message.max.bytes".into(), "2000".into()),
            ("log.retention.minutes".into(), "1".into()),
            ("log.cleanup.policy".into(), "compact".into()),
        ]);
        let overrides = BTreeMap::from([("max.message.bytes".to_string(), "1000".to_string())]);
        let got = TopicSettings::resolve(BrokerLayers::of_file(&broker.expect("legal").given), &overrides);
        assert_eq!((got.max_message_bytes, got.retention_ms, got.segment_bytes), (1000, 60_000, 1_073_741_824));
        assert_eq!(got.cleanup_policy, CleanupPolicy { delete: false, compact: true });
    }

    #[test]
    fn a_text_that_does_not_parse_counts_as_not_given() {
        let overrides = BTreeMap::from([("retention.ms".to_string(), "soon".to_string())]);
        assert_eq!(TopicSettings::resolve(BrokerLayers::of_file(&Values::new()), &overrides).retention_ms, 604_800_000);
    }
}
