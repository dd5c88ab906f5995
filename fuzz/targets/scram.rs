//! SCRAM, both sides: garbage never authenticates, and who changes a message on its way gains nothing.

use std::sync::LazyLock;

use pgweir::auth::scram::{
    Challenge, ChannelBinding, ClientError, ClientExchange, KEY_LENGTH, SCRAM_SHA_256, SCRAM_SHA_256_PLUS,
    Secret, ServerError, ServerExchange, Verifier, derive_keys,
};

const PASSWORD: &[u8] = b"pencil";
const SALT: &[u8] = b"0123456789abcdef";
const ITERATIONS: u32 = 2;

/// Stands for the other side's nonce, which nobody knows beforehand.
const NONCE: &[u8] = b"%r";

static VERIFIER: LazyLock<Verifier> = LazyLock::new(|| Verifier::from_password(PASSWORD, ITERATIONS, SALT));

/// The first byte chooses the game; the messages behind it are parted by NUL, which no message can hold.
pub fn run(data: &[u8]) {
    let mut data = data;
    let choice = super::byte(&mut data);
    let mut parts = data.splitn(2, |byte| *byte == 0);
    let first = parts.next().unwrap_or_default();
    let last = parts.next().unwrap_or_default();
    match choice % 4 {
        0 => attack_server(choice, first, last),
        1 => attack_client(choice, first, last),
        2 => change_on_the_way(choice, data),
        _ => check_verifier(data),
    }
}

fn binding(choice: u8) -> ChannelBinding {
    match choice & 4 {
        0 => ChannelBinding::None,
        _ => ChannelBinding::TlsServerEndPoint(b"the certificate's hash".to_vec()),
    }
}

/// A client that does not know the password is never let in, whatever it says.
fn attack_server(choice: u8, first: &[u8], last: &[u8]) {
    let server = ServerExchange::new(VERIFIER.clone(), choice & 8 != 0, binding(choice));
    let mechanism = if choice & 16 == 0 { SCRAM_SHA_256 } else { SCRAM_SHA_256_PLUS };
    match server.client_first(mechanism.as_bytes(), first) {
        Ok((server, challenge)) => {
            let nonce = nonce_of(&challenge).to_vec();
            assert!(nonce.len() >= 24, "the server adds its own nonce");
            match server.client_final(&filled_in(last, &nonce)) {
                Ok(_) => panic!("let in by garbage"),
                Err(error) => check_refusal(error),
            }
        }
        Err(error) => check_refusal(error),
    }
}

fn check_refusal(error: ServerError) {
    assert!(["28P01", "28000", "0A000", "08P01"].contains(&error.sqlstate()), "{error}");
    assert!(!error.client_message("somebody").is_empty());
}

/// A server that does not know the verifier is never believed, whatever it says.
fn attack_client(choice: u8, first: &[u8], last: &[u8]) {
    // Keys, not a password: what the server asks for must not cost PBKDF2 here.
    let secret = Secret::Keys { client_key: [1; KEY_LENGTH], server_key: [2; KEY_LENGTH] };
    let offered = [SCRAM_SHA_256.as_bytes(), SCRAM_SHA_256_PLUS.as_bytes()];
    let Ok(client) = ClientExchange::new(offered, secret, &binding(choice)) else {
        panic!("both are offered")
    };
    let nonce = nonce_of(&client.client_first()).to_vec();
    let challenge = match client.server_first(&filled_in(first, &nonce)) {
        Ok(challenge) => challenge,
        Err(error) => {
            return assert!(!matches!(error, ClientError::ServerNotProven | ClientError::NoMechanism));
        }
    };
    assert!(!challenge.is_expensive());
    let Ok((client, answer)) = challenge.answer() else { panic!("keys answer any challenge") };
    assert!(answer.starts_with(b"c=") && !answer.contains(&0));
    assert!(client.server_final(last).is_err(), "an impostor is believed");
}

/// Our client and our server, and somebody between them who changes one message.
fn change_on_the_way(choice: u8, data: &[u8]) {
    let offered = ServerExchange::new(VERIFIER.clone(), false, binding(choice));
    let names: Vec<&[u8]> = offered.mechanisms().iter().map(|name| name.as_bytes()).collect();
    let keys = derive_keys(PASSWORD, SALT, ITERATIONS);
    let secret = Secret::Keys { client_key: keys.client_key, server_key: keys.server_key };
    let Ok(client) = ClientExchange::new(names, secret, &binding(choice)) else { panic!("one is offered") };
    let mut way = Way { at: choice >> 3 & 3, data, changed: false };
    let first = way.carry(0, client.client_first());
    let Ok((server, challenge)) = offered.client_first(client.mechanism().as_bytes(), &first) else {
        return assert!(way.changed, "an honest client is refused");
    };
    let challenge = way.carry(1, challenge);
    let Ok((client, answer)) = client.server_first(&challenge).and_then(Challenge::answer) else {
        return assert!(way.changed, "an honest server is refused");
    };
    let before = unproven(&answer).to_vec();
    let answer = way.carry(2, answer);
    let Ok(success) = server.client_final(&answer) else {
        return assert!(way.changed, "an honest proof is refused");
    };
    assert!(!way.changed || unproven(&answer) == before, "a changed message is let in");
    assert_eq!(success.client_key, keys.client_key);
    let signature = way.carry(3, success.server_final.clone());
    match client.server_final(&signature) {
        Ok(_) => assert!(signature[..44] == success.server_final[..44], "a changed signature is believed"),
        Err(_) => assert!(way.changed, "an honest server is not believed"),
    }
}

/// The way between the two.
struct Way<'a> {
    /// Which message is changed.
    at: u8,
    /// How: these are added to its bytes, and what is left is put behind them.
    data: &'a [u8],
    changed: bool,
}

impl Way<'_> {
    fn carry(&mut self, number: u8, mut message: Vec<u8>) -> Vec<u8> {
        if number != self.at {
            return message;
        }
        let honest = message.clone();
        message.iter_mut().zip(self.data).for_each(|(byte, change)| *byte = byte.wrapping_add(*change));
        message.extend(self.data.iter().skip(honest.len()));
        self.changed = message != honest;
        message
    }
}

/// The part of a client-final-message that its proof is about.
fn unproven(message: &[u8]) -> &[u8] {
    let end = message.windows(3).position(|window| window == b",p=");
    &message[..end.unwrap_or(message.len())]
}

/// A verifier that is read is written in a form that reads the same.
fn check_verifier(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(verifier) = Verifier::parse(text) {
        assert!(verifier.iterations > 0 && !verifier.salt.is_empty());
        assert_eq!(Verifier::parse(&verifier.format()), Ok(verifier));
    }
}

/// The value of the attribute `r`, which our own messages have.
fn nonce_of(message: &[u8]) -> &[u8] {
    let start = message.windows(2).position(|window| window == b"r=").map_or(0, |at| at + 2);
    message[start..].split(|byte| *byte == b',').next().unwrap_or_default()
}

/// The message with the nonce in the place of every `%r`.
fn filled_in(message: &[u8], nonce: &[u8]) -> Vec<u8> {
    let mut out = vec![];
    let mut rest = message;
    while let Some(at) = rest.windows(NONCE.len()).position(|window| window == NONCE) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(nonce);
        rest = &rest[at + NONCE.len()..];
    }
    out.extend_from_slice(rest);
    out
}
