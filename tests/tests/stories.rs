//! Plays every story of `tests/scenarios/` and compares what happens with what the story says; `UPDATE_EXPECT=1` rewrites them.

use ottla_tests::story::{Script, play};
use std::path::PathBuf;

fn stories() -> Vec<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).expect("the folder of stories exists").flatten().map(|e| e.path()).collect();
    files.retain(|f| f.extension().is_some_and(|e| e == "txt"));
    files.sort();
    files
}

#[test]
fn every_story_happens_as_it_is_told() {
    let is_update = std::env::var_os("UPDATE_EXPECT").is_some_and(|v| v == "1");
    let files = stories();
    assert!(files.len() >= 9, "only {} stories were found", files.len());
    let mut wrong = Vec::new();
    for file in files {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&file).expect("a story can be read");
        let played = match Script::parse(&text).and_then(|script| play(&script)) {
            Ok(played) => played.render(),
            Err(why) => {
                wrong.push(format!("{name}: {why}"));
                continue;
            }
        };
        if played == text {
            continue;
        }
        if is_update {
            std::fs::write(&file, played).expect("a story can be written");
        } else {
            wrong.push(format!("{name}:\n{}", first_difference(&text, &played)));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of the stories went otherwise (UPDATE_EXPECT=1 rewrites them)\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// The same story twice gives the same transcript: stories are simulations too.
#[test]
fn a_story_goes_the_same_way_twice() {
    let text = "# Three leaders die in turn.\n\ncluster brokers=3\ncreate-topic a partitions=3\nproduce a/0 records=x\nkill 0\nsettle\nrestart 0\n\
                kill 2\nsettle\nproduce a/0 records=y\nfetch a/0\n----\n";
    let script = Script::parse(text).expect("a good story");
    let (first, second) = (play(&script).expect("it plays"), play(&script).expect("it plays"));
    assert_eq!(first, second);
    assert!(first.blocks[0].expected.len() >= 10, "too little happened: {:?}", first.blocks[0].expected);
}

/// A story that is told wrongly must be noticed.
#[test]
fn a_wrong_story_is_noticed() {
    let text = "# Wrong.\n\ncluster brokers=1\ncreate-topic a partitions=1\nproduce a/0 records=x\nfetch a/0\n----\noffset 0, epoch 0: y\n";
    let played = play(&Script::parse(text).expect("a good story")).expect("it plays");
    assert_ne!(played.render(), text);
    assert!(played.render().contains("offset 0, epoch 0: x\n"), "{}", played.render());
    assert!(play(&Script::parse("# Unknown.\n\ncluster brokers=1\ndance\n----\n").expect("a good story")).is_err());
}

fn first_difference(expected: &str, happened: &str) -> String {
    let (mut old, mut new) = (expected.lines(), happened.lines());
    let mut number = 0;
    loop {
        number += 1;
        match (old.next(), new.next()) {
            (Some(a), Some(b)) if a == b => {}
            (None, None) => return "  only blanks differ".to_string(),
            (a, b) => {
                return format!(
                    "  line {number}\n    told:     {}\n    happened: {}",
                    a.unwrap_or("(end)"),
                    b.unwrap_or("(end)")
                );
            }
        }
    }
}
