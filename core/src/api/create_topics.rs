//! CreateTopics: between the wire and the controller.
//!
//! Decides nothing: every rule is the controller leader's (`controller::plan_create`). Here versions differ: from 5 on the answer tells
//! numbers and all settings of the topic, from 7 on its id; before, such fields do not exist on the wire.
//!
//! Source: KIP-525 (settings in the answer); golden `create-*`, README 30 and 32.

use crate::config::{BrokerLayers, Source, TOPIC_SETTINGS, resource_value};
use crate::controller::{ControllerRequest, ControllerResponse, CreatedTopic, NewTopic, Refusal};
use crate::ids::BrokerId;
use crate::protocol::messages::create_topics::response::{Configs, Topics};
use crate::protocol::messages::create_topics::{CreateTopicsRequest, CreateTopicsResponse};
use crate::protocol::{ErrorCode, Text};
use std::collections::BTreeSet;

/// What the controller is asked.
#[must_use]
pub fn plan(request: &CreateTopicsRequest) -> ControllerRequest {
    let topics = request
        .topics
        .iter()
        .map(|topic| NewTopic {
            name: topic.name.to_string(),
            partitions: topic.num_partitions,
            replication_factor: topic.replication_factor,
            assignments: topic
                .assignments
                .iter()
                .map(|a| (a.partition_index, a.broker_ids.iter().map(|id| BrokerId(*id)).collect()))
                .collect(),
            configs: topic.configs.iter().map(|c| (c.name.to_string(), c.value.as_deref().map(str::to_string))).collect(),
        })
        .collect();
    ControllerRequest::CreateTopics { topics, validate_only: request.validate_only, timeout_ms: request.timeout_ms }
}

/// What the client is told.
#[must_use]
pub fn respond(request: &CreateTopicsRequest, response: ControllerResponse, layers: BrokerLayers<'_>) -> CreateTopicsResponse {
    let failure = response.failure();
    let ControllerResponse::CreateTopics(creations) = response else {
        return CreateTopicsResponse { topics: all_failed(request, failure), ..CreateTopicsResponse::default() };
    };
    let topics = creations.into_iter().map(|creation| match creation.result {
        Ok(created) => succeeded(&creation.name, &created, layers),
        Err(refusal) => failed(&creation.name, &refusal),
    });
    CreateTopicsResponse { topics: topics.collect(), ..CreateTopicsResponse::default() }
}

fn succeeded(name: &str, created: &CreatedTopic, layers: BrokerLayers<'_>) -> Topics {
    let overrides = created.configs.iter().cloned().collect();
    let describe = |setting: &crate::config::Setting| {
        let effective = resource_value(setting, &overrides, Source::Topic, layers);
        Configs {
            name: setting.name.into(),
            value: effective.value.map(Text::from),
            read_only: false,
            config_source: effective.source.code(),
            is_sensitive: setting.is_sensitive(),
        }
    };
    Topics {
        name: name.into(),
        topic_id: created.id.into(),
        error_code: 0,
        error_message: None,
        num_partitions: created.partitions,
        replication_factor: created.replication_factor,
        configs: Some(TOPIC_SETTINGS.iter().map(describe).collect()),
        topic_config_error_code: 0,
    }
}

fn failed(name: &str, refusal: &Refusal) -> Topics {
    Topics {
        name: name.into(),
        error_code: refusal.code.code(),
        error_message: Some(Text::from(&refusal.message)),
        num_partitions: -1,
        replication_factor: -1,
        configs: Some(Vec::new()),
        ..Topics::default()
    }
}

fn all_failed(request: &CreateTopicsRequest, code: ErrorCode) -> Vec<Topics> {
    let mut topics: Vec<Topics> = Vec::new();
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    for topic in &request.topics {
        if seen.insert(&topic.name) {
            topics.push(failed(&topic.name, &Refusal::new(code, "The controller did not decide in time.")));
        }
    }
    topics
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Values;
    use crate::controller::TopicCreation;
    use crate::ids::TopicId;
    use crate::protocol::messages::create_topics::request;

    fn asked(name: &str) -> request::Topics {
        request::Topics { name: name.into(), ..request::Topics::default() }
    }

    #[test]
    fn create_config_shows_all_settings() {
        let configs = vec![("retention.ms".to_string(), "1000".to_string())];
        let created = CreatedTopic { id: TopicId(5), partitions: 2, replication_factor: 1, configs };
        let response = ControllerResponse::CreateTopics(vec![TopicCreation { name: "a".into(), result: Ok(created) }]);
        let answer = respond(&CreateTopicsRequest::default(), response, BrokerLayers::of_file(&Values::new()));
        let topic = &answer.topics[0];
        assert_eq!((topic.error_code, topic.num_partitions, topic.replication_factor, &topic.error_message), (0, 2, 1, &None));
        let configs = topic.configs.as_ref().expect("told");
        assert_eq!(configs.len(), 33);
        let find = |name: &str| configs.iter().find(|c| c.name == *name).map(|c| (c.value.as_deref(), c.config_source));
        assert_eq!(find("retention.ms"), Some((Some("1000"), 1)));
        assert_eq!(find("cleanup.policy"), Some((Some("delete"), 5)));
    }

    #[test]
    fn a_failure_stands_for_every_distinct_topic() {
        let request = CreateTopicsRequest { topics: vec![asked("a"), asked("b"), asked("a")], ..CreateTopicsRequest::default() };
        let answer =
            respond(&request, ControllerResponse::Failed(ErrorCode::RequestTimedOut), BrokerLayers::of_file(&Values::new()));
        let got: Vec<_> = answer.topics.iter().map(|t| (t.name.as_str(), t.error_code, t.num_partitions)).collect();
        assert_eq!(got, [("a", 7, -1), ("b", 7, -1)]);
    }

    #[test]
    fn a_request_reaches_the_controller_as_it_is() {
        let mut topic = asked("a");
        topic.num_partitions = -1;
        topic.replication_factor = -1;
        topic.assignments = vec![request::Assignments { partition_index: 0, broker_ids: vec![2, 1] }];
        topic.configs = vec![request::Configs { name: "k".into(), value: None }];
        let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 7, validate_only: true };
        let ControllerRequest::CreateTopics { topics, validate_only, timeout_ms } = plan(&request) else {
            panic!("a CreateTopics")
        };
        assert_eq!((validate_only, timeout_ms, topics[0].partitions), (true, 7, -1));
        assert_eq!(topics[0].assignments, [(0, vec![BrokerId(2), BrokerId(1)])]);
        assert_eq!(topics[0].configs, [("k".to_string(), None)]);
    }
}
