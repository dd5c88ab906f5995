//! pgweir, a proxy for PostgreSQL.

pub mod config;
pub mod sql;
