//! `ottla config`: show and change the settings of topics and brokers while they run. What a broker would start with: `config_file.rs`.

use super::output::{Cell, Report, Section};
use super::{Failed, Print, Reach};
use crate::client::{Client, Failure, Target};
use clap::Args;
use ottla_core::protocol::Text;
use ottla_core::protocol::messages::describe_configs::{self, DescribeConfigsRequest};
use ottla_core::protocol::messages::incremental_alter_configs::{self, IncrementalAlterConfigsRequest};
use std::process::ExitCode;

/// Kafka's numbers for topics and brokers in requests about settings.
const TOPIC: i8 = 2;
const BROKER: i8 = 4;
/// Kafka's numbers for what is done to a setting.
const SET: i8 = 0;
const DELETE: i8 = 1;
/// Kafka's number for a value that nobody set.
const SOURCE_DEFAULT: i8 = 5;

/// What to do with settings.
#[derive(Debug, clap::Subcommand)]
pub enum ConfigCommand {
    /// Show settings, their values and where those come from. Without a name: all that differ from the defaults.
    #[command(after_help = "Examples:\n  ottla config get --topic orders\n  ottla config get --broker 1 message.max.bytes")]
    Get {
        /// Names of settings.
        names: Vec<String>,
        /// Show settings that nobody set, too.
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        whose: Whose,
        #[command(flatten)]
        reach: Reach,
        #[command(flatten)]
        print: Print,
    },
    /// Set values. All of them are taken, or none.
    #[command(after_help = "Example:\n  ottla config set --topic orders retention.ms=86400000 max.message.bytes=2000000")]
    Set {
        /// The values.
        #[arg(required = true, value_name = "KEY=VALUE", value_parser = super::topic::setting)]
        values: Vec<(String, String)>,
        #[command(flatten)]
        whose: Whose,
        #[command(flatten)]
        reach: Reach,
        #[command(flatten)]
        print: Print,
    },
    /// Take values back that were set: what stands behind them counts again.
    #[command(after_help = "Example:\n  ottla config delete --all-brokers log.retention.ms")]
    Delete {
        /// Names of settings.
        #[arg(required = true)]
        names: Vec<String>,
        #[command(flatten)]
        whose: Whose,
        #[command(flatten)]
        reach: Reach,
        #[command(flatten)]
        print: Print,
    },
    /// Say what settings mean here: type, default, legal values, and what they do. Asks no broker.
    #[command(after_help = super::explain::HELP)]
    Explain(super::explain::Explain),
    /// Say all that is wrong with a broker's configuration. Asks no broker.
    #[command(after_help = super::config_file::CHECK_HELP)]
    Check(super::config_file::Check),
    /// Print what a broker would start with. Asks no broker.
    #[command(after_help = super::config_file::PRINT_HELP)]
    Print(super::config_file::PrintFile),
}

/// Whose settings.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct Whose {
    /// Those of this topic.
    #[arg(long, value_name = "TOPIC")]
    topic: Option<String>,
    /// Those of the broker with this id.
    #[arg(long, value_name = "ID", value_parser = clap::value_parser!(i32).range(0..))]
    broker: Option<i32>,
    /// Those set for all brokers at once.
    #[arg(long)]
    all_brokers: bool,
}

impl Whose {
    fn kind(&self) -> i8 {
        if self.topic.is_some() { TOPIC } else { BROKER }
    }

    /// The resource's name on the wire: for all brokers it is empty.
    fn name(&self) -> String {
        let broker = self.broker.map(|id| id.to_string());
        self.topic.clone().or(broker).unwrap_or_default()
    }

    /// A broker is asked and changed itself.
    fn target(&self) -> Target {
        self.broker.map_or(Target::Any, Target::Broker)
    }

    fn for_people(&self) -> String {
        match (&self.topic, self.broker) {
            (Some(topic), _) => format!("topic {topic}"),
            (None, Some(id)) => format!("broker {id}"),
            (None, None) => "all brokers".to_owned(),
        }
    }
}

impl ConfigCommand {
    /// Runs it.
    pub fn run(self) -> Result<ExitCode, Failed> {
        match self {
            ConfigCommand::Get { names, all, whose, reach, print } => {
                print.report(&get(&mut reach.client(), &whose, &names, all)?)?;
            }
            ConfigCommand::Set { values, whose, reach, print } => {
                let edits = values.iter().map(|(name, value)| (name.as_str(), SET, Some(value.as_str()))).collect::<Vec<_>>();
                edit(&mut reach.client(), &whose, &edits)?;
                print.acknowledge(edited("set", &whose, &edits))?;
            }
            ConfigCommand::Delete { names, whose, reach, print } => {
                let edits = names.iter().map(|name| (name.as_str(), DELETE, None)).collect::<Vec<_>>();
                edit(&mut reach.client(), &whose, &edits)?;
                print.acknowledge(edited("deleted", &whose, &edits))?;
            }
            ConfigCommand::Explain(explain) => return explain.run(),
            ConfigCommand::Check(check) => return check.run(),
            ConfigCommand::Print(print) => return print.run(),
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// What was done to which settings; a value that was taken back is none.
fn edited(title: &'static str, whose: &Whose, edits: &[(&str, i8, Option<&str>)]) -> Section {
    let mut section = Section::new(title, &["set for", "setting", "value"]);
    for (name, _, value) in edits {
        section.row(vec![whose.for_people().as_str().into(), (*name).into(), value.map_or(Cell::None, Cell::from)]);
    }
    section
}

fn get(client: &mut Client, whose: &Whose, names: &[String], all: bool) -> Result<Report, Failed> {
    let resource = describe_configs::request::Resources {
        resource_type: whose.kind(),
        resource_name: Text::from(whose.name()),
        configuration_keys: (!names.is_empty()).then(|| names.iter().map(Text::from).collect()),
    };
    let request = DescribeConfigsRequest { resources: vec![resource], ..Default::default() };
    let mut described = client.persist(|client| {
        let answer = client.ask(whose.target(), &request)?;
        let Some(result) = answer.results.into_iter().next() else {
            return Err(Failure::Nonsense(format!("the answer is not about {}", whose.for_people())));
        };
        Failure::check(result.error_code, result.error_message.as_ref(), || whose.for_people())?;
        Ok(result)
    })?;
    described.configs.sort_by(|one, other| one.name.cmp(&other.name));
    let mut section = Section::new("settings", &["setting", "value", "set for"]);
    for config in &described.configs {
        if names.is_empty() && !all && config.config_source == SOURCE_DEFAULT {
            continue;
        }
        let value = if config.is_sensitive { "(hidden)".into() } else { config.value.as_deref().map_or(Cell::None, Cell::from) };
        section.row(vec![config.name.as_str().into(), value, place(config.config_source)]);
    }
    let mut report = Report::default();
    report.add(section);
    Ok(report)
}

/// Where a value was set, for Kafka's number of it.
fn place(source: i8) -> Cell {
    match source {
        1 => "topic".into(),
        2 => "broker".into(),
        3 => "all brokers".into(),
        4 => "broker's file".into(),
        _ => Cell::None,
    }
}

fn edit(client: &mut Client, whose: &Whose, edits: &[(&str, i8, Option<&str>)]) -> Result<(), Failed> {
    let configs = edits.iter().map(|(name, operation, value)| incremental_alter_configs::request::Configs {
        name: Text::from(*name),
        config_operation: *operation,
        value: value.map(Text::from),
    });
    let resource = incremental_alter_configs::request::Resources {
        resource_type: whose.kind(),
        resource_name: Text::from(whose.name()),
        configs: configs.collect(),
    };
    let request = IncrementalAlterConfigsRequest { resources: vec![resource], validate_only: false };
    client.persist(|client| {
        let answer = client.ask(whose.target(), &request)?;
        let Some(result) = answer.responses.into_iter().next() else {
            return Err(Failure::Nonsense(format!("the answer is not about {}", whose.for_people())));
        };
        Failure::check(result.error_code, result.error_message.as_ref(), || whose.for_people())
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whose(topic: Option<&str>, broker: Option<i32>) -> Whose {
        Whose { topic: topic.map(str::to_owned), broker, all_brokers: topic.is_none() && broker.is_none() }
    }

    #[test]
    fn a_resource_is_named_as_on_the_wire() {
        let shown = |whose: &Whose| (whose.kind(), whose.name(), whose.target(), whose.for_people());
        assert_eq!(shown(&whose(Some("a"), None)), (2, "a".into(), Target::Any, "topic a".into()));
        assert_eq!(shown(&whose(None, Some(3))), (4, "3".into(), Target::Broker(3), "broker 3".into()));
        assert_eq!(shown(&whose(None, None)), (4, String::new(), Target::Any, "all brokers".into()));
    }
}
