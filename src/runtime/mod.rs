//! The only place that spawns threads and tasks: workers, acceptor, ticks.

pub mod acceptor;
mod report;
pub mod worker;

pub use worker::{Worker, WorkerLink};
