//! The server's bytes, cut: its greeting, the answers to the client, and those to what pgweir put in.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::harness::direct_only;
use crate::harness::frontend as msg;
use crate::harness::message::Message;
use crate::harness::proxy::{Proxy, ProxyOptions};
use crate::harness::raw::{Client, Login};
use crate::harness::scripted::{Peer, ScriptedServer, greeting};

fn login(application: &str) -> Login {
    Login::new("app", "app-secret", "app").param("application_name", application)
}

fn proxy(server: &ScriptedServer) -> Proxy {
    Proxy::start_with(&ProxyOptions::url(&server.url("pool_size=1")).config("[auth]\nmethod = \"trust\"\n"))
}

const COLUMN: &[u8] = b"\0\x01a\0\0\0\0\0\0\0\0\0\0\x17\0\x04\xff\xff\xff\xff\0\0";

/// Every message that may answer a Query; pgweir keeps none of them for itself.
fn simple_answer() -> Vec<u8> {
    [
        msg::frame(b'N', b"SNOTICE\0C00000\0Mhark\0\0"),
        msg::frame(b'T', COLUMN),
        msg::frame(b'D', b"\0\x01\0\0\0\x011"),
        msg::frame(b'D', b"\0\x01\xff\xff\xff\xff"),
        msg::frame(b'C', b"SELECT 2\0"),
        msg::frame(b'S', b"TimeZone\0Asia/Tokyo\0"),
        msg::frame(b'H', b"\0\0\x01\0\0"),
        msg::frame(b'd', b"a\tb\n"),
        msg::frame(b'd', b""),
        msg::frame(b'c', b""),
        msg::frame(b'C', b"COPY 1\0"),
        msg::frame(b'I', b""),
        msg::frame(b'E', b"SERROR\0VERROR\0C22012\0Mdivision by zero\0\0"),
        msg::frame(b'Z', b"I"),
    ]
    .concat()
}

fn extended_cycle() -> Vec<u8> {
    [
        msg::parse("", "select $1"),
        msg::describe_statement(""),
        msg::bind("", "", &["1"]),
        msg::describe_portal(""),
        msg::execute("", 1),
        msg::execute("", 1),
        msg::close_portal(""),
        msg::bind("", "", &["1"]),
        msg::describe_portal(""),
        msg::execute("", 0),
        msg::execute("", 0),
        msg::sync(),
    ]
    .concat()
}

fn extended_answer() -> Vec<u8> {
    [
        msg::frame(b'1', b""),
        msg::frame(b't', b"\0\x01\0\0\0\x17"),
        msg::frame(b'T', COLUMN),
        msg::frame(b'2', b""),
        msg::frame(b'T', COLUMN),
        msg::frame(b'D', b"\0\x01\0\0\0\x011"),
        msg::frame(b's', b""),
        msg::frame(b'C', b"SELECT 0\0"),
        msg::frame(b'3', b""),
        msg::frame(b'2', b""),
        msg::frame(b'n', b""),
        msg::frame(b'I', b""),
        msg::frame(b'E', b"SERROR\0VERROR\0C57014\0Menough\0\0"),
        msg::frame(b'Z', b"I"),
    ]
    .concat()
}

/// The answer to the settings that pgweir brings over before the client's own: nothing of it is for the client.
fn settling_answer() -> Vec<u8> {
    [
        msg::frame(b'C', b"RESET\0"),
        msg::frame(b'S', b"application_name\0one\0"),
        msg::frame(b'T', COLUMN),
        msg::frame(b'D', b"\0\x01\0\0\0\x03one"),
        msg::frame(b'C', b"SELECT 1\0"),
        msg::frame(b'Z', b"I"),
    ]
    .concat()
}

/// Bytes as messages.
fn messages(mut bytes: &[u8]) -> Vec<Message> {
    let mut messages = vec![];
    while let Some((head, rest)) = bytes.split_first_chunk::<5>() {
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize - 4;
        messages.push(Message { tag: head[0], body: rest[..length].to_vec() });
        bytes = &rest[length..];
    }
    messages
}

/// Answers each cycle with `answer`, cut at another byte each time; a cycle ends with messages of these types.
fn cutting(answer: &[u8], cycle: &'static [u8]) -> ScriptedServer {
    let (answer, next) = (answer.to_vec(), AtomicUsize::new(0));
    ScriptedServer::start(move |_, peer| {
        if peer.login().is_err() {
            return Ok(());
        }
        loop {
            for tag in cycle {
                if read_until(peer, *tag)?.is_none() {
                    return Ok(());
                }
            }
            let cut = next.fetch_add(1, Ordering::Relaxed) % (answer.len() + 1);
            peer.send_in_pieces(&answer, cut);
        }
    })
}

/// The next message of this type; what pgweir asks of its own account before it is answered.
fn read_until(peer: &mut Peer, tag: u8) -> Result<Option<Message>, String> {
    while let Some(message) = peer.read()? {
        match message.tag {
            b'Q' if is_own(&message) => peer.complete("SELECT 0", b'I'),
            b'X' => break,
            found if found == tag => return Ok(Some(message)),
            _ => {}
        }
    }
    Ok(None)
}

/// Whether it is a question for functions that change settings, or for what a call has left behind, or what a server is told when
/// it changes hands.
fn is_own(message: &Message) -> bool {
    let mentions = |name: &[u8]| message.body.windows(name.len()).any(|window| window == name);
    let told = [&b"DISCARD SEQUENCES"[..], b"RESET ALL"].iter().any(|text| message.body.starts_with(text));
    told || mentions(b"pg_proc") || mentions(b"pg_settings")
}

/// Every cut of an answer gives the client the same messages.
fn check(cycle: &[u8], answer: &[u8], tag: &'static [u8]) {
    if direct_only() {
        return;
    }
    let server = cutting(answer, tag);
    let proxy = proxy(&server);
    let mut client = Client::connect(&proxy.endpoint(), &Login::new("app", "app-secret", "app"));
    let expected = messages(answer);
    for cut in 0..=answer.len() {
        client.send(cycle);
        assert_eq!(client.until_ready(), expected, "around cut {cut} of {}", answer.len());
    }
    drop((client, proxy));
    assert_eq!(server.finish(), Vec::<String>::new());
}

#[test]
fn simple_answer_cut_at_every_byte() {
    check(&msg::query("select 1"), &simple_answer(), b"Q");
}

#[test]
fn extended_answer_cut_at_every_byte() {
    check(&extended_cycle(), &extended_answer(), b"S");
}

#[test]
fn function_answer_cut_at_every_byte() {
    let answer = [msg::frame(b'V', b"\0\0\0\x015"), msg::frame(b'Z', b"I")].concat();
    check(&msg::function_call(177, 0, &[Some(b"2"), Some(b"3")], 0), &answer, b"F");
}

#[test]
fn swallowed_answer_cut_at_every_byte() {
    if direct_only() {
        return;
    }
    let answer = [settling_answer(), simple_answer()].concat();
    let server = cutting(&answer, b"QQ");
    let proxy = proxy(&server);
    let mut clients = ["one", "two"].map(|name| Client::connect(&proxy.endpoint(), &login(name)));
    let expected = messages(&simple_answer());
    for cut in 0..=answer.len() {
        // They take turns on the one server, so that each has its settings brought over.
        let client = &mut clients[cut % 2];
        client.send(&msg::query("select 1"));
        assert_eq!(client.until_ready(), expected, "around cut {cut} of {}", answer.len());
    }
}

#[test]
fn greeting_cut_at_every_byte() {
    if direct_only() {
        return;
    }
    let (length, next) = (greeting().len(), Arc::new(AtomicUsize::new(0)));
    let counter = next.clone();
    let server = ScriptedServer::start(move |_, peer| {
        let cut = counter.fetch_add(1, Ordering::Relaxed) % (length + 1);
        if peer.login_in_pieces(cut).is_err() {
            return Ok(());
        }
        while let Some(message) = read_until(peer, b'Q')? {
            if message.body.starts_with(b"ROLLBACK") {
                // So that the next client needs another connection.
                return Ok(());
            }
            let status = if message.body.starts_with(b"select 1") { b'T' } else { b'I' };
            peer.complete("SELECT 0", status);
        }
        Ok(())
    });
    let proxy = proxy(&server);
    while next.load(Ordering::Relaxed) <= length {
        let before = next.load(Ordering::Relaxed);
        let mut client = Client::connect(&proxy.endpoint(), &Login::new("app", "app-secret", "app"));
        let seen = client.simple("select 1");
        assert_eq!(seen.len(), 2, "around cut {before} of {length}: {seen:?}");
    }
    drop(proxy);
    assert_eq!(server.finish(), Vec::<String>::new());
}
