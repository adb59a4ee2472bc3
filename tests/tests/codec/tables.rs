//! The tables of the core are those of a real Kafka 4.3.1: names, types, defaults, order, what is read-only and what is secret of all settings,
//! the versions of every API that is served, and all error codes. Golden: `tests/golden/tables/` of the workspace.

use ottla_core::api::SERVED;
use ottla_core::config::{BROKER_SETTINGS, CLIENT_METRICS_SETTINGS, GROUP_SETTINGS, Setting, TOPIC_SETTINGS};
use ottla_core::protocol::ErrorCode;

/// A row: name, number of the type, default, read-only, secret.
fn ours(settings: &[Setting]) -> Vec<String> {
    let row = |setting: &Setting| {
        let default = match setting.default {
            _ if setting.is_sensitive() => "<null>",
            None => "<null>",
            Some("") => "<empty>",
            Some(value) => value,
        };
        format!("{} {} {default} {} {}", setting.name, setting.kind as i8, setting.is_read_only, setting.is_sensitive())
    };
    settings.iter().map(row).collect()
}

fn kafkas(table: &str) -> Vec<String> {
    let row = |line: &str| {
        let fields: Vec<&str> = line.split('\t').collect();
        let [name, kind, _, value, default, _, source, is_read_only, is_sensitive, ..] = fields[..] else {
            panic!("a row: {line}")
        };
        // Without a DEFAULT synonym the default is the value of what nobody set.
        let default = if default == "-" && source == "DEFAULT" { value } else { default };
        // Kafka's default may be null, too, which no synonym tells.
        let default = if default == "-" { "<null>" } else { default };
        format!("{name} {kind} {default} {is_read_only} {is_sensitive}")
    };
    table.lines().skip(1).map(row).collect()
}

#[test]
fn settings_are_those_of_a_real_kafka() {
    assert_eq!(ours(&TOPIC_SETTINGS), kafkas(include_str!("../../golden/tables/topic-configs.tsv")));
    assert_eq!(ours(&BROKER_SETTINGS), kafkas(include_str!("../../golden/tables/broker-configs.tsv")));
    assert_eq!(ours(&GROUP_SETTINGS), kafkas(include_str!("../../golden/tables/group-configs.tsv")));
    assert_eq!(ours(&CLIENT_METRICS_SETTINGS), kafkas(include_str!("../../golden/tables/client-metrics-configs.tsv")));
}

#[test]
fn what_is_served_is_advertised_at_the_versions_of_a_real_kafka() {
    let table = include_str!("../../golden/tables/api-versions.tsv");
    for served in SERVED {
        let row = format!("{}\t{:?}\t{}\t{}", served.key.code(), served.key, served.advertised.0, served.advertised.1);
        assert!(table.lines().any(|line| line == row), "{row}");
    }
}

/// Every other check of what is served and how goes through `SERVED` or what ApiVersions tells: what is missing there would be missed by none.
#[test]
fn none_of_the_served_apis_is_lost() {
    let served: Vec<i16> = SERVED.iter().map(|served| served.key.code()).collect();
    let expected = [0, 1, 2, 3, 18, 19, 20, 21, 22, 23, 32, 33, 34, 35, 37, 43, 44, 45, 46, 55, 57, 60, 61, 64, 74, 75];
    assert_eq!(
        served, expected,
        "an API that is served from now on belongs here, and one that is not any more is a loss for clients"
    );
}

#[test]
fn error_codes_are_those_of_a_real_kafka() {
    let ours: Vec<String> =
        ErrorCode::all().map(|error| format!("{} {} {}", error.code(), error.name(), error.is_retriable())).collect();
    let kafkas: Vec<String> = include_str!("../../golden/tables/errors.tsv")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .skip(1)
        .map(|line| line.split('\t').take(3).collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(ours, kafkas);
}
