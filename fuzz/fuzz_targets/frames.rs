//! libFuzzer's door to `targets/frames.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::frames::run(data));
