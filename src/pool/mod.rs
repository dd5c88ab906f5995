//! Server connections: connect, lease, queue, session state, prepared statements, reset.
//!
//! A [`Pool`] belongs to one worker and holds the servers for one (database, user). A [`Server`] is a
//! queue of exchanges: every message that will be answered has an [`exchange::Expect`], which says whose it
//! is and what its answer changes. A lease is a `Box<Server>` in a session's hands; giving it back is
//! [`Pool::give_back`], which takes a proof of cleanliness; dropping it closes it.

pub mod ask;
mod between;
pub mod budget;
pub mod connect;
pub mod encrypt;
pub mod exchange;
pub mod lead;
pub mod listener;
pub mod prepared;
pub mod reach;
pub mod reading;
pub mod role;
pub mod sequences;
pub mod server;
pub mod state;
pub mod target;
pub mod terms;

pub mod follow;

mod backoff;
mod crowd;
mod fit;
mod line;
mod queue;
mod report;

pub use crowd::{Asked, Trial};
pub use line::{Ahead, Read, Ticket, Turn};
pub use queue::Pool;
pub use report::{PoolReport, ServerReport};
pub use server::Server;
pub use target::Target;
