//! What a server keeps of a password: PostgreSQL's `SCRAM-SHA-256$<iterations>:<salt>$<stored key>:<server key>`.

use std::fmt;

use aws_lc_rs::rand;
use base64::Engine;

use super::keys::{ClientKeys, derive_keys, hmac_sha256};
use super::{BASE64, DEFAULT_ITERATIONS, KEY_LENGTH, RandomFailed, SALT_LENGTH, SCRAM_SHA_256};

/// Bytes of a verifier's text; PostgreSQL's own are 133 bytes long.
const MAX_TEXT: usize = 2048;

/// A SCRAM verifier: enough to check a client's proof and to prove the server, not enough to log in.
#[derive(Clone, PartialEq, Eq)]
pub struct Verifier {
    /// PBKDF2 iterations, at least 1.
    pub iterations: u32,
    /// The salt, decoded.
    pub salt: Vec<u8>,
    /// `H(ClientKey)`.
    pub stored_key: [u8; KEY_LENGTH],
    /// Proves the server to the client.
    pub server_key: [u8; KEY_LENGTH],
}

/// The text is not a SCRAM verifier. It says nothing of the text, which may be a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a SCRAM verifier; expected SCRAM-SHA-256$<iterations>:<salt>$<stored key>:<server key>, as in pg_authid.rolpassword"
)]
pub struct InvalidVerifier;

/// The secret from which the salts of users without a verifier are made, see [`Verifier::mock`].
#[derive(Clone)]
pub struct MockSecret([u8; KEY_LENGTH]);

impl Verifier {
    /// Reads the format of `pg_authid.rolpassword`.
    ///
    /// # Errors
    /// [`InvalidVerifier`] if the text has another form, an iteration count of 0 or over 2^31-1, an empty salt,
    /// or keys that are not 32 bytes.
    pub fn parse(text: &str) -> Result<Self, InvalidVerifier> {
        Self::parse_parts(text).ok_or(InvalidVerifier)
    }

    fn parse_parts(text: &str) -> Option<Self> {
        if text.len() > MAX_TEXT {
            return None;
        }
        let rest = text.strip_prefix(SCRAM_SHA_256)?.strip_prefix('$')?;
        let (cost, keys) = rest.split_once('$')?;
        let (iterations, salt) = cost.split_once(':')?;
        let (stored_key, server_key) = keys.split_once(':')?;
        let salt = BASE64.decode(salt).ok().filter(|salt| !salt.is_empty())?;
        Some(Self {
            iterations: parse_iterations(iterations.as_bytes())?,
            salt,
            stored_key: BASE64.decode(stored_key).ok()?.try_into().ok()?,
            server_key: BASE64.decode(server_key).ok()?.try_into().ok()?,
        })
    }

    /// The text that [`Verifier::parse`] reads. Not `Display`, so that it is not logged by accident.
    #[must_use]
    pub fn format(&self) -> String {
        format!(
            "{SCRAM_SHA_256}${}:{}${}:{}",
            self.iterations,
            BASE64.encode(&self.salt),
            BASE64.encode(self.stored_key),
            BASE64.encode(self.server_key),
        )
    }

    /// The verifier of `password`. Costs PBKDF2, see [`derive_keys`].
    #[must_use]
    pub fn from_password(password: &[u8], iterations: u32, salt: &[u8]) -> Self {
        let ClientKeys { stored_key, server_key, .. } = derive_keys(password, salt, iterations);
        Self { iterations: iterations.max(1), salt: salt.to_vec(), stored_key, server_key }
    }

    /// The verifier of `password` with a random salt and PostgreSQL's default iterations. Costs PBKDF2.
    ///
    /// # Errors
    /// [`RandomFailed`] if there is no randomness.
    pub fn generate(password: &[u8]) -> Result<Self, RandomFailed> {
        let mut salt = [0; SALT_LENGTH];
        rand::fill(&mut salt).map_err(|_| RandomFailed)?;
        Ok(Self::from_password(password, DEFAULT_ITERATIONS, &salt))
    }

    /// A verifier that no password matches, for users who are unknown or have no usable secret.
    ///
    /// The same user gets the same salt every time, and the iterations are PostgreSQL's default, so that the exchange looks
    /// as a real one does. Give it to [`super::ServerExchange::new`] with `is_mock`, which makes it fail at the end.
    #[must_use]
    pub fn mock(user: &str, process_secret: &MockSecret) -> Self {
        let derive = |label: &[u8]| hmac_sha256(&process_secret.0, &[label, user.as_bytes()]);
        Self {
            iterations: DEFAULT_ITERATIONS,
            salt: derive(b"salt\0")[..SALT_LENGTH].to_vec(),
            stored_key: derive(b"stored key\0"),
            server_key: derive(b"server key\0"),
        }
    }

    /// Whether `password` gives this verifier. Costs PBKDF2 with the verifier's own iterations;
    /// the caller bounds them ([`super::MAX_ITERATIONS`]).
    #[must_use]
    pub fn matches(&self, password: &[u8]) -> bool {
        let keys = derive_keys(password, &self.salt, self.iterations);
        crate::auth::equal_in_constant_time(&keys.stored_key, &self.stored_key)
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").field("iterations", &self.iterations).finish_non_exhaustive()
    }
}

impl MockSecret {
    /// A secret that lives as long as the process.
    ///
    /// # Errors
    /// [`RandomFailed`] if there is no randomness.
    pub fn random() -> Result<Self, RandomFailed> {
        let mut secret = [0; KEY_LENGTH];
        rand::fill(&mut secret).map_err(|_| RandomFailed)?;
        Ok(Self(secret))
    }

    /// A secret made from `seed`, so that several processes behind one address, or one process before and
    /// after a restart, give an unknown user the same salt. The seed must be kept secret.
    #[must_use]
    pub fn from_seed(seed: &[u8]) -> Self {
        Self(hmac_sha256(b"pgweir mock authentication", &[seed]))
    }
}

impl fmt::Debug for MockSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MockSecret(secret)")
    }
}

/// Decimal digits only, 1 to 2^31-1.
pub(super) fn parse_iterations(digits: &[u8]) -> Option<u32> {
    if digits.is_empty() || digits.len() > 10 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let count: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    u32::try_from(count).ok().filter(|&count| (1..=i32::MAX as u32).contains(&count))
}
