//! How bytes arrive changes nothing: whole sessions, cut at every byte, from the client's side and from the server's.

mod client;
mod server;
pub mod session;
