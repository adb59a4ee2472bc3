//! Which value counts, where it comes from and what would count without it.
//!
//! Source: Kafka `ConfigHelper` and `DynamicBrokerConfig.brokerConfigSynonyms`; facts in golden README 28 and 29: a topic without an
//! override shows `min.insync.replicas` as DYNAMIC_DEFAULT_BROKER, and settings that the broker has in hours have no DEFAULT synonym.

use super::{Setting, broker_setting, topic_setting};
use std::collections::BTreeMap;

/// A value with its origin.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Effective {
    /// The value; `None` is null.
    pub value: Option<String>,
    /// Where it comes from.
    pub source: Source,
    /// What stands behind it, the counting one first.
    pub synonyms: Vec<Synonym>,
}

/// One place where a value stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Synonym {
    /// Its name there.
    pub name: String,
    /// Its value there.
    pub value: String,
    /// Where.
    pub source: Source,
}

/// Kafka's `ConfigSource`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    /// The topic's override.
    Topic,
    /// A default of the whole cluster.
    ClusterDefault,
    /// This broker's file.
    Broker,
    /// Nobody set it.
    Default,
}

impl Source {
    /// Its number on the wire.
    #[must_use]
    pub fn code(self) -> i8 {
        match self {
            Source::Topic => 1,
            Source::ClusterDefault => 3,
            Source::Broker => 4,
            Source::Default => 5,
        }
    }
}

/// Brokers replicate this default through the cluster, so it shows as one of the cluster.
const CLUSTER_WIDE: &str = "min.insync.replicas";

/// A broker setting over what the operator gave; `None` if there is no such setting.
#[must_use]
pub fn broker_value(name: &str, given: &BTreeMap<String, String>) -> Option<Effective> {
    let setting = broker_setting(name)?;
    let mut synonyms = Vec::new();
    add_broker_synonyms(setting, given, &mut synonyms);
    Some(first_of(synonyms, setting))
}

/// A topic setting over the topic's overrides over what the operator gave; `None` if there is no such setting.
#[must_use]
pub fn topic_value(name: &str, overrides: &BTreeMap<String, String>, given: &BTreeMap<String, String>) -> Option<Effective> {
    Some(resource_value(topic_setting(name)?, overrides, given))
}

/// A setting of a topic (or another resource whose settings stand in for broker settings) over its overrides over what the operator gave.
#[must_use]
pub fn resource_value(setting: &Setting, overrides: &BTreeMap<String, String>, given: &BTreeMap<String, String>) -> Effective {
    let mut synonyms = Vec::new();
    if let Some(value) = overrides.get(setting.name) {
        synonyms.push(Synonym { name: setting.name.to_string(), value: value.clone(), source: Source::Topic });
    }
    if let Some(broker) = setting.synonym.and_then(broker_setting) {
        add_broker_synonyms(broker, given, &mut synonyms);
        add_coarser(broker.name, given, &mut synonyms);
    }
    first_of(synonyms, setting)
}

fn add_broker_synonyms(setting: &Setting, given: &BTreeMap<String, String>, synonyms: &mut Vec<Synonym>) {
    let own = given.get(setting.name);
    let mut add = |value: &str, source| {
        synonyms.push(Synonym { name: setting.name.to_string(), value: value.to_string(), source });
    };
    if setting.name == CLUSTER_WIDE {
        add(own.map_or_else(|| setting.default.unwrap_or_default(), String::as_str), Source::ClusterDefault);
    }
    if let Some(value) = own {
        add(value, Source::Broker);
    }
    if let Some(default) = setting.default {
        add(default, Source::Default);
    }
}

/// Times that operators may give in minutes or hours count in milliseconds for a topic.
fn add_coarser(name: &str, given: &BTreeMap<String, String>, synonyms: &mut Vec<Synonym>) {
    let coarser: &[(&str, i64)] = match name {
        "log.retention.ms" => &[("log.retention.minutes", 60_000), ("log.retention.hours", 3_600_000)],
        "log.roll.ms" => &[("log.roll.hours", 3_600_000)],
        "log.roll.jitter.ms" => &[("log.roll.jitter.hours", 3_600_000)],
        _ => &[],
    };
    for (coarse, factor) in coarser {
        if let Some(count) = given.get(*coarse).and_then(|value| value.parse::<i64>().ok()) {
            let ms = if count < 0 { count } else { count.saturating_mul(*factor) };
            synonyms.push(Synonym { name: (*coarse).to_string(), value: ms.to_string(), source: Source::Broker });
        }
    }
}

fn first_of(synonyms: Vec<Synonym>, setting: &Setting) -> Effective {
    let (value, source) = match synonyms.first() {
        Some(first) => (Some(first.value.clone()), first.source),
        None => (setting.default.map(str::to_string), Source::Default),
    };
    Effective { value: value.filter(|_| !setting.is_sensitive()), source, synonyms }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_string(), (*value).to_string())).collect()
    }

    /// `value source; name=value@source ...` of a topic setting.
    #[track_caller]
    fn check(name: &str, overrides: &[(&str, &str)], given: &[(&str, &str)], expect: &str) {
        let got = topic_value(name, &map(overrides), &map(given)).expect("known");
        let synonyms: Vec<String> = got.synonyms.iter().map(|s| format!("{}={}@{}", s.name, s.value, s.source.code())).collect();
        assert_eq!(format!("{} {}; {}", got.value.unwrap_or("null".into()), got.source.code(), synonyms.join(" ")), expect);
    }

    #[test]
    fn configs_topic() {
        check("retention.ms", &[("retention.ms", "60000")], &[], "60000 1; retention.ms=60000@1");
        check("retention.ms", &[], &[], "604800000 5; ");
        check("retention.ms", &[], &[("log.retention.hours", "1")], "3600000 4; log.retention.hours=3600000@4");
        check("cleanup.policy", &[], &[], "delete 5; log.cleanup.policy=delete@5");
        check("min.insync.replicas", &[], &[], "1 3; min.insync.replicas=1@3 min.insync.replicas=1@5");
        check(
            "segment.bytes",
            &[],
            &[("log.segment.bytes", "2000000")],
            "2000000 4; log.segment.bytes=2000000@4 log.segment.bytes=1073741824@5",
        );
        check("flush.ms", &[], &[], "9223372036854775807 5; ");
    }

    #[test]
    fn secrets_are_not_shown() {
        let got = broker_value("ssl.key.password", &map(&[("ssl.key.password", "hunter2")])).expect("known");
        assert_eq!(got.value, None);
    }
}
