//! pgweir, a proxy for PostgreSQL.

pub mod cli;
pub mod config;
