//! Commands of a story that change the cluster while it runs: settings, partitions, who leads.

use super::{Actor, Lines, PATIENCE_MS, error_name, silent};
use crate::story::Command;
use ottla_core::protocol::messages::{
    alter_partition_reassignments, create_partitions, elect_leaders, incremental_alter_configs,
};

/// Kafka's numbers for topics and brokers in requests about settings.
const TOPIC: i8 = 2;
const BROKER: i8 = 4;

impl Actor {
    /// `alter-config T NAME=VALUE …`; the topic `brokers` stands for all brokers.
    pub(super) fn alter_config(&mut self, command: &Command) -> Lines {
        use incremental_alter_configs::request::{Configs, Resources};
        let name = command.object()?.to_string();
        let settings = command.settings().into_iter();
        let configs = settings.map(|(name, value)| Configs { name: name.into(), config_operation: 0, value: Some(value.into()) });
        let (resource_type, resource_name) = if name == "brokers" { (BROKER, "") } else { (TOPIC, name.as_str()) };
        let resource = Resources { resource_type, resource_name: resource_name.into(), configs: configs.collect() };
        let request =
            incremental_alter_configs::IncrementalAlterConfigsRequest { resources: vec![resource], validate_only: false };
        let at = self.at(command)?;
        let line = match self.call(at, &request, 1, PATIENCE_MS) {
            Err(silence) => silent(at, silence),
            Ok(response) => match response.responses.first().map_or(-1, |resource| resource.error_code) {
                0 => format!("settings of {name} changed"),
                code => format!("settings of {name} not changed: {}", error_name(code)),
            },
        };
        self.world()?.advance(1_000);
        Ok(vec![line])
    }

    /// `add-partitions T partitions=N`, N in all.
    pub(super) fn add_partitions(&mut self, command: &Command) -> Lines {
        let name = command.object()?.to_string();
        let count = command.number("partitions", 1)?;
        let topic = create_partitions::request::Topics { name: name.as_str().into(), count, assignments: None };
        let request = create_partitions::CreatePartitionsRequest { topics: vec![topic], timeout_ms: 5_000, validate_only: false };
        let at = self.at(command)?;
        let line = match self.call(at, &request, 3, PATIENCE_MS) {
            Err(silence) => silent(at, silence),
            Ok(response) => match response.results.first().map_or(-1, |topic| topic.error_code) {
                0 => format!("topic {name} has {count} partitions"),
                code => format!("topic {name} does not grow: {}", error_name(code)),
            },
        };
        self.settle()?;
        Ok(vec![line])
    }

    /// `order T/0 replicas=1,0,2`: the first of them becomes its preferred leader.
    pub(super) fn order(&mut self, command: &Command) -> Lines {
        use alter_partition_reassignments::request::{Partitions, Topics};
        let (name, partition) = command.place()?;
        let ids = command.option("replicas").ok_or("order needs replicas")?.split(',').map(str::parse);
        let replicas: Result<Vec<i32>, _> = ids.collect();
        let replicas = Some(replicas.map_err(|_| "replicas are numbers of brokers")?);
        let topic = Topics { name: name.as_str().into(), partitions: vec![Partitions { partition_index: partition, replicas }] };
        let request = alter_partition_reassignments::AlterPartitionReassignmentsRequest {
            timeout_ms: 5_000,
            allow_replication_factor_change: true,
            topics: vec![topic],
        };
        let at = self.at(command)?;
        let line = match self.call(at, &request, 1, PATIENCE_MS) {
            Err(silence) => silent(at, silence),
            Ok(response) => {
                let partitions = response.responses.first().map(|topic| &topic.partitions);
                match partitions.and_then(|partitions| partitions.first()).map_or(-1, |partition| partition.error_code) {
                    0 => format!("replicas of {name}/{partition} are in that order"),
                    code => format!("replicas of {name}/{partition} stay as they are: {}", error_name(code)),
                }
            }
        };
        Ok(vec![line])
    }

    /// `elect T/0`: its preferred leader shall lead.
    pub(super) fn elect(&mut self, command: &Command) -> Lines {
        let (name, partition) = command.place()?;
        let topic = elect_leaders::request::TopicPartitions { topic: name.as_str().into(), partitions: vec![partition] };
        let request =
            elect_leaders::ElectLeadersRequest { election_type: 0, topic_partitions: Some(vec![topic]), timeout_ms: 5_000 };
        let at = self.at(command)?;
        let line = match self.call(at, &request, 2, PATIENCE_MS) {
            Err(silence) => silent(at, silence),
            Ok(response) => {
                let results = response.replica_election_results.first().map(|topic| &topic.partition_result);
                match results.and_then(|partitions| partitions.first()).map_or(-1, |partition| partition.error_code) {
                    0 => format!("{name}/{partition} is led by its preferred leader"),
                    code => format!("no election of {name}/{partition}: {}", error_name(code)),
                }
            }
        };
        Ok(vec![line])
    }
}
