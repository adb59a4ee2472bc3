//! Fuzzes the decoding of requests and the validation of the batches in them: the function that the test `hostile` calls, too.

#![no_main]

#[path = "../../tests/hostile/target.rs"]
mod target;

libfuzzer_sys::fuzz_target!(|frame: &[u8]| {
    let _ = target::decode(frame);
});
