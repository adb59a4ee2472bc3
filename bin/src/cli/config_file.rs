//! `ottla config check` and `ottla config print`: what a broker would start with, and what is wrong with it.
//!
//! Both judge what `ottla serve` would: the file, this environment and `--set` together.

use super::output::{Cell, Format, Report, Section};
use super::{Failed, Print};
use crate::configuration::{Finding, Layers, OWN_SETTINGS, Origin, Sources, Thoroughness, own_setting};
use clap::Args;
use ottla_core::config::{BROKER_SETTINGS, Setting, broker_setting};
use std::path::PathBuf;
use std::process::ExitCode;

/// Exit code where the file could not be read.
const UNREADABLE: u8 = 2;

/// What `check` does, and an example.
pub const CHECK_HELP: &str = "\
Every fault is one line on standard error, with the file and the line, or the variable, that it stands in; values that something stronger
covers are checked as well. Unknown settings are faults here; a broker ignores those of a file with a warning. Settings that have no effect
here are noted. With --output json all findings are one object on standard output.

Exit code: 0 all is right, 1 something is wrong, 2 the file could not be read.

Examples:
  ottla config check server.properties
  ottla config check server.properties --output json | jq '.findings[] | select(.kind == \"error\")'";

/// What `print` does, and examples.
pub const PRINT_HELP: &str = "\
Where a setting stands in several places, --set counts over the environment (KAFKA_LOG_DIRS is log.dirs), the environment over the file,
the file over the default. What a setting means, `ottla config explain` says.

Exit code: 0 a broker would start with it, 1 something is wrong (standard error says what), 2 the file could not be read.

Examples:
  ottla config print server.properties --origin
  KAFKA_NUM_PARTITIONS=3 ottla config print server.toml --set log.retention.ms=1000 --origin --output json
  ottla config print --all";

/// Says what is wrong.
#[derive(Debug, Args)]
pub struct Check {
    /// Kafka's `.properties`, or TOML if the name ends in `.toml`.
    file: PathBuf,
    #[command(flatten)]
    print: Print,
}

/// Prints what counts.
#[derive(Debug, Args)]
pub struct PrintFile {
    /// Kafka's `.properties`, or TOML if the name ends in `.toml`; without it the environment and --set alone.
    file: Option<PathBuf>,
    /// Show where each value stands.
    #[arg(long)]
    origin: bool,
    /// Show settings that nobody set, too.
    #[arg(long)]
    all: bool,
    /// One setting, as for `ottla serve`; may come more than once.
    #[arg(long, value_name = "KEY=VALUE", value_parser = super::key_and_value)]
    set: Vec<(String, String)>,
    #[command(flatten)]
    print: Print,
}

impl Check {
    /// Runs it.
    pub fn run(self) -> Result<ExitCode, Failed> {
        let layers = match Sources::of_process(Some(self.file), Vec::new()).read() {
            Ok(layers) => layers,
            Err(reason) => return Ok(unreadable(&reason)),
        };
        let judgement = layers.judge(Thoroughness::Everything);
        let notes: Vec<Finding> = judgement.remarks.iter().cloned().chain(judgement.idle_findings()).collect();
        match self.print.output {
            Format::Table => tell(&notes, &judgement.faults),
            Format::Json => self.print.report(&findings(&notes, &judgement.faults))?,
        }
        Ok(judgement.code())
    }
}

impl PrintFile {
    /// Runs it.
    pub fn run(self) -> Result<ExitCode, Failed> {
        let layers = match Sources::of_process(self.file, self.set).read() {
            Ok(layers) => layers,
            Err(reason) => return Ok(unreadable(&reason)),
        };
        self.print.report(&report(&layers, self.origin, self.all))?;
        let judgement = layers.judge(Thoroughness::Counting);
        tell(&judgement.remarks, &judgement.faults);
        Ok(judgement.code())
    }
}

fn unreadable(reason: &str) -> ExitCode {
    eprintln!("error: {reason}");
    ExitCode::from(UNREADABLE)
}

/// Says on standard error what is ignored and what is wrong.
fn tell(notes: &[Finding], faults: &[Finding]) {
    for note in notes {
        eprintln!("note: {note}");
    }
    for fault in faults {
        eprintln!("error: {fault}");
    }
}

/// The same for programs.
fn findings(notes: &[Finding], faults: &[Finding]) -> Report {
    let mut section = Section::new("findings", &["kind", "place", "line", "sentence"]);
    let kinds = [("note", notes), ("error", faults)];
    for (kind, finding) in kinds.into_iter().flat_map(|(kind, findings)| findings.iter().map(move |finding| (kind, finding))) {
        let (place, line) = match &finding.origin {
            Some(Origin::Line { file, line }) => (file.as_str().into(), (*line).into()),
            Some(origin) => (Cell::Text(origin.to_string()), Cell::None),
            None => (Cell::None, Cell::None),
        };
        section.row(vec![kind.into(), place, line, finding.sentence.as_str().into()]);
    }
    let mut report = Report::default();
    report.add(section);
    report
}

/// The values by name. What nobody knows does not count and is left out.
fn report(layers: &Layers, with_origin: bool, with_defaults: bool) -> Report {
    let counting = layers.counting();
    let shown = |setting: Option<&Setting>, value: Option<&str>| match value {
        Some(_) if setting.is_some_and(Setting::is_sensitive) => "(hidden)".into(),
        Some(value) => Cell::Text(setting.and_then(|setting| setting.check(value).ok()).unwrap_or_else(|| value.to_owned())),
        None => Cell::None,
    };
    let is_known = |name: &str| broker_setting(name).is_some() || own_setting(name).is_some();
    let mut rows: Vec<(&str, Cell, String)> = counting
        .iter()
        .filter(|(name, _)| is_known(name))
        .map(|(name, entry)| (*name, shown(broker_setting(name), Some(&entry.value)), entry.origin.to_string()))
        .collect();
    if with_defaults {
        let others = BROKER_SETTINGS.iter().filter(|setting| !counting.contains_key(setting.name));
        rows.extend(others.map(|setting| (setting.name, shown(Some(setting), setting.default), "default".to_owned())));
        let own = OWN_SETTINGS.iter().filter(|setting| !counting.contains_key(setting.name));
        rows.extend(own.map(|setting| (setting.name, shown(None, setting.default), "default".to_owned())));
    }
    rows.sort_by_key(|(name, _, _)| *name);
    let columns: &[&str] = if with_origin { &["setting", "value", "origin"] } else { &["setting", "value"] };
    let mut section = Section::new("settings", columns);
    for (name, value, origin) in rows {
        let mut cells = vec![name.into(), value];
        if with_origin {
            cells.push(Cell::Text(origin));
        }
        section.row(cells);
    }
    let mut report = Report::default();
    report.add(section);
    report
}

#[cfg(test)]
mod tests {
    use super::*;
    fn layers() -> Layers {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let environment =
            vec![pair("KAFKA_NUM_PARTITIONS", " 3 "), pair("KAFKA_SSL_KEY_PASSWORD", "hunter2"), pair("KAFKA_X", "1")];
        Sources { file: None, environment, set: vec![pair("cluster.id", "abc")] }.read().expect("there is no file")
    }

    #[test]
    fn what_counts_is_shown_with_its_origin_and_without_secrets() {
        let expected = "\
SETTING           VALUE     ORIGIN
cluster.id        abc       --set
num.partitions    3         KAFKA_NUM_PARTITIONS
ssl.key.password  (hidden)  KAFKA_SSL_KEY_PASSWORD
";
        assert_eq!(report(&layers(), true, false).render(Format::Table), expected);
        let json = report(&layers(), false, false).render(Format::Json);
        assert!(json.starts_with(r#"{"settings":[{"setting":"cluster.id","value":"abc"},"#), "{json}");
    }

    #[test]
    fn findings_have_places_for_programs() {
        let at = |origin: &Origin| Finding::at(origin, "no.");
        let notes = [at(&Origin::Line { file: "f".into(), line: 3 })];
        let faults = [at(&Origin::Environment("KAFKA_X".into())), Finding { origin: None, sentence: "none.".into() }];
        let expected = concat!(
            r#"{"findings":[{"kind":"note","place":"f","line":3,"sentence":"no."},"#,
            r#"{"kind":"error","place":"KAFKA_X","line":null,"sentence":"no."},"#,
            r#"{"kind":"error","place":null,"line":null,"sentence":"none."}]}"#,
            "\n"
        );
        assert_eq!(findings(&notes, &faults).render(Format::Json), expected);
        assert_eq!(findings(&[], &[]).render(Format::Json), "{\"findings\":[]}\n");
    }

    #[test]
    fn defaults_are_shown_if_asked_for() {
        let all = report(&layers(), true, true).render(Format::Table);
        assert_eq!(all.lines().count(), 1 + BROKER_SETTINGS.len() + OWN_SETTINGS.len(), "the head, Kafka's table and ours");
        let line = |name: &str| all.lines().find(|line| line.starts_with(name)).expect(name).split_whitespace().skip(1);
        assert_eq!(line("message.max.bytes ").collect::<Vec<_>>(), ["1048588", "default"]);
        assert_eq!(line("ssl.keystore.password ").collect::<Vec<_>>(), ["-", "default"]);
    }
}
