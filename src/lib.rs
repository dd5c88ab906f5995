//! pgweir, a proxy for PostgreSQL.

pub mod auth;
pub mod config;
pub mod pool;
pub mod sql;
pub mod wire;
