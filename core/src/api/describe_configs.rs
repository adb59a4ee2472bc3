//! DescribeConfigs: settings of topics and of this broker with their origin, from the table of [`crate::config`].
//!
//! Groups, client metrics and loggers are described as Kafka would describe them untouched, because tools ask; nothing of them can be
//! set here. A setting that this broker does not act upon says so in its documentation.
//!
//! Source: Kafka `ConfigHelper`, KIP-226 (synonyms), KIP-569 (types, documentation); golden `configs-*`, README 28, 29, 32.

use crate::config::{
    BROKER_SETTINGS, BrokerSettings, CLIENT_METRICS_SETTINGS, Effective, GROUP_SETTINGS, Setting, TOPIC_SETTINGS, broker_value,
    resource_value,
};
use crate::controller::{ClusterState, check_topic_name};
use crate::ids::BrokerId;
use crate::protocol::messages::describe_configs::request::Resources;
use crate::protocol::messages::describe_configs::response::{Configs, Results, Synonyms};
use crate::protocol::messages::describe_configs::{DescribeConfigsRequest, DescribeConfigsResponse};
use crate::protocol::{ErrorCode, Text};
use std::collections::BTreeMap;

/// Resource types on the wire.
const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const BROKER_LOGGER: i8 = 8;
const CLIENT_METRICS: i8 = 16;
const GROUP: i8 = 32;

/// Told for settings without a sentence of their own.
const WITHOUT_EFFECT: &str = "Known to Kafka; without effect here.";
/// Kafka's sentence for INVALID_REQUEST.
const MALFORMED: &str = "This most likely occurs because of a request being malformed by the client library or the message was sent to an \
     incompatible broker. See the broker logs for more details.";

/// What the answer is made of.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// This broker.
    pub broker: BrokerId,
    /// Topics and brokers.
    pub cluster: &'a ClusterState,
    /// This broker's settings.
    pub settings: &'a BrokerSettings,
}

/// Answers a request.
#[must_use]
pub fn respond(known: &Known<'_>, request: &DescribeConfigsRequest) -> DescribeConfigsResponse {
    let results = request.resources.iter().map(|resource| {
        let (error_code, error_message, configs) = match describe(known, request, resource) {
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
    let given = &known.settings.given;
    let none = BTreeMap::new();
    let all_of = |settings: &[Setting], value: &dyn Fn(&Setting) -> Effective| {
        let is_asked = |setting: &&Setting| match resource.configuration_keys.as_deref() {
            None | Some([]) => true,
            Some(keys) => keys.iter().any(|key| *key == *setting.name),
        };
        settings.iter().filter(is_asked).map(|setting| entry(request, setting, value(setting))).collect()
    };
    match resource.resource_type {
        TOPIC => {
            check_topic_name(name).map_err(|message| (ErrorCode::InvalidTopicException, message))?;
            let topic = known.cluster.topic(name).ok_or((ErrorCode::UnknownTopicOrPartition, String::new()))?;
            Ok(all_of(&TOPIC_SETTINGS, &|setting| resource_value(setting, &topic.configs, given)))
        }
        // Defaults for all brokers that were set at run time: there are none.
        BROKER if name.is_empty() => Ok(Vec::new()),
        BROKER => {
            check_broker(known.broker, name, "expected {} or empty string, but")?;
            let given = with_facts(known);
            let value = |setting: &Setting| broker_value(setting.name, &given).expect("it is in the table");
            Ok(all_of(&BROKER_SETTINGS, &value))
        }
        BROKER_LOGGER if name.is_empty() => Err((ErrorCode::InvalidRequest, "Broker id must not be empty".into())),
        BROKER_LOGGER => check_broker(known.broker, name, "expected {} but").map(|()| Vec::new()),
        CLIENT_METRICS if name.is_empty() => {
            Err((ErrorCode::InvalidRequest, "Client metrics subscription name must not be empty".into()))
        }
        CLIENT_METRICS => Ok(all_of(&CLIENT_METRICS_SETTINGS, &|setting| resource_value(setting, &none, given))),
        GROUP if name.is_empty() => Err((ErrorCode::InvalidRequest, "Group name must not be empty".into())),
        GROUP => Ok(all_of(&GROUP_SETTINGS, &|setting| resource_value(setting, &none, given))),
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
fn with_facts(known: &Known<'_>) -> BTreeMap<String, String> {
    let mut given = known.settings.given.clone();
    let id = known.broker.to_string();
    let mut fact = |name: &str, value: String| {
        given.entry(name.to_string()).or_insert(value);
    };
    fact("node.id", id.clone());
    fact("broker.id", id);
    fact("process.roles", "broker,controller".into());
    fact("controller.listener.names", "CONTROLLER".into());
    if let Some(broker) = known.cluster.broker(known.broker) {
        fact("advertised.listeners", format!("PLAINTEXT://{}:{}", broker.registration.host, broker.registration.port));
    }
    given
}

fn entry(request: &DescribeConfigsRequest, setting: &Setting, effective: Effective) -> Configs {
    let synonyms = effective.synonyms.into_iter().map(|synonym| Synonyms {
        name: Text::from(synonym.name),
        value: Some(Text::from(synonym.value)).filter(|_| !setting.is_sensitive()),
        source: synonym.source.code(),
    });
    let doc = if setting.doc.is_empty() { WITHOUT_EFFECT } else { setting.doc };
    Configs {
        name: setting.name.into(),
        value: effective.value.map(Text::from),
        read_only: setting.is_read_only,
        config_source: effective.source.code(),
        is_sensitive: setting.is_sensitive(),
        synonyms: if request.include_synonyms { synonyms.collect() } else { Vec::new() },
        config_type: setting.kind_code(),
        documentation: request.include_documentation.then(|| doc.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::testing::{registration, state_of};
    use crate::controller::{Command, NewPartition, RequestId};
    use crate::ids::{GroupId, TopicId};

    fn ask(kind: i8, name: &str, keys: Option<&[&str]>) -> Results {
        let partitions = vec![NewPartition { group: GroupId(1), replicas: vec![BrokerId(1)] }];
        let configs = vec![("retention.ms".to_string(), "60000".to_string())];
        let topic = Command::CreateTopic { name: "cf".into(), id: TopicId(1), configs, partitions, origin: RequestId::default() };
        let cluster = state_of(&[Command::RegisterBroker(registration(1)), topic]);
        let settings = BrokerSettings::default();
        let known = Known { broker: BrokerId(1), cluster: &cluster, settings: &settings };
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
        assert_eq!(ask(4, "", None).configs.len(), 0);
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
