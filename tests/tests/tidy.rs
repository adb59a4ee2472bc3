//! The rules of the project, applied to the project. Each rule and the proof that it can fail: `tests/src/tidy`.

use ottla_core::config::{BROKER_SETTINGS, TOPIC_SETTINGS};
use ottla_tests::tidy::settings::{Documented, NAMED_ONLY, untrue};
use ottla_tests::tidy::{Tree, advisories, expect_none, layers, limits, packages, readme, sources};

#[test]
fn every_rust_file_says_what_it_is() {
    expect_none("module docs", &sources::module_docs(&Tree::read()));
}

#[test]
fn no_file_has_swallowed_its_neighbours() {
    expect_none("file sizes", &sources::file_sizes(&Tree::read(), sources::LONGER_FILES));
}

#[test]
fn the_tree_does_not_know_the_machine_it_was_written_on() {
    expect_none("machine traces", &sources::machine_traces(&Tree::read()));
}

#[test]
fn only_the_simulator_knows_its_flag() {
    expect_none("cfg(madsim)", &sources::gated_files(&Tree::read()));
}

#[test]
fn ignored_tests_say_why() {
    expect_none("ignored tests", &sources::ignored_tests(&Tree::read()));
}

#[test]
fn one_loop_runs_in_both_worlds() {
    expect_none("node loop", &sources::one_node_loop(&Tree::read()));
}

#[test]
fn every_bound_is_named_by_a_test() {
    expect_none("bounds", &limits::untested(&Tree::read(), limits::UNNAMED));
}

#[test]
fn the_table_of_settings_says_what_is_acted_upon() {
    let brokers: Vec<Documented> = BROKER_SETTINGS.iter().map(Documented::from).collect();
    let topics: Vec<Documented> = TOPIC_SETTINGS.iter().map(Documented::from).collect();
    expect_none("settings", &untrue(&Tree::read(), &brokers, &topics, NAMED_ONLY));
}

#[test]
fn imports_inside_core_only_go_down() {
    expect_none("layers of core", &layers::upward_imports(&Tree::read()));
}

#[test]
fn packages_depend_on_each_other_in_one_direction() {
    for (package, _) in packages::DIRECTIONS {
        let edges = if *package == "ottla-core" { "normal,build,dev" } else { "normal,build" };
        expect_none(package, &packages::wrong_directions(package, &packages::resolved(package, edges)));
    }
}

#[test]
fn deliberate_bugs_are_not_in_the_binary() {
    assert!(!packages::has_mutants(&packages::resolved("ottla", "normal,build")), "the package `ottla` is built with mutants");
    assert!(packages::has_mutants(&packages::resolved("ottla-sim", "normal,build")), "the simulator has lost its mutants");
}

#[test]
fn advisories_we_live_with_are_explained() {
    expect_none("deny.toml", &advisories::exceptions(&Tree::read()));
}

#[test]
fn protobuf_is_never_parsed() {
    expect_none("RUSTSEC-2024-0437", &advisories::protobuf_parsing(&Tree::read()));
}

#[test]
fn documents_name_files_that_exist() {
    expect_none("stale paths", &readme::stale_paths(&Tree::read()));
}

#[test]
fn the_readme_follows_a_produce_and_a_fetch_through_code_that_exists() {
    expect_none("followed names", &readme::followed_names(&Tree::read()));
}

#[test]
fn the_readme_lists_the_apis_that_are_served() {
    let tree = Tree::read();
    let text = tree.text("README.md").expect("there is a README");
    let shown =
        readme::marked(text, "api-table").expect("the README has the markers `<!-- api-table -->` and `<!-- /api-table -->`");
    let served = readme::api_table();
    if shown != served && std::env::var_os("UPDATE_EXPECT").is_some_and(|v| v == "1") {
        let path = ottla_tests::tidy::tree::root().join("README.md");
        std::fs::write(path, text.replace(&format!("-->\n{shown}<!--"), &format!("-->\n{served}<!--")))
            .expect("the README can be written");
        return;
    }
    assert_eq!(shown, served, "`cargo fix-all` rewrites the table");
}
