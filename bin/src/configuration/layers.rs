//! [`Layers`]: all that was set, in every place, and the judgement about it.
//!
//! Unknown names do no harm where Kafka's users have them from elsewhere (files written for plugins, environments of containers): a
//! broker ignores them, with a warning. On the command line, and for `ottla config check`, they are faults. Settings of Kafka that are
//! known here but do nothing are legal everywhere; they are told, so that nobody relies on them.

use super::{Entry, Finding, NodeConfiguration, OWN_SETTINGS, Origin, own_setting};
use ottla_core::config::{BrokerSettings, broker_setting, nearest_broker_setting, topic_setting};
use std::collections::BTreeMap;
use std::process::ExitCode;

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
    /// What counts, is known and has no effect here.
    pub idle: Vec<Entry>,
}

impl Judgement {
    /// Whether anything must be repaired, as an exit code.
    #[must_use]
    pub fn code(&self) -> ExitCode {
        if self.faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    /// A sentence about each setting without effect.
    pub fn idle_findings(&self) -> impl Iterator<Item = Finding> {
        self.idle.iter().filter_map(|entry| {
            let explanation = broker_setting(&entry.name)?.explanation();
            let (first, rest) = explanation.split_at_checked(1)?;
            Some(Finding::at(&entry.origin, format!("{} is {}{rest}", entry.name, first.to_lowercase())))
        })
    }
}

/// Names that mean something to Kafka's plugins, or to its listeners one by one, and why they do not here.
const NOT_AVAILABLE: [(&str, &str); 5] = [
    ("super.users", "there is no authorization yet"),
    ("allow.everyone.if.no.acl.found", "there is no authorization yet"),
    ("listener.name.", "listeners are PLAINTEXT and have no settings of their own"),
    ("sasl.", "there is no authentication yet"),
    ("ssl.", "there is no encryption yet"),
];

fn why_not_available(name: &str) -> Option<&'static str> {
    let is_meant = |known: &str| if known.ends_with('.') { name.starts_with(known) } else { name == known };
    NOT_AVAILABLE.iter().find(|(known, _)| is_meant(known)).map(|(_, why)| *why)
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
        let (mut faults, mut remarks, mut idle) = (self.faults.clone(), Vec::new(), Vec::new());
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
            if counts && broker_setting(&entry.name).is_some_and(|setting| !setting.is_used) {
                idle.push(entry.clone());
            }
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
                None if why_not_available(&entry.name).is_some() => {
                    let why = why_not_available(&entry.name).unwrap_or_default();
                    remarks.push(say(format!("{} is known to Kafka, not available here: {why}.", entry.name)));
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
        // What contradicts each other, each legal by itself.
        if let Some(node) = node.as_ref().filter(|_| faults.is_empty()) {
            let whole = BrokerSettings::parse(&node.for_core());
            faults.extend(whole.err().map(|reason| Finding { origin: None, sentence: format!("{reason}.") }));
        }
        faults.sort_by_key(|fault| fault.origin.as_ref().map_or((1, 0), place_in_order));
        Judgement { node: node.filter(|_| faults.is_empty()), faults, remarks, idle }
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
        let told: Vec<Finding> = judgement.remarks.iter().cloned().chain(judgement.idle_findings()).collect();
        (shown(&judgement.faults), shown(&told))
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
    fn what_kafka_knows_and_has_no_effect_here_is_told_as_such() {
        let text = format!(
            "{ENOUGH}super.users=User:a\nlistener.name.x.ssl.client.auth=required\nsasl.mechanism=PLAIN\nnum.io.threads=8\n\
             log.cleaner.threads=2\nnum.partitions=2\nauthorizer.class.name=\n"
        );
        for how in [Thoroughness::Counting, Thoroughness::Everything] {
            let (faults, remarks) = judged(&text, &[], &[], how);
            assert_eq!(faults, Vec::<String>::new());
            let expect = [
                "f:3: super.users is known to Kafka, not available here: there is no authorization yet.",
                "f:4: listener.name.x.ssl.client.auth is known to Kafka, not available here: listeners are PLAINTEXT and have no settings of \
                 their own.",
                "f:5: sasl.mechanism is known to Kafka, not available here: there is no authentication yet.",
                "f:6: num.io.threads is known to Kafka, without effect here.",
                "f:7: log.cleaner.threads is known to Kafka, without effect here. Compaction is not performed yet.",
            ];
            assert_eq!(remarks, expect);
        }
    }

    #[test]
    fn settings_that_contradict_each_other_are_a_fault() {
        let (faults, _) = judged(&format!("{ENOUGH}replica.lag.time.max.ms=100\n"), &[], &[], Thoroughness::Everything);
        assert!(faults.len() == 1 && faults[0].contains("replica.fetch.wait.max.ms"), "{faults:?}");
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
