//! What a change of settings leads to: for each resource a command with all its values afterwards, or a refusal.
//!
//! Every change sets values rather than adding to what is there, so a request that is repeated because its answer was lost does no
//! harm. What values are legal is `config::changed`'s; that a broker is only changed through itself is checked before it comes here.
//!
//! Source: Kafka `ConfigurationControlManager`; the cases are named in golden `alter-*` and `legacy-alter-*`.

use super::command::Command;
use super::config_resource::ConfigResource;
use super::request::{ConfigChange, ConfigTarget, Refusal};
use super::state::{Change, ClusterState};
use super::topic_name::check_topic_name;
use crate::config::{ChangeFault, ConfigKind, Values, changed};
use crate::ids::BrokerId;
use crate::limits::CONFIG_RESOURCES_MAX;
use crate::protocol::ErrorCode;

/// Plans a request: one entry per change, in order, and the commands, which are already applied to `state`. Validated only, `state` stays
/// as it is. `me` and its `file` stand behind settings that are not set.
pub(super) fn plan_alter(
    state: &mut ClusterState,
    changes: &[ConfigChange],
    validate_only: bool,
    me: BrokerId,
    file: &Values,
) -> (Vec<Option<Refusal>>, Vec<Command>) {
    let mut commands = Vec::new();
    let verdicts = changes.iter().map(|change| match plan_one(state, change, me, file) {
        Err(refusal) => Some(refusal),
        Ok(Some(command)) if !validate_only => {
            let applied = state.apply(&command);
            assert!(applied != Change::Ignored, "what the leader proposes is legal against all it proposed before: {command:?}");
            commands.push(command);
            None
        }
        Ok(_) => None,
    });
    (verdicts.collect(), commands)
}

/// The command that makes the change; none if nothing changes.
fn plan_one(state: &ClusterState, change: &ConfigChange, me: BrokerId, file: &Values) -> Result<Option<Command>, Refusal> {
    let request = |message: &str| Err(Refusal::new(ErrorCode::InvalidRequest, message));
    let layers = state.broker_layers(me, file);
    let topic = match &change.target {
        ConfigTarget::Topic(name) if name.is_empty() => return request("Default topic resources are not allowed."),
        ConfigTarget::Topic(name) => {
            check_topic_name(name).map_err(|message| Refusal::new(ErrorCode::InvalidTopicException, message))?;
            state.topic(name)
        }
        ConfigTarget::Other(ConfigResource::ClientMetrics(name)) if name.is_empty() => {
            return request("Subscription name can't be empty");
        }
        ConfigTarget::Other(ConfigResource::Group(name)) if name.is_empty() => {
            return request("Default group resources are not allowed.");
        }
        ConfigTarget::Other(_) => None,
    };
    let nothing = Values::new();
    let (kind, current) = match &change.target {
        ConfigTarget::Topic(_) => (ConfigKind::Topic, topic.map_or(&nothing, |topic| &topic.configs)),
        ConfigTarget::Other(resource) => (resource.kind(), state.configs(resource)),
    };
    let values = changed(kind, current, &change.change, layers).map_err(|fault| match fault {
        ChangeFault::Config(message) => Refusal::new(ErrorCode::InvalidConfig, message),
        ChangeFault::Request(message) => Refusal::new(ErrorCode::InvalidRequest, message),
    })?;
    let is_new = values != *current;
    let configs: Vec<(String, String)> = values.into_iter().collect();
    match (&change.target, topic) {
        (ConfigTarget::Topic(name), None) => {
            Err(Refusal::new(ErrorCode::UnknownTopicOrPartition, format!("The topic '{name}' does not exist.")))
        }
        (ConfigTarget::Topic(_), Some(topic)) => Ok(is_new.then_some(Command::SetTopicConfigs { id: topic.id, configs })),
        (ConfigTarget::Other(resource), _) => {
            if !configs.is_empty() && current.is_empty() && state.config_resources().count() >= CONFIG_RESOURCES_MAX {
                let message =
                    format!("At most {CONFIG_RESOURCES_MAX} brokers, groups and subscriptions have settings of their own.");
                return Err(Refusal::new(ErrorCode::PolicyViolation, message));
            }
            Ok(is_new.then(|| Command::SetConfigs { resource: resource.clone(), configs }))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::command::{NewPartition, RequestId};
    use super::super::testing::{registration, state_of};
    use super::*;
    use crate::config::{Change as Altered, Edit};
    use crate::ids::{GroupId, TopicId};

    fn state() -> ClusterState {
        let partitions = vec![NewPartition { group: GroupId(1), replicas: vec![BrokerId(1)] }];
        let configs = vec![("retention.ms".to_string(), "80000".to_string())];
        let topic = Command::CreateTopic { name: "cf".into(), id: TopicId(1), configs, partitions, origin: RequestId::default() };
        state_of(&[Command::RegisterBroker(registration(1)), topic])
    }

    fn set(target: ConfigTarget, name: &str, value: &str) -> ConfigChange {
        ConfigChange { target, change: Altered::Edit(vec![(name.into(), Edit::Set(value.into()))]) }
    }

    fn topic(name: &str) -> ConfigTarget {
        ConfigTarget::Topic(name.into())
    }

    /// Error and sentence of each change, and how many commands they led to.
    fn alter(state: &mut ClusterState, changes: &[ConfigChange], validate_only: bool) -> (Vec<String>, usize) {
        let (verdicts, commands) = plan_alter(state, changes, validate_only, BrokerId(1), &Values::new());
        state.check_invariants();
        let shown = verdicts.into_iter().map(|v| v.map_or("ok".to_string(), |r| format!("{} {}", r.code.code(), r.message)));
        (shown.collect(), commands.len())
    }

    #[test]
    fn alter_set() {
        let mut state = state();
        assert_eq!(alter(&mut state, &[set(topic("cf"), "retention.ms", "70000")], false), (vec!["ok".into()], 1));
        assert_eq!(state.topic("cf").expect("there").configs["retention.ms"], "70000");
        assert_eq!(alter(&mut state, &[set(topic("cf"), "retention.ms", "70000")], false), (vec!["ok".into()], 0), "again");
    }

    #[test]
    fn alter_validate() {
        let mut state = state();
        let before = state.clone();
        assert_eq!(alter(&mut state, &[set(topic("cf"), "retention.ms", "95000")], true), (vec!["ok".into()], 0));
        assert_eq!(state, before);
    }

    #[test]
    fn alter_names() {
        let mut state = state();
        let (group, metrics) = (ConfigResource::Group(String::new()), ConfigResource::ClientMetrics(String::new()));
        let changes = [
            set(topic("absent"), "retention.ms", "1"),
            set(topic("bad name!"), "retention.ms", "1"),
            set(topic(""), "retention.ms", "1"),
            set(ConfigTarget::Other(group), "consumer.session.timeout.ms", "50000"),
            set(ConfigTarget::Other(metrics), "interval.ms", "1000"),
            set(topic("absent"), "retention.ms", "abc"),
            set(topic("cf"), "retention.ms", "1"),
        ];
        let (shown, commands) = alter(&mut state, &changes, false);
        assert_eq!(
            shown,
            [
                "3 The topic 'absent' does not exist.",
                "17 Topic name is invalid: 'bad name!' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'",
                "42 Default topic resources are not allowed.",
                "42 Default group resources are not allowed.",
                "42 Subscription name can't be empty",
                "40 Invalid value abc for configuration retention.ms: Not a number of type LONG",
                "ok",
            ]
        );
        assert_eq!(commands, 1);
    }

    #[test]
    fn broker_settings_stand_behind_topics() {
        let mut state = state();
        let changes = [
            set(ConfigTarget::Other(ConfigResource::AllBrokers), "message.max.bytes", "2000"),
            set(ConfigTarget::Other(ConfigResource::Broker(BrokerId(1))), "message.max.bytes", "3000"),
        ];
        assert_eq!(alter(&mut state, &changes, false).1, 2);
        let file = Values::new();
        let bytes = |state: &ClusterState, broker: i32| {
            let layers = state.broker_layers(BrokerId(broker), &file);
            crate::config::TopicSettings::resolve(layers, &Values::new()).max_message_bytes
        };
        assert_eq!((bytes(&state, 1), bytes(&state, 2)), (3000, 2000));
        let none = ConfigChange { target: changes[1].target.clone(), change: Altered::Replace(Vec::new()) };
        assert_eq!(alter(&mut state, &[none], false).1, 1);
        assert_eq!((bytes(&state, 1), state.config_resources().count()), (2000, 1));
    }

    #[test]
    fn resources_with_settings_are_bounded() {
        let mut state = state();
        let group = |n: usize| ConfigTarget::Other(ConfigResource::Group(format!("g{n}")));
        for n in 0..CONFIG_RESOURCES_MAX {
            let resource = ConfigResource::Group(format!("g{n}"));
            state.apply(&Command::SetConfigs { resource, configs: vec![("k".into(), "v".into())] });
        }
        let name = "consumer.session.timeout.ms";
        assert!(alter(&mut state, &[set(group(CONFIG_RESOURCES_MAX), name, "50000")], false).0[0].starts_with("44 "));
    }
}
