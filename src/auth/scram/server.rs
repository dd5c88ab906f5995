//! The SCRAM server: a client proves itself to pgweir.
//!
//! ```text
//! ServerExchange --client-first--> AwaitClientFinal --client-final--> Success
//! ```

use std::fmt;

use base64::Engine;

use super::keys::{auth_message, hmac_sha256, sha256, xor};
use super::message::{Attributes, Malformed, is_printable};
use super::{
    BASE64, ChannelBinding, KEY_LENGTH, MAX_CLIENT_MESSAGE, RandomFailed, SCRAM_SHA_256, SCRAM_SHA_256_PLUS,
    Verifier, random_nonce,
};
use crate::auth::equal_in_constant_time;

/// Ready for the client's choice of mechanism and its first message.
#[derive(Debug)]
pub struct ServerExchange {
    verifier: Verifier,
    is_mock: bool,
    binding: ChannelBinding,
}

/// The server's challenge is out; the client's proof is awaited.
#[derive(Debug)]
pub struct AwaitClientFinal {
    verifier: Verifier,
    is_mock: bool,
    /// The value that the attribute `c` must have, in base64.
    expected_binding: String,
    binding_in_use: bool,
    first_bare: Vec<u8>,
    server_first: Vec<u8>,
    nonce: Vec<u8>,
}

/// The client is who it claims to be.
#[derive(Clone, PartialEq, Eq)]
pub struct Success {
    /// The body of AuthenticationSASLFinal.
    pub server_final: Vec<u8>,
    /// The client's key. With the verifier's server key it opens every server that holds the same verifier
    /// ([`super::Secret::Keys`]), and no other.
    pub client_key: [u8; KEY_LENGTH],
}

/// Why an exchange ended. All but [`ServerError::Random`] are the client's fault, and the login is over:
/// an exchange is never resumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ServerError {
    /// A mechanism that was not offered.
    #[error("client selected an invalid SASL authentication mechanism")]
    UnknownMechanism,
    /// The syntax, or the GS2 flag does not fit the mechanism.
    #[error("malformed SCRAM message")]
    Malformed(#[from] Malformed),
    /// The client believes that channel binding was not offered, but it was: somebody may have removed it.
    #[error("SCRAM channel binding negotiation error")]
    BindingDowngrade,
    /// A channel binding type other than `tls-server-end-point`.
    #[error("unsupported SCRAM channel-binding type")]
    UnknownBindingType,
    /// The client wants to act for somebody else.
    #[error("client uses authorization identity, but it is not supported")]
    AuthorizationIdentity,
    /// The attribute `m`.
    #[error("client requires an unsupported SCRAM extension")]
    MandatoryExtension,
    /// A nonce with bytes that are not printable.
    #[error("non-printable characters in SCRAM nonce")]
    UnprintableNonce,
    /// The client's TLS connection does not end here.
    #[error("SCRAM channel binding check failed")]
    BindingMismatch,
    /// Without channel binding, the GS2 header repeated at the end is not the one of the beginning.
    #[error("unexpected SCRAM channel-binding attribute in client-final-message")]
    UnexpectedBinding,
    /// The proof is for another exchange.
    #[error("invalid SCRAM response")]
    NonceMismatch,
    /// Wrong password, or a mock.
    #[error("password authentication failed")]
    Rejected,
    /// No randomness for the nonce.
    #[error(transparent)]
    Random(#[from] RandomFailed),
}

impl ServerError {
    /// The SQLSTATE for the client, the one that PostgreSQL gives.
    #[must_use]
    pub fn sqlstate(&self) -> &'static str {
        match self {
            Self::Rejected => "28P01",
            Self::BindingDowngrade | Self::BindingMismatch => "28000",
            Self::AuthorizationIdentity | Self::MandatoryExtension => "0A000",
            Self::Random(_) => "XX000",
            Self::UnknownMechanism
            | Self::Malformed(_)
            | Self::UnknownBindingType
            | Self::UnprintableNonce
            | Self::UnexpectedBinding
            | Self::NonceMismatch => "08P01",
        }
    }

    /// The message for the client, PostgreSQL's.
    #[must_use]
    pub fn client_message(&self, user: &str) -> String {
        match self {
            Self::Rejected => crate::auth::AuthFailure::client_message(user),
            other => other.to_string(),
        }
    }

    /// The detail for the client, where PostgreSQL gives one.
    #[must_use]
    pub fn client_detail(&self) -> Option<&'static str> {
        match self {
            Self::Malformed(Malformed(detail)) => Some(detail),
            Self::NonceMismatch => Some("Nonce does not match."),
            Self::BindingDowngrade => Some(
                "The client supports SCRAM channel binding but thinks the server does not.  \
                 However, this server does support channel binding.",
            ),
            _ => None,
        }
    }
}

impl ServerExchange {
    /// An exchange for one login. With `is_mock` it ends as a wrong password does, whatever the client proves.
    #[must_use]
    pub fn new(verifier: Verifier, is_mock: bool, binding: ChannelBinding) -> Self {
        Self { verifier, is_mock, binding }
    }

    /// The mechanisms to offer in AuthenticationSASL, best first.
    #[must_use]
    pub fn mechanisms(&self) -> &'static [&'static str] {
        match self.binding {
            ChannelBinding::None => &[SCRAM_SHA_256],
            ChannelBinding::TlsServerEndPoint(_) => &[SCRAM_SHA_256_PLUS, SCRAM_SHA_256],
        }
    }

    /// Takes the SASLInitialResponse: the mechanism's name and the data. Gives the body of AuthenticationSASLContinue.
    ///
    /// A SASLInitialResponse may come without data (length -1). Then PostgreSQL sends an empty AuthenticationSASLContinue
    /// and takes the client's next message as the data; the caller does the same before calling this.
    /// The user name in the data is ignored, as the startup packet's counts.
    ///
    /// # Errors
    /// Any [`ServerError`] but `Rejected`, `BindingMismatch`, `UnexpectedBinding` and `NonceMismatch`.
    pub fn client_first(
        self,
        mechanism: &[u8],
        data: &[u8],
    ) -> Result<(AwaitClientFinal, Vec<u8>), ServerError> {
        let own_nonce = random_nonce()?;
        self.client_first_with_nonce(mechanism, data, &own_nonce)
    }

    pub(super) fn client_first_with_nonce(
        self,
        mechanism: &[u8],
        data: &[u8],
        own_nonce: &str,
    ) -> Result<(AwaitClientFinal, Vec<u8>), ServerError> {
        let binding_in_use = self.chosen_mechanism(mechanism)?;
        let first = ClientFirst::parse(data, binding_in_use, self.offers_binding())?;
        let nonce = [first.nonce, own_nonce.as_bytes()].concat();
        let salt = BASE64.encode(&self.verifier.salt);
        let mut server_first = b"r=".to_vec();
        server_first.extend_from_slice(&nonce);
        server_first.extend_from_slice(format!(",s={salt},i={}", self.verifier.iterations).as_bytes());
        let next = AwaitClientFinal {
            expected_binding: self.expected_binding(first.header),
            binding_in_use,
            first_bare: first.bare.to_vec(),
            server_first: server_first.clone(),
            nonce,
            verifier: self.verifier,
            is_mock: self.is_mock,
        };
        Ok((next, server_first))
    }

    /// Whether the mechanism binds the channel.
    fn chosen_mechanism(&self, mechanism: &[u8]) -> Result<bool, ServerError> {
        if mechanism == SCRAM_SHA_256.as_bytes() {
            Ok(false)
        } else if mechanism == SCRAM_SHA_256_PLUS.as_bytes() && self.offers_binding() {
            Ok(true)
        } else {
            Err(ServerError::UnknownMechanism)
        }
    }

    fn offers_binding(&self) -> bool {
        matches!(self.binding, ChannelBinding::TlsServerEndPoint(_))
    }

    fn expected_binding(&self, header: &[u8]) -> String {
        match &self.binding {
            ChannelBinding::TlsServerEndPoint(hash) if header.starts_with(b"p") => {
                BASE64.encode([header, hash].concat())
            }
            _ => BASE64.encode(header),
        }
    }
}

/// The parts of a client-first-message.
struct ClientFirst<'a> {
    /// The GS2 header, with its last comma.
    header: &'a [u8],
    bare: &'a [u8],
    nonce: &'a [u8],
}

impl<'a> ClientFirst<'a> {
    fn parse(data: &'a [u8], binding_in_use: bool, offered: bool) -> Result<Self, ServerError> {
        let mut attributes = Attributes::of(data, MAX_CLIENT_MESSAGE)?;
        read_binding_flag(&mut attributes, binding_in_use, offered)?;
        if attributes.peek() == Some(b'a') {
            return Err(ServerError::AuthorizationIdentity);
        }
        attributes.skip(b',', "Unexpected attribute in client-first-message.")?;
        let bare = attributes.rest();
        if attributes.peek() == Some(b'm') {
            return Err(ServerError::MandatoryExtension);
        }
        attributes.expect(b'n')?;
        let nonce = attributes.expect(b'r')?;
        if !is_printable(nonce) {
            return Err(ServerError::UnprintableNonce);
        }
        attributes.skip_extensions()?;
        Ok(Self { header: &data[..data.len() - bare.len()], bare, nonce })
    }
}

/// Reads the GS2 flag and the comma behind it, and checks that the flag fits the mechanism.
fn read_binding_flag(
    attributes: &mut Attributes<'_>,
    in_use: bool,
    offered: bool,
) -> Result<(), ServerError> {
    const COMMA: &str = "Comma expected after the channel-binding flag.";
    match attributes.peek() {
        Some(b'n' | b'y') if in_use => Err(Malformed(
            "The client selected SCRAM-SHA-256-PLUS, but the SCRAM message does not include channel binding data.",
        )
        .into()),
        Some(b'y') if offered => Err(ServerError::BindingDowngrade),
        Some(flag @ (b'n' | b'y')) => {
            attributes.skip(flag, COMMA)?;
            Ok(attributes.skip(b',', COMMA)?)
        }
        Some(b'p') if !in_use => Err(Malformed(
            "The client selected SCRAM-SHA-256 without channel binding, but the SCRAM message includes channel binding data.",
        )
        .into()),
        Some(b'p') => match attributes.expect(b'p')? {
            b"tls-server-end-point" => Ok(()),
            _ => Err(ServerError::UnknownBindingType),
        },
        _ => Err(Malformed("Unexpected channel-binding flag.").into()),
    }
}

impl AwaitClientFinal {
    /// Takes the client's SASLResponse and judges its proof, in constant time.
    ///
    /// # Errors
    /// [`ServerError::Rejected`] for a wrong proof and for every mock; before that `Malformed`, `BindingMismatch`,
    /// `UnexpectedBinding` or `NonceMismatch`.
    pub fn client_final(self, data: &[u8]) -> Result<Success, ServerError> {
        let message = ClientFinal::parse(data)?;
        if message.binding != self.expected_binding.as_bytes() {
            return Err(if self.binding_in_use {
                ServerError::BindingMismatch
            } else {
                ServerError::UnexpectedBinding
            });
        }
        if message.nonce != self.nonce {
            return Err(ServerError::NonceMismatch);
        }
        let signed = auth_message(&self.first_bare, &self.server_first, message.unproven);
        let client_signature = hmac_sha256(&self.verifier.stored_key, &[&signed]);
        let client_key = xor(&message.proof, &client_signature);
        let proven = equal_in_constant_time(&sha256(&client_key), &self.verifier.stored_key);
        let signature = BASE64.encode(hmac_sha256(&self.verifier.server_key, &[&signed]));
        if !proven || self.is_mock {
            return Err(ServerError::Rejected);
        }
        Ok(Success { server_final: format!("v={signature}").into_bytes(), client_key })
    }
}

/// The parts of a client-final-message.
struct ClientFinal<'a> {
    binding: &'a [u8],
    nonce: &'a [u8],
    proof: [u8; KEY_LENGTH],
    /// The message up to the comma before the proof.
    unproven: &'a [u8],
}

impl<'a> ClientFinal<'a> {
    fn parse(data: &'a [u8]) -> Result<Self, ServerError> {
        const BAD_PROOF: Malformed = Malformed("Malformed proof in client-final-message.");
        let mut attributes = Attributes::of(data, MAX_CLIENT_MESSAGE)?;
        let binding = attributes.expect(b'c')?;
        let nonce = attributes.expect(b'r')?;
        loop {
            let before = data.len() - attributes.rest().len();
            let (name, value) = attributes.next()?;
            if name != b'p' {
                continue;
            }
            let proof = BASE64.decode(value).map_err(|_| BAD_PROOF)?;
            let proof = proof.try_into().map_err(|_| BAD_PROOF)?;
            if !attributes.is_empty() {
                return Err(Malformed("Garbage found at the end of client-final-message.").into());
            }
            return Ok(Self { binding, nonce, proof, unproven: &data[..before - 1] });
        }
    }
}

impl fmt::Debug for Success {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Success(secret)")
    }
}
