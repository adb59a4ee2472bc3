//! `ottla config explain`: what settings mean here, from the tables that brokers check values with and DescribeConfigs is answered from.

use super::output::{Cell, Report, Section};
use super::{Failed, Print};
use crate::configuration::OWN_SETTINGS;
use clap::Args;
use ottla_core::config::{BROKER_SETTINGS, CLIENT_METRICS_SETTINGS, GROUP_SETTINGS, Setting, TOPIC_SETTINGS, nearest_setting};
use std::process::ExitCode;

/// What the columns say, and examples.
pub const HELP: &str = "\
A name may be that of a setting of brokers and of one of topics; both are told then. For a setting of a topic or a group, the default is what the
broker setting beside it says. EFFECT is no where Kafka does something and this version does not. \"at start\" settings need a restart.

Examples:
  ottla config explain retention.ms
  ottla config explain log.dirs compression.type --output json
  ottla config explain --output json | jq -r '.settings[] | select(.effect | not) | .setting'";

const COLUMNS: [&str; 9] =
    ["setting", "of", "type", "default", "legal values", "can be set", "broker setting", "effect", "meaning"];

/// Explains settings.
#[derive(Debug, Args)]
pub struct Explain {
    /// Names of settings; all of them if there is none.
    names: Vec<String>,
    #[command(flatten)]
    print: Print,
}

impl Explain {
    /// Runs it.
    pub fn run(self) -> Result<ExitCode, Failed> {
        self.print.report(&explained(&self.names).map_err(Failed)?)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// The settings of these names; of all if there is none. Fails if one of them is unknown.
fn explained(names: &[String]) -> Result<Report, String> {
    let tables: [(&str, &[Setting]); 4] = [
        ("broker", &BROKER_SETTINGS),
        ("topic", &TOPIC_SETTINGS),
        ("group", &GROUP_SETTINGS),
        ("client metrics", &CLIENT_METRICS_SETTINGS),
    ];
    let all = tables.iter().flat_map(|(of, settings)| settings.iter().map(move |setting| (setting.name, row_of(of, setting))));
    let mut all: Vec<(&str, Vec<Cell>)> = all.collect();
    all.extend(OWN_SETTINGS.iter().map(|own| {
        let default = own.default.map_or(Cell::None, Cell::from);
        let (at_start, meaning) = ("at start".into(), own.doc.into());
        let row = vec![
            own.name.into(),
            "broker".into(),
            "string".into(),
            default,
            Cell::None,
            at_start,
            Cell::None,
            Cell::Flag(true),
            meaning,
        ];
        (own.name, row)
    }));
    all.sort_by_key(|(name, _)| *name);
    for name in names {
        if !all.iter().any(|(known, _)| known == name) {
            let near = nearest_setting(name, all.iter().map(|(known, _)| *known));
            let hint = near.map_or_else(|| ".".to_owned(), |near| format!("; did you mean {near}?"));
            return Err(format!("unknown setting {name}{hint}"));
        }
    }
    let mut section = Section::new("settings", &COLUMNS);
    for (_, row) in all.into_iter().filter(|(known, _)| names.is_empty() || names.iter().any(|name| name == known)) {
        section.row(row);
    }
    let mut report = Report::default();
    report.add(section);
    Ok(report)
}

fn row_of(of: &'static str, setting: &Setting) -> Vec<Cell> {
    let default = match setting.default {
        Some("") => "\"\"".into(),
        other => other.map_or(Cell::None, Cell::from),
    };
    vec![
        setting.name.into(),
        of.into(),
        setting.kind.word().into(),
        default,
        setting.range().map_or(Cell::None, Cell::Text),
        if setting.is_read_only { "at start" } else { "at run time" }.into(),
        setting.synonym.map_or(Cell::None, Cell::from),
        Cell::Flag(setting.is_used),
        Cell::Text(setting.explanation()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::output::Format;

    fn json(names: &[&str]) -> Result<String, String> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        explained(&names).map(|report| report.render(Format::Json))
    }

    #[test]
    fn a_setting_is_explained_from_the_table() {
        let expected = concat!(
            r#"{"settings":[{"setting":"retention.ms","of":"topic","type":"long","default":"604800000","legal_values":"at least -1","#,
            r#""can_be_set":"at run time","broker_setting":"log.retention.ms","effect":true,"#,
            r#""meaning":"Milliseconds that records are kept; -1 for ever."}]}"#,
            "\n"
        );
        assert_eq!(json(&["retention.ms"]).as_deref(), Ok(expected));
        let both = json(&["compression.type", "log.cleaner.threads", "ottla.log.level"]).expect("known");
        for part in [
            r#""of":"broker","type":"string","default":"producer""#,
            r#""of":"topic""#,
            r#""effect":false"#,
            "\"default\":\"info\"",
        ] {
            assert!(both.contains(part), "{part}: {both}");
        }
        assert_eq!(both.matches("\"setting\":").count(), 4);
    }

    #[test]
    fn a_mistyped_name_is_told_its_neighbour() {
        let fails = |name: &str, expected: &str| assert_eq!(json(&[name]), Err(expected.to_owned()));
        fails("retention.sm", "unknown setting retention.sm; did you mean retention.ms?");
        fails("ottla.log.lvl", "unknown setting ottla.log.lvl; did you mean ottla.log.level?");
        fails("frobnicate", "unknown setting frobnicate.");
    }

    #[test]
    fn without_a_name_all_are_explained() {
        let lines = explained(&[]).expect("nothing is asked for").render(Format::Table).lines().count();
        let known = BROKER_SETTINGS.len() + TOPIC_SETTINGS.len() + GROUP_SETTINGS.len() + CLIENT_METRICS_SETTINGS.len();
        assert_eq!(lines, 1 + known + OWN_SETTINGS.len());
    }
}
