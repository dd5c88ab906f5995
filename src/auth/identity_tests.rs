//! Identities and their secrets.

use std::time::{Duration, UNIX_EPOCH};

use super::*;
use crate::auth::scram::ServerExchange;
use crate::auth::scram::{ChannelBinding, ClientExchange, SCRAM_SHA_256, Secret};
use crate::auth::testing::Garbage;

// PostgreSQL 15 made these of the password "secret"; the md5 one for the role m_user.
const SCRAM: &str = "SCRAM-SHA-256$4096:eGgCNzR1ZHOvWGkmNdc/9A==$Xxm4NTk8w8WA5aUL4s4dd6w5akvEeGGwsV7DSLm7cN4=:0FowFYvvdfNg2beE3lcGkChyPivp0UbHCtpksepPN/s=";
const MD5: &str = "md5c67df77064fcbfd26a2d021b84fff64d";

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_000_000)
}

fn identity(secret: &str) -> Identity {
    Identity::new("m_user", StoredSecret::parse(secret).unwrap())
}

fn expired(secret: &str) -> Identity {
    Identity { valid_until: Some(now() - Duration::from_secs(1)), ..identity(secret) }
}

fn no_login(secret: &str) -> Identity {
    Identity { can_login: false, ..identity(secret) }
}

#[test]
fn secrets_are_known_by_their_form() {
    assert!(matches!(StoredSecret::parse(SCRAM), Ok(Some(StoredSecret::Scram(_)))));
    assert!(matches!(StoredSecret::parse(MD5), Ok(Some(StoredSecret::Md5(_)))));
    for plain in ["secret", "md5", &MD5[..34], "SCRAM-SHA-256", "scram-sha-256$"] {
        assert!(matches!(StoredSecret::parse(plain), Ok(Some(StoredSecret::Plain(_)))), "{plain}");
    }
    assert!(matches!(StoredSecret::parse(""), Ok(None)));
    assert!(StoredSecret::parse("SCRAM-SHA-256$4096:broken").is_err());
}

#[test]
fn cleartext() {
    for secret in ["secret", MD5, SCRAM] {
        let right = identity(secret);
        let cases = [
            (&right, "secret", Ok(())),
            (&right, "Secret", Err(AuthFailure::WrongPassword)),
            (&right, "secret ", Err(AuthFailure::WrongPassword)),
            (&right, secret, if secret == "secret" { Ok(()) } else { Err(AuthFailure::WrongPassword) }),
            (&right, "", Err(AuthFailure::EmptyPassword)),
            (&expired(secret), "secret", Err(AuthFailure::Expired)),
            (&no_login(secret), "secret", Err(AuthFailure::LoginNotPermitted)),
            (&identity(""), "secret", Err(AuthFailure::NoPassword)),
            (&Identity::unknown("m_user"), "secret", Err(AuthFailure::UnknownUser)),
        ];
        for (identity, password, expected) in cases {
            assert_eq!(verify_cleartext(identity, password.as_bytes(), now()), expected, "{password}");
        }
    }
    let endless = SCRAM.replace("4096", "2000000000");
    let result = verify_cleartext(&identity(&endless), b"secret", now());
    assert_eq!(result, Err(AuthFailure::TooManyIterations));
}

#[test]
fn a_password_is_valid_up_to_its_last_instant() {
    let last = Identity { valid_until: Some(now()), ..identity("secret") };
    assert_eq!(verify_cleartext(&last, b"secret", now()), Ok(()));
    assert!(verify_cleartext(&last, b"secret", now() + Duration::from_nanos(1)).is_err());
}

#[test]
fn md5_exchange() {
    let salt = [9, 8, 7, 6];
    let response = md5::md5_response(MD5, salt);
    for secret in ["secret", MD5] {
        let verify = |identity: &Identity, response: &[u8]| verify_md5(identity, salt, response, now());
        assert_eq!(verify(&identity(secret), response.as_bytes()), Ok(()));
        assert_eq!(verify(&identity(secret), b"md5"), Err(AuthFailure::WrongPassword));
        assert_eq!(verify(&identity(secret), b""), Err(AuthFailure::EmptyPassword));
        assert_eq!(verify(&expired(secret), response.as_bytes()), Err(AuthFailure::Expired));
    }
    let result = verify_md5(&identity(SCRAM), salt, response.as_bytes(), now());
    assert_eq!(result, Err(AuthFailure::UnfitSecret));
}

#[test]
fn the_md5_method_uses_scram_where_a_verifier_is_stored() {
    use Md5MethodExchange::{Md5, Scram};
    for (identity, expected) in [
        (identity(SCRAM), Scram),
        (identity(MD5), Md5),
        (identity("secret"), Md5),
        (expired(MD5), Scram),
        (Identity::unknown("x"), Scram),
    ] {
        assert_eq!(identity.exchange_for_md5_method(now(), Scram), expected);
    }
    assert_eq!(Identity::unknown("x").exchange_for_md5_method(now(), Md5), Md5);
}

#[test]
fn mocks_say_why() {
    let process_secret = MockSecret::from_seed(b"seed");
    for (identity, reason) in [
        (identity(SCRAM), None),
        (identity("secret"), None),
        (identity(MD5), Some(AuthFailure::UnfitSecret)),
        (identity(""), Some(AuthFailure::NoPassword)),
        (expired(SCRAM), Some(AuthFailure::Expired)),
        (no_login("secret"), Some(AuthFailure::LoginNotPermitted)),
        (Identity::unknown("m_user"), Some(AuthFailure::UnknownUser)),
    ] {
        let chosen = scram_verifier_for(&identity, &process_secret, now()).unwrap();
        assert_eq!(chosen.mock_reason, reason);
        assert_eq!(chosen.is_mock(), reason.is_some());
        if chosen.is_mock() {
            assert_eq!(chosen.verifier, Verifier::mock("m_user", &process_secret));
        }
    }
}

#[test]
fn a_plain_passwords_verifier_is_made_once() {
    let process_secret = MockSecret::from_seed(b"seed");
    let identity = identity("secret");
    identity.prepare().unwrap();
    let copy = identity.clone();
    let verifier =
        |identity: &Identity| scram_verifier_for(identity, &process_secret, now()).unwrap().verifier;
    assert_eq!(verifier(&identity), verifier(&identity));
    assert_eq!(verifier(&identity), verifier(&copy));
    assert_ne!(verifier(&identity), verifier(&self::identity("secret")), "salts are random");
    assert!(verifier(&identity).matches(b"secret"));
}

#[test]
fn a_plain_password_logs_in_by_scram() {
    let chosen = scram_verifier_for(&identity("pa\u{df}"), &MockSecret::random().unwrap(), now()).unwrap();
    let server = ServerExchange::new(chosen.verifier, false, ChannelBinding::None);
    let secret = Secret::Password("pa\u{df}".into());
    let client = ClientExchange::new([SCRAM_SHA_256.as_bytes()], secret, &ChannelBinding::None).unwrap();
    let (server, first) = server.client_first(client.mechanism().as_bytes(), &client.client_first()).unwrap();
    let (client, answer) = client.server_first(&first).unwrap().answer().unwrap();
    let success = server.client_final(&answer).unwrap();
    assert!(client.server_final(&success.server_final).unwrap().is_some());
}

#[test]
fn trust_asks_for_the_login_right_only() {
    assert_eq!(expired("secret").check_login(), Ok(()));
    assert_eq!(no_login("secret").check_login(), Err(AuthFailure::LoginNotPermitted));
    assert_eq!(Identity::unknown("x").check_login(), Err(AuthFailure::UnknownUser));
}

#[test]
fn nothing_secret_is_printed() {
    for secret in ["hunter2", MD5, SCRAM] {
        let printed = format!("{:?}", identity(secret));
        for piece in ["hunter2", "104, 117, 110", "c67df", "Xxm4", "eGgC"] {
            assert!(!printed.contains(piece), "{printed}");
        }
    }
    assert_eq!(AuthFailure::client_message("bob"), "password authentication failed for user \"bob\"");
}

#[test]
fn garbage_does_not_panic() {
    let mut garbage = Garbage::new(5);
    for _ in 0..20_000 {
        let bytes = garbage.mutate(SCRAM.as_bytes());
        let _ = StoredSecret::parse(&String::from_utf8_lossy(&bytes));
        let bytes = garbage.bytes(200, b"SCRAM-SHA-256$:=md5abc0");
        let _ = StoredSecret::parse(&String::from_utf8_lossy(&bytes));
    }
}
