//! What every test stands on: real clusters, the proxy as a process, a client of bytes, a server of bytes.
//!
//! `PGWEIR_TEST_DIRECT_ONLY=1` leaves the proxy out: it validates the harness and what the cases expect.
//! `PGWEIR_TEST_PG_BIN` names the programs of another PostgreSQL version. `PGWEIR_TEST_BIG=1` makes the large large.
//! `PGWEIR_TEST_PROGRAM` names another pgweir than the one of this build.

pub mod cluster;
pub mod command;
pub mod frontend;
pub mod message;
pub mod proxy;
pub mod raw;
pub mod scram;
pub mod script;
pub mod scripted;
pub mod tls;

use std::time::{Duration, Instant};

/// Whether the proxy is left out.
pub fn direct_only() -> bool {
    std::env::var_os("PGWEIR_TEST_DIRECT_ONLY").is_some()
}

/// Whether sizes are those of the contract, and not those that a quick run can afford.
pub fn big() -> bool {
    std::env::var_os("PGWEIR_TEST_BIG").is_some()
}

/// Asks again until the answer is yes; panics after ten seconds.
pub fn eventually(what: &str, mut question: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !question() {
        assert!(Instant::now() < end, "in ten seconds it did not come true: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
