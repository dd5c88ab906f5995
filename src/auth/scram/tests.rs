//! RFC 7677's example, PostgreSQL's verifiers, and our server against our client.

use super::*;
use crate::auth::testing::Garbage;

const ITERATIONS: u32 = 16;

fn verifier() -> Verifier {
    Verifier::from_password(b"pencil", ITERATIONS, b"0123456789abcdef")
}

fn bound(data: &[u8]) -> ChannelBinding {
    ChannelBinding::TlsServerEndPoint(data.to_vec())
}

fn password(text: &str) -> Secret {
    Secret::Password(text.as_bytes().to_vec())
}

/// How a whole login ended.
#[derive(Debug, PartialEq)]
enum Outcome {
    In { mechanism: &'static str, header: String },
    ServerRefused(ServerError),
    ClientRefused(ClientError),
}

fn login(
    server: ServerExchange,
    offered: &[&str],
    secret: Secret,
    client_binding: &ChannelBinding,
) -> Outcome {
    let offered = offered.iter().map(|name| name.as_bytes());
    let client = match ClientExchange::new(offered, secret, client_binding) {
        Ok(client) => client,
        Err(error) => return Outcome::ClientRefused(error),
    };
    let mechanism = client.mechanism();
    let first = client.client_first();
    let header = String::from_utf8_lossy(&first[..first.len().min(2)]).into_owned();
    let (server, challenge) = match server.client_first(mechanism.as_bytes(), &first) {
        Ok(step) => step,
        Err(error) => return Outcome::ServerRefused(error),
    };
    let (client, answer) = match client.server_first(&challenge).and_then(Challenge::answer) {
        Ok(step) => step,
        Err(error) => return Outcome::ClientRefused(error),
    };
    let success = match server.client_final(&answer) {
        Ok(success) => success,
        Err(error) => return Outcome::ServerRefused(error),
    };
    match client.server_final(&success.server_final) {
        Ok(_) => Outcome::In { mechanism, header },
        Err(error) => Outcome::ClientRefused(error),
    }
}

#[test]
fn rfc_7677_example() {
    const CHALLENGE: &str =
        "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
    const ANSWER: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
    const SERVER_FINAL: &str = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";
    let client = ClientExchange::new([SCRAM_SHA_256.as_bytes()], password("pencil"), &ChannelBinding::None)
        .unwrap()
        .with_user_and_nonce("user", "rOprNGfwEbeRWgbNEkqO");
    assert_eq!(client.client_first(), b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO");

    let salt = BASE64.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
    let verifier = Verifier::from_password(b"pencil", 4096, &salt);
    let server = ServerExchange::new(verifier.clone(), false, ChannelBinding::None);
    let (server, challenge) = server
        .client_first_with_nonce(b"SCRAM-SHA-256", &client.client_first(), "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0")
        .unwrap();
    assert_eq!(challenge, CHALLENGE.as_bytes());

    let (client, answer) = client.server_first(&challenge).unwrap().answer().unwrap();
    assert_eq!(String::from_utf8(answer.clone()).unwrap(), ANSWER);
    let success = server.client_final(&answer).unwrap();
    assert_eq!(success.server_final, SERVER_FINAL.as_bytes());
    let derived = client.server_final(&success.server_final).unwrap().unwrap();
    assert_eq!(derived.keys.client_key, success.client_key);
    assert_eq!(derived.keys.stored_key, verifier.stored_key);
}

/// Passwords and what PostgreSQL 15 (UTF8) stored for them. They cover each way through SASLprep: ASCII, mapped to space,
/// mapped to nothing, NFKC, prohibited, unassigned, bidirectional; the last six are kept raw.
const STORED: &[(&str, &str)] = &[
    (
        "secret",
        "SCRAM-SHA-256$4096:eGgCNzR1ZHOvWGkmNdc/9A==$Xxm4NTk8w8WA5aUL4s4dd6w5akvEeGGwsV7DSLm7cN4=:0FowFYvvdfNg2beE3lcGkChyPivp0UbHCtpksepPN/s=",
    ),
    (
        "a\u{7}b",
        "SCRAM-SHA-256$4096:7Rqrsq3n/DEIbR9orO9NsQ==$hCtdXlqL1pd8ZSU2gb5TSAcIKUUTc6/MhTVMe0Vt8YQ=:VE1v6hRISm9fgR7q66KImLbK5lb5bJFOxkwGk1ufIQE=",
    ),
    (
        "a\u{A0}b",
        "SCRAM-SHA-256$4096:bgbupALvLZVlGtmOLnwSPQ==$8V4QqwOvsX1xycDPUcHJMMtdKbT4Akk3PTPhC3xk4sw=:1JXS1zzMDPOuA3PaQwrH/kTKH37L1xTpmbFO9xtOme8=",
    ),
    (
        "I\u{AD}X",
        "SCRAM-SHA-256$4096:fKq6S4VGYJBc/bJtAeS8Lw==$Auh29kN+hIovIrCVu5KvyfdatytDAbpddCa5oZtdAOw=:9OUAU6w8LAe1kQMYk3zLsyXp9W/7VtMSAw76oJqAUkY=",
    ),
    (
        "\u{2168}",
        "SCRAM-SHA-256$4096:A6pxUo0t4ztX9i/7cNAj2g==$atym7RoujW0eVzCc8pWlpmB1AKOXu3U3Nfixy82eWrY=:/6RvOg1vAT9K54PMgntTI7e/C1FgOzWc4UgtKK9vmWE=",
    ),
    (
        "pa\u{308}ss",
        "SCRAM-SHA-256$4096:clKPZwM4f36HFo7npy76dQ==$iCyUCPtrOG2QUiUuN36J3+d5d0jE27uov6v6tLsiusM=:7nfulv64Z+H1URze8dEg0WZU6nbfdtcFBxsaxB5JBuo=",
    ),
    (
        "a\u{200B}b",
        "SCRAM-SHA-256$4096:PSIH+xWdWMuTV8DXyE+/RA==$HPoVthJwCB3yqIfuvz3FGVy8sVXmw1RK2YqEnSchg6M=:X5QQoKmasCOSqZeM4X5WsaBEbL3P/H9tZPlGegrvFvE=",
    ),
    (
        "a\u{2000}b",
        "SCRAM-SHA-256$4096:w9D/Wsf41EBQEHi5JOhPHA==$kB54stLq8rrDLxGCi1DhJKlCyETzcAbVdAf8xXm53fE=:WdWVtjD6oTzufidBzx3/ANI4OaOo50mT8E1N2jf09Ec=",
    ),
    (
        "a\u{1680}b",
        "SCRAM-SHA-256$4096:WzX1ok4JSyiDnirwgrxr0A==$2OjFFAXRO6vkxGEKdeTd9ywK+UYdjRgLTcLepy14VbE=:Fot6gP4wW4tE7YsV9TvH54qZ70/0ldjMupXZOHynhEQ=",
    ),
    (
        "\u{2F868}",
        "SCRAM-SHA-256$4096:kKMDftpkmkRrzkgGeXeBlg==$MEEdHpqS7wCV7ZgyGCkPaGZMWxTJod7ykyLRT+dCT/4=:eqI3eUMnqu3lxxRxWC6rB7csoP8Ly0vU+KHCF/ST5Ao=",
    ),
    (
        "a\u{FEFF}b",
        "SCRAM-SHA-256$4096:b+rCQOSbFzq34AWGlmFT0w==$Gx6mgOJf+zc6zWUd+uXksoVaBIC/KVqZkVJA5YDj+6Y=:Ra9nwn2XZhywUA5MoMptbCc+k1zs6Htyo+G+oRC/bM8=",
    ),
    (
        "\u{627}\u{628}",
        "SCRAM-SHA-256$4096:gS1f18cevqGVaOLJCeYa6A==$bJFc573KpE+3ecjKzC7Q+kcqWcHAlVUimzRGeq2Ncds=:dsjbOSb9dwfZt7eowP8t6y5SPDuOLNWkzLS/8wbs/Mg=",
    ),
    (
        "\u{AD}",
        "SCRAM-SHA-256$4096:woK66rqFGtUUFBCnRD8t/A==$cETF/3MFk8B6u/AS+6Hnk6BfflM3GgLejPhp2hlfXa0=:iv30muzEaq34usJv9LJIhLK/3UX2Gu4mVR+HZMTdeds=",
    ),
    (
        "a\u{340}",
        "SCRAM-SHA-256$4096:xF46oGut1YnUKUZHMPmbMw==$G6SH9hjtZFQ3DCYUgQSlIRdGwIPYVy0U2RmgOSF4yhU=:uLe2VztI0WiwYnw23RA2IGOrKWNQmI20SBOUsSv259M=",
    ),
    (
        "\u{1F100}",
        "SCRAM-SHA-256$4096:qTiIay7otPesWFi9tlLgiw==$3ROF2zE9IKv+JWki+2ewNfsxWdt8AYUCjm8DbUf3Hi0=:P5iuuUL0U8OOmoY+j1vHH1EpcUaoFn7rlYBmsDiQvJw=",
    ),
    (
        "\u{1F600}",
        "SCRAM-SHA-256$4096:+ex10hYggR3aNeNPNZMFYQ==$7vxVpKYFaSuP7CWbAHO6qHdkZs/nV4fsXtACg9opq/I=:rSnN5cHHU4RoUisUsm2cMxFClyOjm3CnrkX2YZd+PJA=",
    ),
    (
        "\u{627}a",
        "SCRAM-SHA-256$4096:wM0Qs7JKddhCNqYzKDlTLw==$LELD4GSBpmltdDcui2UXvKZJ+Fbm0HVN/Nj/AqK8sn0=:aYLLCftnh+2zUm81Aa7EwmYorr3z1osww58I1ULdhBg=",
    ),
    (
        "a\u{FC5E}",
        "SCRAM-SHA-256$4096:AA9XXrwq3I8bLpBSWT2/aA==$ukWlmYFDZN8+1zGSnC6bHiIucar9858oWIXJjBM/Mtk=:Cdp+UsLS9Wr3ucn7zA/VqHFM6GFl+6bVxk/D4jDD5rg=",
    ),
];

#[test]
fn postgresqls_verifiers_match() {
    for (password, stored) in STORED {
        let verifier = Verifier::parse(stored).unwrap();
        assert_eq!(verifier.format(), *stored);
        assert!(verifier.matches(password.as_bytes()), "{}", password.escape_unicode());
        assert!(!verifier.matches(b"other"));
    }
}

#[test]
fn preparation() {
    let cases: &[(&[u8], &[u8])] = &[
        (b"", b""),
        (b"plain\x07", b"plain\x07"),
        ("I\u{AD}X".as_bytes(), b"IX"),
        ("\u{2168}".as_bytes(), b"IX"),
        ("a\u{A0}b".as_bytes(), b"a b"),
        ("\u{AD}".as_bytes(), "\u{AD}".as_bytes()),
        ("\u{E9}\u{7}".as_bytes(), "\u{E9}\u{7}".as_bytes()),
        (b"caf\xe9", b"caf\xe9"),
        (b"\xff\xfe", b"\xff\xfe"),
    ];
    for (password, prepared) in cases {
        assert_eq!(&*prepare_password(password), *prepared);
    }
    // Passwords that are no UTF-8, empty, or long (tokens of cloud providers) still make keys.
    for password in [&b"\xff"[..], b"", &[b'x'; 4096], "\u{AA}".repeat(600).as_bytes()] {
        assert!(Verifier::from_password(password, 2, b"salt").matches(password));
    }
}

#[test]
fn verifiers_are_parsed_strictly() {
    let good = verifier().format();
    assert_eq!(Verifier::parse(&good).unwrap(), verifier());
    let key = "A".repeat(43) + "=";
    let valid = |text: &str| Verifier::parse(text).is_ok();
    assert!(valid(&format!("SCRAM-SHA-256$2147483647:YQ==${key}:{key}")));
    for bad in [
        String::new(),
        "SCRAM-SHA-256".to_owned(),
        good.replace("SCRAM", "scram"),
        good.replace("$16:", "$0:"),
        good.replace("$16:", "$-1:"),
        good.replace("$16:", "$+16:"),
        good.replace("$16:", "$:"),
        good.replace("$16:", "$2147483648:"),
        good.replace("$16:", "$99999999999999999999:"),
        format!("{good}:"),
        format!("{good} "),
        format!("SCRAM-SHA-256$1:${key}:{key}"),
        format!("SCRAM-SHA-256$1:Y${key}:{key}"),
        format!("SCRAM-SHA-256$1:YQ==${key}:YQ=="),
        format!("SCRAM-SHA-256$1:YQ==$YQ==:{key}"),
        format!("SCRAM-SHA-256$1:{}${key}:{key}", "A".repeat(4000)),
    ] {
        assert!(!valid(&bad), "{bad}");
    }
    for length in 0..good.len() {
        assert!(!valid(&good[..length]));
    }
}

#[test]
fn mocks_are_stable_and_differ_by_user() {
    let (secret, other) = (MockSecret::from_seed(b"a"), MockSecret::from_seed(b"b"));
    let mock = Verifier::mock("bob", &secret);
    assert_eq!(mock, Verifier::mock("bob", &secret));
    assert_eq!((mock.iterations, mock.salt.len()), (4096, 16));
    for different in [Verifier::mock("eve", &secret), Verifier::mock("bob", &other)] {
        assert_ne!(mock.salt, different.salt);
        assert_ne!(mock.stored_key, different.stored_key);
    }
}

#[test]
fn every_combination_of_binding_and_password() {
    let plus: &[&str] = &[SCRAM_SHA_256_PLUS, SCRAM_SHA_256];
    let plain: &[&str] = &[SCRAM_SHA_256];
    let only_plus: &[&str] = &[SCRAM_SHA_256_PLUS];
    let none = || ChannelBinding::None;
    let inside = |mechanism, header: &str| Outcome::In { mechanism, header: header.to_owned() };
    let refused = Outcome::ServerRefused;
    // server's binding, mechanisms that the client sees, client's binding, outcome with the right password
    let cases = [
        (none(), plain, none(), inside(SCRAM_SHA_256, "n,")),
        (none(), plain, bound(b"hash"), inside(SCRAM_SHA_256, "y,")),
        (bound(b"hash"), plus, bound(b"hash"), inside(SCRAM_SHA_256_PLUS, "p=")),
        (bound(b"hash"), plus, none(), inside(SCRAM_SHA_256, "n,")),
        (bound(b"hash"), only_plus, bound(b"hash"), inside(SCRAM_SHA_256_PLUS, "p=")),
        // Somebody between removed PLUS from the list.
        (bound(b"hash"), plain, bound(b"hash"), refused(ServerError::BindingDowngrade)),
        // Somebody between ends TLS with another certificate.
        (bound(b"hash"), plus, bound(b"other"), refused(ServerError::BindingMismatch)),
        (none(), plus, bound(b"hash"), refused(ServerError::UnknownMechanism)),
        (none(), only_plus, none(), Outcome::ClientRefused(ClientError::NoMechanism)),
        (none(), &["OAUTHBEARER"], none(), Outcome::ClientRefused(ClientError::NoMechanism)),
    ];
    for (server_binding, offered, client_binding, expected) in cases {
        for (secret, is_mock) in [("pencil", false), ("wrong", false), ("pencil", true)] {
            let server = ServerExchange::new(verifier(), is_mock, server_binding.clone());
            let outcome = login(server, offered, password(secret), &client_binding);
            match &expected {
                Outcome::In { .. } if secret == "wrong" || is_mock => {
                    assert_eq!(outcome, Outcome::ServerRefused(ServerError::Rejected));
                }
                expected => assert_eq!(&outcome, expected),
            }
        }
    }
}

#[test]
fn mechanisms_offered() {
    let offered = |binding| ServerExchange::new(verifier(), false, binding).mechanisms();
    assert_eq!(offered(ChannelBinding::None), [SCRAM_SHA_256]);
    assert_eq!(offered(bound(b"x")), [SCRAM_SHA_256_PLUS, SCRAM_SHA_256]);
}

fn first_error(binding: ChannelBinding, mechanism: &str, data: &[u8]) -> ServerError {
    let server = ServerExchange::new(verifier(), false, binding);
    server.client_first(mechanism.as_bytes(), data).unwrap_err()
}

#[test]
fn client_first_is_judged_as_postgresql_does() {
    let malformed = "08P01 malformed SCRAM message";
    let cases: &[(&str, &[u8], &str)] = &[
        ("SCRAM-SHA-1", b"n,,n=,r=a", "08P01 client selected an invalid SASL"),
        (SCRAM_SHA_256, b"", malformed),
        (SCRAM_SHA_256, b"\0", malformed),
        (SCRAM_SHA_256, b"n,,n=,r=a\0", malformed),
        (SCRAM_SHA_256, b"x,,n=,r=a", malformed),
        (SCRAM_SHA_256, b"n;,n=,r=a", malformed),
        (SCRAM_SHA_256, b"y,,n=,r=a", "28000 SCRAM channel binding negotiation error"),
        (SCRAM_SHA_256, b"p=tls-server-end-point,,n=,r=a", malformed),
        (SCRAM_SHA_256_PLUS, b"n,,n=,r=a", malformed),
        (SCRAM_SHA_256_PLUS, b"y,,n=,r=a", malformed),
        (SCRAM_SHA_256_PLUS, b"p=tls-unique,,n=,r=a", "08P01 unsupported SCRAM channel-binding type"),
        (SCRAM_SHA_256_PLUS, b"p,,n=,r=a", malformed),
        (SCRAM_SHA_256, b"n,a=bob,n=,r=a", "0A000 client uses authorization identity"),
        (SCRAM_SHA_256, b"n,b=bob,n=,r=a", malformed),
        (SCRAM_SHA_256, b"n,,m=x,n=,r=a", "0A000 client requires an unsupported SCRAM extension"),
        (SCRAM_SHA_256, b"n,,r=a,n=", malformed),
        (SCRAM_SHA_256, b"n,,n=", malformed),
        (SCRAM_SHA_256, b"n,,n=,r=a\x7f", "08P01 non-printable characters in SCRAM nonce"),
        (SCRAM_SHA_256, b"n,,n=,r=a,1=x", malformed),
        (SCRAM_SHA_256, b"n,,n=,r=a,x", malformed),
        (SCRAM_SHA_256, &[b'n'; MAX_CLIENT_MESSAGE + 1], malformed),
    ];
    for (mechanism, data, expected) in cases {
        let error = first_error(bound(b"hash"), mechanism, data);
        let shown = format!("{} {}", error.sqlstate(), error.client_message("bob"));
        assert!(shown.starts_with(expected), "{}: {shown}", data.escape_ascii());
        assert_eq!(
            error.client_detail().is_some(),
            shown.contains("malformed") || shown.contains("negotiation")
        );
    }
    for accepted in [&b"n,,n=bob,r=a,x=ignored,y=,"[..], b"n,,n=\xff,r="] {
        let server = ServerExchange::new(verifier(), false, bound(b"hash"));
        assert!(server.client_first(SCRAM_SHA_256.as_bytes(), accepted).is_ok());
    }
}

/// A server that awaits the final message, and the right one.
fn until_final(is_mock: bool, binding: &ChannelBinding) -> (AwaitClientFinal, AwaitServerFinal, Vec<u8>) {
    let server = ServerExchange::new(verifier(), is_mock, binding.clone());
    let offered = server.mechanisms().iter().map(|name| name.as_bytes());
    let client = ClientExchange::new(offered, password("pencil"), binding).unwrap();
    let (server, challenge) =
        server.client_first(client.mechanism().as_bytes(), &client.client_first()).unwrap();
    let (client, answer) = client.server_first(&challenge).unwrap().answer().unwrap();
    (server, client, answer)
}

#[test]
fn tampered_final_messages_are_refused() {
    type Tamper = fn(String) -> String;
    let cases: &[(Tamper, ServerError)] = &[
        (|m| m.replace(",r=", ",r=x"), ServerError::NonceMismatch),
        (|m| m.replace(",p=", "x,p="), ServerError::NonceMismatch),
        (
            |m| m.replace("c=", "c=eSws,x="),
            ServerError::Malformed(Malformed("An expected attribute is missing.")),
        ),
        (|m| m.replace(",p=", ",x=y,p="), ServerError::Rejected),
        (|m| m.replace(",p=", ",m=y,p="), ServerError::Rejected),
        (
            |m| m + ",x=y",
            ServerError::Malformed(Malformed("Garbage found at the end of client-final-message.")),
        ),
        (
            |m| m.replace(",p=", ",p=A"),
            ServerError::Malformed(Malformed("Malformed proof in client-final-message.")),
        ),
        (
            |m| m.split(",p=").next().unwrap().to_owned() + ",p=YQ==",
            ServerError::Malformed(Malformed("Malformed proof in client-final-message.")),
        ),
    ];
    for binding in [ChannelBinding::None, bound(b"hash")] {
        for (tamper, expected) in cases {
            let (server, _, answer) = until_final(false, &binding);
            let tampered = tamper(String::from_utf8(answer).unwrap());
            assert_eq!(server.client_final(tampered.as_bytes()), Err(*expected), "{tampered}");
        }
        let (server, _, answer) = until_final(false, &binding);
        let other = String::from_utf8(answer).unwrap();
        let (_, rest) = other.split_once(',').unwrap();
        let expected = match binding {
            ChannelBinding::None => ServerError::UnexpectedBinding,
            ChannelBinding::TlsServerEndPoint(_) => ServerError::BindingMismatch,
        };
        let result = server.client_final(format!("c=eSws,{rest}").as_bytes());
        assert_eq!(result, Err(expected));
    }
}

#[test]
fn every_truncation_and_every_flipped_byte_is_refused() {
    for binding in [ChannelBinding::None, bound(b"hash")] {
        let length = until_final(false, &binding).2.len();
        for at in 0..length {
            let (server, _, answer) = until_final(false, &binding);
            assert!(server.client_final(&answer[..at]).is_err(), "cut at {at}");
            let (server, _, mut answer) = until_final(false, &binding);
            // The last character but one of the proof has two spare bits.
            answer[at] ^= if at == length - 2 { 0x10 } else { 0x01 };
            assert!(server.client_final(&answer).is_err(), "flipped at {at}");
        }
        let first = b"p=tls-server-end-point,,n=,r=abc";
        for at in 0..first.len() {
            let server = ServerExchange::new(verifier(), false, binding.clone());
            let _ = server.client_first(SCRAM_SHA_256_PLUS.as_bytes(), &first[..at]);
        }
    }
}

#[test]
fn truncated_client_first_is_refused_before_the_nonce() {
    let first = b"n,,n=,r=abc";
    for at in 0..first.len() {
        let server = ServerExchange::new(verifier(), false, ChannelBinding::None);
        let accepted = server.client_first(SCRAM_SHA_256.as_bytes(), &first[..at]).is_ok();
        assert_eq!(accepted, at >= b"n,,n=,r=".len(), "cut at {at}");
    }
}

#[test]
fn a_mock_fails_as_a_wrong_password_does() {
    let (server, _, answer) = until_final(true, &ChannelBinding::None);
    let error = server.client_final(&answer).unwrap_err();
    assert_eq!((error, error.sqlstate()), (ServerError::Rejected, "28P01"));
    assert_eq!(error.client_message("bob"), "password authentication failed for user \"bob\"");
    assert_eq!(error.client_detail(), None);
}

fn client() -> ClientExchange {
    let none = ChannelBinding::None;
    ClientExchange::new([SCRAM_SHA_256.as_bytes()], password("pencil"), &none)
        .unwrap()
        .with_user_and_nonce("", "abc")
}

#[test]
fn server_first_is_judged() {
    const BAD_SALT: ClientError = ClientError::Malformed(Malformed("malformed salt"));
    let cases = [
        ("r=abc,s=YQ==,i=1", ClientError::NonceMismatch),
        ("r=abX1,s=YQ==,i=1", ClientError::NonceMismatch),
        ("r=,s=YQ==,i=1", ClientError::NonceMismatch),
        ("r=abc\u{7f},s=YQ==,i=1", ClientError::NonceMismatch),
        ("m=x,r=abc1,s=YQ==,i=1", ClientError::MandatoryExtension),
        ("r=abc1,s=,i=1", BAD_SALT),
        ("r=abc1,s=Y,i=1", BAD_SALT),
        ("r=abc1,s=YQ==,i=0", ClientError::Iterations),
        ("r=abc1,s=YQ==,i=-1", ClientError::Iterations),
        ("r=abc1,s=YQ==,i=", ClientError::Iterations),
        ("r=abc1,s=YQ==,i=1x", ClientError::Iterations),
        ("r=abc1,s=YQ==,i=10000001", ClientError::Iterations),
        ("r=abc1,s=YQ==,i=99999999999", ClientError::Iterations),
    ];
    for (data, expected) in cases {
        assert_eq!(client().server_first(data.as_bytes()).unwrap_err(), expected, "{data}");
    }
    for data in
        ["", "r", "r=abc1", "r=abc1,s=YQ==", "s=YQ==,r=abc1,i=1", "r=abc1,s=YQ==,i=1,x", &"r".repeat(2001)]
    {
        let error = client().server_first(data.as_bytes()).unwrap_err();
        assert!(matches!(error, ClientError::Malformed(_)), "{data}: {error}");
    }
    for data in ["r=abc1,s=YQ==,i=1", "r=abc1,s=YQ==,i=10000000", "r=abc1,s=YQ==,i=1,x=extension"] {
        assert!(client().server_first(data.as_bytes()).is_ok(), "{data}");
    }
}

#[test]
fn server_final_is_judged() {
    let none = ChannelBinding::None;
    let (server, _, answer) = until_final(false, &none);
    let right = server.client_final(&answer).unwrap().server_final;
    // The signature of one exchange proves nothing in another.
    let (_, client, _) = until_final(false, &none);
    assert_eq!(client.server_final(&right), Err(ClientError::ServerNotProven));
    let (_, client, _) = until_final(false, &none);
    let refused = client.server_final(b"e=invalid-proof\n");
    assert_eq!(refused, Err(ClientError::Refused("invalid-proof?".to_owned())));
    for length in 0..right.len() {
        let (server, client, answer) = until_final(false, &none);
        let right = server.client_final(&answer).unwrap().server_final;
        assert!(client.server_final(&right[..length]).is_err(), "cut at {length}");
    }
}

#[test]
fn a_server_with_other_keys_is_not_believed() {
    let mut verifier = verifier();
    verifier.server_key[0] ^= 1;
    let server = ServerExchange::new(verifier, false, ChannelBinding::None);
    let outcome = login(server, &[SCRAM_SHA_256], password("pencil"), &ChannelBinding::None);
    assert_eq!(outcome, Outcome::ClientRefused(ClientError::ServerNotProven));
}

#[test]
fn a_client_key_passes_through() {
    let (server, _, answer) = until_final(false, &ChannelBinding::None);
    let client_key = server.client_final(&answer).unwrap().client_key;
    let keys = Secret::Keys { client_key, server_key: verifier().server_key };
    for binding in [ChannelBinding::None, bound(b"server's certificate")] {
        let server = ServerExchange::new(verifier(), false, binding.clone());
        let outcome = login(server, &[SCRAM_SHA_256_PLUS, SCRAM_SHA_256], keys.clone(), &binding);
        assert!(matches!(outcome, Outcome::In { .. }), "{outcome:?}");
    }
    let changed = Verifier::from_password(b"pencil", ITERATIONS, b"another salt");
    let server = ServerExchange::new(changed, false, ChannelBinding::None);
    let outcome = login(server, &[SCRAM_SHA_256], keys, &ChannelBinding::None);
    assert_eq!(outcome, Outcome::ServerRefused(ServerError::Rejected));
}

#[test]
fn derived_keys_save_the_derivation() {
    let (server, client, answer) = until_final(false, &ChannelBinding::None);
    let success = server.client_final(&answer).unwrap();
    let derived = client.server_final(&success.server_final).unwrap().unwrap();
    assert_eq!((derived.salt.as_slice(), derived.iterations), (&b"0123456789abcdef"[..], ITERATIONS));
    let salts: [&[u8]; 2] = [b"0123456789abcdef", b"changed"];
    for (salt, with_password) in [(salts[0], true), (salts[0], false), (salts[1], true), (salts[1], false)] {
        let secret =
            Secret::Derived { derived: derived.clone(), password: with_password.then(|| b"pencil".to_vec()) };
        let none = ChannelBinding::None;
        let client = ClientExchange::new([SCRAM_SHA_256.as_bytes()], secret, &none).unwrap();
        let server = Verifier::from_password(b"pencil", ITERATIONS, salt);
        let server = ServerExchange::new(server, false, none);
        let (server, challenge) =
            server.client_first(SCRAM_SHA_256.as_bytes(), &client.client_first()).unwrap();
        let challenge = client.server_first(&challenge).unwrap();
        let fits = salt == derived.salt;
        assert_eq!(challenge.is_expensive(), !fits && with_password);
        match challenge.answer() {
            Ok((client, answer)) => {
                let success = server.client_final(&answer).unwrap();
                let again = client.server_final(&success.server_final).unwrap().unwrap();
                assert_eq!(again.salt, salt);
            }
            Err(error) => {
                assert_eq!(error, ClientError::SaltChanged);
                assert!(!fits && !with_password);
            }
        }
    }
}

#[test]
fn nothing_secret_is_printed() {
    let (_, _, answer) = until_final(false, &ChannelBinding::None);
    let (server, _, _) = until_final(false, &ChannelBinding::None);
    assert!(!answer.is_empty());
    let stored = format!("{:?}", verifier().stored_key);
    for printed in [
        format!("{server:?}"),
        format!("{:?}", client()),
        format!("{:?}", derive_keys(b"pencil", b"salt", 1)),
        format!("{:?} {:?}", verifier(), MockSecret::from_seed(b"x")),
    ] {
        let long_list = printed.contains(stored.trim_matches(['[', ']']));
        assert!(
            !long_list && !printed.contains("pencil") && !printed.contains("112, 101, 110, 99, 105, 108"),
            "{printed}"
        );
    }
}

#[test]
fn garbage_does_not_panic() {
    let mut garbage = Garbage::new(7);
    let alphabet = b"nyp=,,rscivmea=tls-server-end-point";
    for round in 0..20_000 {
        let binding = if round % 2 == 0 { ChannelBinding::None } else { bound(b"hash") };
        let mechanism = if round % 3 == 0 { SCRAM_SHA_256_PLUS } else { SCRAM_SHA_256 };
        let server = ServerExchange::new(verifier_of(&binding), false, binding);
        let data = match round % 4 {
            0 => garbage.mutate(b"p=tls-server-end-point,,n=,r=abc"),
            1 => garbage.mutate(b"n,,n=,r=abc"),
            _ => garbage.bytes(60, alphabet),
        };
        if let Ok((server, _)) = server.client_first(mechanism.as_bytes(), &data) {
            assert!(server.client_final(&garbage.bytes(120, alphabet)).is_err());
        }
        let _ = client().server_first(&garbage.mutate(b"r=abc1,s=YQ==,i=4096"));
        let _ = client().server_first(&garbage.bytes(60, b"r=abc1,s=YQ==,i=4096"));
    }
    let (_, _, answer) = until_final(false, &ChannelBinding::None);
    for _ in 0..2000 {
        let (server, client, _) = until_final(false, &ChannelBinding::None);
        assert!(server.client_final(&garbage.mutate(&answer)).is_err());
        assert!(client.server_final(&garbage.bytes(60, b"v=e=,AAAA")).is_err());
    }
}

/// Cheap: nothing is derived.
fn verifier_of(_: &ChannelBinding) -> Verifier {
    Verifier::mock("bob", &MockSecret::from_seed(b"seed"))
}
