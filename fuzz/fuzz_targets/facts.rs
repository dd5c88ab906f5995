//! libFuzzer's door to `targets/facts.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::facts::run(data));
