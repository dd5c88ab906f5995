//! libFuzzer's door to `targets/pgoutput.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::pgoutput::run(data));
