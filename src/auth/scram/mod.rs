//! SCRAM-SHA-256 and SCRAM-SHA-256-PLUS, both ways (RFC 5802, RFC 7677, RFC 5929).
//!
//! Towards clients pgweir is the SCRAM server: [`ServerExchange`], with a [`Verifier`] as PostgreSQL keeps it in
//! `pg_authid.rolpassword`. Towards servers it is the SCRAM client: [`ClientExchange`]. A successful client login
//! reveals the client key, and with it and the verifier's server key ([`Secret::Keys`]) pgweir can log in to a server
//! that holds the same verifier without ever knowing the password: that is pass-through.
//!
//! Each step consumes the state before it, so a message cannot be handled out of order or twice.
//! Messages are judged as PostgreSQL's `auth-scram.c` and libpq's `fe-auth-scram.c` judge them, with the same errors.

mod client;
mod keys;
mod message;
mod server;
mod verifier;

#[cfg(test)]
mod tests;

pub use client::{AwaitServerFinal, Challenge, ClientError, ClientExchange, Secret};
pub use keys::{ClientKeys, DerivedKeys, derive_keys, prepare_password};
pub use message::Malformed;
pub use server::{AwaitClientFinal, ServerError, ServerExchange, Success};
pub use verifier::{InvalidVerifier, MockSecret, Verifier};

use aws_lc_rs::rand;
use base64::Engine;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

/// Mechanism name without channel binding.
pub const SCRAM_SHA_256: &str = "SCRAM-SHA-256";
/// Mechanism name with channel binding.
pub const SCRAM_SHA_256_PLUS: &str = "SCRAM-SHA-256-PLUS";

/// Bytes of a SHA-256 digest, hence of every key and proof.
pub const KEY_LENGTH: usize = 32;
/// Iterations of verifiers made here; PostgreSQL's default too (`scram_iterations`).
pub const DEFAULT_ITERATIONS: u32 = 4096;
/// Iterations that a server, or a stored verifier, may make us compute. 10 million take some seconds of one core,
/// a thousand times PostgreSQL's default: more is taken for an attack.
pub const MAX_ITERATIONS: u32 = 10_000_000;
/// Bytes of a client's SASL message (`PG_MAX_SASL_MESSAGE_LENGTH` of PostgreSQL).
pub const MAX_CLIENT_MESSAGE: usize = 1024;
/// Bytes of a server's SASL message. libpq refuses authentication messages over 2000 bytes.
pub const MAX_SERVER_MESSAGE: usize = 2000;

/// Bytes of salt and of raw nonce, as PostgreSQL draws them.
const SALT_LENGTH: usize = 16;
const RAW_NONCE_LENGTH: usize = 18;

/// The only channel binding type of PostgreSQL, as the GS2 header names it.
const BINDING_HEADER: &str = "p=tls-server-end-point,,";

/// Padding is required; spare bits in the last character may be anything, as PostgreSQL's decoder has it.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

/// What ties the exchange to the TLS connection it runs in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChannelBinding {
    /// No TLS, or a certificate for which RFC 5929 defines no binding.
    None,
    /// The hash of the server's certificate, see [`crate::auth::certificate::tls_server_end_point`].
    TlsServerEndPoint(Vec<u8>),
}

/// The system's random number generator failed. Nobody's fault but the machine's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system's random number generator failed")]
pub struct RandomFailed;

/// The printable nonce of one side: 18 random bytes in base64, without a comma by construction.
fn random_nonce() -> Result<String, RandomFailed> {
    let mut raw = [0; RAW_NONCE_LENGTH];
    rand::fill(&mut raw).map_err(|_| RandomFailed)?;
    Ok(BASE64.encode(raw))
}
