//! Imports inside core only go down: `ids time random disk limits error` ← `record config` ← `log` ← `raft` ←
//! `partition` ← `controller` ← `api` ← `broker`.
//!
//! Looks at every `crate::…` path outside comments, literals and unit tests, grouped imports included. Modules of one layer may
//! know each other. A module that is in no layer is a finding: give it a place here.

use super::rust_text::{code_only, without_tests};
use super::{Findings, Tree};

/// The layers from the bottom up. `output` speaks of disks, peers and what is worked on beside the core; `input` carries requests, so it lies
/// above `api`.
pub const LAYERS: &[&[&str]] = &[
    &["protocol", "ids", "time", "random", "disk", "limits", "error", "mutant"],
    &["record", "config"],
    &["log"],
    &["output"],
    &["raft"],
    &["partition"],
    &["controller"],
    &["api"],
    &["input"],
    &["broker", "invariants"],
];

/// What `lib.rs` re-exports at the root belongs to this module.
const ROOT_NAMES: &[(&str, &str)] =
    &[("Broker", "broker"), ("BrokerConfig", "broker"), ("Deadline", "broker"), ("Recovery", "broker"), ("RecoveryStep", "raft")];

/// Every import of core that goes up.
#[must_use]
pub fn upward_imports(tree: &Tree) -> Findings {
    let mut findings = Findings::new();
    for file in tree.select("core/src/", ".rs") {
        let inner = file.path.trim_start_matches("core/src/");
        if inner == "lib.rs" {
            continue;
        }
        let module = inner.split(['/', '.']).next().unwrap_or_default();
        let Some(own) = layer(module) else {
            findings.push(format!("{}: module `{module}` has no layer in tests/src/tidy/layers.rs", file.path));
            continue;
        };
        let whole = code_only(&file.text);
        let code = without_tests(&whole);
        if inner.ends_with("tests.rs") || inner.contains("/tests/") {
            continue;
        }
        for (at, name) in crate_paths(code) {
            let target = ROOT_NAMES.iter().find(|(root, _)| *root == name).map_or(name.as_str(), |(_, module)| module);
            let line = code[..at].matches('\n').count() + 1;
            match layer(target) {
                Some(other) if other > own => {
                    findings.push(format!("{}:{line}: `{module}` imports `{target}`, which lies above it", file.path));
                }
                Some(_) => {}
                None => findings.push(format!("{}:{line}: `crate::{name}` has no layer in tests/src/tidy/layers.rs", file.path)),
            }
        }
    }
    findings
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

/// First names behind `crate::`, with their places; a group gives one per item.
fn crate_paths(code: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        if code[..at].chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '$') {
            continue;
        }
        let rest = &code[at + "crate::".len()..];
        if let Some(group) = rest.strip_prefix('{') {
            let (mut depth, mut item_starts) = (1_usize, true);
            for (n, c) in group.char_indices() {
                match c {
                    '{' => depth += 1,
                    '}' => depth -= 1,
                    ',' if depth == 1 => item_starts = true,
                    _ if c.is_whitespace() => {}
                    _ => {
                        if item_starts && depth == 1 {
                            found.push((at, name_at(&group[n..])));
                        }
                        item_starts = false;
                    }
                }
                if depth == 0 {
                    break;
                }
            }
        } else {
            found.push((at, name_at(rest)));
        }
    }
    found.retain(|(_, name)| !name.is_empty());
    found
}

fn name_at(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, text: &str, expected: usize) {
        assert_eq!(upward_imports(&Tree::planted(&[(path, text)])).len(), expected, "{path}: {text}");
    }

    #[test]
    fn an_upward_import_is_found_however_it_is_written() {
        check("core/src/log/mod.rs", "use crate::raft::RaftGroup;", 1);
        check("core/src/log/a.rs", "use crate::{ids::Offset, raft::{A, B}, broker};", 2);
        check("core/src/log/a.rs", "fn a() { crate::broker::b(); }", 1);
        check("core/src/record/mod.rs", "use crate::Broker;", 1);
        check("core/src/output.rs", "use crate::input::Input;", 1);
    }

    #[test]
    fn downward_imports_comments_and_tests_pass() {
        check("core/src/raft/group.rs", "use crate::log::GroupLog;\nuse crate::ids::{Index, Term};", 0);
        check("core/src/log/mod.rs", "/// See [`crate::raft::RaftGroup`].\nfn a() {}", 0);
        check("core/src/log/mod.rs", "fn a() {}\n#[cfg(test)]\nmod tests {\n use crate::broker::Broker;\n}", 0);
        check("core/src/config/mod.rs", "use crate::record::A;", 0);
    }

    #[test]
    fn a_module_without_a_layer_is_found() {
        check("core/src/helpers.rs", "", 1);
        check("core/src/log/mod.rs", "use crate::helpers::a;", 1);
    }
}
