//! pgweir against real PostgreSQL, real drivers, and peers that are scripted to the byte.

mod architecture;
mod conformance;
mod drivers;
mod harness;
