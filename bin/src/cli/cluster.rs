//! `ottla cluster status`: is everything there that should be?

use super::output::{Cell, Report, Section};
use super::{Failed, Print, Reach};
use crate::client::Client;
use std::collections::BTreeSet;
use std::process::ExitCode;

/// What to do with the cluster.
#[derive(Debug, clap::Subcommand)]
pub enum ClusterCommand {
    /// Show brokers, controller and every partition that misses something.
    ///
    /// Exit code 1 if the cluster can't be reached, has no controller, or a partition has no leader: then something can't be read or
    /// written. Partitions that only miss a replica are listed, but work.
    #[command(
        after_help = "Examples:\n  ottla cluster status\n  ottla cluster status --bootstrap kafka.example:9092 --output json"
    )]
    Status {
        #[command(flatten)]
        reach: Reach,
        #[command(flatten)]
        print: Print,
    },
}

impl ClusterCommand {
    /// Runs it.
    pub fn run(self) -> Result<ExitCode, Failed> {
        match self {
            ClusterCommand::Status { reach, print } => {
                let (report, is_available) = status(&mut reach.client())?;
                print.report(&report)?;
                Ok(if is_available { ExitCode::SUCCESS } else { ExitCode::FAILURE })
            }
        }
    }
}

fn status(client: &mut Client) -> Result<(Report, bool), Failed> {
    let metadata = client.persist(|client| client.metadata(None))?;
    let online: BTreeSet<i32> = metadata.brokers.iter().map(|broker| broker.node_id).collect();
    let mut named = online.clone();
    let (mut partitions, mut short, mut leaderless) = (0usize, 0usize, 0usize);
    let mut troubled = Section::new("troubled partitions", &["topic", "partition", "trouble", "leader", "replicas", "in sync"]);
    for topic in &metadata.topics {
        for partition in &topic.partitions {
            partitions += 1;
            named.extend(&partition.replica_nodes);
            let missing = partition.replica_nodes.iter().filter(|id| !partition.isr_nodes.contains(id)).count();
            let trouble = if partition.leader_id < 0 {
                leaderless += 1;
                "no leader".to_owned()
            } else if missing > 0 {
                short += 1;
                format!("{missing} of {} replicas not in sync", partition.replica_nodes.len())
            } else {
                continue;
            };
            troubled.row(vec![
                topic.name.as_deref().unwrap_or("").into(),
                partition.partition_index.into(),
                Cell::Text(trouble),
                if partition.leader_id < 0 { Cell::None } else { partition.leader_id.into() },
                Cell::Numbers(partition.replica_nodes.clone()),
                Cell::Numbers(partition.isr_nodes.clone()),
            ]);
        }
    }
    let has_controller = metadata.controller_id >= 0;
    let mut cluster =
        Section::new("cluster", &["cluster", "controller", "topics", "partitions", "without leader", "not in sync"]);
    cluster.row(vec![
        metadata.cluster_id.as_deref().map_or(Cell::None, Cell::from),
        if has_controller { metadata.controller_id.into() } else { Cell::None },
        metadata.topics.len().into(),
        partitions.into(),
        leaderless.into(),
        short.into(),
    ]);
    let mut brokers = Section::new("brokers", &["broker", "address", "online"]);
    for id in named {
        let broker = metadata.brokers.iter().find(|broker| broker.node_id == id);
        let address = broker.map_or(Cell::None, |broker| Cell::Text(format!("{}:{}", broker.host, broker.port)));
        brokers.row(vec![id.into(), address, Cell::Flag(online.contains(&id))]);
    }
    let mut report = Report::default();
    report.add(cluster);
    report.add(brokers);
    if !troubled.is_empty() {
        report.add(troubled);
    }
    Ok((report, has_controller && leaderless == 0))
}
