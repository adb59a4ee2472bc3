//! Which value counts, where it comes from and what would count without it.
//!
//! Source: Kafka `ConfigHelper` and `DynamicBrokerConfig.brokerConfigSynonyms`; facts in golden README 28 and 29: a topic without an
//! override shows `min.insync.replicas` as DYNAMIC_DEFAULT_BROKER, and settings that the broker has in hours have no DEFAULT synonym.

use super::{Setting, broker_setting, topic_setting};
use std::collections::BTreeMap;

/// Names and values of settings.
pub type Values = BTreeMap<String, String>;

static NOTHING: Values = Values::new();

/// What stands behind a broker's settings besides the defaults, the stronger first.
#[derive(Clone, Copy, Debug)]
pub struct BrokerLayers<'a> {
    /// Set at run time for this broker.
    pub own: &'a Values,
    /// Set at run time for all brokers.
    pub cluster: &'a Values,
    /// This broker's file.
    pub file: &'a Values,
}

impl<'a> BrokerLayers<'a> {
    /// A broker of which nothing was changed at run time.
    #[must_use]
    pub fn of_file(file: &'a Values) -> BrokerLayers<'a> {
        BrokerLayers { own: &NOTHING, cluster: &NOTHING, file }
    }
}

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
    /// Set at run time for one broker.
    DynamicBroker,
    /// Set at run time for all brokers, or a default of the whole cluster.
    ClusterDefault,
    /// This broker's file.
    Broker,
    /// Nobody set it.
    Default,
    /// The subscription's own.
    ClientMetrics,
    /// The group's own.
    Group,
}

impl Source {
    /// Its number on the wire.
    #[must_use]
    pub fn code(self) -> i8 {
        match self {
            Source::Topic => 1,
            Source::DynamicBroker => 2,
            Source::ClusterDefault => 3,
            Source::Broker => 4,
            Source::Default => 5,
            Source::ClientMetrics => 7,
            Source::Group => 8,
        }
    }
}

/// Brokers replicate this default through the cluster, so it shows as one of the cluster.
const CLUSTER_WIDE: &str = "min.insync.replicas";

/// A broker setting over its layers; `None` if there is no such setting.
#[must_use]
pub fn broker_value(name: &str, layers: BrokerLayers<'_>) -> Option<Effective> {
    let setting = broker_setting(name)?;
    let mut synonyms = Vec::new();
    add_broker_synonyms(setting, layers, &mut synonyms);
    Some(first_of(synonyms, setting))
}

/// A topic setting over the topic's overrides over the broker's layers; `None` if there is no such setting.
#[must_use]
pub fn topic_value(name: &str, overrides: &Values, layers: BrokerLayers<'_>) -> Option<Effective> {
    Some(resource_value(topic_setting(name)?, overrides, Source::Topic, layers))
}

/// A setting of a topic (or another resource whose settings stand in for broker settings) over its overrides, which are of `source`, over
/// the broker's layers.
#[must_use]
pub fn resource_value(setting: &Setting, overrides: &Values, source: Source, layers: BrokerLayers<'_>) -> Effective {
    let mut synonyms = Vec::new();
    if let Some(value) = overrides.get(setting.name) {
        synonyms.push(Synonym { name: setting.name.to_string(), value: value.clone(), source });
    }
    if let Some(broker) = setting.synonym.and_then(broker_setting) {
        add_broker_synonyms(broker, layers, &mut synonyms);
        add_coarser(broker.name, layers.file, &mut synonyms);
    } else if let Some(own) = setting.synonym.filter(|own| *own == setting.name)
        && let Some(default) = setting.default
    {
        synonyms.push(Synonym { name: own.to_string(), value: default.to_string(), source: Source::Default });
    }
    first_of(synonyms, setting)
}

/// What was set at run time for all brokers, and the defaults that are kept there.
#[must_use]
pub fn cluster_values(layers: BrokerLayers<'_>) -> Values {
    let mut values = layers.cluster.clone();
    let implied =
        broker_setting(CLUSTER_WIDE).and_then(|setting| layers.file.get(CLUSTER_WIDE).map(String::as_str).or(setting.default));
    values.entry(CLUSTER_WIDE.to_string()).or_insert_with(|| implied.unwrap_or_default().to_string());
    values
}

fn add_broker_synonyms(setting: &Setting, layers: BrokerLayers<'_>, synonyms: &mut Vec<Synonym>) {
    let given = layers.file.get(setting.name).map(String::as_str);
    let implied = if setting.name == CLUSTER_WIDE { given.or(setting.default) } else { None };
    let places = [
        (layers.own.get(setting.name).map(String::as_str), Source::DynamicBroker),
        (layers.cluster.get(setting.name).map(String::as_str).or(implied), Source::ClusterDefault),
        (given, Source::Broker),
        (setting.default, Source::Default),
    ];
    for (value, source) in places {
        if let Some(value) = value {
            synonyms.push(Synonym { name: setting.name.to_string(), value: value.to_string(), source });
        }
    }
}

/// Times that operators may give in minutes or hours count in milliseconds for a topic.
fn add_coarser(name: &str, given: &Values, synonyms: &mut Vec<Synonym>) {
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

    fn map(pairs: &[(&str, &str)]) -> Values {
        pairs.iter().map(|(name, value)| ((*name).to_string(), (*value).to_string())).collect()
    }

    /// `value source; name=value@source ...` of a topic setting.
    #[track_caller]
    fn check(name: &str, overrides: &[(&str, &str)], given: &[(&str, &str)], expect: &str) {
        let got = topic_value(name, &map(overrides), BrokerLayers::of_file(&map(given))).expect("known");
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
    fn what_was_set_at_run_time_counts_over_the_file() {
        let (own, cluster, file) = (
            map(&[("message.max.bytes", "3")]),
            map(&[("message.max.bytes", "2"), ("min.insync.replicas", "2")]),
            map(&[("message.max.bytes", "1")]),
        );
        let layers = BrokerLayers { own: &own, cluster: &cluster, file: &file };
        let shown = |effective: Effective| {
            let synonyms = effective.synonyms.iter().map(|s| (s.value.clone(), s.source.code())).collect::<Vec<_>>();
            (effective.value, effective.source.code(), synonyms)
        };
        let expect = [("3", 2), ("2", 3), ("1", 4), ("1048588", 5)].map(|(value, code)| (value.to_string(), code)).to_vec();
        let got = broker_value("message.max.bytes", layers).expect("known");
        assert_eq!(shown(got), (Some("3".to_string()), 2, expect.clone()));
        let got = topic_value("max.message.bytes", &map(&[]), layers).expect("known");
        assert_eq!(shown(got), (Some("3".to_string()), 2, expect));
        let got = broker_value("min.insync.replicas", layers).expect("known");
        assert_eq!(shown(got), (Some("2".to_string()), 3, vec![("2".to_string(), 3), ("1".to_string(), 5)]));
        assert_eq!(cluster_values(BrokerLayers::of_file(&file)), map(&[("min.insync.replicas", "1")]));
    }

    #[test]
    fn secrets_are_not_shown() {
        let got =
            broker_value("ssl.key.password", BrokerLayers::of_file(&map(&[("ssl.key.password", "hunter2")]))).expect("known");
        assert_eq!(got.value, None);
    }
}
