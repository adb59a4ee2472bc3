//! Rules about each file on its own: module docs, size, marks without an issue, traces of the machine it was written on.

use super::rust_text::code_only;
use super::{Findings, Tree};

/// Lines a Rust file may have. A longer one has swallowed more than one job.
pub const LINES_MAX: usize = 700;

/// Files that may be longer, each with the reason.
pub const LONGER_FILES: &[(&str, &str)] = &[];

/// Every Rust file says in its first lines what it is.
#[must_use]
pub fn module_docs(tree: &Tree) -> Findings {
    tree.select("", ".rs")
        .filter(|f| !f.text.starts_with("//! ") && !f.text.starts_with("#![doc ="))
        .map(|f| format!("{}: does not start with a module doc (`//! What this is`)", f.path))
        .collect()
}

/// No Rust file is longer than [`LINES_MAX`], those of `longer` excepted, which must need it.
#[must_use]
pub fn file_sizes(tree: &Tree, longer: &[(&str, &str)]) -> Findings {
    let mut findings = Findings::new();
    for file in tree.select("", ".rs") {
        let lines = file.text.lines().count();
        let excused = longer.iter().any(|(path, _)| *path == file.path);
        if lines > LINES_MAX && !excused {
            findings
                .push(format!("{}: {lines} lines, at most {LINES_MAX} (or a reason in tests/src/tidy/sources.rs)", file.path));
        }
        if lines <= LINES_MAX && excused {
            findings.push(format!("{}: {lines} lines, it needs no exception", file.path));
        }
    }
    for (path, _) in longer.iter().filter(|(path, _)| !tree.has(path)) {
        findings.push(format!("{path}: excepted from the size rule, but there is no such file"));
    }
    findings
}

/// Words that only stand in a tree by accident: folders of the machine it was written on, hosts of package registries. Put
/// together here so that this file does not contain them.
const TRACES: &[&str] = &[
    concat!("/ro", "ot/"),
    concat!("/ho", "me/"),
    concat!("/wo", "rk/"),
    concat!("/Us", "ers/"),
    concat!(".cargo/regis", "try/src"),
    concat!("index.crates", ".io"),
    concat!("static.crates", ".io"),
    concat!("pypi", ".org"),
    concat!("pythonhosted", ".org"),
    concat!("registry.npmjs", ".org"),
    concat!("deb.debian", ".org"),
    concat!("/tmp/bash", "_jobs"),
];

/// No path of the building machine and no registry host in any tracked text file.
#[must_use]
pub fn machine_traces(tree: &Tree) -> Findings {
    let mut findings = Findings::new();
    for file in &tree.files {
        for (number, line) in file.text.lines().enumerate() {
            for trace in TRACES.iter().filter(|trace| line.contains(**trace)) {
                findings.push(format!("{}:{}: contains {trace}", file.path, number + 1));
            }
        }
    }
    findings
}

/// Test files that compile to nothing when `--cfg madsim` is missing would pass silently; only these may be gated so, because
/// the sentinel test stands beside them.
#[must_use]
pub fn gated_files(tree: &Tree) -> Findings {
    tree.select("", ".rs")
        .filter(|f| !f.path.starts_with("sim/") && !f.path.starts_with("tests/"))
        .filter(|f| code_only(&f.text).contains("cfg(madsim)"))
        .map(|f| format!("{}: asks for cfg(madsim), which only sim and tests may know", f.path))
        .collect()
}

/// An ignored test says why it is ignored.
#[must_use]
pub fn ignored_tests(tree: &Tree) -> Findings {
    tree.select("", ".rs")
        .flat_map(|f| f.text.lines().enumerate().map(move |(n, line)| (f, n, line)))
        .filter(|(_, _, line)| line.trim() == concat!("#[ign", "ore]"))
        .map(|(f, n, _)| format!("{}:{}: an ignored test without a reason", f.path, n + 1))
        .collect()
}

/// The loop that runs the broker stays small enough to be read at once, and both worlds build the same one.
#[must_use]
pub fn one_node_loop(tree: &Tree) -> Findings {
    const LOOP: &str = "net/src/node.rs";
    let mut findings = Findings::new();
    let Some(text) = tree.text(LOOP) else { return vec![format!("{LOOP}: missing")] };
    let code = code_only(super::rust_text::without_tests(text));
    let lines = code.lines().filter(|line| !line.trim().is_empty()).count();
    if lines > 150 {
        findings.push(format!("{LOOP}: {lines} lines of code, at most 150"));
    }
    for world in ["bin/src/", "sim/src/"] {
        if !tree.select(world, ".rs").any(|f| super::rust_text::has_word(&code_only(&f.text), "Node")) {
            findings.push(format!("{world}: does not use net's Node"));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fires(rule: fn(&Tree) -> Findings, path: &str, bad: &str, good: &str) {
        assert_eq!(rule(&Tree::planted(&[(path, bad)])).len(), 1, "the planted fault is found");
        assert_eq!(rule(&Tree::planted(&[(path, good)])), Findings::new(), "the repaired file passes");
    }

    #[test]
    fn a_file_without_a_module_doc_is_found() {
        fires(module_docs, "net/src/a.rs", "use b;\n", "//! What it is.\nuse b;\n");
    }

    #[test]
    fn a_machine_path_is_found() {
        let bad = format!("see {}x/y", concat!("/ho", "me/"));
        fires(machine_traces, "README.md", &bad, "see x/y");
    }

    #[test]
    fn a_gated_file_outside_the_simulator_is_found() {
        fires(gated_files, "net/src/a.rs", "//! A.\n#![cfg(madsim)]\n", "//! Not cfg(madsim).\n");
    }

    #[test]
    fn an_ignored_test_without_a_reason_is_found() {
        let bad = concat!("//! A.\n#[ign", "ore]\nfn a() {}");
        fires(ignored_tests, "net/src/a.rs", bad, "//! A.\n#[ignore = \"needs an hour\"]\nfn a() {}");
    }

    #[test]
    fn a_long_file_and_a_needless_exception_are_found() {
        let long = "//! Long.\n".repeat(LINES_MAX + 1);
        let tree = Tree::planted(&[("core/src/long.rs", &long), ("core/src/short.rs", "//! Short.\n")]);
        assert_eq!(file_sizes(&tree, &[]).len(), 1);
        assert_eq!(file_sizes(&tree, &[("core/src/long.rs", "a table")]), Findings::new());
        assert_eq!(file_sizes(&tree, &[("core/src/long.rs", "a table"), ("core/src/short.rs", "none")]).len(), 1);
        assert_eq!(file_sizes(&tree, &[("core/src/long.rs", "a table"), ("core/src/gone.rs", "none")]).len(), 1);
    }

    #[test]
    fn a_loop_that_grows_or_is_not_shared_is_found() {
        let small = "//! The loop.\nstruct Node;\n";
        let long = "let a = 1;\n".repeat(151);
        let tree = |node: &str, sim: &str| {
            one_node_loop(&Tree::planted(&[("net/src/node.rs", node), ("bin/src/a.rs", "Node::new()"), ("sim/src/a.rs", sim)]))
        };
        assert_eq!(tree(small, "Node::new()"), Findings::new());
        assert_eq!(tree(&long, "Node::new()").len(), 1);
        assert_eq!(tree(small, "// Node\n").len(), 1);
    }
}
