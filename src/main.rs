//! The pgweir program.
fn main() {}
