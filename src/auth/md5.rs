//! PostgreSQL's md5 passwords (manual 20.5, 55.2.1): weak, deprecated by PostgreSQL 18, and still met.
//!
//! The shadow alone suffices to log in: it is as secret as the password.

use std::fmt;

use md5::{Digest, Md5};

use super::equal_in_constant_time;

/// Bytes of the salt in AuthenticationMD5Password.
pub const SALT_LENGTH: usize = 4;

const PREFIX: &str = "md5";
const HEX_DIGITS: usize = 32;

/// An md5 secret as `pg_authid.rolpassword` keeps it: `md5` and 32 hexadecimal digits.
#[derive(Clone, PartialEq, Eq)]
pub struct Md5Shadow(String);

impl Md5Shadow {
    /// Reads `md5` and 32 hexadecimal digits; `None` for anything else, which is then a plain password.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix(PREFIX)?;
        let valid = digits.len() == HEX_DIGITS && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        valid.then(|| Self(text.to_ascii_lowercase()))
    }

    /// The shadow of a plain password; the user's name is its salt.
    #[must_use]
    pub fn from_password(user: &str, password: &[u8]) -> Self {
        Self(md5_shadow(user, password))
    }

    /// The text that [`Md5Shadow::parse`] reads.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Md5Shadow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Md5Shadow(secret)")
    }
}

/// `md5` + hex(md5(password + user)): what PostgreSQL stores.
#[must_use]
pub fn md5_shadow(user: &str, password: &[u8]) -> String {
    hex_of([password, user.as_bytes()])
}

/// `md5` + hex(md5(hex part of the shadow + salt)): what the client sends in PasswordMessage.
///
/// `shadow` comes with its `md5` prefix.
#[must_use]
pub fn md5_response(shadow: &str, salt: [u8; SALT_LENGTH]) -> String {
    let digits = shadow.strip_prefix(PREFIX).unwrap_or(shadow);
    hex_of([digits.as_bytes(), &salt])
}

/// Whether `response`, without its final NUL, is right for `shadow` and `salt`. In constant time.
#[must_use]
pub fn check_response(shadow: &str, salt: [u8; SALT_LENGTH], response: &[u8]) -> bool {
    equal_in_constant_time(md5_response(shadow, salt).as_bytes(), response)
}

fn hex_of(parts: [&[u8]; 2]) -> String {
    let mut hasher = Md5::new();
    for part in parts {
        hasher.update(part);
    }
    let mut text = PREFIX.to_owned();
    for byte in hasher.finalize() {
        text.push(char::from_digit(u32::from(byte >> 4), 16).unwrap_or('0'));
        text.push(char::from_digit(u32::from(byte & 15), 16).unwrap_or('0'));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    // md5_shadow is what PostgreSQL 15 stored for this role and password.
    const STORED: &str = "md5c67df77064fcbfd26a2d021b84fff64d";

    #[test]
    fn shadow_is_postgresqls() {
        assert_eq!(md5_shadow("m_user", b"secret"), STORED);
        assert_eq!(Md5Shadow::from_password("m_user", b"secret").as_str(), STORED);
    }

    #[test]
    fn response_is_checked() {
        let salt = [1, 2, 3, 0xff];
        let response = md5_response(STORED, salt);
        assert_eq!(response.len(), 35);
        assert!(check_response(STORED, salt, response.as_bytes()));
        for wrong in [&response.as_bytes()[..34], b"", STORED.as_bytes()] {
            assert!(!check_response(STORED, salt, wrong));
        }
        assert!(!check_response(STORED, [1, 2, 3, 4], response.as_bytes()));
    }

    #[test]
    fn only_32_hexadecimal_digits_are_a_shadow() {
        assert_eq!(Md5Shadow::parse(&STORED.to_uppercase().replace("MD5", "md5")).unwrap().as_str(), STORED);
        for text in ["", "md5", "md5c67df77064fcbfd26a2d021b84fff64", "MD5c67df77064fcbfd26a2d021b84fff64d"] {
            assert!(Md5Shadow::parse(text).is_none(), "{text}");
        }
        assert!(Md5Shadow::parse("md5g67df77064fcbfd26a2d021b84fff64d").is_none());
        assert!(!format!("{:?}", Md5Shadow::parse(STORED)).contains("c67d"));
    }
}
