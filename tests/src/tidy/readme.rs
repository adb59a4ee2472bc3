//! The README stays true: what it names exists, and its table of APIs is the one the broker advertises.
//!
//! In the sections "Follow one …" every numbered step names files in backticks and, in backticks too, names that must be found in
//! those files. Everywhere, a path in backticks that starts with one of our folders must exist.

use super::rust_text::{code_only, has_word};
use super::{Findings, Tree};

/// Markdown documents of the project.
fn documents(tree: &Tree) -> impl Iterator<Item = &super::tree::File> {
    tree.select("", ".md").filter(|f| !f.path.starts_with("tests/golden/probe/"))
}

/// Paths in backticks that do not exist.
#[must_use]
pub fn stale_paths(tree: &Tree) -> Findings {
    const TOPS: &[&str] = &["core/", "net/", "sim/", "bin/", "tests/", "jepsen/", ".ci/", ".cargo/"];
    let mut findings = Findings::new();
    for file in documents(tree) {
        for (line, word) in quoted(&file.text) {
            let word = word.split([' ', '#']).next().unwrap_or_default();
            let is_path = TOPS.iter().any(|top| word.starts_with(top)) && !word.contains(['*', '<', '{']);
            if is_path && !tree.has(word) {
                findings.push(format!("{}:{line}: `{word}` does not exist", file.path));
            }
        }
    }
    findings
}

/// Steps of the "Follow one …" sections that name no file, or a name that is not in the files of its step.
#[must_use]
pub fn followed_names(tree: &Tree) -> Findings {
    let Some(readme) = tree.text("README.md") else { return vec!["README.md: missing".to_string()] };
    let mut findings = Findings::new();
    for section in ["Follow one produce", "Follow one fetch"] {
        let steps = steps_of(readme, section);
        if steps.len() < 4 {
            findings.push(format!("README.md: section \"{section}\" has {} numbered steps", steps.len()));
        }
        for (number, step) in steps.iter().enumerate() {
            let words: Vec<String> = quoted(step).into_iter().map(|(_, word)| word).collect();
            let (files, names): (Vec<&String>, Vec<&String>) = words.iter().partition(|w| w.contains('/') && w.ends_with(".rs"));
            let place = format!("README.md: {section}, step {}", number + 1);
            let mut code = String::new();
            for file in &files {
                match tree.text(file) {
                    Some(text) => code += &code_only(text),
                    None => findings.push(format!("{place}: `{file}` does not exist")),
                }
            }
            if files.is_empty() || names.is_empty() {
                findings.push(format!("{place}: names no file or no type"));
            }
            for name in names {
                for part in name.trim_end_matches("()").split("::") {
                    if !has_word(&code, part) {
                        findings.push(format!("{place}: `{name}` is not in {files:?}"));
                    }
                }
            }
        }
    }
    findings
}

fn steps_of(readme: &str, section: &str) -> Vec<String> {
    let mut steps: Vec<String> = Vec::new();
    let mut inside = false;
    for line in readme.lines() {
        if line.starts_with('#') {
            inside = line.trim_start_matches('#').trim().starts_with(section);
        } else if inside && line.starts_with(|c: char| c.is_ascii_digit()) {
            steps.push(line.to_string());
        } else if inside
            && line.starts_with("   ")
            && let Some(step) = steps.last_mut()
        {
            step.push('\n');
            step.push_str(line);
        }
    }
    steps
}

/// What stands in single backticks outside fenced blocks, with line numbers.
fn quoted(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut fenced = false;
    for (number, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced && !line.starts_with("    ") {
            found.extend(line.split('`').skip(1).step_by(2).map(|word| (number + 1, word.to_string())));
        }
    }
    found
}

/// The table of APIs as the README shows it, from what the broker serves.
#[must_use]
pub fn api_table() -> String {
    let mut table = "| API | key | versions | |\n|---|---|---|---|\n".to_string();
    for api in ottla_core::api::SERVED {
        let (first, last) = api.advertised;
        let note = if api.answered == api.advertised {
            String::new()
        } else {
            format!("versions below {} are advertised for old librdkafka (KAFKA-18659) and refused", api.answered.0)
        };
        table += &format!("| {} | {} | {first}-{last} | {note} |\n", api.key.name(), api.key.code());
    }
    table
}

/// The part of `text` between the lines that contain `<!-- name -->` and `<!-- /name -->`.
#[must_use]
pub fn marked<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let open = format!("<!-- {name} -->\n");
    let from = text.find(&open)? + open.len();
    let to = from + text[from..].find(&format!("<!-- /{name} -->"))?;
    Some(&text[from..to])
}

#[cfg(test)]
mod tests {
    use super::*;

    const README: &str = "# A\n## Follow one produce\n1. `core/src/a.rs`: `A::go`.\n2. `core/src/a.rs` `A`\n3. `core/src/a.rs` `go`\n\
        4. `core/src/a.rs` `go`,\n   then `A`.\n## Follow one fetch\n1. `core/src/a.rs`: `A`\n2. `core/src/a.rs` `A`\n3. `core/src/a.rs` `A`\n4. `core/src/a.rs` `A`\n";

    fn check(readme: &str, expected: usize) {
        let tree = Tree::planted(&[("README.md", readme), ("core/src/a.rs", "struct A; impl A { fn go() {} } // fn gone()")]);
        assert_eq!(followed_names(&tree).len(), expected, "{:?}", followed_names(&tree));
    }

    #[test]
    fn a_name_that_does_not_exist_is_found() {
        check(README, 0);
        check(&README.replace("A::go", "A::gone"), 1);
        check(&README.replace("1. `core/src/a.rs`: `A::go`", "1. `core/src/b.rs`: `A::go`"), 3);
        check(&README.replace("4. `core/src/a.rs` `A`\n", ""), 1);
        check(&README.replace("then `A`", "then `B`"), 1);
    }

    #[test]
    fn a_stale_path_is_found() {
        let tree = |text: &str| stale_paths(&Tree::planted(&[("README.md", text), ("core/src/a.rs", "")])).len();
        assert_eq!(tree("see `core/src/a.rs`, `core/src/`, `core/src`, `cargo test`"), 0);
        assert_eq!(tree("see `core/src/b.rs`"), 1);
        assert_eq!(tree("see `net/`"), 1);
        assert_eq!(tree("```\n`net/`\n```\n"), 0);
    }

    #[test]
    fn a_marked_part_is_cut_out() {
        assert_eq!(marked("a\n<!-- t -->\nb\n<!-- /t -->\nc", "t"), Some("b\n"));
        assert_eq!(marked("a", "t"), None);
    }
}
