//! `ottla topic`: create, list, describe, add partitions, delete, delete the oldest records.

use super::output::{Cell, Report, Section};
use super::{Failed, Print, Reach};
use crate::client::{Client, Failure, Target};
use ottla_core::protocol::messages::create_partitions::{self, CreatePartitionsRequest};
use ottla_core::protocol::messages::create_topics::{self, CreateTopicsRequest};
use ottla_core::protocol::messages::delete_records::{self, DeleteRecordsRequest};
use ottla_core::protocol::messages::delete_topics::{self, DeleteTopicsRequest};
use ottla_core::protocol::messages::describe_configs::{self, DescribeConfigsRequest};
use ottla_core::protocol::messages::metadata::response;
use ottla_core::protocol::{ErrorCode, Text};
use std::process::ExitCode;

/// Kafka's number for topics in DescribeConfigs.
const RESOURCE_TOPIC: i8 = 2;
/// Kafka's number for "set for this topic" in DescribeConfigs.
const SOURCE_TOPIC: i8 = 1;

/// What to do with topics.
#[derive(Debug, clap::Subcommand)]
pub enum TopicCommand {
    /// Create a topic.
    #[command(
        after_help = "Example:\n  ottla topic create orders --partitions 6 --replication-factor 3 --config retention.ms=86400000"
    )]
    Create {
        /// Its name: letters, digits, '.', '_' and '-', at most 249.
        name: String,
        /// Number of partitions; the broker's default if left out. Order is kept inside a partition only.
        #[arg(long, value_parser = clap::value_parser!(i32).range(1..))]
        partitions: Option<i32>,
        /// Copies of every partition, each on another broker; the broker's default if left out. 3 survive the loss of one broker.
        #[arg(long, value_parser = clap::value_parser!(i16).range(1..))]
        replication_factor: Option<i16>,
        /// A setting of the topic; may be given several times.
        #[arg(long, value_name = "KEY=VALUE", value_parser = setting)]
        config: Vec<(String, String)>,
        #[command(flatten)]
        reach: Reach,
        #[command(flatten)]
        print: Print,
    },
    /// List all topics.
    #[command(after_help = "Examples:\n  ottla topic list\n  ottla topic list --output json | jq -r '.topics[].topic'")]
    List {
        #[command(flatten)]
        reach: Reach,
        #[command(flatten)]
        print: Print,
    },
    /// Show the partitions of a topic, or of all, and the settings that differ from the defaults.
    #[command(after_help = "Examples:\n  ottla topic describe orders\n  ottla topic describe --output json")]
    Describe {
        /// The topic.
        name: Option<String>,
        #[command(flatten)]
        reach: Reach,
        #[command(flatten)]
        print: Print,
    },
    /// Give a topic more partitions. Records stay where they are, but the partition of a key may be another one from then on.
    #[command(after_help = "Example:\n  ottla topic create-partitions orders --partitions 12")]
    CreatePartitions {
        /// The topic.
        name: String,
        /// Number of partitions it shall have.
        #[arg(long, value_parser = clap::value_parser!(i32).range(1..))]
        partitions: i32,
        #[command(flatten)]
        reach: Reach,
        #[command(flatten)]
        print: Print,
    },
    /// Delete the oldest records of a partition: from then on its log starts at an offset.
    #[command(after_help = "Examples:\n  ottla topic delete-records orders --partition 0 --before 1000\n  \
                            ottla topic delete-records orders --partition 0 --all")]
    DeleteRecords {
        /// The topic.
        name: String,
        /// The partition.
        #[arg(long, value_parser = clap::value_parser!(i32).range(0..))]
        partition: i32,
        /// Offset of the first record that stays.
        #[arg(long, value_parser = clap::value_parser!(i64).range(0..), required_unless_present = "all", conflicts_with = "all")]
        before: Option<i64>,
        /// All that consumers can see now.
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        reach: Reach,
        #[command(flatten)]
        print: Print,
    },
    /// Delete a topic with all its records.
    #[command(after_help = "Example:\n  ottla topic delete orders")]
    Delete {
        /// The topic.
        name: String,
        #[command(flatten)]
        reach: Reach,
        #[command(flatten)]
        print: Print,
    },
}

/// `KEY=VALUE` of a command line.
pub fn setting(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("a setting is written KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

impl TopicCommand {
    /// Runs it.
    pub fn run(self) -> Result<ExitCode, Failed> {
        match self {
            TopicCommand::Create { name, partitions, replication_factor, config, reach, print } => {
                let topic = create_topics::request::Topics {
                    name: Text::from(&name),
                    num_partitions: partitions.unwrap_or(-1),
                    replication_factor: replication_factor.unwrap_or(-1),
                    assignments: Vec::new(),
                    configs: config
                        .iter()
                        .map(|(key, value)| create_topics::request::Configs {
                            name: Text::from(key),
                            value: Some(Text::from(value)),
                        })
                        .collect(),
                };
                print.report(&create(&mut reach.client(), topic)?)?;
            }
            TopicCommand::List { reach, print } => print.report(&list(&mut reach.client())?)?,
            TopicCommand::Describe { name, reach, print } => print.report(&describe(&mut reach.client(), name.as_deref())?)?,
            TopicCommand::CreatePartitions { name, partitions, reach, print } => {
                create_partitions(&mut reach.client(), &name, partitions)?;
                let mut grown = Section::new("grown", &["topic", "partitions"]);
                grown.row(vec![name.as_str().into(), partitions.into()]);
                print.acknowledge(grown)?;
            }
            TopicCommand::DeleteRecords { name, partition, before, all: _, reach, print } => {
                // Kafka's word for the high watermark is -1.
                print.report(&delete_records(&mut reach.client(), &name, partition, before.unwrap_or(-1))?)?;
            }
            TopicCommand::Delete { name, reach, print } => {
                delete(&mut reach.client(), &name)?;
                let mut deleted = Section::new("deleted", &["topic"]);
                deleted.row(vec![name.as_str().into()]);
                print.acknowledge(deleted)?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The time the broker may take: a bit less than our own patience, so that its answer is the one that is seen.
fn timeout_ms(client: &Client) -> i32 {
    i32::try_from(client.patience().as_millis() * 9 / 10).unwrap_or(i32::MAX)
}

fn create(client: &mut Client, topic: create_topics::request::Topics) -> Result<Report, Failed> {
    let name = topic.name.clone();
    let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: timeout_ms(client), validate_only: false };
    let created = client.persist(|client| {
        let response = client.ask(Target::Controller, &request)?;
        let created = only(response.topics, &name)?;
        Failure::check(created.error_code, created.error_message.as_ref(), || format!("topic {name}"))?;
        Ok(created)
    })?;
    let mut section = Section::new("created", &["topic", "id", "partitions", "replication factor"]);
    let known = |number: i32| if number < 0 { Cell::None } else { number.into() };
    let id = if created.topic_id.is_zero() { Cell::None } else { created.topic_id.to_string().as_str().into() };
    section.row(vec![name.as_str().into(), id, known(created.num_partitions), known(created.replication_factor.into())]);
    Ok(one(section))
}

fn create_partitions(client: &mut Client, name: &str, count: i32) -> Result<(), Failed> {
    let topics = vec![create_partitions::request::Topics { name: Text::from(name), count, assignments: None }];
    let request = CreatePartitionsRequest { topics, timeout_ms: timeout_ms(client), validate_only: false };
    client.persist(|client| {
        let response = client.ask(Target::Controller, &request)?;
        let grown = only(response.results, name)?;
        Failure::check(grown.error_code, grown.error_message.as_ref(), || format!("topic {name}"))
    })?;
    Ok(())
}

fn delete_records(client: &mut Client, name: &str, partition: i32, offset: i64) -> Result<Report, Failed> {
    let partitions = vec![delete_records::request::Partitions { partition_index: partition, offset }];
    let topics = vec![delete_records::request::Topics { name: Text::from(name), partitions }];
    let request = DeleteRecordsRequest { topics, timeout_ms: timeout_ms(client) };
    let start = client.persist(|client| {
        let leader = client.leader(name, partition)?;
        let response = client.ask(Target::Broker(leader), &request)?;
        let deleted = only(only(response.topics, name)?.partitions, name)?;
        Failure::check(deleted.error_code, None, || format!("partition {partition} of topic {name}"))?;
        Ok(deleted.low_watermark)
    })?;
    let mut section = Section::new("deleted", &["topic", "partition", "log start"]);
    section.row(vec![name.into(), partition.into(), start.into()]);
    Ok(one(section))
}

fn delete(client: &mut Client, name: &str) -> Result<(), Failed> {
    let request = DeleteTopicsRequest {
        topics: vec![delete_topics::request::Topics { name: Some(Text::from(name)), ..Default::default() }],
        topic_names: vec![Text::from(name)],
        timeout_ms: timeout_ms(client),
    };
    client.persist(|client| {
        let response = client.ask(Target::Controller, &request)?;
        let deleted = only(response.responses, name)?;
        Failure::check(deleted.error_code, deleted.error_message.as_ref(), || format!("topic {name}"))
    })?;
    Ok(())
}

fn list(client: &mut Client) -> Result<Report, Failed> {
    let mut topics = client.persist(|client| client.metadata(None))?.topics;
    topics.sort_by(|one, other| one.name.cmp(&other.name));
    let mut section = Section::new("topics", &["topic", "partitions", "replication factor"]);
    for topic in &topics {
        let copies = topic.partitions.iter().map(|partition| partition.replica_nodes.len()).max().unwrap_or(0);
        section.row(vec![topic.name.as_deref().unwrap_or("").into(), topic.partitions.len().into(), copies.into()]);
    }
    Ok(one(section))
}

fn describe(client: &mut Client, name: Option<&str>) -> Result<Report, Failed> {
    let names = name.map(|name| vec![name]);
    let mut topics = client.persist(|client| {
        let topics = client.metadata(names.as_deref())?.topics;
        for topic in &topics {
            // A topic of a listing whose leader is being elected is shown as it is.
            if name.is_some() && topic.error_code != ErrorCode::LeaderNotAvailable.code() {
                Failure::check(topic.error_code, None, || format!("topic {}", topic.name.as_deref().unwrap_or("")))?;
            }
        }
        Ok(topics)
    })?;
    topics.sort_by(|one, other| one.name.cmp(&other.name));
    let mut heads = Section::new("topics", &["topic", "id", "partitions", "replication factor"]);
    let mut partitions = Section::new("partitions", &["topic", "partition", "leader", "epoch", "replicas", "in sync", "offline"]);
    for topic in &mut topics {
        let name = topic.name.as_deref().unwrap_or("");
        let copies = topic.partitions.iter().map(|partition| partition.replica_nodes.len()).max().unwrap_or(0);
        heads.row(vec![name.into(), topic.topic_id.to_string().as_str().into(), topic.partitions.len().into(), copies.into()]);
        topic.partitions.sort_by_key(|partition| partition.partition_index);
        for partition in &topic.partitions {
            partitions.row(partition_row(name, partition));
        }
    }
    let settings = settings(client, &topics)?;
    let mut report = one(heads);
    report.add(partitions);
    if !settings.is_empty() {
        report.add(settings);
    }
    Ok(report)
}

fn partition_row(topic: &str, partition: &response::Partitions) -> Vec<Cell> {
    let known = |number: i32| if number < 0 { Cell::None } else { number.into() };
    vec![
        topic.into(),
        partition.partition_index.into(),
        known(partition.leader_id),
        known(partition.leader_epoch),
        Cell::Numbers(partition.replica_nodes.clone()),
        Cell::Numbers(partition.isr_nodes.clone()),
        Cell::Numbers(partition.offline_replicas.clone()),
    ]
}

/// Settings that were made for the topics themselves. A broker that does not tell has none to show.
fn settings(client: &mut Client, topics: &[response::Topics]) -> Result<Section, Failed> {
    let mut section = Section::new("settings", &["topic", "setting", "value"]);
    if topics.is_empty() || !client.speaks::<DescribeConfigsRequest>(Target::Any)? {
        return Ok(section);
    }
    let resource = |topic: &response::Topics| describe_configs::request::Resources {
        resource_type: RESOURCE_TOPIC,
        resource_name: topic.name.clone().unwrap_or_default(),
        configuration_keys: None,
    };
    let request = DescribeConfigsRequest { resources: topics.iter().map(resource).collect(), ..Default::default() };
    let answer = client.persist(|client| client.ask(Target::Any, &request))?;
    for result in &answer.results {
        for config in result.configs.iter().filter(|config| config.config_source == SOURCE_TOPIC) {
            let value = config.value.as_deref().map_or(Cell::None, Cell::from);
            section.row(vec![result.resource_name.as_str().into(), config.name.as_str().into(), value]);
        }
    }
    Ok(section)
}

fn only<T>(mut answers: Vec<T>, name: &str) -> Result<T, Failure> {
    if answers.len() == 1 {
        Ok(answers.remove(0))
    } else {
        Err(Failure::Nonsense(format!("the answer is not about topic {name}")))
    }
}

fn one(section: Section) -> Report {
    let mut report = Report::default();
    report.add(section);
    report
}
