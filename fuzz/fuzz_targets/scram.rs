//! libFuzzer's door to `targets/scram.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::scram::run(data));
