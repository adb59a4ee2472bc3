//! The page of metrics: what the broker counts, under the names that Kafka's metrics get from the JMX exporter, and ours where Kafka has none.
//!
//! Kafka's names are `kafka_<domain>_<type>_<name>` in small letters; a meter `XPerSec` is the counter `x_total`, a histogram has a `quantile`
//! label and `_count`. As in Kafka the sum over all topics is a sample without the label `topic`, so a query names a topic or excludes
//! `topic=""`. Fetches are told twice, as `Fetch` and `FetchConsumer`, as Kafka tells them. Quantiles look at the last minute or two.
//!
//! Differences from Kafka: request times end when the answer is handed to its connection, not when it is written.

use super::exposition::{Exposition, Kind, milliseconds, seconds};
use ottla_core::broker::{BrokerMetrics, ReplicaMetrics};
use ottla_core::protocol::ApiKey;
use ottla_net::{ClientMetrics, NodeMetrics, Timing};
use std::fmt::Display;
use std::time::SystemTime;

/// Label values and shares in thousandths.
const QUANTILES: [(&str, u64); 6] = [("0.50", 500), ("0.75", 750), ("0.95", 950), ("0.98", 980), ("0.99", 990), ("0.999", 999)];
/// Bounds of histograms, powers of two of microseconds: 64 us to 67 s.
const BOUNDS: core::ops::RangeInclusive<u32> = 6..=26;

/// The whole page.
#[must_use]
pub fn page(node: &NodeMetrics, flushes: &Timing, lines_dropped: u64, started: SystemTime) -> String {
    let mut page = Exposition::default();
    traffic(&node.broker, &mut page);
    replicas(&node.broker, &mut page);
    controller(&node.broker, &mut page);
    requests(&node.clients, &mut page);
    connections(&node.clients, &mut page);
    sessions(&node.broker, &mut page);
    partitions(&node.broker.partitions, &mut page);
    summary(&mut page, "kafka_log_logflushstats_logflushrateandtimems", "Flushes of log files, ms.", &[], flushes, true);
    histogram(&mut page, "ottla_log_flush_seconds", "Flushes of log files.", &[(None, flushes)]);
    ours(node, &mut page);
    let help = "Lines of the log that were dropped because stderr was not read fast enough.";
    page.single("ottla_log_lines_dropped_total", Kind::Counter, help, lines_dropped);
    super::process::ProcessMetrics::look().write(started, &mut page);
    page.into_text()
}

fn traffic(broker: &BrokerMetrics, page: &mut Exposition) {
    type Pick = fn(&ottla_core::partition::Traffic) -> u64;
    let families: [(&str, &str, Pick); 5] = [
        ("messagesin", "Records that clients appended here.", |t| t.records_in),
        ("bytesin", "Bytes of the batches that clients appended here.", |t| t.bytes_in),
        ("bytesout", "Bytes of batches that consumers were given.", |t| t.bytes_out),
        ("totalproducerequests", "Times a Produce request named a partition.", |t| t.produce_requests),
        ("totalfetchrequests", "Times a Fetch request named a partition.", |t| t.fetch_requests),
    ];
    for (name, help, pick) in families {
        let name = format!("kafka_server_brokertopicmetrics_{name}_total");
        page.family(&name, Kind::Counter, help);
        page.sample(&name, &[], pick(&broker.traffic));
        for topic in &broker.topics {
            page.sample(&name, &[("topic", &topic.topic)], pick(&topic.traffic));
        }
    }
}

fn replicas(broker: &BrokerMetrics, page: &mut Exposition) {
    let rows = [
        ("leadercount", "Partitions that this broker leads.", broker.leaders),
        ("partitioncount", "Partitions with a replica on this broker.", broker.replicas),
        ("underreplicatedpartitions", "Partitions led here that lack a replica in sync.", broker.under_replicated),
        ("underminisrpartitioncount", "Partitions led here below min.insync.replicas.", broker.under_min_in_sync),
        ("atminisrpartitioncount", "Partitions led here with just min.insync.replicas.", broker.at_min_in_sync),
        ("offlinereplicacount", "Replicas on disks that failed: a broker whose disk fails stops.", 0),
        ("produceridcount", "Producers with an id that are remembered.", broker.producers),
    ];
    singles(page, "kafka_server_replicamanager_", Kind::Gauge, rows);
    // Kafka's numbers: 1 starts, 3 runs.
    let state = if broker.is_registered { 3 } else { 1 };
    page.single("kafka_server_kafkaserver_brokerstate", Kind::Gauge, "1 it starts, 3 it runs.", state);
}

fn controller(broker: &BrokerMetrics, page: &mut Exposition) {
    let rows = [
        ("activecontrollercount", "1 on the active controller.", usize::from(broker.is_controller)),
        ("activebrokercount", "Brokers that are registered and not fenced.", broker.brokers_active),
        ("fencedbrokercount", "Brokers that are fenced.", broker.brokers_fenced),
        ("globaltopiccount", "Topics of the cluster.", broker.cluster_topics),
        ("globalpartitioncount", "Partitions of the cluster.", broker.cluster_partitions),
        ("offlinepartitionscount", "Partitions of the cluster without a leader.", broker.partitions_offline),
        ("preferredreplicaimbalancecount", "Partitions not led by the first of their replicas.", broker.partitions_not_preferred),
    ];
    singles(page, "kafka_controller_kafkacontroller_", Kind::Gauge, rows);
}

/// The names under which a request is told.
fn request_names(key: ApiKey) -> &'static [&'static str] {
    if key == ApiKey::Fetch { &["Fetch", "FetchConsumer"] } else { &[] }
}

fn requests(clients: &ClientMetrics, page: &mut Exposition) {
    let named = |key: ApiKey| -> Vec<&'static str> {
        let names = request_names(key);
        if names.is_empty() { vec![key.name()] } else { names.to_vec() }
    };
    const COUNT: &str = "kafka_network_requestmetrics_requests_total";
    page.family(COUNT, Kind::Counter, "Requests of clients by API and version; version -1 is one that is not served.");
    for ((key, version), count) in &clients.requests {
        for name in named(*key) {
            page.sample(COUNT, &[("request", name), ("version", &version.to_string())], count);
        }
    }
    const TIME: &str = "kafka_network_requestmetrics_totaltimems";
    let help = "From a request's arrival to its answer, ms; a Fetch may wait for records.";
    for (place, (key, times)) in clients.times.iter().enumerate() {
        for (again, name) in named(*key).into_iter().enumerate() {
            summary(page, TIME, help, &[("request", name)], times, place == 0 && again == 0);
        }
    }
    let of_each: Vec<_> = clients.times.iter().map(|(key, times)| (Some(("request", key.name())), times)).collect();
    histogram(page, "ottla_request_seconds", "From a request's arrival to its answer; a Fetch may wait for records.", &of_each);
}

fn connections(clients: &ClientMetrics, page: &mut Exposition) {
    const OF_KAFKA: &str = "kafka_server_socket_server_metrics_connection";
    let closed = clients.connections_accepted - clients.connections;
    page.single(&format!("{OF_KAFKA}_count"), Kind::Gauge, "Open connections of clients.", clients.connections);
    let accepted = clients.connections_accepted;
    page.single(&format!("{OF_KAFKA}_creation_total"), Kind::Counter, "Connections of clients that were let in.", accepted);
    page.single(&format!("{OF_KAFKA}_close_total"), Kind::Counter, "Connections of clients that ended.", closed);
    const REFUSED: &str = "ottla_connections_refused_total";
    page.family(REFUSED, Kind::Counter, "Connections that were closed because a limit was reached.");
    page.sample(REFUSED, &[("limit", "max.connections")], clients.refused_for_all);
    page.sample(REFUSED, &[("limit", "max.connections.per.ip")], clients.refused_for_address);
    let help = "Connections that were closed because their client spoke nonsense or wasted time.";
    page.single("ottla_connections_sent_away_total", Kind::Counter, help, clients.sent_away);
    page.single("ottla_received_bytes_total", Kind::Counter, "Bytes that clients sent.", clients.bytes_in);
    page.single("ottla_sent_bytes_total", Kind::Counter, "Bytes that were written to clients.", clients.bytes_out);
    page.single("ottla_requests_open", Kind::Gauge, "Requests that have no answer yet.", clients.requests_open);
    page.single("ottla_request_bytes", Kind::Gauge, "Bytes of requests that are here.", clients.queued_bytes);
}

fn sessions(broker: &BrokerMetrics, page: &mut Exposition) {
    const CACHE: &str = "kafka_server_fetchsessioncache_numincrementalfetch";
    page.single(&format!("{CACHE}sessions"), Kind::Gauge, "Fetch sessions.", broker.sessions);
    page.single(&format!("{CACHE}partitionscached"), Kind::Gauge, "Partitions of fetch sessions.", broker.session_partitions);
}

fn partitions(replicas: &[ReplicaMetrics], page: &mut Exposition) {
    type Pick = fn(&ReplicaMetrics) -> u64;
    let families: [(&str, &str, Pick); 8] = [
        ("kafka_log_log_size", "Bytes of the segments of a partition here.", |r| r.bytes),
        ("kafka_log_log_numlogsegments", "Segments of a partition here.", |r| r.segments as u64),
        ("kafka_log_log_logstartoffset", "First offset that may be read.", |r| r.log_start.0.unsigned_abs()),
        ("kafka_log_log_logendoffset", "Offset of the next record.", |r| r.log_end.0.unsigned_abs()),
        ("kafka_cluster_partition_replicascount", "Replicas of a partition.", |r| r.replicas as u64),
        ("kafka_cluster_partition_insyncreplicascount", "Replicas in sync, told by the leader.", |r| r.in_sync as u64),
        ("kafka_cluster_partition_underreplicated", "1 on the leader of a partition that lacks a replica in sync.", |r| {
            u64::from(r.is_under_replicated)
        }),
        ("kafka_cluster_partition_underminisr", "1 on the leader of a partition below min.insync.replicas.", |r| {
            u64::from(r.is_under_min_in_sync)
        }),
    ];
    for (name, help, pick) in families {
        page.family(name, Kind::Gauge, help);
        for replica in replicas {
            page.sample(name, &[("topic", &replica.topic), ("partition", &replica.partition.to_string())], pick(replica));
        }
    }
}

fn ours(node: &NodeMetrics, page: &mut Exposition) {
    let (broker, peers, disk) = (&node.broker, &node.peers, &node.disk);
    page.family("ottla_build_info", Kind::Gauge, "Always 1; the label says which version runs.");
    page.sample("ottla_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
    page.family("ottla_metrics_left_out", Kind::Gauge, "What is not listed one by one, because there are too many.");
    page.sample("ottla_metrics_left_out", &[("kind", "topics")], broker.topics_left_out);
    page.sample("ottla_metrics_left_out", &[("kind", "partitions")], broker.partitions_left_out);
    let counters = [
        ("ottla_raft_elections_won_total", "Leaderships this broker won, partitions and controller.", broker.elections_won),
        ("ottla_raft_leader_changes_total", "New leaders of groups with a replica here.", broker.leader_changes),
        ("ottla_peer_sent_bytes_total", "Bytes for other brokers.", peers.bytes_out),
        ("ottla_peer_received_bytes_total", "Bytes from other brokers.", peers.bytes_in),
        ("ottla_peer_frames_dropped_total", "Frames for a broker that was not there or too slow.", peers.frames_dropped),
        ("ottla_peer_messages_refused_total", "Messages of other brokers that were of no use.", broker.peer_messages_dropped),
        ("ottla_disk_operations_total", "Operations that the disk ended.", disk.done),
        ("ottla_rounds_total", "Rounds of the broker's loop.", node.rounds),
    ];
    singles(page, "", Kind::Counter, counters);
    let gauges = [
        ("ottla_peers", "Other brokers that this one knows.", peers.peers),
        ("ottla_peers_connected", "Other brokers that this one is connected to.", peers.connected),
        ("ottla_disk_operations_open", "Operations that the disk has not ended.", disk.open),
        (
            "ottla_requests_parked",
            "Requests that wait for a commit, for records, or for the controller.",
            broker.requests_parked as u64,
        ),
        ("ottla_requests_held", "Requests that wait until the broker is registered.", broker.requests_held as u64),
        ("ottla_fenced", "1 while the controller has this broker fenced.", u64::from(broker.is_fenced)),
        ("ottla_disk_full", "1 while the volume has so little room that new records are refused.", u64::from(disk.is_full)),
    ];
    singles(page, "", Kind::Gauge, gauges);
    let silent = milliseconds(disk.silent_ms);
    page.single("ottla_disk_silent_seconds", Kind::Gauge, "How long the disk has ended nothing of what it has to do.", silent);
}

/// Families of one sample each: what follows `prefix` in the name, what it means, the value.
fn singles<const N: usize>(page: &mut Exposition, prefix: &str, kind: Kind, rows: [(&str, &str, impl Display); N]) {
    for (name, help, value) in rows {
        page.single(&format!("{prefix}{name}"), kind, help, value);
    }
}

/// A summary of milliseconds as Kafka's histograms are told.
fn summary(page: &mut Exposition, name: &str, help: &str, labels: &[(&str, &str)], times: &Timing, is_first: bool) {
    if is_first {
        page.family(name, Kind::Summary, help);
    }
    for (quantile, thousandths) in QUANTILES {
        let labels = [labels, &[("quantile", quantile)]].concat();
        let value = times.recent_us(thousandths).map_or_else(|| "NaN".to_string(), milliseconds);
        page.sample(name, &labels, value);
    }
    page.sample(&format!("{name}_sum"), labels, milliseconds(times.sum_us()));
    page.sample(&format!("{name}_count"), labels, times.count());
}

fn histogram(page: &mut Exposition, name: &str, help: &str, members: &[(Option<(&str, &str)>, &Timing)]) {
    page.family(name, Kind::Histogram, help);
    for (label, times) in members {
        let labels: Vec<(&str, &str)> = label.iter().copied().collect();
        for exponent in BOUNDS {
            let bound = seconds(1 << exponent);
            let labels = [labels.as_slice(), &[("le", &bound)]].concat();
            page.sample(&format!("{name}_bucket"), &labels, times.count_below(exponent));
        }
        let all = [labels.as_slice(), &[("le", "+Inf")]].concat();
        page.sample(&format!("{name}_bucket"), &all, times.count());
        page.sample(&format!("{name}_sum"), &labels, seconds(times.sum_us()));
        page.sample(&format!("{name}_count"), &labels, times.count());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ottla_core::broker::TopicMetrics;
    use ottla_core::ids::Offset;
    use ottla_core::partition::Traffic;
    use ottla_net::{DiskMetrics, PeerMetrics};
    use std::collections::{BTreeMap, BTreeSet};

    fn node() -> NodeMetrics {
        let traffic = Traffic { records_in: 3, bytes_in: 300, bytes_out: 30, produce_requests: 2, fetch_requests: 1 };
        let partition = ReplicaMetrics {
            topic: "t".into(),
            partition: 0,
            log_start: Offset(1),
            log_end: Offset(3),
            bytes: 400,
            segments: 1,
            replicas: 3,
            in_sync: 2,
            is_leader: true,
            is_under_replicated: true,
            is_under_min_in_sync: false,
        };
        let topics = vec![TopicMetrics { topic: "t".into(), traffic }];
        let mut times = Timing::default();
        times.record(1500, 0);
        NodeMetrics {
            broker: BrokerMetrics { traffic, topics, partitions: vec![partition], ..BrokerMetrics::default() },
            clients: ClientMetrics {
                requests: BTreeMap::from([((ApiKey::Fetch, 12), 1), ((ApiKey::Produce, 9), 2)]),
                times: BTreeMap::from([(ApiKey::Fetch, times)]),
                ..ClientMetrics::default()
            },
            peers: PeerMetrics::default(),
            disk: DiskMetrics { silent_ms: 1500, is_full: true, ..DiskMetrics::default() },
            rounds: 1,
        }
    }

    #[test]
    fn the_page_is_well_formed_and_names_things_as_kafka_does() {
        let text = page(&node(), &Timing::default(), 0, SystemTime::now());
        let mut announced = BTreeSet::new();
        let mut samples = BTreeSet::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                let name = rest.split(' ').next().unwrap_or_default();
                assert!(announced.insert(name.to_string()), "{name} is announced twice");
            } else if !line.starts_with('#') {
                let (series, value) = line.rsplit_once(' ').expect("a value");
                assert!(value == "NaN" || value.parse::<f64>().is_ok(), "{line}");
                assert!(samples.insert(series.to_string()), "{series} is told twice");
                let name = series.split('{').next().unwrap_or_default();
                let family = ["_bucket", "_sum", "_count", ""].iter().find_map(|end| {
                    let family = name.strip_suffix(end)?;
                    announced.contains(family).then_some(family)
                });
                assert!(family.is_some(), "{name} is not announced");
            }
        }
        for line in [
            "kafka_server_brokertopicmetrics_messagesin_total 3",
            "kafka_server_brokertopicmetrics_bytesin_total{topic=\"t\"} 300",
            "kafka_log_log_logendoffset{topic=\"t\",partition=\"0\"} 3",
            "kafka_cluster_partition_underreplicated{topic=\"t\",partition=\"0\"} 1",
            "kafka_network_requestmetrics_requests_total{request=\"Produce\",version=\"9\"} 2",
            "kafka_network_requestmetrics_requests_total{request=\"FetchConsumer\",version=\"12\"} 1",
            "kafka_network_requestmetrics_totaltimems{request=\"Fetch\",quantile=\"0.99\"} 1.536",
            "kafka_network_requestmetrics_totaltimems_count{request=\"FetchConsumer\"} 1",
            "ottla_request_seconds_bucket{request=\"Fetch\",le=\"0.001024\"} 0",
            "ottla_request_seconds_bucket{request=\"Fetch\",le=\"0.002048\"} 1",
            "ottla_disk_silent_seconds 1.500",
            "ottla_disk_full 1",
            "kafka_log_logflushstats_logflushrateandtimems{quantile=\"0.50\"} NaN",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
        }
    }
}
