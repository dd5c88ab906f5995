//! PostgreSQL bytes: framing, header scan, startup packets, errors, sockets.
//!
//! Imports nothing of ours. Everything here works on byte slices that the caller owns; nothing
//! allocates on the path of a known statement. Source: PostgreSQL manual, chapter 55
//! "Frontend/Backend Protocol".

pub mod bind;
pub mod emit;
pub mod fault;
pub mod frame;
pub mod pem;
pub mod socket;
pub mod startup;
pub mod tls;
pub mod tls_fault;

pub use fault::{Fault, Severity};
pub use frame::{BadFrame, Frame};
pub use socket::Socket;
