//! [`Layers`]: all that was set, in every place, and the judgement about it.
//!
//! Unknown names do no harm where Kafka's users have them from elsewhere (files written for plugins, environments of containers): a
//! broker ignores them, with a warning. On the command line, and for `ottla config check`, they are faults.

use super::{Entry, Finding, NodeConfiguration, OWN_SETTINGS, Origin, own_setting};
use ottla_core::config::{broker_setting, nearest_broker_setting, topic_setting};
use std::collections::BTreeMap;

/// The entries that count, by name.
pub type Counting<'a> = BTreeMap<&'a str, &'a Entry>;

/// Everything that was set.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Layers {
    /// All entries, the weakest first; of one name the last counts.
    pub entries: Vec<Entry>,
    /// What is wrong before any value is looked at: a file's syntax, contradictions of the environment.
    pub faults: Vec<Finding>,
}

/// How much is judged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Thoroughness {
    /// What counts: for a broker that wants to start.
    Counting,
    /// Values that something stronger covers, too; unknown names in the file are faults.
    Everything,
}

/// What is to be said about the layers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Judgement {
    /// What the shell needs; `None` if a fault stands in the way.
    pub node: Option<NodeConfiguration>,
    /// What must be repaired.
    pub faults: Vec<Finding>,
    /// What is ignored, and why.
    pub remarks: Vec<Finding>,
}

impl Layers {
    /// What counts, by name.
    #[must_use]
    pub fn counting(&self) -> Counting<'_> {
        self.entries.iter().map(|entry| (entry.name.as_str(), entry)).collect()
    }

    /// Says what is wrong, all of it at once.
    #[must_use]
    pub fn judge(&self, how: Thoroughness) -> Judgement {
        let (mut faults, mut remarks) = (self.faults.clone(), Vec::new());
        let is_of_file = |origin: &Origin| matches!(origin, Origin::Line { .. });
        let is_file_broken = self.faults.iter().any(|fault| fault.origin.as_ref().is_some_and(is_of_file))
            && !self.entries.iter().any(|entry| is_of_file(&entry.origin));
        let counting = self.counting();
        for entry in &self.entries {
            let counts = counting.get(entry.name.as_str()).is_some_and(|found| std::ptr::eq(*found, entry));
            if !counts && how == Thoroughness::Counting {
                continue;
            }
            let say = |sentence: String| Finding::at(&entry.origin, sentence);
            match broker_setting(&entry.name) {
                // The shell says more about those it reads itself; what it does not see is judged like the others.
                Some(setting) if !counts || !NodeConfiguration::reads(&entry.name) => {
                    faults.extend(setting.check(&entry.value).err().map(|reason| say(format!("{reason}."))));
                }
                Some(_) => {}
                None if own_setting(&entry.name).is_some() => {}
                None if entry.name.starts_with("zookeeper.") => {
                    remarks.push(say(format!("{} says nothing here: there is no ZooKeeper.", entry.name)));
                }
                None => {
                    let is_fault = match entry.origin {
                        Origin::CommandLine => true,
                        Origin::Line { .. } => how == Thoroughness::Everything,
                        Origin::Environment(_) => false,
                    };
                    let list = if is_fault { &mut faults } else { &mut remarks };
                    let is_ignored = if is_fault { "" } else { " is ignored" };
                    list.push(say(format!("unknown setting {}{is_ignored}{}", entry.name, hint(&entry.name))));
                }
            }
        }
        // What seems to be missing may stand in a file that can't be understood.
        let node = if is_file_broken { None } else { NodeConfiguration::read(&counting, &mut faults) };
        faults.sort_by_key(|fault| fault.origin.as_ref().map_or((1, 0), place_in_order));
        Judgement { node: node.filter(|_| faults.is_empty()), faults, remarks }
    }
}

/// The file from top to bottom, then the rest as it was found.
fn place_in_order(origin: &Origin) -> (u8, usize) {
    match origin {
        Origin::Line { line, .. } => (0, *line),
        Origin::Environment(_) | Origin::CommandLine => (1, 0),
    }
}

/// Names the known setting that was probably meant.
fn hint(name: &str) -> String {
    // In a broker's file the defaults of topics have names of their own.
    let default_of_topics = topic_setting(name).and_then(|setting| setting.synonym);
    let ours = || OWN_SETTINGS.iter().map(|own| own.name).find(|own| own.starts_with("ottla.") && name.starts_with("ottla."));
    let near = default_of_topics.or_else(|| nearest_broker_setting(name)).or_else(ours);
    near.map_or_else(|| ".".to_string(), |near| format!("; did you mean {near}?"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::Sources;
    use crate::scratch::Scratch;

    const ENOUGH: &str = "node.id=1\nlog.dirs=x\n";

    /// Faults and remarks of a file, an environment and `--set`.
    fn judged(text: &str, environment: &[(&str, &str)], set: &[(&str, &str)], how: Thoroughness) -> (Vec<String>, Vec<String>) {
        judged_as("f", text, environment, set, how)
    }

    /// The same of a file with this name, shown as `f`.
    fn judged_as(
        name: &str,
        text: &str,
        environment: &[(&str, &str)],
        set: &[(&str, &str)],
        how: Thoroughness,
    ) -> (Vec<String>, Vec<String>) {
        let folder = Scratch::new();
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("written");
        let own = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs.iter().map(|(name, value)| ((*name).to_string(), (*value).to_string())).collect()
        };
        let layers = Sources { file: Some(path.clone()), environment: own(environment), set: own(set) }.read().expect("readable");
        let shown = |findings: &[Finding]| -> Vec<String> {
            findings.iter().map(|finding| finding.to_string().replace(&path.display().to_string(), "f")).collect()
        };
        let judgement = layers.judge(how);
        assert_eq!(judgement.node.is_some(), judgement.faults.is_empty());
        (shown(&judgement.faults), shown(&judgement.remarks))
    }

    #[test]
    fn an_unknown_name_is_ignored_by_a_broker_and_a_fault_to_a_check() {
        let text = format!("{ENOUGH}log.retention.mss=1\nretention.ms=1\nx.y=1\n");
        let (faults, remarks) = judged(&text, &[], &[], Thoroughness::Counting);
        assert_eq!(faults, Vec::<String>::new());
        assert_eq!(remarks[0], "f:3: unknown setting log.retention.mss is ignored; did you mean log.retention.ms?");
        let (faults, _) = judged(&text, &[], &[], Thoroughness::Everything);
        let expect = [
            "f:3: unknown setting log.retention.mss; did you mean log.retention.ms?",
            "f:4: unknown setting retention.ms; did you mean log.retention.ms?",
            "f:5: unknown setting x.y.",
        ];
        assert_eq!(faults, expect);
    }

    #[test]
    fn an_environment_has_names_for_others_but_who_types_one_means_it() {
        let (faults, remarks) = judged(
            ENOUGH,
            &[("KAFKA_CREATE_TOPICS", "a"), ("KAFKA_ZOOKEEPER_CONNECT", "z:2181"), ("KAFKA_OPTS", "-X")],
            &[("num.partition", "1")],
            Thoroughness::Everything,
        );
        assert_eq!(faults, ["--set: unknown setting num.partition; did you mean num.partitions?"]);
        let expect = [
            "KAFKA_CREATE_TOPICS: unknown setting create.topics is ignored.",
            "KAFKA_ZOOKEEPER_CONNECT: zookeeper.connect says nothing here: there is no ZooKeeper.",
        ];
        assert_eq!(remarks, expect);
    }

    #[test]
    fn all_faults_are_told_at_once_and_a_covered_one_only_by_a_check() {
        let text = "num.partitions=x\nlisteners=SSL://h:1\nmessage.max.bytes=-1\nbroker.id=7\nbroker.id=x";
        let environment = [("KAFKA_NUM_PARTITIONS", "3"), ("KAFKA_BROKER_ID", "1")];
        let wrong = |name: &str, value: &str, why: &str| format!("Invalid value {value} for configuration {name}: {why}.");
        let counting = [
            "f:2: listeners: SSL is not available in this version, which serves PLAINTEXT only.".to_string(),
            format!("f:3: {}", wrong("message.max.bytes", "-1", "Value must be at least 0")),
            "log.dirs is missing: set it to the folder for this broker's data.".to_string(),
        ];
        assert_eq!(judged(text, &environment, &[], Thoroughness::Counting).0, counting);
        let mut everything = counting.to_vec();
        everything.insert(0, format!("f:1: {}", wrong("num.partitions", "x", "Not a number of type INT")));
        everything.insert(3, format!("f:5: {}", wrong("broker.id", "x", "Not a number of type INT")));
        assert_eq!(judged(text, &environment, &[], Thoroughness::Everything).0, everything);
    }

    #[test]
    fn a_file_of_which_nothing_is_understood_lacks_nothing() {
        let (faults, _) = judged_as("f.toml", "node.id = = 1\n", &[], &[], Thoroughness::Counting);
        assert!(faults.len() == 1 && faults[0].starts_with("f:1: "), "{faults:?}");
        let text = "node.id = 1\nnum.partitions = 2026-11-21\nlisteners = [\"x\"]";
        let (faults, _) = judged_as("f.toml", text, &[], &[], Thoroughness::Counting);
        let lines: Vec<&str> = faults.iter().map(|fault| &fault[..4]).collect();
        assert_eq!(lines, ["f:2:", "f:3:", "log."], "{faults:?}");
    }
}
