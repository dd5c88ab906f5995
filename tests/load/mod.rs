//! The proxy nobody notices: under crowds, beside slow readers, in front of dead servers, and when it is replaced.

mod calls;
mod crowd;
mod flood;
mod frozen;
mod outcome;
mod sharing;
mod sharing_prepared;
mod takeover;

/// What every file needs.
mod prelude {
    pub use std::time::{Duration, Instant};

    pub use crate::harness::cluster::{APP, Cluster, Database};
    pub use crate::harness::message::Message;
    pub use crate::harness::proxy::{Proxy, ProxyOptions};
    pub use crate::harness::raw::{self, Client, Login};
    pub use crate::harness::{direct_only, eventually, frontend as msg};

    /// A settings file in which clients need no password: what is measured is not SCRAM.
    pub const TRUST: &str = "[auth]\nmethod = \"trust\"\n";
}
