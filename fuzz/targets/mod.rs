//! What is fuzzed, and what must hold for any bytes.
//!
//! One module per target, one `run` in each, and a panic is a finding. The same functions are called by the tests of
//! every day (`tests/fuzz/`), which change the committed corpus for some seconds, and by libFuzzer (`make fuzz`), which
//! looks for bytes that take ways nobody took before. Why both: `docs/design/fuzz.md`.

pub mod facts;
pub mod frames;
pub mod hba;
pub mod import;
pub mod pgoutput;
pub mod rules;
pub mod scram;
pub mod sql;
pub mod startup;
pub mod state;
pub mod token;
pub mod url;

/// Takes one byte off the front; 0 where there is none.
fn byte(data: &mut &[u8]) -> u8 {
    match data.split_first() {
        Some((first, rest)) => {
            *data = rest;
            *first
        }
        None => 0,
    }
}
