//! pgweir, a proxy for PostgreSQL.

pub mod auth;
pub mod config;
