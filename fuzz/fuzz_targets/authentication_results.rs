#![no_main]

#[path = "../../mail-core/tests/fuzz/mod.rs"]
mod fuzz;

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::run("authentication_results", data));
