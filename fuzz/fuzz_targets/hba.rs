//! libFuzzer's door to `targets/hba.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::hba::run(data));
