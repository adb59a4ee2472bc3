//! Segments of a real Kafka 4.3.1: our dump tells what Kafka's own dump of the same file tells, fact by fact.

use super::*;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What is told of a batch or of a record, by Kafka's names.
type Facts = BTreeMap<&'static str, String>;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/records")
}

/// The word after `name`.
fn after<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    line.split_once(name)?.1.split_whitespace().next()
}

/// Facts of a line of Kafka's dump.
fn of_kafka(line: &str) -> Option<Facts> {
    if line.starts_with("baseOffset: ") {
        let names = [
            "baseOffset",
            "lastOffset",
            "count",
            "baseSequence",
            "lastSequence",
            "producerId",
            "producerEpoch",
            "partitionLeaderEpoch",
            "isTransactional",
            "isControl",
            "position",
            "size",
            "compresscodec",
            "crc",
        ];
        let mut facts: Facts = names.map(|name| (name, after(line, &format!("{name}: ")).expect("a fact").to_owned())).into();
        facts.insert("time", time(line));
        return Some(facts);
    }
    let rest = line.strip_prefix("| offset: ")?;
    let (numbers, rest) = rest.split_once(" headerKeys: [").expect("header keys");
    let (keys, rest) = rest.split_once(']').expect("header keys");
    let mut facts = Facts::from([("offset", numbers.split(' ').next().expect("a number").to_owned()), ("time", time(line))]);
    if let Some(marker) = after(rest, "endTxnMarker: ") {
        facts.insert("marker", marker.to_lowercase());
        facts.insert("coordinatorEpoch", after(rest, "coordinatorEpoch: ").expect("beside a marker").to_owned());
    } else {
        for name in ["keySize", "valueSize"] {
            facts.insert(name, after(numbers, &format!("{name}: ")).expect("a size").to_owned());
        }
    }
    let count = if keys.is_empty() { 0 } else { keys.split(',').count() };
    facts.insert("headers", count.to_string());
    Some(facts)
}

fn time(line: &str) -> String {
    ["CreateTime", "LogAppendTime"]
        .iter()
        .find_map(|kind| Some(format!("{kind} {}", after(line, &format!(" {kind}: "))?)))
        .expect("a time")
}

/// Facts of a line of ours.
fn of_ours(line: &str) -> Facts {
    let kinds = [("created ", "CreateTime"), ("appended ", "LogAppendTime")];
    let (kind, times) =
        kinds.iter().find_map(|(ours, kafkas)| Some((kafkas, after(line, &format!("  {ours}"))?))).expect("a time");
    let time = format!("{kind} {}", times.rsplit("..").next().expect("the greatest"));
    let range = |name: &str| after(line, name).and_then(|range| range.split_once("..")).unwrap_or(("-1", "-1"));
    if let Some(rest) = line.strip_prefix("| offset ") {
        let mut facts = Facts::from([("offset", rest.split(' ').next().expect("a number").to_owned()), ("time", time)]);
        if let Some(marker) = after(line, "  marker ") {
            facts.insert("marker", marker.to_owned());
            facts.insert("coordinatorEpoch", after(line, "  coordinator epoch ").expect("beside a marker").to_owned());
        } else {
            facts.insert("keySize", size(line, "  key "));
            facts.insert("valueSize", size(line, "  value "));
        }
        facts.insert("headers", line.matches("  header ").count().to_string());
        return facts;
    }
    let word = |name: &str| after(line, name).expect("a fact").to_owned();
    let ((base_offset, last_offset), (base_sequence, last_sequence)) = (range("offsets "), range("  sequences "));
    let (producer, epoch) = after(line, "  producer ").and_then(|producer| producer.split_once(':')).unwrap_or(("-1", "-1"));
    Facts::from([
        ("baseOffset", base_offset.to_owned()),
        ("lastOffset", last_offset.to_owned()),
        ("count", word("  records ")),
        ("baseSequence", base_sequence.to_owned()),
        ("lastSequence", last_sequence.to_owned()),
        ("producerId", producer.to_owned()),
        ("producerEpoch", epoch.to_owned()),
        ("partitionLeaderEpoch", word("  epoch ")),
        ("isTransactional", line.contains("  transactional").to_string()),
        ("isControl", line.contains("  control").to_string()),
        ("position", word("  position ")),
        ("size", word("  size ")),
        ("compresscodec", word("  codec ")),
        ("crc", word("  crc ")),
        ("time", time),
    ])
}

/// How many bytes a key or value has that is shown like this.
fn size(line: &str, name: &str) -> String {
    let shown = line.split_once(name).expect("it is told").1;
    let Some(quoted) = shown.strip_prefix('"') else { return "-1".to_owned() };
    let mut bytes = 0;
    let mut rest = quoted.chars();
    while let Some(c) = rest.next() {
        match c {
            '"' => break,
            '\\' if rest.next() == Some('x') => {
                rest.nth(1);
            }
            _ => {}
        }
        bytes += 1;
    }
    let cut = rest.as_str().strip_prefix("... (").and_then(|more| more.split(' ').next());
    cut.map_or_else(|| bytes.to_string(), str::to_owned)
}

/// Facts of an object of ours.
fn of_json(line: &str) -> Facts {
    let json: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    let number = |name: &str| json[name].as_i64().unwrap_or(-1).to_string();
    let text = |name: &str| json[name].as_str().unwrap_or_else(|| panic!("{name} in {line}")).to_owned();
    let kind = if text("timestamp_type") == "appended" { "LogAppendTime" } else { "CreateTime" };
    if json["type"] == "record" {
        let mut facts = Facts::from([("offset", number("offset")), ("time", format!("{kind} {}", number("timestamp")))]);
        if json["marker"].is_string() {
            facts.insert("marker", text("marker"));
            facts.insert("coordinatorEpoch", number("coordinator_epoch"));
        } else {
            facts.insert("keySize", number("key_size"));
            facts.insert("valueSize", number("value_size"));
        }
        facts.insert("headers", json["headers"].as_array().expect("a list").len().to_string());
        return facts;
    }
    assert_eq!((text("type"), text("kind")), ("batch".to_owned(), "records".to_owned()), "{line}");
    let flag = |name: &str| json[name].as_bool().expect("a flag").to_string();
    Facts::from([
        ("baseOffset", number("offset_first")),
        ("lastOffset", number("offset_last")),
        ("count", number("records")),
        ("baseSequence", number("sequence_first")),
        ("lastSequence", number("sequence_last")),
        ("producerId", number("producer")),
        ("producerEpoch", number("producer_epoch")),
        ("partitionLeaderEpoch", number("epoch")),
        ("isTransactional", flag("transactional")),
        ("isControl", flag("control")),
        ("position", number("position")),
        ("size", number("size")),
        ("compresscodec", text("codec")),
        ("crc", number("crc")),
        ("time", format!("{kind} {}", number("timestamp_last"))),
    ])
}

fn dumped(path: &Path, format: Format) -> String {
    let mut out = Vec::new();
    dump(path, Wanted { with_records: true, format }, &mut out).expect("a whole segment");
    String::from_utf8(out).expect("text")
}

#[test]
fn our_dump_tells_what_kafkas_dump_tells() {
    let mut compared = 0;
    for entry in std::fs::read_dir(folder()).expect("the golden folder") {
        let path = entry.expect("an entry").path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".log")) else { continue };
        let theirs = std::fs::read_to_string(folder().join(format!("{name}.txt"))).expect("Kafka's dump");
        let theirs: Vec<Facts> = theirs.lines().filter_map(of_kafka).collect();
        for (format, facts) in [(Format::Table, of_ours as fn(&str) -> Facts), (Format::Json, of_json)] {
            let ours = dumped(&path, format);
            assert_eq!(ours.lines().map(facts).collect::<Vec<_>>(), theirs, "{name}:\n{ours}");
        }
        compared += theirs.len();
    }
    assert!(compared > 150, "only {compared} batches and records were compared");
}
