//! libFuzzer's door to `targets/startup.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::startup::run(data));
