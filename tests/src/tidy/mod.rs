//! Our rules as tests: each rule reads the tree as text and returns its findings as plain sentences, none when it is kept.
//!
//! A rule that needs an exception keeps it in a list beside the rule, with the reason; an exception that is not needed is a
//! finding too. Every scanner has a test that shows it firing on a planted fault, so that a silent scanner cannot pass.

pub mod advisories;
pub mod layers;
pub mod limits;
pub mod packages;
pub mod readme;
pub mod rust_text;
pub mod settings;
pub mod sources;
pub mod tree;

pub use tree::Tree;

/// What a rule found: one plain sentence each.
pub type Findings = Vec<String>;

/// Fails the calling test with every finding on a line of its own.
///
/// # Panics
/// When there is a finding.
pub fn expect_none(rule: &str, findings: &[String]) {
    assert!(findings.is_empty(), "{rule}: {} finding(s)\n  {}", findings.len(), findings.join("\n  "));
}
