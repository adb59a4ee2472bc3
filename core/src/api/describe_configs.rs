//! DescribeConfigs: settings of topics and of this broker with their origin, from the table of [`crate::config`].
//!
//! Loggers are described as none, because this broker has none. A setting that this broker does not act upon says so in its
//! documentation; one that nobody knows but was set all the same is shown without its value, because it might be a secret.
//!
//! Source: Kafka `ConfigHelper`, KIP-226 (synonyms), KIP-569 (types, documentation); golden `configs-*`, README 28, 29, 32.

use crate::config::{
    BROKER_SETTINGS, BrokerLayers, CLIENT_METRICS_SETTINGS, Effective, GROUP_SETTINGS, Setting, Source, Synonym, TOPIC_SETTINGS,
    Values, broker_setting, broker_value, cluster_values, resource_value,
};
use crate::controller::{ClusterState, ConfigResource, check_topic_name};
use crate::ids::BrokerId;
use crate::limits::DESCRIBED_SETTINGS_MAX;
use crate::protocol::messages::describe_configs::request::Resources;
use crate::protocol::messages::describe_configs::response::{Configs, Results, Synonyms};
use crate::protocol::messages::describe_configs::{DescribeConfigsRequest, DescribeConfigsResponse};
use crate::protocol::{ErrorCode, Text};

/// Resource types on the wire.
pub(super) const TOPIC: i8 = 2;
pub(super) const BROKER: i8 = 4;
pub(super) const BROKER_LOGGER: i8 = 8;
pub(super) const CLIENT_METRICS: i8 = 16;
pub(super) const GROUP: i8 = 32;

/// Told for settings of no table.
const UNKNOWN: &str = "Unknown, without effect here.";
/// Kafka's sentence for INVALID_REQUEST.
const MALFORMED: &str = "This most likely occurs because of a request being malformed by the client library or the message was sent to an \
     incompatible broker. See the broker logs for more details.";

/// Told where the answer is full.
const TOO_MANY: &str = "Too many settings for one answer; ask for fewer resources at once.";

/// What the answer is made of.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// This broker.
    pub broker: BrokerId,
    /// Topics and brokers.
    pub cluster: &'a ClusterState,
    /// What stands behind this broker's settings.
    pub layers: BrokerLayers<'a>,
}

/// Answers a request.
#[must_use]
pub fn respond(known: &Known<'_>, request: &DescribeConfigsRequest) -> DescribeConfigsResponse {
    let mut left = DESCRIBED_SETTINGS_MAX;
    let results = request.resources.iter().map(|resource| {
        let described =
            if left == 0 { Err((ErrorCode::InvalidRequest, TOO_MANY.into())) } else { describe(known, request, resource) };
        left = left.saturating_sub(described.as_ref().map_or(0, Vec::len));
        let (error_code, error_message, configs) = match described {
            Ok(configs) => (0, String::new(), configs),
            Err((code, message)) => (code.code(), message, Vec::new()),
        };
        Results {
            error_code,
            error_message: Some(error_message.into()),
            resource_type: resource.resource_type,
            resource_name: resource.resource_name.clone(),
            configs,
        }
    });
    DescribeConfigsResponse { results: results.collect(), ..DescribeConfigsResponse::default() }
}

type Described = Result<Vec<Configs>, (ErrorCode, String)>;

fn describe(known: &Known<'_>, request: &DescribeConfigsRequest, resource: &Resources) -> Described {
    let name = resource.resource_name.as_str();
    let layers = known.layers;
    let is_asked = |name: &str| match resource.configuration_keys.as_deref() {
        None | Some([]) => true,
        Some(keys) => keys.iter().any(|key| *key == *name),
    };
    let all_of = |settings: &[Setting], value: &dyn Fn(&Setting) -> Effective| -> Vec<Configs> {
        let asked = settings.iter().filter(|setting| is_asked(setting.name));
        asked.map(|setting| entry(request, setting, value(setting))).collect()
    };
    let unknown_of = |values: &Values, source: Source| -> Vec<Configs> {
        let unknown = values.keys().filter(|name| broker_setting(name).is_none() && is_asked(name));
        unknown.map(|name| unknown_entry(request, name, source)).collect()
    };
    match resource.resource_type {
        TOPIC => {
            check_topic_name(name).map_err(|message| (ErrorCode::InvalidTopicException, message))?;
            let topic = known.cluster.topic(name).ok_or((ErrorCode::UnknownTopicOrPartition, String::new()))?;
            Ok(all_of(&TOPIC_SETTINGS, &|setting| resource_value(setting, &topic.configs, Source::Topic, layers)))
        }
        BROKER if name.is_empty() => {
            let values = cluster_values(layers);
            let set = values.iter().filter_map(|(name, value)| Some((broker_setting(name)?, value)));
            let described = set.filter(|(setting, _)| is_asked(setting.name)).map(|(setting, value)| {
                let synonyms =
                    vec![Synonym { name: setting.name.to_string(), value: value.clone(), source: Source::ClusterDefault }];
                let shown = Some(value.clone()).filter(|_| !setting.is_sensitive());
                entry(request, setting, Effective { value: shown, source: Source::ClusterDefault, synonyms })
            });
            let mut configs: Vec<Configs> = described.collect();
            configs.extend(unknown_of(layers.cluster, Source::ClusterDefault));
            Ok(configs)
        }
        BROKER => {
            check_broker(known.broker, name, "expected {} or empty string, but")?;
            let file = with_facts(known);
            let layers = BrokerLayers { file: &file, ..layers };
            let value = |setting: &Setting| broker_value(setting.name, layers).expect("it is in the table");
            let mut configs = all_of(&BROKER_SETTINGS, &value);
            configs.extend(unknown_of(layers.own, Source::DynamicBroker));
            let shadowed: Values = layers.cluster.iter().filter(|(name, _)| !layers.own.contains_key(*name)).map(owned).collect();
            configs.extend(unknown_of(&shadowed, Source::ClusterDefault));
            Ok(configs)
        }
        BROKER_LOGGER if name.is_empty() => Err((ErrorCode::InvalidRequest, "Broker id must not be empty".into())),
        BROKER_LOGGER => check_broker(known.broker, name, "expected {} but").map(|()| Vec::new()),
        CLIENT_METRICS if name.is_empty() => {
            Err((ErrorCode::InvalidRequest, "Client metrics subscription name must not be empty".into()))
        }
        CLIENT_METRICS => {
            let own = known.cluster.configs(&ConfigResource::ClientMetrics(name.to_string()));
            Ok(all_of(&CLIENT_METRICS_SETTINGS, &|setting| resource_value(setting, own, Source::ClientMetrics, layers)))
        }
        GROUP if name.is_empty() => Err((ErrorCode::InvalidRequest, "Group name must not be empty".into())),
        GROUP => {
            let own = known.cluster.configs(&ConfigResource::Group(name.to_string()));
            Ok(all_of(&GROUP_SETTINGS, &|setting| resource_value(setting, own, Source::Group, layers)))
        }
        _ => Err((ErrorCode::InvalidRequest, MALFORMED.into())),
    }
}

fn check_broker(broker: BrokerId, name: &str, expected: &str) -> Result<(), (ErrorCode, String)> {
    match name.parse::<i32>() {
        Ok(id) if id == broker.0 => Ok(()),
        Ok(id) => {
            let expected = expected.replace("{}", &broker.to_string());
            Err((ErrorCode::InvalidRequest, format!("Unexpected broker id, {expected} received {id}")))
        }
        Err(_) => Err((ErrorCode::InvalidRequest, format!("Broker id must be an integer, but it is: {name}"))),
    }
}

/// What the operator gave, and what follows from how this broker was started.
fn with_facts(known: &Known<'_>) -> Values {
    let mut given = known.layers.file.clone();
    let id = known.broker.to_string();
    let mut fact = |name: &str, value: String| {
        given.entry(name.to_string()).or_insert(value);
    };
    fact("node.id", id.clone());
    fact("broker.id", id);
    fact("process.roles", "broker,controller".into());
    fact("controller.listener.names", "CONTROLLER".into());
    if let Some(broker) = known.cluster.broker(known.broker) {
        let shown = broker.registration.endpoints.iter().map(|at| format!("{}://{}:{}", at.name, at.host, at.port));
        fact("advertised.listeners", shown.collect::<Vec<_>>().join(","));
    }
    given
}

fn owned((name, value): (&String, &String)) -> (String, String) {
    (name.clone(), value.clone())
}

/// A setting that is in no table; Kafka's type for it is 0 and it counts as a secret.
fn unknown_entry(request: &DescribeConfigsRequest, name: &str, source: Source) -> Configs {
    let synonym = Synonyms { name: name.into(), value: None, source: source.code() };
    Configs {
        name: name.into(),
        value: None,
        read_only: true,
        config_source: source.code(),
        is_sensitive: true,
        synonyms: if request.include_synonyms { vec![synonym] } else { Vec::new() },
        config_type: 0,
        documentation: request.include_documentation.then(|| UNKNOWN.into()),
    }
}

fn entry(request: &DescribeConfigsRequest, setting: &Setting, effective: Effective) -> Configs {
    let synonyms = effective.synonyms.into_iter().map(|synonym| Synonyms {
        name: Text::from(synonym.name),
        value: Some(Text::from(synonym.value)).filter(|_| !setting.is_sensitive()),
        source: synonym.source.code(),
    });
    Configs {
        name: setting.name.into(),
        value: effective.value.map(Text::from),
        read_only: setting.is_read_only,
        config_source: effective.source.code(),
        is_sensitive: setting.is_sensitive(),
        synonyms: if request.include_synonyms { synonyms.collect() } else { Vec::new() },
        config_type: setting.kind_code(),
        documentation: request.include_documentation.then(|| setting.explanation().into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::testing::{registration, state_of};
    use crate::controller::{Command, NewPartition, RequestId};
    use crate::ids::{GroupId, TopicId};

    fn set(resource: ConfigResource, pairs: &[(&str, &str)]) -> Command {
        let configs = pairs.iter().map(|(name, value)| ((*name).to_string(), (*value).to_string())).collect();
        Command::SetConfigs { resource, configs }
    }

    fn ask(kind: i8, name: &str, keys: Option<&[&str]>) -> Results {
        ask_after(&[], kind, name, keys)
    }

    fn ask_after(commands: &[Command], kind: i8, name: &str, keys: Option<&[&str]>) -> Results {
        let partitions = vec![NewPartition { group: GroupId(1), replicas: vec![BrokerId(1)] }];
        let configs = vec![("retention.ms".to_string(), "60000".to_string())];
        let topic = Command::CreateTopic { name: "cf".into(), id: TopicId(1), configs, partitions, origin: RequestId::default() };
        let cluster = state_of(&[&[Command::RegisterBroker(registration(1)), topic], commands].concat());
        let file = Values::new();
        let known = Known { broker: BrokerId(1), cluster: &cluster, layers: cluster.broker_layers(BrokerId(1), &file) };
        let resource = Resources {
            resource_type: kind,
            resource_name: name.into(),
            configuration_keys: keys.map(|keys| keys.iter().map(|key| Text::from(*key)).collect()),
        };
        let request = DescribeConfigsRequest { resources: vec![resource], include_synonyms: true, include_documentation: true };
        respond(&known, &request).results.remove(0)
    }

    #[test]
    fn configs_topic() {
        let got = ask(2, "cf", Some(&["retention.ms", "cleanup.policy", "segment.bytes"]));
        assert_eq!((got.error_code, got.error_message.as_deref()), (0, Some("")));
        let shown: Vec<_> =
            got.configs.iter().map(|c| (c.name.as_str(), c.value.as_deref(), c.config_source, c.config_type)).collect();
        assert_eq!(
            shown,
            [
                ("cleanup.policy", Some("delete"), 5, 7),
                ("segment.bytes", Some("1073741824"), 5, 3),
                ("retention.ms", Some("60000"), 1, 5)
            ],
            "in the order of the table"
        );
        assert_eq!(ask(2, "cf", Some(&[])).configs.len(), 33);
        assert_eq!(ask(2, "cf", None).configs.len(), 33);
        assert_eq!(ask(2, "cf", Some(&["no.such.key"])).configs.len(), 0);
        assert!(ask(2, "cf", None).configs.iter().all(|c| c.documentation.is_some()));
    }

    #[test]
    fn an_answer_has_an_end_however_often_a_resource_is_named() {
        let cluster = state_of(&[Command::RegisterBroker(registration(1))]);
        let file = Values::new();
        let known = Known { broker: BrokerId(1), cluster: &cluster, layers: cluster.broker_layers(BrokerId(1), &file) };
        let resource = Resources { resource_type: GROUP, resource_name: "g".into(), configuration_keys: None };
        let full = DESCRIBED_SETTINGS_MAX.div_ceil(GROUP_SETTINGS.len());
        let request = DescribeConfigsRequest { resources: vec![resource; full + 2], ..DescribeConfigsRequest::default() };
        let results = respond(&known, &request).results;
        assert!(results[..full].iter().all(|result| result.error_code == 0));
        for refused in &results[full..] {
            assert_eq!((refused.error_code, refused.error_message.as_deref()), (42, Some(TOO_MANY)));
        }
    }

    #[test]
    fn configs_errors() {
        for (kind, name, code, message) in [
            (2, "absent", 3, ""),
            (2, "", 17, "Topic name is invalid: the empty string is not allowed"),
            (4, "9999", 42, "Unexpected broker id, expected 1 or empty string, but received 9999"),
            (4, "abc", 42, "Broker id must be an integer, but it is: abc"),
            (8, "9999", 42, "Unexpected broker id, expected 1 but received 9999"),
            (8, "", 42, "Broker id must not be empty"),
            (16, "", 42, "Client metrics subscription name must not be empty"),
            (32, "", 42, "Group name must not be empty"),
            (0, "x", 42, MALFORMED),
            (99, "x", 42, MALFORMED),
        ] {
            let got = ask(kind, name, None);
            assert_eq!(
                (got.error_code, got.error_message.as_deref(), got.configs.len()),
                (code, Some(message), 0),
                "{kind} {name}"
            );
        }
    }

    #[test]
    fn configs_broker() {
        assert_eq!(ask(4, "1", None).configs.len(), 340);
        let got = ask(4, "1", Some(&["log.retention.ms", "node.id", "message.max.bytes"]));
        let shown: Vec<_> =
            got.configs.iter().map(|c| (c.name.as_str(), c.value.as_deref(), c.config_source, c.read_only)).collect();
        assert_eq!(
            shown,
            [
                ("message.max.bytes", Some("1048588"), 5, false),
                ("node.id", Some("1"), 4, true),
                ("log.retention.ms", None, 5, false)
            ]
        );
    }

    /// `name value@source type; name=value@source ...` of each entry.
    fn shown(results: Results) -> Vec<String> {
        let text = |value: &Option<Text>| value.as_deref().unwrap_or("null").to_string();
        let one = |c: Configs| {
            let synonyms: Vec<String> =
                c.synonyms.iter().map(|s| format!("{}={}@{}", s.name, text(&s.value), s.source)).collect();
            format!("{} {}@{} {}; {}", c.name, text(&c.value), c.config_source, c.config_type, synonyms.join(" "))
        };
        results.configs.into_iter().map(one).collect()
    }

    #[test]
    fn configs_set_at_run_time() {
        let commands = [
            set(ConfigResource::Broker(BrokerId(1)), &[("message.max.bytes", "3000000"), ("no.such.key", "5")]),
            set(ConfigResource::Broker(BrokerId(2)), &[("message.max.bytes", "9")]),
            set(ConfigResource::AllBrokers, &[("message.max.bytes", "2000000"), ("no.such.key2", "7")]),
            set(ConfigResource::Group("g".into()), &[("consumer.session.timeout.ms", "46000")]),
            set(ConfigResource::ClientMetrics("cm".into()), &[("interval.ms", "1000")]),
        ];
        let ask = |kind, name, keys: &[&str]| shown(ask_after(&commands, kind, name, Some(keys)));
        let layers = "message.max.bytes=3000000@2 message.max.bytes=2000000@3 message.max.bytes=1048588@5";
        assert_eq!(ask(2, "cf", &["max.message.bytes"]), [format!("max.message.bytes 3000000@2 3; {layers}")]);
        assert_eq!(
            ask(4, "1", &["message.max.bytes", "no.such.key", "no.such.key2"]),
            [
                format!("message.max.bytes 3000000@2 3; {layers}"),
                "no.such.key null@2 0; no.such.key=null@2".to_string(),
                "no.such.key2 null@3 0; no.such.key2=null@3".to_string()
            ]
        );
        assert_eq!(
            ask(4, "", &[]),
            [
                "message.max.bytes 2000000@3 3; message.max.bytes=2000000@3",
                "min.insync.replicas 1@3 3; min.insync.replicas=1@3",
                "no.such.key2 null@3 0; no.such.key2=null@3"
            ]
        );
        assert_eq!(
            ask(32, "g", &["consumer.session.timeout.ms"]),
            [
                "consumer.session.timeout.ms 46000@8 3; consumer.session.timeout.ms=46000@8 group.consumer.session.timeout.ms=45000@5"
            ]
        );
        assert_eq!(ask(16, "cm", &["interval.ms"]), ["interval.ms 1000@7 3; interval.ms=1000@7"]);
    }

    #[test]
    fn configs_group_and_client_metrics() {
        let got = ask(32, "g", Some(&["consumer.session.timeout.ms"]));
        assert_eq!(
            (got.configs[0].value.as_deref(), got.configs[0].synonyms[0].name.as_str()),
            (Some("45000"), "group.consumer.session.timeout.ms")
        );
        assert_eq!(ask(16, "pb", Some(&["interval.ms"])).configs[0].value.as_deref(), Some("300000"));
    }
}
