//! Folders as a broker leaves them, and each kind of damage that must be named.

use super::super::dump;
use super::*;
use crate::scratch::Scratch;
use ottla_core::record::{BatchBuilder, BatchHeader, PrivateKind, encode_private, patch_offset_and_epoch};
use std::fs;
use std::path::Path;

/// A data folder with one group of these segments.
fn data(folder: &Scratch, name: &str, segments: &[(&str, Vec<u8>)]) -> PathBuf {
    let data = folder.path().join(name);
    let group = data.join("orders-0.3");
    fs::create_dir_all(&group).expect("a folder");
    for (segment, bytes) in segments {
        fs::write(group.join(segment), bytes).expect("a segment");
    }
    data
}

fn batch(base: i64, epoch: i32, value: &str) -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    builder.push(1_700_000_000_000, Some(b"key"), Some(value.as_bytes()));
    builder.push(1_700_000_000_005, None, None);
    let mut bytes = builder.build().to_vec();
    patch_offset_and_epoch(&mut bytes, Offset(base), LeaderEpoch(epoch));
    bytes
}

fn noop(base: i64, epoch: i32) -> Vec<u8> {
    encode_private(PrivateKind::Noop, b"", Offset(base), LeaderEpoch(epoch)).to_vec()
}

const FIRST: &str = "00000000000000000000.0000000000000002.log";
const SECOND: &str = "00000000000000000004.0000000000000005.log";

/// Indices 2 to 4, offsets 0 to 3.
fn first() -> Vec<u8> {
    [noop(0, 0), batch(0, 0, "a"), batch(2, 0, "b")].concat()
}

/// Indices 5 and 6, offsets 4 and 5.
fn second() -> Vec<u8> {
    [noop(4, 1), batch(4, 1, "c")].concat()
}

fn run(folders: &[PathBuf]) -> (String, Result<(), String>) {
    run_as(Format::Table, folders)
}

fn run_as(format: Format, folders: &[PathBuf]) -> (String, Result<(), String>) {
    let mut out = Vec::new();
    let outcome = verify(folders, format, &mut out);
    (String::from_utf8(out).expect("text"), outcome)
}

fn damage(segments: &[(&str, Vec<u8>)]) -> String {
    let folder = Scratch::new();
    let (_, outcome) = run(&[data(&folder, "a", segments)]);
    outcome.expect_err("damage")
}

#[test]
fn a_whole_folder_is_summed_up() {
    let folder = Scratch::new();
    let whole = data(&folder, "a", &[(FIRST, first()), (SECOND, second())]);
    fs::create_dir_all(whole.join("meta")).expect("a folder that is no group");
    let (text, outcome) = run(&[whole]);
    assert_eq!(outcome, Ok(()));
    assert_eq!(text, "orders-0 group 3: 2 segments, 5 batches, offset end 6, last epoch 1\n");
}

#[test]
fn damage_is_named_with_its_place() {
    let mut flipped = first();
    let at = noop(0, 0).len() + 70;
    flipped[at] ^= 1;
    let text = damage(&[(FIRST, flipped.clone()), (SECOND, second())]);
    assert!(text.contains(FIRST) && text.contains("position 72 (offset 0, index 3): the crc is"), "{text}");
    assert!(damage(&[(FIRST, flipped)]).contains("the crc is"), "in the last segment too");
    let mut last = first();
    *last.last_mut().expect("not empty") ^= 1;
    assert!(damage(&[(FIRST, last)]).contains("the crc is"), "even in the last batch");
    let epoch = [noop(0, 1), batch(0, 0, "a")].concat();
    assert!(damage(&[(FIRST, epoch)]).contains("the leader epoch is 0, expected 1 or later"));
    let gap = [noop(0, 0), batch(1, 0, "a")].concat();
    assert!(damage(&[(FIRST, gap)]).contains("the base offset is 1, expected 0"));
    let text = damage(&[(FIRST, [noop(0, 0), batch(0, 0, "a")].concat()), (SECOND, second())]);
    assert!(text.contains("begins at offset 4 and index 5, but the one before ended at offset 2 and index 4"), "{text}");
    let cut = first()[..first().len() - 1].to_vec();
    assert!(damage(&[(FIRST, cut), (SECOND, second())]).contains("bytes but"), "only the last segment may be torn");
    let garbage = [first(), vec![7; 100]].concat();
    assert!(damage(&[(FIRST, garbage)]).contains("the magic is 7"));
}

#[test]
fn a_torn_tail_is_told_and_forgiven() {
    for tail in [vec![0; 300], batch(4, 0, "torn")[..70].to_vec(), vec![1; 20]] {
        let folder = Scratch::new();
        let (text, outcome) = run(&[data(&folder, "a", &[(FIRST, [first(), tail.clone()].concat())])]);
        assert_eq!(outcome, Ok(()), "{text}");
        assert!(text.ends_with(&format!("torn tail of {} bytes\n", tail.len())), "{text}");
    }
}

#[test]
fn replicas_are_compared_whatever_their_segments_are() {
    let folder = Scratch::new();
    let a = data(&folder, "a", &[(FIRST, first()), (SECOND, second())]);
    let b = data(&folder, "b", &[(FIRST, [first(), second()].concat())]);
    let (text, outcome) = run(&[a.clone(), b.clone()]);
    assert_eq!(outcome, Ok(()));
    assert!(text.contains("2 replicas equal\n") && text.ends_with("replicas equal: yes\n"), "{text}");
    let lagging = data(&folder, "c", &[(FIRST, first())]);
    let (text, outcome) = run(&[a.clone(), b.clone(), lagging]);
    assert_eq!(outcome, Ok(()));
    assert!(text.contains("3 replicas equal over what they share, the shortest ends at offset 4"), "{text}");
    let damaged = data(&folder, "e", &[(FIRST, vec![1; 200])]);
    let (text, outcome) = run(&[a.clone(), damaged]);
    assert!(outcome.expect_err("damage").contains("the magic is 1") && text == "replicas equal: no\n", "{text}");
    let other = data(&folder, "d", &[(FIRST, [noop(0, 0), batch(0, 0, "a"), batch(2, 0, "X")].concat())]);
    let (text, outcome) = run(&[a, b, other]);
    let sentence = outcome.expect_err("a difference");
    assert!(text.contains("3 replicas DIFFERENT") && text.ends_with("replicas equal: no\n"), "{text}");
    assert!(sentence.contains("orders-0 group 3: index 4 differs") && sentence.contains("has offset 2 of epoch 0"), "{sentence}");
}

#[test]
fn json_tells_of_each_group_and_of_the_whole() {
    let folder = Scratch::new();
    let a = data(&folder, "a", &[(FIRST, first()), (SECOND, second())]);
    let (text, outcome) = run_as(Format::Json, std::slice::from_ref(&a));
    assert_eq!(outcome, Ok(()));
    let expected = concat!(
        r#"{"groups":[{"label":"orders-0","group":3,"segments":2,"batches":5,"offset_end":6,"last_epoch":1,"replicas":1,"equal":null,"#,
        r#""shortest_offset_end":null,"torn_bytes":0}],"whole":[{"damage":null,"replicas_equal":null}]}"#,
        "\n"
    );
    assert_eq!(text, expected);
    let read = |folders: &[PathBuf]| {
        let (text, outcome) = run_as(Format::Json, folders);
        (serde_json::from_str::<serde_json::Value>(&text).expect("JSON"), outcome)
    };
    let lagging = data(&folder, "b", &[(FIRST, [first(), vec![0; 7]].concat())]);
    let (json, outcome) = read(&[a.clone(), lagging]);
    assert_eq!(outcome, Ok(()));
    let group = &json["groups"][0];
    assert_eq!((group["replicas"].as_i64(), group["equal"].as_bool()), (Some(2), Some(true)));
    assert_eq!((group["shortest_offset_end"].as_i64(), group["torn_bytes"].as_i64()), (Some(4), Some(7)));
    assert_eq!(json["whole"][0]["replicas_equal"].as_bool(), Some(true));
    let other = data(&folder, "c", &[(FIRST, [noop(0, 0), batch(0, 0, "a"), batch(2, 0, "X")].concat())]);
    let (json, outcome) = read(&[a.clone(), other]);
    let sentence = outcome.expect_err("a difference");
    assert_eq!(json["groups"][0]["equal"].as_bool(), Some(false));
    assert_eq!(json["whole"][0]["damage"].as_str(), Some(sentence.as_str()));
    assert_eq!(json["whole"][0]["replicas_equal"].as_bool(), Some(false));
    let damaged = data(&folder, "d", &[(FIRST, vec![1; 200])]);
    let (json, outcome) = read(&[damaged]);
    assert!(outcome.is_err() && json["groups"].as_array().is_some_and(Vec::is_empty), "{json}");
    assert!(json["whole"][0]["damage"].as_str().is_some_and(|damage| damage.contains("the magic is 1")), "{json}");
}

fn dumped(path: &Path, with_records: bool) -> String {
    dumped_as(Format::Table, path, with_records)
}

fn dumped_as(format: Format, path: &Path, with_records: bool) -> String {
    let mut out = Vec::new();
    dump::dump(path, dump::Wanted { with_records, format }, &mut out).expect("no damage");
    String::from_utf8(out).expect("text")
}

#[test]
fn a_json_dump_has_an_object_per_batch_and_per_record() {
    let folder = Scratch::new();
    let whole = data(&folder, "a", &[(SECOND, second())]);
    let text = dumped_as(Format::Json, &whole, true);
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let types: Vec<&str> = lines.iter().filter_map(|line| line["type"].as_str()).collect();
    assert_eq!(types, ["batch", "record", "batch", "record", "record"], "{text}");
    let path = whole.join("orders-0.3").join(SECOND).display().to_string();
    assert!(lines.iter().filter(|line| line["type"] == "batch").all(|line| line["file"] == path.as_str()), "{text}");
    let noop = &lines[0];
    assert_eq!((noop["kind"].as_str(), noop["offset_first"].as_i64(), noop["index"].as_i64()), (Some("no-op"), Some(4), Some(5)));
    assert!(noop["offset_last"].is_null() && noop["codec"].is_null() && noop["records"].is_null(), "{noop}");
    assert_eq!((noop["payload_size"].as_i64(), noop["size"].as_i64()), (Some(0), Some(72)));
    let batch = &lines[2];
    assert_eq!(
        (batch["kind"].as_str(), batch["offset_last"].as_i64(), batch["index"].as_i64()),
        (Some("records"), Some(5), Some(6))
    );
    assert!(batch["payload_size"].is_null() && batch["producer"].is_null() && batch["sequence_first"].is_null(), "{batch}");
    assert_eq!((lines[3]["key"].as_str(), lines[3]["value"].as_str()), (Some("key"), Some("c")));
    assert!(lines[4]["key"].is_null() && lines[4]["value_size"].is_null(), "{}", lines[4]);
}

#[test]
fn a_dump_has_a_line_per_batch_and_per_record() {
    let folder = Scratch::new();
    let whole = data(&folder, "a", &[(SECOND, second())]);
    let text = dumped(&whole.join("orders-0.3").join(SECOND), true);
    let lines: Vec<&str> = text.lines().collect();
    let crc = |batch: &[u8]| BatchHeader::parse(batch).expect("a header").crc;
    let first = format!("no-op before offset 4  payload 0  index 5  epoch 1  crc {} ok  size 72  position 0", crc(&noop(4, 1)));
    assert_eq!(lines[0], first);
    assert!(lines[2].starts_with(&format!(
        "offsets 4..5  index 6  epoch 1  codec none  records 2  created 1700000000000..1700000000005  producer -  crc {} ok  size",
        crc(&batch(4, 1, "c"))
    )));
    assert_eq!(lines[3], "| offset 4  created 1700000000000  key \"key\"  value \"c\"");
    assert_eq!(lines[4], "| offset 5  created 1700000000005  key null  value null");
    assert!(dumped(&whole, false).starts_with(&format!("{}", whole.display())), "a data folder names its files");
}
