//! Kafka's settings: one table, from which validation, DescribeConfigs and the parsed values are derived.
//!
//! Knows nothing of topics or requests: overrides come in as names and values. Every setting Kafka lists can be described; those that
//! this broker acts upon say so in their sentence.
//!
//! Precedence, highest first: the topic's override, what was set at run time for this broker, for all brokers, this broker's own file, the
//! default.

mod broker_settings;
mod broker_table;
mod change;
mod effective;
mod other_tables;
mod setting;
mod topic_settings;
mod topic_table;

pub use broker_settings::BrokerSettings;
pub use broker_table::BROKER_SETTINGS;
pub use change::{Change, ChangeFault, ConfigKind, Edit, changed};
pub use effective::{
    BrokerLayers, Effective, Source, Synonym, Values, broker_value, cluster_values, resource_value, topic_value,
};
pub use other_tables::{CLIENT_METRICS_SETTINGS, GROUP_SETTINGS};
pub use setting::{Kind, Setting};
pub use topic_settings::{CleanupPolicy, CompressionType, TimestampType, TopicSettings, check_overrides};
pub use topic_table::TOPIC_SETTINGS;

/// A topic setting by name.
#[must_use]
pub fn topic_setting(name: &str) -> Option<&'static Setting> {
    TOPIC_SETTINGS.iter().find(|setting| setting.name == name)
}

/// A broker setting by name.
#[must_use]
pub fn broker_setting(name: &str) -> Option<&'static Setting> {
    BROKER_SETTINGS.iter().find(|setting| setting.name == name)
}

/// The broker setting whose name is nearest to a mistyped one, see [`nearest_setting`].
#[must_use]
pub fn nearest_broker_setting(name: &str) -> Option<&'static str> {
    nearest_setting(name, BROKER_SETTINGS.iter().map(|setting| setting.name))
}

/// The one of these names that is nearest to a mistyped one: fewest changed, missing or extra letters, the first of equals. `None`
/// if more than a third of the letters would have to change.
#[must_use]
pub fn nearest_setting(name: &str, known: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    let best = known.map(|known| (distance(name, known), known)).min_by_key(|(d, _)| *d)?;
    (best.0 * 3 <= name.len()).then_some(best.1)
}

fn distance(left: &str, right: &str) -> usize {
    let right: Vec<u8> = right.bytes().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in right.iter().enumerate() {
            let change = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_default_is_a_legal_value() {
        for setting in TOPIC_SETTINGS.iter().chain(&BROKER_SETTINGS) {
            if let Some(default) = setting.default.filter(|default| !default.is_empty()) {
                assert_eq!(setting.check(default).as_deref(), Ok(default), "{}", setting.name);
            }
        }
    }

    #[test]
    fn names_are_unique_and_synonyms_exist() {
        assert_eq!(TOPIC_SETTINGS.iter().map(|s| s.name).collect::<BTreeSet<_>>().len(), 33);
        assert_eq!(BROKER_SETTINGS.iter().map(|s| s.name).collect::<BTreeSet<_>>().len(), 340);
        for setting in &TOPIC_SETTINGS {
            assert!(
                setting.is_used || setting.explanation().starts_with("Known to Kafka, without effect here. "),
                "{}",
                setting.name
            );
            if let Some(synonym) = setting.synonym {
                let broker = broker_setting(synonym).expect(synonym);
                assert_eq!(broker.kind, setting.kind, "{synonym}");
            }
        }
    }

    #[test]
    fn a_mistyped_name_finds_its_neighbour() {
        assert_eq!(nearest_broker_setting("num.partition"), Some("num.partitions"));
        assert_eq!(nearest_broker_setting("auto.create.topic.enabled"), Some("auto.create.topics.enable"));
        assert_eq!(nearest_broker_setting("frobnicate"), None);
    }
}
