//! A walk over all commands of the program: each explains itself with an example, refuses nonsense in one way, and what prints data prints
//! it as JSON, too.

use crate::broker::{self, Broker, OTTLA, folder};
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::{Command, Output, Stdio};

/// What each command that prints data is asked here. `BROKER` stands for an address, `FILE` for a configuration, `DATA` for the broker's folder.
const ASKED: &[(&str, &str)] = &[
    ("topic create", "walk-new --partitions 1 --bootstrap BROKER"),
    ("topic list", "--bootstrap BROKER"),
    ("topic describe", "walk --bootstrap BROKER"),
    ("topic create-partitions", "walk-new --partitions 2 --bootstrap BROKER"),
    ("topic delete-records", "walk --partition 0 --all --bootstrap BROKER"),
    ("topic delete", "walk-new --bootstrap BROKER"),
    ("produce", "walk --bootstrap BROKER"),
    ("consume", "walk --max-messages 1 --bootstrap BROKER"),
    ("config get", "--broker 1 --all --bootstrap BROKER"),
    ("config set", "--topic walk retention.ms=1000000 --bootstrap BROKER"),
    ("config delete", "--topic walk retention.ms --bootstrap BROKER"),
    ("config explain", "retention.ms log.dirs"),
    ("config check", "FILE"),
    ("config print", "FILE --all --origin"),
    ("cluster status", "--bootstrap BROKER"),
    ("doctor connect", "BROKER"),
    ("bench produce", "--seconds 1 --warm-up 0 --bootstrap BROKER"),
    ("bench consume", "--seconds 1 --warm-up 0 --topic bench --bootstrap BROKER"),
    ("bench end-to-end", "--seconds 1 --warm-up 0 --bootstrap BROKER"),
    ("bench outage", "--seconds 1 --bootstrap BROKER"),
    ("log dump", "DATA --records"),
    ("log verify", "DATA DATA"),
];

/// What those of them say that changed something and have nothing else to tell.
const DONE: &[(&str, &str)] = &[
    ("topic create-partitions", r#"{"grown":[{"topic":"walk-new","partitions":2}]}"#),
    ("topic delete", r#"{"deleted":[{"topic":"walk-new"}]}"#),
    ("config set", r#"{"set":[{"set_for":"topic walk","setting":"retention.ms","value":"1000000"}]}"#),
    ("config delete", r#"{"deleted":[{"set_for":"topic walk","setting":"retention.ms","value":null}]}"#),
];

/// Commands that print data, but never end by themselves, so that each has a test of its own.
const ENDLESS: &[&str] = &["bench null"];

/// Commands that print nothing a program would read: they run something, or write a script.
const FOR_PEOPLE: &[&str] = &["serve", "dev", "completions"];

fn run(words: &[&str]) -> Output {
    Command::new(OTTLA).args(words).stdin(Stdio::null()).output().expect("the program was built for this test")
}

fn help(path: &[&str]) -> String {
    let output = run(&[path, &["--help"]].concat());
    assert_eq!(output.status.code(), Some(0), "{path:?}");
    String::from_utf8(output.stdout).expect("text")
}

/// The subcommands that a help names; none for a command that does something itself.
fn named(help: &str) -> Vec<String> {
    let Some((_, list)) = help.split_once("\nCommands:\n") else { return Vec::new() };
    let lines = list.lines().take_while(|line| !line.is_empty());
    let names = lines.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help").map(str::to_string).collect()
}

/// All commands that do something, with their help.
fn all() -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut open: Vec<String> = vec![String::new()];
    while let Some(path) = open.pop() {
        let help = help(&path.split_whitespace().collect::<Vec<_>>());
        let names = named(&help);
        if names.is_empty() {
            found.push((path, help));
        } else {
            open.extend(names.into_iter().map(|name| format!("{path} {name}").trim().to_string()));
        }
    }
    found
}

#[test]
fn every_command_teaches_with_an_example_and_refuses_nonsense_with_code_2() {
    let all = all();
    assert!(all.len() >= 25, "{}", all.len());
    for (path, help) in all {
        let examples = help.split_once("\nExample").map(|(_, examples)| examples);
        assert!(examples.is_some_and(|examples| examples.contains(&format!("ottla {path}"))), "{path} has no example:\n{help}");
        let words: Vec<&str> = path.split_whitespace().chain(["--no-such-option"]).collect();
        assert_eq!(run(&words).status.code(), Some(2), "{path}");
    }
}

#[test]
fn what_prints_data_is_asked_for_json_below() {
    let asked: BTreeSet<&str> = ASKED.iter().map(|(path, _)| *path).collect();
    for (path, help) in all() {
        let has_output = help.contains("--output <OUTPUT>");
        let is_asked = asked.contains(path.as_str()) || ENDLESS.contains(&path.as_str());
        assert_eq!(has_output, is_asked, "{path}: --output and the list in this file disagree");
        assert_ne!(has_output, FOR_PEOPLE.contains(&path.as_str()), "{path}: prints data without --output");
    }
}

#[test]
fn json_can_be_read_by_programs() {
    let broker = Broker::start("commands");
    broker.print(&["topic", "create", "walk", "--partitions", "1"]);
    let home = folder("commands-files");
    let file = home.join("walk.properties");
    std::fs::write(&file, "node.id=1\nlog.dirs=x\n").expect("the temporary folder is writable");
    for (path, arguments) in ASKED {
        if *path == "consume" {
            broker.feed(&["produce", "walk"], "a \"quoted\" line\n");
        }
        let data = broker.folder.join("data").display().to_string();
        let arguments =
            arguments.replace("BROKER", &broker.address).replace("FILE", &file.display().to_string()).replace("DATA", &data);
        let words: Vec<&str> = path.split_whitespace().chain(arguments.split_whitespace()).chain(["--output", "json"]).collect();
        let output = run(&words);
        let text = String::from_utf8(output.stdout).expect("text");
        assert_eq!(output.status.code(), Some(0), "{path}: {text}{}", String::from_utf8_lossy(&output.stderr));
        assert!(!text.is_empty(), "{path} printed nothing");
        if let Some((_, done)) = DONE.iter().find(|(command, _)| command == path) {
            assert_eq!(text, format!("{done}\n"), "{path}");
        }
        // One object, or one per line where records come one after the other.
        for line in text.lines() {
            let json: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{path}: {error}: {line}"));
            assert!(json.is_object(), "{path}: {line}");
        }
    }
    let _ = std::fs::remove_dir_all(&home);
}

#[test]
fn the_null_server_says_where_it_is_and_what_it_does_and_a_measurement_says_so_too() {
    let home = folder("commands-null");
    let file = home.join("null.dat").display().to_string();
    for (mode, fsync) in [("discard", "none"), ("page-cache", "none"), ("durable", "before the answer")] {
        let words = ["bench", "null", "--mode", mode, "--file", &file, "--output", "json"];
        let mut server =
            Command::new(OTTLA).args(words).stdout(Stdio::piped()).spawn().expect("the program was built for this test");
        let mut line = String::new();
        BufReader::new(server.stdout.take().expect("piped")).read_line(&mut line).expect("it says that it is ready");
        let ready: Value = serde_json::from_str(&line).expect("one object");
        let row = &ready["ready"][0];
        assert_eq!((row["mode"].as_str(), row["fsync"].as_str()), (Some(mode), Some(fsync)), "{line}");
        let address = row["address"].as_str().expect("where it is").to_string();
        let bench = ["bench", "produce", "--seconds", "1", "--warm-up", "0", "--bootstrap", &address, "--output", "json"];
        let output = run(&bench);
        let _ = (server.kill(), server.wait());
        let figures: Value = serde_json::from_slice(&output.stdout).expect("figures");
        assert_eq!(figures["figures"][0]["fsync"].as_str(), Some(fsync), "{mode}");
    }
    let _ = std::fs::remove_dir_all(&home);
}

#[test]
fn who_can_not_reach_a_broker_fails_with_code_1() {
    let nobody = format!("127.0.0.1:{}", broker::free_port());
    for (path, arguments) in ASKED.iter().filter(|(_, arguments)| arguments.contains("--bootstrap")) {
        // It writes until its time is over, whatever fails, and tells how long nothing was acknowledged.
        if *path == "bench outage" {
            continue;
        }
        let arguments = arguments.replace("BROKER", &nobody);
        let words: Vec<&str> =
            path.split_whitespace().chain(arguments.split_whitespace()).chain(["--patience-ms", "200"]).collect();
        let output = run(&words);
        assert_eq!(output.status.code(), Some(1), "{path}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(!output.stderr.is_empty() && output.stdout.is_empty(), "{path}");
    }
}

#[test]
fn completions_are_scripts_that_know_all_commands() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = run(&["completions", shell]);
        let script = String::from_utf8(output.stdout).expect("text");
        assert_eq!(output.status.code(), Some(0), "{shell}");
        for name in ["serve", "doctor", "create-partitions", "end-to-end", "completions"] {
            assert!(script.contains(name), "{shell} does not know {name}");
        }
    }
    // Bash says whether it is a script at all.
    let script = String::from_utf8(run(&["completions", "bash"]).stdout).expect("text");
    let checked = Command::new("bash").args(["-n", "-c", &script]).output();
    assert!(checked.is_ok_and(|checked| checked.status.success() && checked.stderr.is_empty()));
    assert_eq!(run(&["completions", "csh"]).status.code(), Some(2));
}
