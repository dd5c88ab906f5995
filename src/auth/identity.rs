//! What is known of a user, and the judgement of its password.
//!
//! A secret is parsed once, when the settings or the answer of `auth_query` are read, into a [`StoredSecret`] that cannot
//! be wrong. The time is an argument, so that expiry is judged by the caller's clock.

use std::borrow::Cow;
use std::fmt;
use std::sync::OnceLock;
use std::time::SystemTime;

use super::equal_in_constant_time;
use super::md5::{self, Md5Shadow};
use super::scram::{InvalidVerifier, MAX_ITERATIONS, MockSecret, RandomFailed, SCRAM_SHA_256, Verifier};

/// A user as the login sees it.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The name, as in the startup packet.
    pub name: String,
    /// The secret; `None`: cannot log in by password.
    pub secret: Option<StoredSecret>,
    /// `rolcanlogin`. `false` also stands for users who do not exist, see [`Identity::unknown`].
    pub can_login: bool,
    /// `rolvaliduntil`: the password counts until then. `None`: forever.
    pub valid_until: Option<SystemTime>,
    is_known: bool,
}

/// A secret in one of the three forms that settings and `pg_authid.rolpassword` hold.
#[derive(Debug, Clone)]
pub enum StoredSecret {
    /// The password itself (settings only; PostgreSQL stores none).
    Plain(PlainPassword),
    /// `md5` and 32 hexadecimal digits.
    Md5(Md5Shadow),
    /// `SCRAM-SHA-256$...`.
    Scram(Verifier),
}

/// A password in clear, and the verifier made of it when it was first needed.
#[derive(Clone)]
pub struct PlainPassword {
    password: Vec<u8>,
    verifier: OnceLock<Verifier>,
}

/// Why a login was refused. For the log only: the client is told [`AuthFailure::client_message`], whatever it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuthFailure {
    /// Nobody has heard of this user.
    #[error("the user is not known")]
    UnknownUser,
    /// `NOLOGIN`.
    #[error("the role is not permitted to log in")]
    LoginNotPermitted,
    /// The user has no secret.
    #[error("the user has no password assigned")]
    NoPassword,
    /// `VALID UNTIL` has passed.
    #[error("the user has an expired password")]
    Expired,
    /// The secret is of a kind from which this method can prove nothing (md5 for SCRAM, SCRAM for md5).
    #[error(
        "the user's stored secret cannot be used with this authentication method; from an md5 secret SCRAM proves nothing, \
         and no login to the server is learnt: set the password anew, or name it in [users]"
    )]
    UnfitSecret,
    /// The client sent an empty password, which PostgreSQL never accepts.
    #[error("the client sent an empty password")]
    EmptyPassword,
    /// The stored verifier asks for more than [`MAX_ITERATIONS`].
    #[error("the stored verifier needs more than {MAX_ITERATIONS} iterations")]
    TooManyIterations,
    /// The password is wrong.
    #[error("the password does not match")]
    WrongPassword,
}

/// What to run a [`super::scram::ServerExchange`] with.
#[derive(Debug, Clone)]
pub struct ScramVerifier {
    /// The user's verifier, or a mock.
    pub verifier: Verifier,
    /// `Some`: the verifier is a mock and the exchange must fail; this is why, for the log.
    pub mock_reason: Option<AuthFailure>,
}

/// Which exchange the HBA method `md5` leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Md5MethodExchange {
    /// AuthenticationMD5Password.
    Md5,
    /// AuthenticationSASL.
    Scram,
}

impl Identity {
    /// A known user who may log in, without an expiry.
    #[must_use]
    pub fn new(name: impl Into<String>, secret: Option<StoredSecret>) -> Self {
        Self { name: name.into(), secret, can_login: true, valid_until: None, is_known: true }
    }

    /// A user whom nobody has heard of. It goes through the same exchange as others, and fails.
    #[must_use]
    pub fn unknown(name: impl Into<String>) -> Self {
        Self { name: name.into(), secret: None, can_login: false, valid_until: None, is_known: false }
    }

    /// Whether the user exists and may log in: all that is asked after `trust`, `cert` and `peer`, which need no password.
    ///
    /// # Errors
    /// [`AuthFailure::UnknownUser`] or [`AuthFailure::LoginNotPermitted`].
    pub fn check_login(&self) -> Result<(), AuthFailure> {
        match (self.is_known, self.can_login) {
            (true, true) => Ok(()),
            (true, false) => Err(AuthFailure::LoginNotPermitted),
            (false, _) => Err(AuthFailure::UnknownUser),
        }
    }

    /// The secret, if it may be used at `now`.
    ///
    /// # Errors
    /// Those of [`Identity::check_login`], `NoPassword` or `Expired`.
    pub fn usable_secret(&self, now: SystemTime) -> Result<&StoredSecret, AuthFailure> {
        self.check_login()?;
        let secret = self.secret.as_ref().ok_or(AuthFailure::NoPassword)?;
        if self.valid_until.is_some_and(|until| until < now) {
            return Err(AuthFailure::Expired);
        }
        Ok(secret)
    }

    /// What the HBA method `md5` asks of this user, as PostgreSQL decides: SCRAM where a SCRAM verifier is stored.
    ///
    /// A plain password gives md5, as the method says. For users without a usable secret the caller says what its other users
    /// get, so that these cannot be told apart.
    #[must_use]
    pub fn exchange_for_md5_method(
        &self,
        now: SystemTime,
        without_secret: Md5MethodExchange,
    ) -> Md5MethodExchange {
        match self.usable_secret(now) {
            Ok(StoredSecret::Scram(_)) => Md5MethodExchange::Scram,
            Ok(StoredSecret::Md5(_) | StoredSecret::Plain(_)) => Md5MethodExchange::Md5,
            Err(_) => without_secret,
        }
    }

    /// Makes the verifier of a plain password now, at the price of PBKDF2 (1 ms), so that no login has to.
    ///
    /// # Errors
    /// [`RandomFailed`] if there is no randomness for the salt.
    pub fn prepare(&self) -> Result<(), RandomFailed> {
        if let Some(StoredSecret::Plain(plain)) = &self.secret {
            plain.verifier()?;
        }
        Ok(())
    }
}

/// Judges a password that came in clear (HBA method `password`); `password` is without its final NUL.
///
/// Costs PBKDF2 with the verifier's iterations if the secret is a SCRAM verifier.
///
/// # Errors
/// The reason, for the log.
pub fn verify_cleartext(identity: &Identity, password: &[u8], now: SystemTime) -> Result<(), AuthFailure> {
    if password.is_empty() {
        return Err(AuthFailure::EmptyPassword);
    }
    let matches = match identity.usable_secret(now)? {
        StoredSecret::Plain(plain) => plain.matches(password),
        StoredSecret::Md5(shadow) => {
            let given = md5::md5_shadow(&identity.name, password);
            equal_in_constant_time(given.as_bytes(), shadow.as_str().as_bytes())
        }
        StoredSecret::Scram(verifier) if verifier.iterations > MAX_ITERATIONS => {
            return Err(AuthFailure::TooManyIterations);
        }
        StoredSecret::Scram(verifier) => verifier.matches(password),
    };
    matches.then_some(()).ok_or(AuthFailure::WrongPassword)
}

/// Judges the answer to AuthenticationMD5Password; `response` is without its final NUL.
///
/// # Errors
/// The reason, for the log.
pub fn verify_md5(
    identity: &Identity,
    salt: [u8; md5::SALT_LENGTH],
    response: &[u8],
    now: SystemTime,
) -> Result<(), AuthFailure> {
    if response.is_empty() {
        return Err(AuthFailure::EmptyPassword);
    }
    let shadow: Cow<'_, str> = match identity.usable_secret(now)? {
        StoredSecret::Plain(plain) => md5::md5_shadow(&identity.name, &plain.password).into(),
        StoredSecret::Md5(shadow) => shadow.as_str().into(),
        StoredSecret::Scram(_) => return Err(AuthFailure::UnfitSecret),
    };
    let matches = md5::check_response(&shadow, salt, response);
    matches.then_some(()).ok_or(AuthFailure::WrongPassword)
}

/// The verifier for a SCRAM login: the user's, or a mock where there is none to use.
///
/// For a plain password it is made at the first call (PBKDF2, once) and kept in the identity; [`Identity::prepare`]
/// does it beforehand.
///
/// # Errors
/// [`RandomFailed`] if a plain password's verifier is to be made and there is no randomness for the salt.
pub fn scram_verifier_for(
    identity: &Identity,
    process_secret: &MockSecret,
    now: SystemTime,
) -> Result<ScramVerifier, RandomFailed> {
    let reason = match identity.usable_secret(now) {
        Ok(StoredSecret::Scram(verifier)) => return Ok(ScramVerifier::real(verifier)),
        Ok(StoredSecret::Plain(plain)) => return Ok(ScramVerifier::real(plain.verifier()?)),
        Ok(StoredSecret::Md5(_)) => AuthFailure::UnfitSecret,
        Err(reason) => reason,
    };
    let verifier = Verifier::mock(&identity.name, process_secret);
    Ok(ScramVerifier { verifier, mock_reason: Some(reason) })
}

impl ScramVerifier {
    fn real(verifier: &Verifier) -> Self {
        Self { verifier: verifier.clone(), mock_reason: None }
    }

    /// Whether the exchange must fail.
    #[must_use]
    pub fn is_mock(&self) -> bool {
        self.mock_reason.is_some()
    }
}

impl StoredSecret {
    /// Reads a secret by its form, as PostgreSQL's `get_password_type` does: `SCRAM-SHA-256$...`, `md5` and 32 hexadecimal digits,
    /// else a plain password. An empty one is no secret: `Ok(None)`.
    ///
    /// # Errors
    /// [`InvalidVerifier`] for what begins as a SCRAM verifier and is none. PostgreSQL takes it for a plain password, but
    /// as a setting it is a verifier with a slip of the pen.
    pub fn parse(text: &str) -> Result<Option<Self>, InvalidVerifier> {
        if text.is_empty() {
            return Ok(None);
        }
        if text.strip_prefix(SCRAM_SHA_256).is_some_and(|rest| rest.starts_with('$')) {
            return Ok(Some(Self::Scram(Verifier::parse(text)?)));
        }
        Ok(Some(match Md5Shadow::parse(text) {
            Some(shadow) => Self::Md5(shadow),
            None => Self::Plain(PlainPassword::new(text)),
        }))
    }
}

impl PlainPassword {
    /// Keeps `password`; nothing is derived yet.
    #[must_use]
    pub fn new(password: impl Into<Vec<u8>>) -> Self {
        Self { password: password.into(), verifier: OnceLock::new() }
    }

    /// The password, for the login to a server.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.password
    }

    /// Compares digests, so that the time does not tell the length.
    fn matches(&self, password: &[u8]) -> bool {
        use aws_lc_rs::digest::{SHA256, digest};
        let (ours, theirs) = (digest(&SHA256, &self.password), digest(&SHA256, password));
        equal_in_constant_time(ours.as_ref(), theirs.as_ref())
    }

    fn verifier(&self) -> Result<&Verifier, RandomFailed> {
        if let Some(verifier) = self.verifier.get() {
            return Ok(verifier);
        }
        let made = Verifier::generate(&self.password)?;
        // Of two threads that made one, both use the first.
        Ok(self.verifier.get_or_init(|| made))
    }
}

impl fmt::Debug for PlainPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PlainPassword(secret)")
    }
}

impl AuthFailure {
    /// `invalid_password`.
    pub const SQLSTATE: &'static str = "28P01";

    /// The only thing that the client is told of a failed password login.
    #[must_use]
    pub fn client_message(user: &str) -> String {
        format!("password authentication failed for user \"{user}\"")
    }
}

#[cfg(test)]
#[path = "identity_tests.rs"]
mod tests;
