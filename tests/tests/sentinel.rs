//! Stands guard over `.cargo/config.toml`: without `--cfg madsim` the simulator's async tests would compile to nothing and pass.

/// `RUSTFLAGS` in the environment replaces the flags of the configuration file instead of adding to them.
#[test]
fn the_simulator_flag_reached_this_build() {
    let is_simulated = std::hint::black_box(cfg!(madsim));
    assert!(
        is_simulated,
        "built without `--cfg madsim`: is RUSTFLAGS or CARGO_BUILD_RUSTFLAGS set, or was cargo run from outside the workspace? \
         Unset it: the flags of .cargo/config.toml are replaced by it, and the simulated shell would silently not be tested"
    );
}
