//! Garbage over sockets: clients that send changed sessions, servers that send changed answers. pgweir lives on, and a
//! client that behaves does not notice.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::mutate::Mutator;
use super::{deadline, seed};
use crate::cuts::session;
use crate::harness::cluster::{APP, Cluster, Database};
use crate::harness::frontend as msg;
use crate::harness::message::Message;
use crate::harness::proxy::{Proxy, ProxyOptions};
use crate::harness::raw::{Client, Login};
use crate::harness::scripted::{Peer, ScriptedServer, greeting};
use crate::harness::{direct_only, eventually};

/// How long the end of a connection may take, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

fn startup(database: &str) -> Vec<u8> {
    Login::new(APP.0, APP.1, database).packet()
}

/// Sessions to be changed: each message alone behind a login, all of them, and a login that is a session by itself.
fn sessions() -> Vec<Vec<u8>> {
    let messages = session::messages();
    let mut all = messages.clone();
    all.push(messages.concat());
    all.push([msg::terminate(), msg::sync()].concat());
    all.push([msg::password(b"secret\0"), msg::query("select 1")].concat());
    all
}

#[test]
fn garbage_of_clients() {
    if direct_only() {
        return;
    }
    let database = Cluster::shared().database();
    database.setup(session::SETUP);
    let options = ProxyOptions::url(&Cluster::shared().url(APP, &database.name, "pool_size=3"));
    let proxy = Proxy::start_with(&options.config("[auth]\nmethod = \"trust\"\n"));
    let stop = AtomicBool::new(false);
    let end = deadline();
    let (attacks, cycles) = std::thread::scope(|scope| {
        let guard = scope.spawn(|| behave(&proxy, &database.login(), &stop));
        let attacks = std::panic::catch_unwind(|| attack(proxy.addr, &database, end));
        stop.store(true, Ordering::Release);
        (attacks, guard.join())
    });
    let cycles = cycles.expect("the client that behaves was disturbed");
    let attacks = attacks.expect("every attack ends as it should");
    assert!(attacks > 10 && cycles > 10, "{attacks} attacks, {cycles} cycles");
    println!("{attacks} attacks beside {cycles} cycles");
    check_calm(&proxy, &database);
}

/// Sends changed sessions until the time is over; gives how many.
fn attack(addr: SocketAddr, database: &Database<'_>, end: Instant) -> usize {
    let startup = startup(&database.name);
    let mut startups =
        Mutator::new(seed(), vec![startup.clone(), msg::ssl_request(), msg::gss_request()], vec![]);
    let words =
        [&b"\0\0\0\x04"[..], b"\0\0\0\x09", b"H\0\0\0\x20", b"S\0\0\0\x04", b"d\0\0\0\x04", b"begin", b"s\0"];
    let words = words.map(<[u8]>::to_vec).to_vec();
    let mut behind = Mutator::new(seed(), sessions(), words);
    let mut attacks = 0;
    while Instant::now() < end {
        let login = if attacks % 8 == 0 { startups.next() } else { startup.clone() };
        let messages = behind.next();
        let cut = behind.below(messages.len() + 1);
        let answer = send_and_leave(addr, &[&login, &messages[..cut], &messages[cut..]], attacks % 3 == 0);
        let what = || format!("attack {attacks}: {} {}", login.escape_ascii(), messages.escape_ascii());
        check_answer(&answer.unwrap_or_else(|e| panic!("{}: {e}", what())), &what);
        attacks += 1;
    }
    attacks
}

/// Sends pieces, perhaps waits for what is said, and closes; everything that was said until the other side closed too.
fn send_and_leave(addr: SocketAddr, pieces: &[&[u8]], hasty: bool) -> Result<Vec<u8>, String> {
    let mut stream = TcpStream::connect(addr).map_err(|e| e.to_string())?;
    let _ = stream.set_nodelay(true);
    for piece in pieces {
        // Who is refused early may find the connection closed.
        let _ = stream.write_all(piece);
    }
    let mut said = vec![];
    if !hasty {
        let _ = stream.set_read_timeout(Some(Duration::from_millis(10)));
        let _ = stream.read_to_end(&mut said);
    }
    let _ = stream.shutdown(Shutdown::Write);
    let _ = stream.set_read_timeout(Some(PATIENCE));
    match stream.read_to_end(&mut said) {
        Err(e) if matches!(e.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {
            Err(format!("not closed, after {}", said.escape_ascii()))
        }
        _ => Ok(said),
    }
}

/// What was said is whole messages, except the last one, and errors have an SQLSTATE.
fn check_answer(mut said: &[u8], what: &dyn Fn() -> String) {
    // Requests for encryption are answered by single bytes.
    while let [b'N', rest @ ..] = said
        && rest.first().is_none_or(|next| *next != 0)
    {
        said = rest;
    }
    while let Some((head, rest)) = said.split_first_chunk::<5>() {
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        let known = head[0].is_ascii_alphanumeric() && (4..1 << 20).contains(&length);
        assert!(known, "{}: no message: {}", what(), said.escape_ascii());
        let Some((body, after)) = rest.split_at_checked(length - 4) else { return };
        if head[0] == b'E' {
            let message = Message { tag: head[0], body: body.to_vec() };
            let (state, severity) = (message.sqlstate(), message.field(b'V').unwrap_or_default());
            assert!(state.len() == 5 && !(severity == "FATAL" && state == "XX000"), "{}: {message}", what());
        }
        said = after;
    }
}

/// A client that behaves: everything it is told must be right, and soon. Gives how many cycles it had.
fn behave(proxy: &Proxy, login: &Login, stop: &AtomicBool) -> usize {
    let mut client = Client::connect(&proxy.endpoint(), login);
    client.run("set work_mem = '75kB'");
    let mut cycles = 0;
    while !stop.load(Ordering::Acquire) {
        let start = Instant::now();
        assert_eq!(client.value(&format!("select {cycles}")), cycles.to_string());
        client.send(&[msg::unnamed("select $1::int * 2", &[&cycles.to_string()]), msg::sync()].concat());
        let answer = client.until_ready();
        let row = answer.iter().find(|message| message.tag == b'D').map(Message::value);
        assert_eq!(row, Some((cycles * 2).to_string()), "{answer:?}");
        client.run("begin");
        let answer = client.simple("show work_mem");
        assert_eq!(
            answer.iter().find(|message| message.tag == b'D').map(Message::value).as_deref(),
            Some("75kB"),
            "{answer:?}"
        );
        client.run("commit");
        assert!(start.elapsed() < PATIENCE, "it took {:?}", start.elapsed());
        cycles += 1;
    }
    cycles
}

/// After all that: pgweir has not panicked, serves, and left nothing open.
fn check_calm(proxy: &Proxy, database: &Database<'_>) {
    assert!(!proxy.log().contains("panicked"), "{}", proxy.log());
    assert_eq!(Client::connect(&proxy.endpoint(), &database.login()).value("select 'calm'"), "calm");
    eventually("no server is in a transaction, and there are not too many", || {
        let sql = "select count(*) <= 3 and count(*) filter (where state like 'idle in%') = 0 from pg_stat_activity \
                   where datname = current_database() and pid <> pg_backend_pid()";
        Cluster::shared().superuser(&database.name).value(sql) == "t"
    });
}

/// Answers of servers to be changed.
fn answers() -> Vec<Vec<u8>> {
    let rows = [
        msg::frame(b'T', b"\0\x01a\0\0\0\0\0\0\0\0\0\0\x17\0\x04\xff\xff\xff\xff\0\0"),
        msg::frame(b'D', b"\0\x01\0\0\0\x011"),
        msg::frame(b'C', b"SELECT 1\0"),
        msg::frame(b'Z', b"I"),
    ];
    let error = msg::frame(b'E', b"SERROR\0VERROR\0C22012\0Mdivision by zero\0\0");
    let copy =
        [msg::frame(b'H', b"\0\0\x01\0\0"), msg::frame(b'd', b"a\tb\n"), msg::frame(b'c', b"")].concat();
    let news = [msg::frame(b'S', b"TimeZone\0UTC\0"), msg::frame(b'A', b"\0\0\0\x01c\0p\0")].concat();
    let ready = msg::frame(b'Z', b"I");
    vec![
        rows.concat(),
        [error, ready.clone()].concat(),
        [copy, rows[2].clone(), ready.clone()].concat(),
        [news, rows.concat()].concat(),
        [msg::frame(b'G', b"\0\0\0"), msg::frame(b'E', b"SERROR\0C57014\0Mx\0\0"), ready].concat(),
    ]
}

/// Answers the statement `attack` with garbage and closes, sometimes after a garbled greeting.
fn garbling(stop: &Arc<AtomicBool>) -> ScriptedServer {
    let stop = stop.clone();
    ScriptedServer::start(move |n, peer| {
        let words =
            [&b"Z\0\0\0\x04"[..], b"Z\0\0\0\x05T", b"\0\0\0\x04", b"E\0\0\0\x05\0"].map(<[u8]>::to_vec);
        let mut mutator = Mutator::new(seed().wrapping_add((n as u64) << 20), answers(), words.to_vec());
        let mut greetings = Mutator::new(seed().wrapping_add(n as u64), vec![greeting()], vec![]);
        let honest = stop.load(Ordering::Acquire) || n % 8 != 7;
        let hello = if honest { greeting() } else { greetings.next() };
        if peer.login_with(&hello).is_err() {
            return Ok(());
        }
        while let Ok(Some(message)) = peer.read() {
            match message.tag {
                b'Q' if message.body.starts_with(b"attack") => return garble(peer, &mut mutator),
                b'Q' => peer.complete("SET", b'I'),
                b'X' => break,
                _ => {}
            }
        }
        Ok(())
    })
}

fn garble(peer: &mut Peer, mutator: &mut Mutator) -> Result<(), String> {
    let answer = mutator.next();
    let cut = mutator.below(answer.len() + 1);
    peer.send_in_pieces(&answer, cut);
    Ok(())
}

#[test]
fn garbage_of_servers() {
    if direct_only() {
        return;
    }
    let stop = Arc::new(AtomicBool::new(false));
    let server = garbling(&stop);
    let options = ProxyOptions::url(&server.url("pool_size=4"));
    let proxy = Proxy::start_with(&options.config("[auth]\nmethod = \"trust\"\n"));
    let login = Login::new("app", "app-secret", "app").packet();
    let (mut attacks, end) = (0, deadline());
    while Instant::now() < end {
        let pieces = [&login[..], &msg::query("attack")];
        if let Err(e) = send_and_leave(proxy.addr, &pieces, false) {
            panic!("attack {attacks}: {e}");
        }
        attacks += 1;
    }
    stop.store(true, Ordering::Release);
    assert!(attacks > 10, "{attacks} attacks");
    println!("{attacks} attacks");
    assert!(!proxy.log().contains("panicked"), "{}", proxy.log());
    eventually("a client that behaves is served", || {
        let mut client = Client::dial(&proxy.endpoint()).expect("it listens");
        client.send(&[&login[..], &msg::query("set x = 1")].concat());
        let seen = client.within(Duration::from_millis(200)).unwrap_or_default();
        seen.iter().any(|message| message.tag == b'C')
    });
}
