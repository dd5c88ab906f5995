//! CONFORMANCE.md, case by case: the same bytes directly and through pgweir must give the same answers.
//!
//! A case is added by writing it in the file of its section: `case("<numbers>", "<what>")`, the objects it needs in
//! `setup`, its `steps`, and in `expect` what PostgreSQL says; see `harness/script.rs` for every step there is.

mod copy;
mod encodings;
mod extended;
mod faults;
mod hidden;
mod leaks;
mod listen;
mod names;
mod nodes;
mod pools;
mod replication;
mod simple;
mod startup;
mod state;
pub(crate) mod tls;
mod tls_in_use;
mod told;

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
