//! libFuzzer's door to `targets/sql.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::sql::run(data));
