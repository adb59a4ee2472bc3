//! Generates Kafka's messages, API keys and error codes from the facts in `core/protocol/layouts/`.
//!
//! The input is data: one file per API as printed from Apache Kafka's released jars, and the table of error codes. Output goes to
//! `OUT_DIR` and is included by `core/protocol/src/{messages,api_key,error_code}.rs`; nothing generated is checked in.
//!
//! Knows nothing of how values travel: that is `core/protocol/src/{reader,writer}.rs`, which the generated code calls.

#![allow(clippy::disallowed_methods, clippy::disallowed_macros, reason = "a build script reads files and prints to cargo")]

mod emit;
mod parse;

use std::path::Path;

fn main() {
    println!("cargo::rerun-if-changed=layouts");
    println!("cargo::rerun-if-changed=build");
    let layouts = parse::read_directory(Path::new("layouts"));
    let errors = std::fs::read_to_string("layouts/errors.tsv").expect("layouts/errors.tsv is part of the crate");
    let out = std::env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    let write = |name: &str, text: String| {
        std::fs::write(Path::new(&out).join(name), text).expect("OUT_DIR is writable");
    };
    write("messages.rs", emit::messages(&layouts));
    write("api_key.rs", emit::api_keys(&layouts.apis));
    write("error_code.rs", emit::error_codes(&errors));
}
