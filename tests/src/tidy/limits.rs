//! Every bound has a test that names it: what happens at a bound is a promise, and nobody notices by chance that it broke.

use super::rust_text::{has_word, without_tests};
use super::{Findings, Tree};

/// Where bounds stand.
const FILES: [&str; 2] = ["core/src/limits.rs", "net/src/limits.rs"];

/// Bounds that no test names, and why.
pub const UNNAMED: &[(&str, &str)] = &[(
    "PEER_APPEND_BYTES_MAX",
    "raft joins the appends of a round, each within the bound, to one message without a bound of its own: there is nothing to show yet",
)];

/// Each `pub const` of the files with bounds is named in a test; those of `unnamed` are not, or need no exception.
#[must_use]
pub fn untested(tree: &Tree, unnamed: &[(&str, &str)]) -> Findings {
    let tests: Vec<&str> = tree.select("", ".rs").filter_map(|file| test_code(&file.path, &file.text)).collect();
    let is_named = |name: &str| tests.iter().any(|text| has_word(text, name));
    let mut findings = Findings::new();
    let mut all = Vec::new();
    for file in FILES {
        let bounds = tree.text(file).unwrap_or_default().lines().filter_map(|line| line.strip_prefix("pub const "));
        all.extend(bounds.filter_map(|rest| Some((file, rest.split_once(':')?.0))));
    }
    for (file, name) in &all {
        let is_excused = unnamed.iter().any(|(known, _)| known == name);
        match (is_named(name), is_excused) {
            (false, false) => findings.push(format!("{file}: no test names {name} and shows what happens at that bound")),
            (true, true) => findings.push(format!("{file}: {name} is named by a test, it needs no exception")),
            (true, false) | (false, true) => {}
        }
    }
    let is_there = |name: &str| all.iter().any(|(_, known)| *known == name);
    findings.extend(unnamed.iter().filter(|(name, _)| !is_there(name)).map(|(name, _)| format!("there is no bound {name}")));
    findings
}

/// The part of a file that is compiled for tests only.
fn test_code<'a>(path: &str, text: &'a str) -> Option<&'a str> {
    let is_whole = path.ends_with("tests.rs") || (path.contains("/tests/") && !path.starts_with("tests/src"));
    if is_whole { Some(text) } else { text.strip_prefix(without_tests(text)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_without_a_test_is_found_and_so_is_an_exception_without_need() {
        let bounds = ("core/src/limits.rs", "/// A.\npub const A_MAX: u64 = 1;\npub const B_MAX: u64 = 2;\n");
        let used = ("core/src/a.rs", "use A_MAX;\n#[cfg(test)]\nmod tests {\n    B_MAX; AA_MAX; A_MAXIMUM;\n}\n");
        let tree = Tree::planted(&[bounds, used]);
        assert_eq!(untested(&tree, &[]), ["core/src/limits.rs: no test names A_MAX and shows what happens at that bound"]);
        assert_eq!(untested(&tree, &[("A_MAX", "why")]), Findings::new());
        let needless = untested(&tree, &[("A_MAX", "why"), ("B_MAX", "why"), ("C_MAX", "why")]);
        assert_eq!(needless, ["core/src/limits.rs: B_MAX is named by a test, it needs no exception", "there is no bound C_MAX"]);
        let tested = ("net/src/a_tests.rs", "A_MAX");
        assert_eq!(untested(&Tree::planted(&[bounds, used, tested]), &[]), Findings::new());
    }
}
