//! CONFORMANCE.md, case by case: the same bytes directly and through pgweir must give the same answers.
//!
//! A case is added by writing it in the file of its section: `case("<numbers>", "<what>")`, the objects it needs in
//! `setup`, its `steps`, and in `expect` what PostgreSQL says; see `harness/script.rs` for every step there is.

mod begin;
mod behind_failures;
mod copy;
mod encodings;
mod extended;
mod faults;
mod hidden;
mod leaks;
mod listen;
mod listen_again;
mod names;
mod nodes;
mod old_certificates;
mod own_names;
mod pools;
mod portals;
mod refused;
mod replication;
mod simple;
mod startup;
mod state;
pub(crate) mod tls;
mod tls_in_use;
mod told;
mod unnamed;

/// What random pipelines are made of.
mod numbers {
    /// Numbers that are the same in every run (xorshift), unless `SEED` is set.
    pub struct Numbers(u64);

    impl Numbers {
        pub fn seeded() -> Numbers {
            const SEED: u64 = 0x9e37_79b9_7f4a_7c15;
            let seed = std::env::var("SEED").ok().map_or(1, |s| s.parse().expect("SEED is a number"));
            Numbers(SEED.wrapping_mul(seed))
        }

        pub fn below(&mut self, bound: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            (self.0 % bound as u64) as usize
        }

        pub fn of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
            choices[self.below(choices.len())]
        }
    }
}

/// What every file of cases needs.
mod prelude {
    pub use crate::harness::cluster::{APP, APP2, Cluster, MD5_USER, SUPERUSER};
    pub use crate::harness::frontend as msg;
    pub use crate::harness::script::{A, B, C, Session, Step, admin, case, wait_until, wait_until_running};

    /// Has the servers of a pool lose their statements: another session, by the extended protocol.
    pub fn discards(session: Session) -> [Step; 2] {
        [session.send([msg::unnamed("discard all", &[]), msg::sync()]), session.ready()]
    }
}
