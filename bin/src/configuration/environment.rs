//! The rule by which container images of Kafka turn their environment into settings.
//!
//! `KAFKA_LOG_DIRS` is `log.dirs`: without the prefix, in small letters, `_` for a dot, `__` for an underscore, `___` for a dash.
//!
//! Source: the setup class of Apache's image (`kafka.docker.KafkaDockerWrapper`) for the rule and for the names it leaves out; Bitnami's
//! image writes `KAFKA_CFG_` instead of `KAFKA_`, and `KAFKA_KRAFT_CLUSTER_ID` for what Apache's calls `CLUSTER_ID`.

use super::{Entry, Finding, Origin};

/// Names that images use for the Java machine, its logging, or the image itself.
const FOR_OTHERS: [&str; 19] = [
    "KAFKA_CLASSPATH",
    "KAFKA_DATA_DIR",
    "KAFKA_DEBUG",
    "KAFKA_GC_LOG_OPTS",
    "KAFKA_HEAP_OPTS",
    "KAFKA_HOME",
    "KAFKA_JMX_HOSTNAME",
    "KAFKA_JMX_OPTS",
    "KAFKA_JMX_PORT",
    "KAFKA_JVM_PERFORMANCE_OPTS",
    "KAFKA_LOG4J_LOGGERS",
    "KAFKA_LOG4J_OPTS",
    "KAFKA_LOG4J_ROOT_LOGLEVEL",
    "KAFKA_LOG4J_TOOLS_ROOT_LOGLEVEL",
    "KAFKA_MIRROR",
    "KAFKA_OPTS",
    "KAFKA_TOOLS_LOG4J_LOGLEVEL",
    "KAFKA_VERSION",
    "KAFKA_VOLUME_DIR",
];

/// What Kubernetes tells every container about a service called `kafka`.
const OF_KUBERNETES: [&str; 3] = ["KAFKA_PORT", "KAFKA_SERVICE_HOST", "KAFKA_SERVICE_PORT"];

/// Whether a broker of another kind, or this one, would take a setting from this name.
#[must_use]
pub fn belongs_to_kafka(name: &str) -> bool {
    name.starts_with("KAFKA_") || name == "CLUSTER_ID"
}

/// The settings of an environment, by name, and what contradicts itself in it.
#[must_use]
pub fn parse(environment: &[(String, String)]) -> (Vec<Entry>, Vec<Finding>) {
    let mut sorted: Vec<&(String, String)> = environment.iter().collect();
    sorted.sort();
    let (mut entries, mut contradictions): (Vec<Entry>, Vec<Finding>) = (Vec::new(), Vec::new());
    for (variable, value) in sorted {
        let Some(name) = setting_name(variable) else { continue };
        let origin = Origin::Environment(variable.clone());
        if let Some(other) = entries.iter().find(|other| other.name == name && other.value != *value) {
            let sentence = format!("{name} is set to another value by {}; keep one of the two.", other.origin);
            contradictions.push(Finding::at(&origin, sentence));
        }
        entries.push(Entry { name, value: value.clone(), origin });
    }
    (entries, contradictions)
}

/// The setting that a variable is for; `None` if it is for something else.
fn setting_name(variable: &str) -> Option<String> {
    let is_of_kubernetes = OF_KUBERNETES
        .iter()
        .any(|known| variable.strip_prefix(known).is_some_and(|rest| rest.is_empty() || rest.starts_with('_')));
    if FOR_OTHERS.contains(&variable) || is_of_kubernetes {
        return None;
    }
    if variable == "CLUSTER_ID" || variable == "KAFKA_KRAFT_CLUSTER_ID" {
        return Some("cluster.id".to_string());
    }
    let rest = variable.strip_prefix("KAFKA_CFG_").or_else(|| variable.strip_prefix("KAFKA_"))?;
    let dotted = rest.to_lowercase().replace('_', ".");
    Some(dotted.replace("...", "-").replace("..", "_")).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule_of_the_images() {
        for (variable, expect) in [
            ("KAFKA_NODE_ID", Some("node.id")),
            ("KAFKA_BROKER_ID", Some("broker.id")),
            ("KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR", Some("offsets.topic.replication.factor")),
            ("KAFKA_ZOOKEEPER_CONNECT", Some("zookeeper.connect")),
            ("KAFKA_LISTENER_NAME_A__B_SSL_KEY", Some("listener.name.a_b.ssl.key")),
            ("KAFKA_A___B", Some("a-b")),
            ("KAFKA_A____B", Some("a-.b")),
            ("KAFKA_CFG_NODE_ID", Some("node.id")),
            ("CLUSTER_ID", Some("cluster.id")),
            ("KAFKA_CLUSTER_ID", Some("cluster.id")),
            ("KAFKA_KRAFT_CLUSTER_ID", Some("cluster.id")),
            ("KAFKA_OPTS", None),
            ("KAFKA_HEAP_OPTS", None),
            ("KAFKA_LOG4J_ROOT_LOGLEVEL", None),
            ("KAFKA_PORT", None),
            ("KAFKA_PORT_9092_TCP_ADDR", None),
            ("KAFKA_SERVICE_HOST", None),
            ("KAFKA_", None),
            ("NODE_ID", None),
            ("kafka_node_id", None),
        ] {
            assert_eq!(setting_name(variable).as_deref(), expect, "{variable}");
        }
    }

    #[test]
    fn two_names_for_one_setting_must_agree() {
        let pairs = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs.iter().map(|(name, value)| ((*name).to_string(), (*value).to_string())).collect()
        };
        let (entries, contradictions) = parse(&pairs(&[("KAFKA_NODE_ID", "1"), ("PATH", "/"), ("KAFKA_CFG_NODE_ID", "1")]));
        assert_eq!((entries.len(), contradictions.len()), (2, 0));
        let (_, contradictions) = parse(&pairs(&[("KAFKA_NODE_ID", "1"), ("KAFKA_CFG_NODE_ID", "2")]));
        let expect = "KAFKA_NODE_ID: node.id is set to another value by KAFKA_CFG_NODE_ID; keep one of the two.";
        assert_eq!(contradictions.iter().map(ToString::to_string).collect::<Vec<_>>(), [expect]);
    }
}
