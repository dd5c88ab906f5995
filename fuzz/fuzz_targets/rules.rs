//! libFuzzer's door to `targets/rules.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::rules::run(data));
