//! libFuzzer's door to `targets/import.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::import::run(data));
