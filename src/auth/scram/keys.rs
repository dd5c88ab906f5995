//! The arithmetic of SCRAM: from a password to keys, from keys to proofs (RFC 5802 section 3).

use std::borrow::Cow;
use std::fmt;
use std::num::NonZeroU32;

use aws_lc_rs::{digest, hmac, pbkdf2};
use stringprep::tables;

use super::KEY_LENGTH;

/// What a password gives for one salt and iteration count. Whoever has these can log in as the user.
#[derive(Clone, PartialEq, Eq)]
pub struct ClientKeys {
    /// `HMAC(SaltedPassword, "Client Key")`: proves the client.
    pub client_key: [u8; KEY_LENGTH],
    /// `H(ClientKey)`: lets the server check that proof.
    pub stored_key: [u8; KEY_LENGTH],
    /// `HMAC(SaltedPassword, "Server Key")`: proves the server.
    pub server_key: [u8; KEY_LENGTH],
}

impl fmt::Debug for ClientKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientKeys(secret)")
    }
}

/// Keys together with what they were derived for: a cache entry for logins to one server.
#[derive(Clone, PartialEq, Eq)]
pub struct DerivedKeys {
    /// The salt that the server announced.
    pub salt: Vec<u8>,
    /// The iteration count that the server announced.
    pub iterations: u32,
    /// The result of [`derive_keys`].
    pub keys: ClientKeys,
}

impl fmt::Debug for DerivedKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DerivedKeys").field("iterations", &self.iterations).finish_non_exhaustive()
    }
}

/// Derives all keys of `password`, which is prepared by [`prepare_password`] first.
///
/// Costs PBKDF2: about 1 ms for 4096 iterations, and in proportion. Zero iterations count as one.
#[must_use]
pub fn derive_keys(password: &[u8], salt: &[u8], iterations: u32) -> ClientKeys {
    let mut salted = [0; KEY_LENGTH];
    pbkdf2::derive(
        pbkdf2::PBKDF2_HMAC_SHA256,
        NonZeroU32::new(iterations).unwrap_or(NonZeroU32::MIN),
        salt,
        &prepare_password(password),
        &mut salted,
    );
    let client_key = hmac_sha256(&salted, &[b"Client Key"]);
    ClientKeys {
        client_key,
        stored_key: sha256(&client_key),
        server_key: hmac_sha256(&salted, &[b"Server Key"]),
    }
}

/// SASLprep (RFC 4013) as PostgreSQL does it: where it fails, or the bytes are not UTF-8, the bytes are used as they are.
///
/// PostgreSQL looks for prohibited, unassigned and bidirectional characters *before* normalisation, which the
/// RFC does after; both checks are made here. Known difference: a right-to-left password that
/// only normalisation makes begin or end with another class of character (isolated Arabic vowel signs) is normalised by
/// PostgreSQL and left as it is here.
#[must_use]
pub fn prepare_password(password: &[u8]) -> Cow<'_, [u8]> {
    let Ok(text) = std::str::from_utf8(password) else {
        return Cow::Borrowed(password);
    };
    if text.is_ascii() || !may_be_normalised(text) {
        return Cow::Borrowed(password);
    }
    match stringprep::saslprep(text) {
        Ok(prepared) => Cow::Owned(prepared.into_owned().into_bytes()),
        Err(_) => Cow::Borrowed(password),
    }
}

/// PostgreSQL's checks, on the mapped but not yet normalised characters.
fn may_be_normalised(text: &str) -> bool {
    let mapped: Vec<char> = text.chars().filter_map(map_character).collect();
    let (Some(&first), Some(&last)) = (mapped.first(), mapped.last()) else {
        return false;
    };
    if mapped.iter().any(|&c| is_prohibited(c)) {
        return false;
    }
    let right_to_left = mapped.iter().any(|&c| tables::bidi_r_or_al(c));
    !right_to_left
        || (tables::bidi_r_or_al(first)
            && tables::bidi_r_or_al(last)
            && !mapped.iter().any(|&c| tables::bidi_l(c)))
}

fn map_character(c: char) -> Option<char> {
    if tables::non_ascii_space_character(c) {
        Some(' ')
    } else if tables::commonly_mapped_to_nothing(c) {
        None
    } else {
        Some(c)
    }
}

fn is_prohibited(c: char) -> bool {
    tables::ascii_control_character(c)
        || tables::non_ascii_control_character(c)
        || tables::private_use(c)
        || tables::non_character_code_point(c)
        || tables::inappropriate_for_plain_text(c)
        || tables::inappropriate_for_canonical_representation(c)
        || tables::change_display_properties_or_deprecated(c)
        || tables::tagging_character(c)
        || tables::unassigned_code_point(c)
}

/// SHA-256 of `data`.
pub(super) fn sha256(data: &[u8]) -> [u8; KEY_LENGTH] {
    to_array(digest::digest(&digest::SHA256, data).as_ref())
}

/// HMAC-SHA-256 of the concatenation of `parts`.
pub(super) fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> [u8; KEY_LENGTH] {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    let mut context = hmac::Context::with_key(&key);
    for part in parts {
        context.update(part);
    }
    to_array(context.sign().as_ref())
}

/// `left XOR right`: turns a key into a proof, and back.
pub(super) fn xor(left: &[u8; KEY_LENGTH], right: &[u8; KEY_LENGTH]) -> [u8; KEY_LENGTH] {
    std::array::from_fn(|i| left[i] ^ right[i])
}

/// What both sides sign: the messages of the exchange, joined by commas.
pub(super) fn auth_message(first_bare: &[u8], server_first: &[u8], final_unproven: &[u8]) -> Vec<u8> {
    [first_bare, server_first, final_unproven].join(&b',')
}

fn to_array(bytes: &[u8]) -> [u8; KEY_LENGTH] {
    let mut array = [0; KEY_LENGTH];
    array.copy_from_slice(bytes);
    array
}
