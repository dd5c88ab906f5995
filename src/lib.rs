//! pgweir, a proxy for PostgreSQL: it pools connections, and applications cannot tell it from the server.
//!
//! # The life of one statement
//! 1. The [`runtime`] accepts a socket; [`session::login`] proves who the client is and hands it to a worker.
//! 2. The session's driver ([`session::serve`]) wakes when the client has sent something.
//! 3. [`session::upstream`] finds the messages ([`wire`]), and learns from [`sql`] what a text may do to the session.
//!    What teams have decided on it, [`rules`] tell: it may be refused, wait for its turn, or go on in other words.
//! 4. What can be answered here is, by the result [`cache`] where a rule asks for it; for the rest a server is leased from the [`pool`]: at the primary, or for a read at the replica that
//!    [`plan`] chooses by what [`control`] sees of the nodes. A short read may go behind another session's instead.
//! 5. The server is brought to the session's settings and given the statements it lacks, in the same write.
//! 6. [`session::relay`] brings the answers back, run by run, and gives the server back when the transaction ends.
//!
//! What happens on the way is counted in [`stats`], and what statements cost in [`slow`]; [`admin`] shows it on the console and over HTTP, and gives
//! orders; [`store`] keeps it, [`advice`] finds what would help, and [`report`] says what it comes to.

pub mod admin;
pub mod advice;
pub mod app;
pub mod auth;
pub mod cache;
pub mod catalog;
pub mod cli;
pub mod config;
pub mod control;
pub mod level;
pub mod plan;
pub mod pool;
pub mod report;
pub mod rules;
pub mod runtime;
pub mod session;
pub mod slow;
pub mod spelling;
pub mod sql;
pub mod stats;
pub mod store;
pub mod timer;
pub mod wire;
