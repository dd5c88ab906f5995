//! pgweir against real PostgreSQL, real drivers, and peers that are scripted to the byte.

mod admin;
mod advice;
mod architecture;
mod cache;
mod cacheable;
mod check;
mod cluster;
mod compose;
mod conformance;
mod cuts;
mod drivers;
mod explain;
mod fuzz;
mod harness;
mod import;
mod load;
mod printed;
mod reads;
mod report;
mod rules;
mod slow_log;
mod store;
mod stream;
