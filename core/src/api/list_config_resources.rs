//! ListConfigResources: what has settings that can be changed. Version 0 knows client metrics subscriptions only (KIP-1000), from
//! version 1 on a client names the types it wants, none for all (KIP-1142).
//!
//! Every topic and every live broker is listed, groups and subscriptions only with settings of their own. The order is Kafka's: groups,
//! subscriptions, loggers, brokers, topics.

use super::describe_configs::{BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP, TOPIC};
use crate::controller::{ClusterState, ConfigResource};
use crate::protocol::messages::list_config_resources::response::ConfigResources;
use crate::protocol::messages::list_config_resources::{ListConfigResourcesRequest, ListConfigResourcesResponse};
use crate::protocol::{ErrorCode, Text};

/// In the order of the answer.
const KINDS: [i8; 5] = [GROUP, CLIENT_METRICS, BROKER_LOGGER, BROKER, TOPIC];

/// Answers a request.
#[must_use]
pub fn respond(cluster: &ClusterState, request: &ListConfigResourcesRequest, version: i16) -> ListConfigResourcesResponse {
    let asked = &request.resource_types;
    if version > 0 && asked.iter().any(|kind| !KINDS.contains(kind)) {
        let error_code = ErrorCode::UnsupportedVersion.code();
        return ListConfigResourcesResponse { error_code, ..ListConfigResourcesResponse::default() };
    }
    let is_asked = |kind: &i8| if version == 0 { *kind == CLIENT_METRICS } else { asked.is_empty() || asked.contains(kind) };
    let mut config_resources = Vec::new();
    for kind in KINDS.into_iter().filter(is_asked) {
        let entry = |name: &str| ConfigResources { resource_name: Text::from(name), resource_type: kind };
        match kind {
            TOPIC => config_resources.extend(cluster.topics().map(|topic| entry(&topic.name))),
            BROKER | BROKER_LOGGER => {
                config_resources.extend(cluster.live_brokers().map(|broker| entry(&broker.registration.id.0.to_string())));
            }
            _ => config_resources.extend(cluster.config_resources().filter_map(|resource| match resource {
                ConfigResource::Group(name) if kind == GROUP => Some(entry(name)),
                ConfigResource::ClientMetrics(name) if kind == CLIENT_METRICS => Some(entry(name)),
                ConfigResource::Group(_)
                | ConfigResource::ClientMetrics(_)
                | ConfigResource::Broker(_)
                | ConfigResource::AllBrokers => None,
            })),
        }
    }
    ListConfigResourcesResponse { config_resources, ..ListConfigResourcesResponse::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::testing::{registration, state_of};
    use crate::controller::{Command, NewPartition, RequestId};
    use crate::ids::{BrokerId, GroupId, TopicId};

    fn ask(types: &[i8], version: i16) -> (i16, Vec<(String, i8)>) {
        let set = |resource| Command::SetConfigs { resource, configs: vec![("k".into(), "v".into())] };
        let partitions = vec![NewPartition { group: GroupId(1), replicas: vec![BrokerId(1)] }];
        let origin = RequestId::default();
        let cluster = state_of(&[
            Command::RegisterBroker(registration(1)),
            Command::CreateTopic { name: "t1".into(), id: TopicId(1), configs: vec![], partitions, origin },
            set(ConfigResource::Group("g".into())),
            set(ConfigResource::ClientMetrics("cm".into())),
            set(ConfigResource::AllBrokers),
        ]);
        let request = ListConfigResourcesRequest { resource_types: types.to_vec() };
        let response = respond(&cluster, &request, version);
        let found = response.config_resources.into_iter().map(|r| (r.resource_name.to_string(), r.resource_type));
        (response.error_code, found.collect())
    }

    #[test]
    fn list_config_resources() {
        let named = |pairs: &[(&str, i8)]| pairs.iter().map(|(name, kind)| ((*name).to_string(), *kind)).collect::<Vec<_>>();
        let all = named(&[("g", 32), ("cm", 16), ("1", 8), ("1", 4), ("t1", 2)]);
        assert_eq!(ask(&[], 1), (0, all));
        assert_eq!(ask(&[], 0), (0, named(&[("cm", 16)])), "list-config-resources-v0");
        assert_eq!(ask(&[4, 2, 4], 1), (0, named(&[("1", 4), ("t1", 2)])));
        assert_eq!(ask(&[32], 1), (0, named(&[("g", 32)])));
        assert_eq!(ask(&[99], 1), (35, vec![]), "list-config-resources-type-99");
        assert_eq!(ask(&[4, 0], 1), (35, vec![]));
    }
}
