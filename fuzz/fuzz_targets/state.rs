//! libFuzzer's door to `targets/state.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::state::run(data));
