//! Security advisories we live with: each stands in `deny.toml` with a reason, and only as long as its crate is in the lock file.

use super::{Findings, Tree};

/// Advisories with a known reason and the crate each is about.
pub const KNOWN: &[(&str, &str)] =
    &[("RUSTSEC-2024-0437", "protobuf"), ("RUSTSEC-2025-0057", "fxhash"), ("RUSTSEC-2026-0097", "rand")];

/// What is wrong with `deny.toml`: an exception without a reason, one that nobody decided, one whose crate is gone.
#[must_use]
pub fn exceptions(tree: &Tree) -> Findings {
    let mut findings = Findings::new();
    let (Some(deny), Some(lock)) = (tree.text("deny.toml"), tree.text("Cargo.lock")) else {
        return vec!["deny.toml and Cargo.lock must exist".to_string()];
    };
    let lines: Vec<&str> =
        deny.lines().map(str::trim).filter(|line| !line.starts_with('#') && line.contains("RUSTSEC-")).collect();
    for line in &lines {
        let id: String =
            line.split("RUSTSEC-").nth(1).unwrap_or_default().chars().take_while(|c| c.is_ascii_digit() || *c == '-').collect();
        let id = format!("RUSTSEC-{id}");
        let reason = line.split("reason = \"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default();
        if reason.len() < 40 {
            findings.push(format!("deny.toml: {id} is ignored without a reason that explains it"));
        }
        match KNOWN.iter().find(|(known, _)| *known == id) {
            None => findings.push(format!("deny.toml: {id} is not known in tests/src/tidy/advisories.rs")),
            Some((_, package)) if !lock.contains(&format!("name = \"{package}\"")) => {
                findings.push(format!("deny.toml: {id} is about {package}, which is not in Cargo.lock"));
            }
            Some(_) => {}
        }
    }
    for (id, _) in KNOWN.iter().filter(|(id, _)| !lines.iter().any(|line| line.contains(id))) {
        findings.push(format!("deny.toml: does not explain {id}"));
    }
    findings
}

/// Generated protobuf parsers must not be fed by anyone: only raft's in-memory types may be used (RUSTSEC-2024-0437).
#[must_use]
pub fn protobuf_parsing(tree: &Tree) -> Findings {
    const CALLS: &[&str] = &[
        "parse_from_bytes",
        "parse_from_reader",
        "merge_from_bytes",
        "merge_from(",
        "CodedInputStream",
        "parse_from_carllerche",
    ];
    let mut findings = Findings::new();
    for file in tree.select("", ".rs").filter(|f| !f.path.starts_with("tests/")) {
        let code = super::rust_text::code_only(&file.text);
        for call in CALLS.iter().filter(|call| code.contains(**call)) {
            findings.push(format!("{}: {call} parses protobuf", file.path));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str = "name = \"protobuf\"\nname = \"fxhash\"\nname = \"rand\"\n";
    const GOOD: &str = "{ id = \"RUSTSEC-2024-0437\", reason = \"never parses anything that came from outside the process\" }\n\
                        { id = \"RUSTSEC-2025-0057\", reason = \"unmaintained, a hash function without input from outside\" }\n\
                        { id = \"RUSTSEC-2026-0097\", reason = \"no logger of ours draws random numbers while it is called\" }\n";

    fn check(deny: &str, lock: &str, expected: usize) {
        assert_eq!(exceptions(&Tree::planted(&[("deny.toml", deny), ("Cargo.lock", lock)])).len(), expected);
    }

    #[test]
    fn every_exception_is_explained_known_and_needed() {
        check(GOOD, LOCK, 0);
        check(&GOOD.replace("never parses anything that came from outside the process", "later"), LOCK, 1);
        check(GOOD.lines().next().expect("three lines"), LOCK, 2);
        check(
            &format!("{GOOD}{{ id = \"RUSTSEC-2030-0001\", reason = \"a reason that is long enough to explain a lot\" }}"),
            LOCK,
            1,
        );
        check(GOOD, "name = \"protobuf\"\nname = \"rand\"\n", 1);
    }

    #[test]
    fn parsing_protobuf_is_found() {
        let tree = Tree::planted(&[("core/src/raft/a.rs", "fn a() { Message::parse_from_bytes(b) } // merge_from(x)")]);
        assert_eq!(protobuf_parsing(&tree).len(), 1);
    }
}
