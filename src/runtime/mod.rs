//! The only place that spawns threads and tasks: workers, acceptor, ticks.

pub mod acceptor;
pub mod files;
pub mod peers;
pub mod worker;

mod report;

pub use worker::{Worker, WorkerLink};
