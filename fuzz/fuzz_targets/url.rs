//! libFuzzer's door to `targets/url.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::url::run(data));
