//! The table of settings tells the truth: what it says this broker acts upon is read somewhere, and what is read is said to be.
//!
//! Read is what code outside the tables names in quotes, tests aside, and what stands in for a topic's setting that is. A setting that is
//! parsed into a field must be looked at beyond that.

use super::rust_text::{has_word, without_tests};
use super::{Findings, Tree};
use ottla_core::config::Setting;

/// Where the tables stand, and what only writes names down.
const TABLES: [&str; 3] =
    ["core/src/config/broker_table.rs", "core/src/config/topic_table.rs", "core/src/config/other_tables.rs"];
/// Where topic settings are resolved; their names elsewhere say nothing, since brokers have settings of the same names.
const OF_TOPICS: &str = "core/src/config/topic_settings.rs";
/// Structs whose fields are settings, with the file they stand in.
const PARSED: [(&str, &str); 2] = [(OF_TOPICS, "TopicSettings"), ("core/src/config/broker_settings.rs", "BrokerSettings")];

/// Settings that code names though nothing is done with their values, and why.
pub const NAMED_ONLY: &[(&str, &str)] = &[
    ("log.roll.jitter.hours", "the coarser form of log.roll.jitter.ms, which is described with its value"),
    ("log.roll.jitter.ms", "see log.roll.jitter.hours"),
    ("max.compaction.lag.ms", "compared with min.compaction.lag.ms, as Kafka does"),
    ("min.compaction.lag.ms", "see max.compaction.lag.ms"),
];

/// One line of a table.
#[derive(Clone, Copy, Debug)]
pub struct Documented {
    /// The name.
    pub name: &'static str,
    /// Whether the table says that the broker acts upon it.
    pub is_used: bool,
    /// The broker setting that stands in for a topic's.
    pub synonym: Option<&'static str>,
}

impl From<&Setting> for Documented {
    fn from(setting: &Setting) -> Documented {
        Documented { name: setting.name, is_used: setting.is_used, synonym: setting.synonym }
    }
}

/// Settings that the table and the code disagree about; those of `named_only` are excepted, and must need it.
#[must_use]
pub fn untrue(tree: &Tree, brokers: &[Documented], topics: &[Documented], named_only: &[(&str, &str)]) -> Findings {
    let code: Vec<(&str, &str)> = ["core/src/", "net/src/", "bin/src/"]
        .iter()
        .flat_map(|folder| tree.select(folder, ".rs"))
        .filter(|file| {
            !TABLES.contains(&file.path.as_str()) && !file.path.ends_with("tests.rs") && !file.path.contains("/tests/")
        })
        .map(|file| (file.path.as_str(), without_tests(&file.text)))
        .collect();
    let is_named_in = |name: &str, in_topics: bool| {
        let quoted = format!("\"{name}\"");
        code.iter().any(|(path, text)| (*path == OF_TOPICS) == in_topics && text.contains(&quoted))
    };
    let stands_in = |name: &str| topics.iter().any(|topic| topic.synonym == Some(name) && topic.is_used);
    let mut findings = Findings::new();
    let mut judge = |kind: &str, line: &Documented, is_read: bool| {
        let is_excused = named_only.iter().any(|(name, _)| *name == line.name);
        let finding = match (line.is_used, is_read, is_excused) {
            (true, false, _) => "is said to have an effect, but no code reads it",
            (false, true, false) => "is said to be without effect, but code reads it",
            (false, false, true) | (true, _, true) => "needs no exception",
            (true, true, false) | (false, false, false) | (false, true, true) => return,
        };
        findings.push(format!("{kind} {} {finding}", line.name));
    };
    for line in topics {
        judge("topic setting", line, is_named_in(line.name, true));
    }
    for line in brokers {
        judge("broker setting", line, is_named_in(line.name, false) || stands_in(line.name));
    }
    for (file, name) in PARSED {
        let text = tree.text(file).unwrap_or_default();
        let fields = text.split_once(&format!("pub struct {name} {{")).map_or("", |(_, rest)| rest);
        let fields = fields.lines().take_while(|line| *line != "}").filter_map(|line| line.trim().strip_prefix("pub "));
        for field in fields.filter_map(|line| line.split_once(':')).map(|(field, _)| field) {
            let is_looked_at = |(path, text): &(&str, &str)| !path.starts_with("core/src/config/") && has_field(text, field);
            if !code.iter().any(is_looked_at) {
                findings.push(format!("{file}: {field} is parsed, but nobody looks at it"));
            }
        }
    }
    findings
}

fn has_field(code: &str, field: &str) -> bool {
    has_word(&code.replace(&format!(".{field}"), &format!(" looked_at_{field}")), &format!("looked_at_{field}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOPIC: Documented = Documented { name: "a.ms", is_used: true, synonym: Some("log.a.ms") };
    const STANDS_IN: Documented = Documented { name: "log.a.ms", is_used: true, synonym: None };
    const OTHER: Documented = Documented { name: "b", is_used: true, synonym: None };

    fn tree(reads: &str, uses: &str) -> Tree {
        let parsed = format!("pub struct TopicSettings {{\n    /// A.\n    pub a_ms: i64,\n}}\n{reads}");
        Tree::planted(&[(OF_TOPICS, &parsed), (TABLES[0], "\"b\""), ("core/src/x.rs", uses)])
    }

    #[test]
    fn lies_in_both_directions_are_found() {
        let idle = |line: Documented| Documented { is_used: false, ..line };
        let read = tree("text(\"a.ms\")", "text(\"b\") settings.a_ms\n#[cfg(test)]\nmod tests {\n\"c\"\n}");
        assert_eq!(untrue(&read, &[STANDS_IN, OTHER], &[TOPIC], &[]), Findings::new());
        let c = Documented { name: "c", ..OTHER };
        assert_eq!(untrue(&read, &[c], &[TOPIC], &[]), ["broker setting c is said to have an effect, but no code reads it"]);
        let found = untrue(&read, &[idle(OTHER), STANDS_IN], &[idle(TOPIC)], &[]);
        let expect = [
            "topic setting a.ms is said to be without effect, but code reads it",
            "broker setting b is said to be without effect, but code reads it",
            "broker setting log.a.ms is said to have an effect, but no code reads it",
        ];
        assert_eq!(found, expect);
        assert_eq!(untrue(&read, &[idle(OTHER)], &[TOPIC], &[("b", "why")]), Findings::new());
        assert_eq!(untrue(&read, &[OTHER], &[TOPIC], &[("b", "why")]), ["broker setting b needs no exception"]);
    }

    #[test]
    fn what_is_only_parsed_is_found() {
        let found = untrue(&tree("text(\"a.ms\")", "text(\"b\") a_ms .a_msx"), &[OTHER], &[TOPIC], &[]);
        assert_eq!(found, ["core/src/config/topic_settings.rs: a_ms is parsed, but nobody looks at it"]);
    }
}
