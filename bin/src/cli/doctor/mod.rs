//! `ottla doctor`: finds out why clients can't connect.
//!
//! A client connects to one address, is told the addresses of all brokers, and goes there: so does this. Everything that can be
//! wrong on the way has a sentence, and names the setting to change. It speaks to Kafka as well as to Ottla, and changes nothing.

mod advertised;
mod knock;
mod trouble;

use super::output::{Cell, Report, Section};
use super::{Failed, Print};
use crate::client::Link;
use crate::configuration::Address;
use knock::{Answer, knock};
use ottla_core::protocol::messages::describe_cluster::{DescribeClusterRequest, DescribeClusterResponse};
use ottla_core::protocol::messages::metadata::{MetadataRequest, MetadataResponse};
use std::process::ExitCode;
use std::time::Duration;
use trouble::Trouble;

/// What to look at.
#[derive(Debug, clap::Subcommand)]
pub enum DoctorCommand {
    /// Follow the way of a client: dial an address, ask for the brokers, dial every one of them.
    ///
    /// For each broker: does its name resolve, does something listen there, does it speak Kafka, is it the broker that was meant, and of the
    /// same cluster? Run it where your clients run: a name that resolves in one container may not in another. Exit code 1 if anything is
    /// wrong.
    #[command(
        after_help = "Examples:\n  ottla doctor connect 127.0.0.1:9092\n  ottla doctor connect kafka.example:9092 --output json"
    )]
    Connect {
        /// Where clients begin: one of their bootstrap servers.
        #[arg(value_name = "HOST:PORT", value_parser = place)]
        address: Address,
        /// Give up on an address after so long.
        #[arg(long, value_name = "MS", default_value_t = 5_000, value_parser = clap::value_parser!(u64).range(1..))]
        patience_ms: u64,
        #[command(flatten)]
        print: Print,
    },
}

fn place(text: &str) -> Result<Address, String> {
    Address::parse(text).and_then(|at| if at.host.is_empty() { Err(format!("{text:?} names no host")) } else { Ok(at) })
}

impl DoctorCommand {
    /// Runs it.
    pub fn run(self) -> Result<ExitCode, Failed> {
        let DoctorCommand::Connect { address, patience_ms, print } = self;
        let findings = Findings::of(&address, Duration::from_millis(patience_ms));
        print.report(&findings.report())?;
        Ok(if findings.is_well() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// What a cluster says of itself.
#[derive(Debug)]
struct Cluster {
    id: Option<String>,
    controller: i32,
    brokers: Vec<(i32, Address)>,
}

/// A broker that was looked at.
#[derive(Debug)]
struct Seen {
    id: i32,
    at: Address,
    resolved: Vec<String>,
    troubles: Vec<Trouble>,
}

/// Everything that was found.
#[derive(Debug)]
struct Findings {
    address: Address,
    cluster: Option<Cluster>,
    brokers: Vec<Seen>,
    /// Of the first address and of the cluster as a whole.
    troubles: Vec<Trouble>,
}

impl Findings {
    fn of(address: &Address, patience: Duration) -> Findings {
        let mut findings = Findings { address: address.clone(), cluster: None, brokers: Vec::new(), troubles: Vec::new() };
        let first = match knock(address, patience) {
            Answer { trouble: Some(trouble), .. } => {
                findings.troubles.push(trouble);
                return findings;
            }
            answer => answer,
        };
        let cluster = match ask_cluster(address, patience) {
            Ok(cluster) => cluster,
            Err(trouble) => {
                findings.troubles.push(trouble);
                return findings;
            }
        };
        if cluster.brokers.is_empty() {
            findings.troubles.push(Trouble::no_brokers(address));
        }
        if cluster.controller < 0 {
            findings.troubles.push(Trouble::no_controller());
        }
        for (id, at) in &cluster.brokers {
            findings.brokers.push(advertised::look(*id, at, (address, &first), &cluster, patience));
        }
        findings.cluster = Some(cluster);
        findings
    }

    fn is_well(&self) -> bool {
        self.troubles.is_empty() && self.brokers.iter().all(|broker| broker.troubles.is_empty())
    }

    fn report(&self) -> Report {
        let mut report = Report::default();
        if let Some(cluster) = &self.cluster {
            let mut section = Section::new("cluster", &["via", "cluster", "controller", "brokers"]);
            section.row(vec![
                Cell::Text(self.address.to_string()),
                cluster.id.as_deref().map_or(Cell::None, Cell::from),
                if cluster.controller < 0 { Cell::None } else { cluster.controller.into() },
                cluster.brokers.len().into(),
            ]);
            report.add(section);
        }
        if !self.brokers.is_empty() {
            let mut section = Section::new("brokers", &["broker", "advertised", "resolves to", "reached"]);
            for broker in &self.brokers {
                let resolved = if broker.resolved.is_empty() { Cell::None } else { Cell::Text(broker.resolved.join(" ")) };
                section.row(vec![
                    broker.id.into(),
                    Cell::Text(broker.at.to_string()),
                    resolved,
                    Cell::Flag(broker.troubles.is_empty()),
                ]);
            }
            report.add(section);
        }
        let mut section = Section::new("troubles", &["broker", "address", "what is wrong", "what to do"]);
        let mut add = |id: Cell, at: &Address, trouble: &Trouble| {
            section.row(vec![
                id,
                Cell::Text(at.to_string()),
                Cell::Text(trouble.wrong.clone()),
                Cell::Text(trouble.remedy.clone()),
            ]);
        };
        self.troubles.iter().for_each(|trouble| add(Cell::None, &self.address, trouble));
        for broker in &self.brokers {
            broker.troubles.iter().for_each(|trouble| add(broker.id.into(), &broker.at, trouble));
        }
        if !self.is_well() {
            report.add(section);
        }
        report
    }
}

/// What the broker at an address, which speaks Kafka, says of its cluster.
fn ask_cluster(address: &Address, patience: Duration) -> Result<Cluster, Trouble> {
    let failed = |failure: crate::client::Failure| Trouble::refuses(address, &failure);
    let mut link = Link::connect(&address.to_string(), patience).map_err(failed)?;
    let request = MetadataRequest { topics: Some(Vec::new()), allow_auto_topic_creation: false, ..MetadataRequest::default() };
    let metadata: MetadataResponse = link.ask(&request, patience).map_err(failed)?;
    let address_of = |host: &str, port: i32| Address { host: host.to_string(), port: u16::try_from(port).unwrap_or(0) };
    let mut cluster = Cluster {
        id: metadata.cluster_id.as_ref().map(ToString::to_string),
        controller: metadata.controller_id,
        brokers: metadata.brokers.iter().map(|broker| (broker.node_id, address_of(&broker.host, broker.port))).collect(),
    };
    // Brokers that are fenced are not in Metadata; the newer question tells them all.
    if link.version::<DescribeClusterRequest>().is_ok() {
        let request = DescribeClusterRequest { endpoint_type: 1, ..DescribeClusterRequest::default() };
        let described: DescribeClusterResponse = link.ask(&request, patience).map_err(failed)?;
        for broker in described.brokers.iter().filter(|_| described.error_code == 0) {
            if !cluster.brokers.iter().any(|(id, _)| *id == broker.broker_id) {
                cluster.brokers.push((broker.broker_id, address_of(&broker.host, broker.port)));
            }
        }
    }
    cluster.brokers.sort_by_key(|(id, _)| *id);
    Ok(cluster)
}
