//! The SCRAM client: pgweir proves itself to a server, and the server to pgweir.
//!
//! ```text
//! ClientExchange --server-first--> Challenge --answer--> AwaitServerFinal --server-final--> done
//! ```

use std::fmt;

use base64::Engine;

use super::keys::{ClientKeys, DerivedKeys, auth_message, derive_keys, hmac_sha256, sha256, xor};
use super::message::{Attributes, Malformed, is_printable};
use super::verifier::parse_iterations;
use super::{
    BASE64, BINDING_HEADER, ChannelBinding, KEY_LENGTH, MAX_ITERATIONS, MAX_SERVER_MESSAGE, RandomFailed,
    SCRAM_SHA_256, SCRAM_SHA_256_PLUS, random_nonce,
};
use crate::auth::equal_in_constant_time;

/// What pgweir logs in to a server with.
#[derive(Clone)]
pub enum Secret {
    /// The password. The answer costs PBKDF2.
    Password(Vec<u8>),
    /// Pass-through: the key that a client revealed by its own login, and the server key of the verifier that it was
    /// checked against. The server accepts it only if it holds that same verifier.
    Keys {
        /// [`super::Success::client_key`].
        client_key: [u8; KEY_LENGTH],
        /// [`super::Verifier::server_key`].
        server_key: [u8; KEY_LENGTH],
    },
    /// Keys of an earlier login. Where the server's salt or iterations have changed, the password is used, if there is one.
    Derived {
        /// From [`AwaitServerFinal::server_final`].
        derived: DerivedKeys,
        /// The way back.
        password: Option<Vec<u8>>,
    },
}

/// Ready to send the first message.
#[derive(Debug)]
pub struct ClientExchange {
    secret: Secret,
    mechanism: &'static str,
    /// GS2 header and, with channel binding, the binding data.
    binding: Vec<u8>,
    header: &'static str,
    first_bare: String,
    nonce: String,
}

/// The server's challenge was read. What is left is to answer it, which may be expensive.
#[derive(Debug)]
pub struct Challenge {
    secret: Secret,
    binding: Vec<u8>,
    first_bare: String,
    server_first: Vec<u8>,
    nonce: Vec<u8>,
    salt: Vec<u8>,
    iterations: u32,
}

/// The proof is out; the server's own proof is awaited.
#[derive(Debug)]
pub struct AwaitServerFinal {
    server_signature: [u8; KEY_LENGTH],
    derived: Option<DerivedKeys>,
}

/// Why a login to a server ended. Never shown to clients. Another attempt with the same secret gives the same,
/// except for [`ClientError::SaltChanged`], which wants the password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// The server offers no mechanism that we know.
    #[error("the server offers none of SCRAM-SHA-256 and SCRAM-SHA-256-PLUS that this connection can use")]
    NoMechanism,
    /// The server breaks the syntax.
    #[error("malformed SCRAM message from the server: {0}")]
    Malformed(#[from] Malformed),
    /// The server answers another exchange.
    #[error("invalid SCRAM nonce from the server")]
    NonceMismatch,
    /// The server wants an extension that we do not know.
    #[error("the server requires an unsupported SCRAM extension")]
    MandatoryExtension,
    /// The server wants too much work, or none.
    #[error("SCRAM iteration count from the server is not in 1..={MAX_ITERATIONS}")]
    Iterations,
    /// The cached keys are for another salt and there is no password: the server's verifier was replaced.
    #[error("the server's verifier has changed since its keys were cached, and the password is not known")]
    SaltChanged,
    /// The server gave an error in place of its proof (RFC 5802 `server-error-value`).
    #[error("the server refused the SCRAM exchange: {0}")]
    Refused(String),
    /// The server does not know the verifier: it is not the server that it claims to be.
    #[error("incorrect server signature: the server could not prove that it knows the verifier")]
    ServerNotProven,
    /// No randomness for the nonce.
    #[error(transparent)]
    Random(#[from] RandomFailed),
}

impl ClientExchange {
    /// Chooses among the mechanisms `offered` by AuthenticationSASL: PLUS if it is offered and the connection has a binding.
    ///
    /// # Errors
    /// [`ClientError::NoMechanism`] or [`ClientError::Random`].
    pub fn new<'a>(
        offered: impl IntoIterator<Item = &'a [u8]>,
        secret: Secret,
        binding: &ChannelBinding,
    ) -> Result<Self, ClientError> {
        let (mut plain, mut plus) = (false, false);
        for name in offered {
            plain |= name == SCRAM_SHA_256.as_bytes();
            plus |= name == SCRAM_SHA_256_PLUS.as_bytes();
        }
        let (mechanism, header, data) = match binding {
            ChannelBinding::TlsServerEndPoint(hash) if plus => {
                (SCRAM_SHA_256_PLUS, BINDING_HEADER, hash.as_slice())
            }
            // "y" tells the server that we would have bound the channel: if it did offer PLUS, somebody removed it.
            ChannelBinding::TlsServerEndPoint(_) if plain => (SCRAM_SHA_256, "y,,", &[][..]),
            ChannelBinding::None if plain => (SCRAM_SHA_256, "n,,", &[][..]),
            _ => return Err(ClientError::NoMechanism),
        };
        let nonce = random_nonce()?;
        Ok(Self {
            secret,
            mechanism,
            binding: [header.as_bytes(), data].concat(),
            header,
            // The user name is the startup packet's; PostgreSQL ignores this one and libpq leaves it empty.
            first_bare: format!("n=,r={nonce}"),
            nonce,
        })
    }

    /// The mechanism chosen, for SASLInitialResponse.
    #[must_use]
    pub fn mechanism(&self) -> &'static str {
        self.mechanism
    }

    /// The data of SASLInitialResponse.
    #[must_use]
    pub fn client_first(&self) -> Vec<u8> {
        format!("{}{}", self.header, self.first_bare).into_bytes()
    }

    /// Takes the body of AuthenticationSASLContinue. Cheap: nothing is derived yet.
    ///
    /// # Errors
    /// [`ClientError::Malformed`], `NonceMismatch`, `MandatoryExtension` or `Iterations`.
    pub fn server_first(self, data: &[u8]) -> Result<Challenge, ClientError> {
        let mut attributes = Attributes::of(data, MAX_SERVER_MESSAGE)?;
        if attributes.peek() == Some(b'm') {
            return Err(ClientError::MandatoryExtension);
        }
        let nonce = attributes.expect(b'r')?;
        let extends_ours = nonce.len() > self.nonce.len() && nonce.starts_with(self.nonce.as_bytes());
        if !extends_ours || !is_printable(nonce) {
            return Err(ClientError::NonceMismatch);
        }
        let salt = BASE64.decode(attributes.expect(b's')?).ok().filter(|salt| !salt.is_empty());
        let salt = salt.ok_or(Malformed("malformed salt"))?;
        let iterations = parse_iterations(attributes.expect(b'i')?)
            .filter(|&count| count <= MAX_ITERATIONS)
            .ok_or(ClientError::Iterations)?;
        attributes.skip_extensions()?;
        Ok(Challenge {
            secret: self.secret,
            binding: self.binding,
            first_bare: self.first_bare,
            server_first: data.to_vec(),
            nonce: nonce.to_vec(),
            salt,
            iterations,
        })
    }

    /// As [`ClientExchange::new`] chose, with the user name and nonce of a published example.
    #[cfg(test)]
    pub(super) fn with_user_and_nonce(mut self, user: &str, nonce: &str) -> Self {
        self.first_bare = format!("n={user},r={nonce}");
        self.nonce = nonce.to_owned();
        self
    }
}

impl Challenge {
    /// Whether [`Challenge::answer`] will run PBKDF2 (1 ms at 4096 iterations, seconds at the limit):
    /// then it belongs away from the data plane.
    #[must_use]
    pub fn is_expensive(&self) -> bool {
        match &self.secret {
            Secret::Password(_) => true,
            Secret::Keys { .. } => false,
            Secret::Derived { derived, password } => !self.fits(derived) && password.is_some(),
        }
    }

    /// The data of SASLResponse.
    ///
    /// # Errors
    /// [`ClientError::SaltChanged`] if the cached keys do not fit and there is no password.
    pub fn answer(self) -> Result<(AwaitServerFinal, Vec<u8>), ClientError> {
        let (client_key, server_key, derived) = self.keys()?;
        let binding = BASE64.encode(&self.binding);
        let mut message = format!("c={binding},r=").into_bytes();
        message.extend_from_slice(&self.nonce);
        let signed = auth_message(self.first_bare.as_bytes(), &self.server_first, &message);
        let proof = xor(&client_key, &hmac_sha256(&sha256(&client_key), &[&signed]));
        message.extend_from_slice(b",p=");
        message.extend_from_slice(BASE64.encode(proof).as_bytes());
        let server_signature = hmac_sha256(&server_key, &[&signed]);
        Ok((AwaitServerFinal { server_signature, derived }, message))
    }

    /// Client key, server key, and what a cache may keep of them.
    #[expect(clippy::type_complexity, reason = "a private triple, named by this comment")]
    fn keys(&self) -> Result<([u8; KEY_LENGTH], [u8; KEY_LENGTH], Option<DerivedKeys>), ClientError> {
        let derived = match &self.secret {
            Secret::Keys { client_key, server_key } => return Ok((*client_key, *server_key, None)),
            Secret::Derived { derived, .. } if self.fits(derived) => derived.clone(),
            Secret::Derived { password: Some(password), .. } | Secret::Password(password) => {
                self.derive(password)
            }
            Secret::Derived { password: None, .. } => return Err(ClientError::SaltChanged),
        };
        let ClientKeys { client_key, server_key, .. } = derived.keys;
        Ok((client_key, server_key, Some(derived)))
    }

    fn fits(&self, derived: &DerivedKeys) -> bool {
        derived.salt == self.salt && derived.iterations == self.iterations
    }

    fn derive(&self, password: &[u8]) -> DerivedKeys {
        DerivedKeys {
            keys: derive_keys(password, &self.salt, self.iterations),
            salt: self.salt.clone(),
            iterations: self.iterations,
        }
    }
}

impl AwaitServerFinal {
    /// Takes the body of AuthenticationSASLFinal and checks the server's proof, in constant time.
    ///
    /// Gives the keys for a cache: they let the next login pass [`Secret::Derived`] and save PBKDF2. `None` after
    /// [`Secret::Keys`]. Only after this call is the server known to be the right one: an AuthenticationOk that
    /// comes without AuthenticationSASLFinal must be refused by the caller.
    ///
    /// # Errors
    /// [`ClientError::Malformed`], `Refused` or `ServerNotProven`.
    pub fn server_final(self, data: &[u8]) -> Result<Option<DerivedKeys>, ClientError> {
        let mut attributes = Attributes::of(data, MAX_SERVER_MESSAGE)?;
        if attributes.peek() == Some(b'e') {
            return Err(ClientError::Refused(printable(attributes.expect(b'e')?)));
        }
        let signature =
            BASE64.decode(attributes.expect(b'v')?).map_err(|_| Malformed("malformed server signature"))?;
        attributes.skip_extensions()?;
        if !equal_in_constant_time(&signature, &self.server_signature) {
            return Err(ClientError::ServerNotProven);
        }
        Ok(self.derived)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Password(_) => "Password(secret)",
            Self::Keys { .. } => "Keys(secret)",
            Self::Derived { .. } => "Derived(secret)",
        })
    }
}

/// The server's words, fit for a log line.
fn printable(text: &[u8]) -> String {
    const LONGEST: usize = 100;
    text.iter()
        .take(LONGEST)
        .map(|&byte| if byte.is_ascii_graphic() || byte == b' ' { byte as char } else { '?' })
        .collect()
}
