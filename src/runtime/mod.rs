//! The only place that spawns threads and tasks: workers, acceptor, beat.

pub mod acceptor;
pub mod beat;
mod bypass;
pub mod caches;
pub mod cluster;
pub(crate) mod definitions;
pub mod files;
pub mod paused;
pub mod peers;
pub mod verified;
pub mod worker;

mod nowhere;
mod order;
mod report;
pub mod rules;
mod shared;

pub(crate) use definitions::read_again;
pub use shared::Shared;
pub use worker::{Worker, WorkerLink};
