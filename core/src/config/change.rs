//! What a change of settings leads to: all values of the resource afterwards, or Kafka's refusal.
//!
//! A change is judged as a whole: one bad key spoils it. Values are kept as [`Setting::check`] writes them. Knows nothing of who asks,
//! of topics that may not exist or of when values take effect.
//!
//! Where Kafka reconfigures listeners and their security at run time, this broker can't and refuses: a secret would only be stored. So it
//! does with what it reads at its start.
//! Patterns of client metrics subscriptions are checked as far as their key; their regular expressions have no reader here.
//!
//! Source: Kafka `ConfigurationControlManager`, `ConfigAdminManager`, `DynamicBrokerConfig.validateConfigs`, `ControllerConfigurationValidator`,
//! `ClientMetricsConfigs`, `GroupConfig`; golden `alter-*` and `legacy-alter-*`, and what Kafka 4.3.1 said to cases beyond those.

use super::{
    BrokerLayers, CLIENT_METRICS_SETTINGS, GROUP_SETTINGS, Kind, Setting, Values, broker_setting, broker_value, check_overrides,
    topic_setting, topic_value,
};
use crate::limits::{CONFIG_KEYS_MAX, CONFIG_VALUE_BYTES_MAX};

/// Whose settings.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ConfigKind {
    /// A topic.
    Topic,
    /// One broker.
    Broker,
    /// All brokers.
    AllBrokers,
    /// A client metrics subscription.
    ClientMetrics,
    /// A group.
    Group,
}

/// What is done to one setting.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Edit {
    /// It gets this value.
    Set(String),
    /// It is not set any more.
    Delete,
    /// These items are added to a list, as far as they are not in it.
    Append(String),
    /// These items are taken out of a list.
    Subtract(String),
}

/// A change of one resource.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// These are all its values (AlterConfigs).
    Replace(Vec<(String, String)>),
    /// Each named setting is edited, the others stay (IncrementalAlterConfigs).
    Edit(Vec<(String, Edit)>),
}

/// Why a change is refused, with Kafka's sentence.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ChangeFault {
    /// `INVALID_CONFIG` (40).
    Config(String),
    /// `INVALID_REQUEST` (42).
    Request(String),
}

use ChangeFault::{Config, Request};

/// The values of a resource after a change of its `current` ones. `layers` stand behind them: lists are edited from what counts now, and
/// bounds of groups stand in the broker's file.
///
/// # Errors
/// The first fault; nothing is changed then.
pub fn changed(kind: ConfigKind, current: &Values, change: &Change, layers: BrokerLayers<'_>) -> Result<Values, ChangeFault> {
    let values = match change {
        Change::Replace(values) => values.iter().cloned().collect(),
        Change::Edit(edits) => {
            let mut values = current.clone();
            for (name, edit) in edits {
                match edit {
                    Edit::Set(value) => _ = values.insert(name.clone(), value.clone()),
                    Edit::Delete => _ = values.remove(name),
                    Edit::Append(items) => {
                        let mut list = list_of(kind, name, "APPEND", current, layers)?;
                        for item in items_of(items) {
                            if !list.contains(&item) {
                                list.push(item);
                            }
                        }
                        values.insert(name.clone(), list.join(","));
                    }
                    Edit::Subtract(items) => {
                        let mut list = list_of(kind, name, "SUBTRACT", current, layers)?;
                        list.retain(|item| !items_of(items).contains(item));
                        values.insert(name.clone(), list.join(","));
                    }
                }
            }
            values
        }
    };
    check_sizes(&values)?;
    match kind {
        ConfigKind::Topic => {
            let asked: Vec<_> = values.into_iter().map(|(name, value)| (name, Some(value))).collect();
            check_overrides(&asked).map_err(Config)
        }
        ConfigKind::Broker | ConfigKind::AllBrokers => check_broker(kind, values),
        ConfigKind::ClientMetrics => check_client_metrics(values),
        ConfigKind::Group => check_group(values, layers.file),
    }
}

fn items_of(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_string).collect()
}

/// The items of a list as they count now.
fn list_of(
    kind: ConfigKind,
    name: &str,
    verb: &str,
    current: &Values,
    layers: BrokerLayers<'_>,
) -> Result<Vec<String>, ChangeFault> {
    let (setting, now) = match kind {
        ConfigKind::Topic => (topic_setting(name), topic_value(name, current, layers)),
        ConfigKind::Broker | ConfigKind::AllBrokers => {
            let setting = broker_setting(name).ok_or_else(|| Config(format!("Unknown config name: {name}")))?;
            if setting.kind != Kind::List {
                let verb = verb.to_ascii_lowercase();
                return Err(Config(format!("Config value {verb} is not allowed for config key: {name}")));
            }
            (Some(setting), broker_value(name, BrokerLayers { own: current, ..BrokerLayers::of_file(layers.file) }))
        }
        ConfigKind::ClientMetrics | ConfigKind::Group => (None, None),
    };
    if setting.is_none_or(|setting| setting.kind != Kind::List) {
        return Err(Config(format!("Can't {verb} to key {name} because its type is not LIST.")));
    }
    Ok(items_of(&now.and_then(|effective| effective.value).unwrap_or_default()))
}

fn check_sizes(values: &Values) -> Result<(), ChangeFault> {
    if values.len() > CONFIG_KEYS_MAX {
        return Err(Config(format!("A resource has at most {CONFIG_KEYS_MAX} settings.")));
    }
    match values.iter().find(|(name, value)| name.len().max(value.len()) > CONFIG_VALUE_BYTES_MAX) {
        Some(_) => Err(Config(format!("A name or value of a setting has at most {CONFIG_VALUE_BYTES_MAX} bytes."))),
        None => Ok(()),
    }
}

/// Names that Kafka takes for one broker only, because they are about its listeners.
fn is_about_listeners(name: &str) -> bool {
    let prefixes = ["ssl.", "sasl.", "listener.", "listeners", "advertised.listeners", "principal.builder."];
    prefixes.iter().any(|prefix| name.starts_with(prefix))
}

/// Settings that are dynamic in Kafka and that this broker acts upon, but reads at its start only.
const READ_AT_START: [&str; 3] = ["producer.id.expiration.ms", "max.connections", "max.connections.per.ip"];

/// Names that Kafka takes with the prefix of a listener only.
fn is_a_key_store(name: &str) -> bool {
    ["ssl.key", "ssl.truststore"].iter().any(|prefix| name.starts_with(prefix))
}

fn check_broker(kind: ConfigKind, values: Values) -> Result<Values, ChangeFault> {
    let refuse_all = |sentence: &str, is_bad: &dyn Fn(&str) -> bool| {
        let bad: Vec<&str> = values.keys().map(String::as_str).filter(|name| is_bad(name)).collect();
        if bad.is_empty() { Ok(()) } else { Err(Request(format!("{sentence}: [{}]", bad.join(", ")))) }
    };
    let dynamically = "Cannot update these configs dynamically";
    refuse_all(dynamically, &|name| broker_setting(name).is_some_and(|setting| setting.is_read_only))?;
    let sentence = "These security configs can be dynamically updated only per-listener using the listener prefix";
    refuse_all(sentence, &is_a_key_store)?;
    if kind == ConfigKind::AllBrokers {
        let sentence = "Cannot update these configs at default cluster level, broker id must be specified";
        refuse_all(sentence, &is_about_listeners)?;
    }
    refuse_all(dynamically, &|name| is_about_listeners(name) || READ_AT_START.contains(&name))?;
    // Unknown names are kept: plug-ins might know them.
    let kept = values.into_iter().map(|(name, value)| match broker_setting(&name) {
        Some(setting) => Ok((name, setting.check(&value)?)),
        None => Ok((name, value)),
    });
    kept.collect::<Result<Values, String>>().map_err(Request)
}

fn named<'a>(settings: &'a [Setting], name: &str) -> Option<&'a Setting> {
    settings.iter().find(|setting| setting.name == name)
}

fn check_client_metrics(values: Values) -> Result<Values, ChangeFault> {
    const KEYS: [&str; 6] = [
        "client_instance_id",
        "client_id",
        "client_software_name",
        "client_software_version",
        "client_source_address",
        "client_source_port",
    ];
    let mut kept = Values::new();
    for (name, value) in values {
        let unknown = || Request(format!("Unknown client metrics configuration: {name}"));
        let value = named(&CLIENT_METRICS_SETTINGS, &name).ok_or_else(unknown)?.check(&value).map_err(Config)?;
        let is_in_range = |ms: i64| (100..=3_600_000).contains(&ms);
        if name == "interval.ms" && !value.parse().is_ok_and(is_in_range) {
            let sentence = format!("Invalid value {value} for interval.ms, interval must be between 100 and 3600000 (1 hour)");
            return Err(Request(sentence));
        }
        let is_pattern = |item: &str| item.split_once('=').is_some_and(|(key, _)| KEYS.contains(&key.trim()));
        if name == "match"
            && let Some(bad) = items_of(&value).into_iter().find(|item| !is_pattern(item))
        {
            return Err(Config(format!("Illegal client matching pattern: {bad}")));
        }
        kept.insert(name, value);
    }
    Ok(kept)
}

fn check_group(values: Values, file: &Values) -> Result<Values, ChangeFault> {
    let mut kept = Values::new();
    for (name, value) in values {
        let unknown = || Config(format!("Unknown group config name: {name}"));
        let value = named(&GROUP_SETTINGS, &name).ok_or_else(unknown)?.check(&value).map_err(Config)?;
        if name == "share.auto.offset.reset"
            && !["earliest", "latest"].contains(&value.as_str())
            && !value.starts_with("by_duration:")
        {
            let sentence = "The value must be either 'earliest', 'latest' or of the format 'by_duration:<PnDTnHnMn.nS>'.";
            return Err(Config(format!("Invalid value {value} for configuration {name}: {sentence}")));
        }
        check_group_bounds(&name, &value, file)?;
        kept.insert(name, value);
    }
    Ok(kept)
}

/// `consumer.session.timeout.ms` lies between `group.consumer.min.session.timeout.ms` and `group.consumer.max.session.timeout.ms`; the
/// others have their bounds in the same way, or only one, or none.
fn check_group_bounds(name: &str, value: &str, file: &Values) -> Result<(), ChangeFault> {
    let Some((family, rest)) = name.split_once('.') else { return Ok(()) };
    let rest = rest.strip_prefix("num.").unwrap_or(rest);
    let bound = |word: &str| -> Option<(String, i64)> {
        let bound = format!("group.{family}.{word}.{rest}");
        let value = broker_value(&bound, BrokerLayers::of_file(file))?.value?;
        Some((bound, value.parse().ok()?))
    };
    let Ok(value) = value.parse::<i64>() else { return Ok(()) };
    if let Some((bound, _)) = bound("min").filter(|(_, low)| value < *low) {
        return Err(Config(format!("{name} must be greater than or equal to {bound}")));
    }
    if let Some((bound, _)) = bound("max").filter(|(_, high)| value > *high) {
        return Err(Config(format!("{name} must be less than or equal to {bound}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> Values {
        pairs.iter().map(|(name, value)| ((*name).to_string(), (*value).to_string())).collect()
    }

    fn set(value: &str) -> Edit {
        Edit::Set(value.into())
    }

    #[track_caller]
    fn check(kind: ConfigKind, current: &[(&str, &str)], edits: &[(&str, Edit)], expect: Result<&[(&str, &str)], ChangeFault>) {
        let edits = edits.iter().map(|(name, edit)| ((*name).to_string(), edit.clone())).collect();
        let got = changed(kind, &map(current), &Change::Edit(edits), BrokerLayers::of_file(&Values::new()));
        assert_eq!(got, expect.map(map));
    }

    fn config(sentence: &str) -> ChangeFault {
        Config(sentence.to_string())
    }

    fn request(sentence: &str) -> ChangeFault {
        Request(sentence.to_string())
    }

    #[test]
    fn alter_set_and_delete() {
        let topic = ConfigKind::Topic;
        check(
            topic,
            &[("segment.ms", "7")],
            &[("retention.ms", set(" 80000 "))],
            Ok(&[("retention.ms", "80000"), ("segment.ms", "7")]),
        );
        check(topic, &[], &[("no.such.key", set("1"))], Err(config("Unknown topic config name: no.such.key")));
        let sentence = "Invalid value abc for configuration retention.ms: Not a number of type LONG";
        check(topic, &[], &[("retention.ms", set("abc"))], Err(config(sentence)));
        let sentence = "Invalid value -2 for configuration retention.ms: Value must be at least -1";
        check(topic, &[], &[("retention.ms", set("-2"))], Err(config(sentence)));
        check(topic, &[], &[("no.such.key", Edit::Delete), ("segment.ms", Edit::Delete)], Ok(&[]));
        check(topic, &[("retention.ms", "1")], &[("retention.ms", Edit::Delete)], Ok(&[]));
        check(
            topic,
            &[("max.compaction.lag.ms", "5")],
            &[("min.compaction.lag.ms", set("10"))],
            Err(config("conflict topic config setting min.compaction.lag.ms (10) > max.compaction.lag.ms (5)")),
        );
    }

    #[test]
    fn alter_append_and_subtract() {
        let (topic, name) = (ConfigKind::Topic, "cleanup.policy");
        let append = |items: &str| Edit::Append(items.into());
        let subtract = |items: &str| Edit::Subtract(items.into());
        check(topic, &[], &[(name, append("compact"))], Ok(&[(name, "delete,compact")]));
        check(topic, &[(name, "delete,compact")], &[(name, append("compact"))], Ok(&[(name, "delete,compact")]));
        check(topic, &[(name, "delete,compact")], &[(name, subtract("compact"))], Ok(&[(name, "delete")]));
        check(topic, &[(name, "delete")], &[(name, subtract("compact"))], Ok(&[(name, "delete")]));
        check(topic, &[(name, "delete")], &[(name, subtract("delete"))], Ok(&[(name, "")]));
        let throttled = "leader.replication.throttled.replicas";
        check(topic, &[], &[(throttled, append("0:1"))], Ok(&[(throttled, "0:1")]));
        let sentence = "Invalid value shred for configuration cleanup.policy: String must be one of: compact, delete";
        check(topic, &[], &[(name, append("shred"))], Err(config(sentence)));
        let sentence = "Can't APPEND to key retention.ms because its type is not LIST.";
        check(topic, &[], &[("retention.ms", append("1"))], Err(config(sentence)));
        let sentence = "Can't SUBTRACT to key retention.ms because its type is not LIST.";
        check(topic, &[], &[("retention.ms", subtract("1"))], Err(config(sentence)));
        let broker = ConfigKind::Broker;
        check(broker, &[], &[("log.cleanup.policy", append("compact"))], Ok(&[("log.cleanup.policy", "delete,compact")]));
        let sentence = "Config value append is not allowed for config key: log.cleaner.threads";
        check(broker, &[], &[("log.cleaner.threads", append("2"))], Err(config(sentence)));
        check(broker, &[], &[("no.such.key", subtract("2"))], Err(config("Unknown config name: no.such.key")));
        let sentence = "Can't APPEND to key metrics because its type is not LIST.";
        check(ConfigKind::ClientMetrics, &[], &[("metrics", append("b"))], Err(config(sentence)));
    }

    #[test]
    fn alter_broker_rules() {
        let (one, all) = (ConfigKind::Broker, ConfigKind::AllBrokers);
        check(one, &[], &[("log.cleaner.threads", set("2"))], Ok(&[("log.cleaner.threads", "2")]));
        check(one, &[], &[("no.such.key", set("5"))], Ok(&[("no.such.key", "5")]));
        check(one, &[], &[("node.id", Edit::Delete)], Ok(&[]));
        let sentence = "Cannot update these configs dynamically: [node.id, num.partitions]";
        check(one, &[], &[("num.partitions", set("3")), ("node.id", set("1"))], Err(request(sentence)));
        let sentence = "Cannot update these configs at default cluster level, broker id must be specified: [listeners]";
        check(all, &[], &[("listeners", set("PLAINTEXT://:1"))], Err(request(sentence)));
        let sentence = "Cannot update these configs dynamically: [listeners]";
        check(one, &[], &[("listeners", set("PLAINTEXT://:1"))], Err(request(sentence)));
        let sentence = "Cannot update these configs dynamically: [producer.id.expiration.ms]";
        check(all, &[], &[("producer.id.expiration.ms", set("7"))], Err(request(sentence)));
        let sentence = "Cannot update these configs dynamically: [max.connections, max.connections.per.ip]";
        check(all, &[], &[("max.connections", set("7")), ("max.connections.per.ip", set("7"))], Err(request(sentence)));
        let sentence = "These security configs can be dynamically updated only per-listener using the listener prefix: [ssl.keystore.password]";
        check(one, &[], &[("ssl.keystore.password", set("x"))], Err(request(sentence)));
        let sentence = "Invalid value abc for configuration message.max.bytes: Not a number of type INT";
        check(all, &[], &[("message.max.bytes", set("abc"))], Err(request(sentence)));
    }

    #[test]
    fn alter_client_metrics_rules() {
        let kind = ConfigKind::ClientMetrics;
        check(kind, &[], &[("interval.ms", set("1000"))], Ok(&[("interval.ms", "1000")]));
        let sentence = "Invalid value -5 for interval.ms, interval must be between 100 and 3600000 (1 hour)";
        check(kind, &[], &[("interval.ms", set("-5"))], Err(request(sentence)));
        check(kind, &[], &[("no", set("1"))], Err(request("Unknown client metrics configuration: no")));
        check(kind, &[], &[("match", set("client_id=a.*"))], Ok(&[("match", "client_id=a.*")]));
        check(kind, &[], &[("match", set("client_id=a,color=b"))], Err(config("Illegal client matching pattern: color=b")));
    }

    #[test]
    fn alter_group_rules() {
        let kind = ConfigKind::Group;
        let name = "consumer.session.timeout.ms";
        check(kind, &[], &[(name, set("50000"))], Ok(&[(name, "50000")]));
        let sentence = "consumer.session.timeout.ms must be greater than or equal to group.consumer.min.session.timeout.ms";
        check(kind, &[], &[(name, set("1"))], Err(config(sentence)));
        let sentence = "consumer.session.timeout.ms must be less than or equal to group.consumer.max.session.timeout.ms";
        check(kind, &[], &[(name, set("70000"))], Err(config(sentence)));
        let sentence = "streams.num.standby.replicas must be less than or equal to group.streams.max.standby.replicas";
        check(kind, &[], &[("streams.num.standby.replicas", set("99"))], Err(config(sentence)));
        check(kind, &[], &[("no.such.key", set("1"))], Err(config("Unknown group config name: no.such.key")));
        let sentence =
            "Invalid value x for configuration share.isolation.level: String must be one of: read_committed, read_uncommitted";
        check(kind, &[], &[("share.isolation.level", set("x"))], Err(config(sentence)));
    }

    #[test]
    fn legacy_alter_replaces_all() {
        let change = Change::Replace(vec![("segment.ms".into(), "100000".into())]);
        let got = changed(ConfigKind::Topic, &map(&[("retention.ms", "1")]), &change, BrokerLayers::of_file(&Values::new()));
        assert_eq!(got, Ok(map(&[("segment.ms", "100000")])));
    }

    #[test]
    fn a_resource_is_bounded() {
        let many = (0..=CONFIG_KEYS_MAX).map(|n| (format!("no.such.{n}"), set("1"))).collect();
        let got = changed(ConfigKind::Broker, &Values::new(), &Change::Edit(many), BrokerLayers::of_file(&Values::new()));
        assert!(matches!(got, Err(Config(_))), "{got:?}");
        let long = Change::Edit(vec![("no.such".into(), Edit::Set("x".repeat(CONFIG_VALUE_BYTES_MAX + 1)))]);
        let got = changed(ConfigKind::Broker, &Values::new(), &long, BrokerLayers::of_file(&Values::new()));
        assert!(matches!(got, Err(Config(_))), "{got:?}");
    }
}
