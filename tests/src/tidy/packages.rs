//! Directions between packages, read from what cargo resolves: `core` depends on `protocol` and nothing else of ours, `net → core`, `sim → net, core`,
//! `bin → net, core`, nothing depends on `tests`; the simulator's runtime and the deliberate bugs never reach the binary.
//!
//! Reads `cargo tree --frozen`, which resolves one package alone, as `cargo build -p` does.

use super::Findings;
use super::tree::root;
use std::process::Command;

/// One package of a resolved tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its enabled features.
    pub features: Vec<String>,
}

/// Our packages and which of ours each may depend on.
pub const DIRECTIONS: &[(&str, &[&str])] = &[
    ("ottla-protocol", &[]),
    ("ottla-core", &["ottla-protocol"]),
    ("ottla-net", &["ottla-core", "ottla-protocol"]),
    ("ottla-sim", &["ottla-net", "ottla-core", "ottla-protocol"]),
    ("ottla", &["ottla-net", "ottla-core", "ottla-protocol"]),
    ("ottla-tests", &["ottla-sim", "ottla-net", "ottla-core", "ottla-protocol"]),
    // What it has to test it knows as a test only.
    ("ottla-oracle", &[]),
];

/// Runtimes and who may meet them: core knows none, the shell is generic, the binary has the real one, the simulator its own.
pub const RUNTIMES: &[(&str, &[&str])] =
    &[("tokio", &["ottla"]), ("madsim", &["ottla-sim", "ottla-tests"]), ("clap", &["ottla"])];

/// All packages that `package` is built from, itself included. `edges` as in `cargo tree --edges`.
///
/// # Panics
/// When cargo can't resolve the workspace.
#[must_use]
pub fn resolved(package: &str, edges: &str) -> Vec<Package> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_string());
    let out = Command::new(cargo)
        .args(["tree", "--frozen", "--package", package, "--edges", edges, "--prefix", "none", "--format", "{p}|{f}"])
        .current_dir(root())
        .output()
        .expect("cargo runs, this test was built by it");
    assert!(out.status.success(), "cargo tree -p {package}: {}", String::from_utf8_lossy(&out.stderr));
    parse(&String::from_utf8_lossy(&out.stdout))
}

fn parse(tree: &str) -> Vec<Package> {
    let mut packages: Vec<Package> = Vec::new();
    for line in tree.lines().filter(|line| !line.trim().is_empty()) {
        let (package, features) = line.split_once('|').unwrap_or((line, ""));
        let name = package.split_whitespace().next().unwrap_or_default().to_string();
        let features = features.trim_end_matches(" (*)").split(',').filter(|f| !f.is_empty()).map(str::to_string).collect();
        let package = Package { name, features };
        if !packages.contains(&package) {
            packages.push(package);
        }
    }
    packages
}

/// What is wrong with the packages `package` is built from.
#[must_use]
pub fn wrong_directions(package: &str, resolved: &[Package]) -> Findings {
    let mut findings = Findings::new();
    let Some((_, allowed)) = DIRECTIONS.iter().find(|(name, _)| *name == package) else {
        return vec![format!("{package}: has no place in tests/src/tidy/packages.rs")];
    };
    for other in resolved.iter().filter(|other| other.name != package) {
        let ours = DIRECTIONS.iter().any(|(name, _)| *name == other.name);
        if ours && !allowed.contains(&other.name.as_str()) {
            findings.push(format!("{package} depends on {}", other.name));
        }
        let runtime = RUNTIMES.iter().find(|(name, _)| other.name == *name || other.name.starts_with(&format!("{name}-")));
        if runtime.is_some_and(|(_, users)| !users.contains(&package)) && !is_inside_madsim(package, &other.name) {
            findings.push(format!("{package} is built with {}", other.name));
        }
    }
    findings
}

/// madsim brings crates named after tokio; they are its own stand-ins or its plain utilities.
fn is_inside_madsim(package: &str, other: &str) -> bool {
    matches!(package, "ottla-sim" | "ottla-tests") && other.starts_with("tokio")
}

/// Whether the deliberate bugs would be compiled into what `resolved` describes.
#[must_use]
pub fn has_mutants(resolved: &[Package]) -> bool {
    resolved.iter().any(|package| package.name == "ottla-core" && package.features.iter().any(|f| f == "mutants"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planted(names: &[&str]) -> Vec<Package> {
        names.iter().map(|name| Package { name: (*name).to_string(), features: Vec::new() }).collect()
    }

    #[test]
    fn a_wrong_direction_is_found() {
        assert_eq!(wrong_directions("ottla-core", &planted(&["ottla-core", "ottla-net"])), ["ottla-core depends on ottla-net"]);
        assert_eq!(wrong_directions("ottla", &planted(&["ottla-tests"])).len(), 1);
        assert_eq!(wrong_directions("ottla-net", &planted(&["ottla-core", "bytes"])), Findings::new());
        assert_eq!(wrong_directions("newcomer", &[]).len(), 1);
    }

    #[test]
    fn a_runtime_where_it_must_not_be_is_found() {
        assert_eq!(wrong_directions("ottla", &planted(&["tokio", "madsim"])), ["ottla is built with madsim"]);
        assert_eq!(wrong_directions("ottla", &planted(&["madsim-tokio"])).len(), 1);
        assert_eq!(wrong_directions("ottla-net", &planted(&["tokio"])).len(), 1);
        assert_eq!(wrong_directions("ottla-sim", &planted(&["madsim", "tokio"])), Findings::new());
    }

    #[test]
    fn the_mutants_feature_is_found() {
        let tree = parse("ottla v0.1.0 (dir)|\nottla-core v0.1.0 (dir)|mutants\nbytes v1.0.0|default,std (*)\n");
        assert!(has_mutants(&tree));
        assert!(!has_mutants(&parse("ottla-core v0.1.0 (dir)|")));
        assert_eq!(tree[2], Package { name: "bytes".into(), features: vec!["default".into(), "std".into()] });
    }
}
