//! The client's bytes, cut: its login, and everything after it.

use crate::cuts::session;
use crate::harness::cluster::{APP, Cluster, Database};
use crate::harness::direct_only;
use crate::harness::frontend as msg;
use crate::harness::message::{Message, text};
use crate::harness::proxy::Proxy;
use crate::harness::raw::{Client, Endpoint, Login};
use crate::harness::scram::Scram;
use crate::harness::scripted::BETWEEN_PIECES;

fn database() -> Database<'static> {
    let database = Cluster::shared().database();
    database.setup(session::SETUP);
    database
}

fn proxy(database: &Database<'_>) -> Proxy {
    Proxy::start(&Cluster::shared().url(APP, &database.name, "pool_size=2"))
}

/// Sends bytes cut in two at this one, so that they arrive as two.
fn send_in_pieces(client: &mut Client, bytes: &[u8], cut: usize) {
    let (left, right) = bytes.split_at(cut.min(bytes.len()));
    client.send(left);
    if !left.is_empty() && !right.is_empty() {
        std::thread::sleep(BETWEEN_PIECES);
    }
    client.send(right);
}

/// What answers so many cycles.
fn answers(client: &mut Client, cycles: usize) -> Vec<Message> {
    (0..cycles).flat_map(|_| client.until_ready()).map(|message| stable(&message)).collect()
}

/// A message without what differs from run to run.
fn stable(message: &Message) -> Message {
    let comparable = message.without_table_oids().comparable();
    Message { tag: comparable[0], body: comparable[1..].to_vec() }
}

#[test]
fn session_cut_at_every_byte() {
    if direct_only() {
        return;
    }
    let database = database();
    let (messages, bytes) = (session::messages(), session::messages().concat());
    let cycles = session::cycles(&messages);
    let mut direct = Client::connect(&Cluster::shared().tcp(), &database.login());
    direct.send(&bytes);
    let expected = answers(&mut direct, cycles);
    assert!(expected.len() > 50, "the session is not answered: {} messages", expected.len());
    let proxy = proxy(&database);
    let mut client = Client::connect(&proxy.endpoint(), &database.login());
    for cut in 0..bytes.len() {
        send_in_pieces(&mut client, &bytes, cut);
        assert_eq!(answers(&mut client, cycles), expected, "cut at byte {cut} of {}", bytes.len());
    }
    for byte in &bytes {
        client.send(&[*byte]);
    }
    assert_eq!(answers(&mut client, cycles), expected, "byte by byte");
}

#[test]
fn login_cut_at_every_byte() {
    if direct_only() {
        return;
    }
    let database = database();
    let proxy = proxy(&database);
    let login = database.login().param("application_name", "cuts");
    let (whole, length) = login_cut_at(&proxy.endpoint(), &login, usize::MAX);
    assert_eq!(whole.last().map(|message| message.tag), Some(b'Z'), "{whole:?}");
    let said = |messages: &[Message]| messages.iter().map(stable).collect::<Vec<_>>();
    for cut in 0..length {
        let (messages, _) = login_cut_at(&proxy.endpoint(), &login, cut);
        assert_eq!(said(&messages), said(&whole), "cut at byte {cut} of {length}");
    }
}

/// Logs in with all that is sent cut at one byte; what was said, and how many bytes were sent.
fn login_cut_at(endpoint: &Endpoint, login: &Login, cut: usize) -> (Vec<Message>, usize) {
    let mut client = Client::dial(endpoint).expect("it connects");
    let mut scram = Scram::new(&login.password);
    let (mut seen, mut sent) = (vec![], 0);
    let mut next = Some(login.packet());
    loop {
        if let Some(bytes) = next.take() {
            send_in_pieces(&mut client, &bytes, cut.saturating_sub(sent));
            sent += bytes.len();
        }
        let Some(message) = client.read().expect("an answer in time") else { break };
        let (done, code) = (message.tag == b'Z', message.body.get(3).copied());
        let data = text(message.body.get(4..).unwrap_or_default());
        next = match (message.tag, code) {
            (b'R', Some(10)) => Some(msg::password(&scram.first("SCRAM-SHA-256"))),
            (b'R', Some(11)) => Some(msg::password(&scram.last(&data).expect("a challenge"))),
            _ => None,
        };
        seen.push(message);
        if done {
            break;
        }
    }
    (seen, sent)
}
