//! Many clients: idle ones, and all at once at the door.

use std::io::{Read, Write};
use std::net::TcpStream;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::prelude::*;
use crate::admin::show;

/// Files that a test needs besides the sockets of its crowd.
const SPARE: u64 = 500;

/// As many clients as were asked for, or as the system lets this process and the proxy have.
fn affordable(wanted: usize) -> usize {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).expect("the limit can be raised");
    let allowed = maximum.unwrap_or(u64::MAX).saturating_sub(SPARE);
    let clients = wanted.min(usize::try_from(allowed).unwrap_or(usize::MAX));
    if clients < wanted {
        eprintln!(
            "only {clients} clients instead of {wanted}: the limit of open files (ulimit -Hn) is lower"
        );
    }
    clients
}

/// What became of a login.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    In,
    Refused(String),
}

/// Reads up to ReadyForQuery or an error. Buffers are small: thousands of these are in one process.
fn fate(stream: &mut TcpStream) -> Result<Fate, String> {
    stream.set_read_timeout(Some(Duration::from_secs(10))).map_err(|e| e.to_string())?;
    loop {
        let mut head = [0; 5];
        stream.read_exact(&mut head).map_err(|e| format!("no answer: {e}"))?;
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        let mut body = vec![0; length - 4];
        stream.read_exact(&mut body).map_err(|e| e.to_string())?;
        match head[0] {
            b'Z' => return Ok(Fate::In),
            b'E' => return Ok(Fate::Refused(Message { tag: b'E', body }.sqlstate())),
            _ => {}
        }
    }
}

/// A database, and a proxy that lets everybody in without a password.
fn scene(limits: &str) -> (Database<'static>, Proxy) {
    let database = Cluster::shared().database();
    let url = Cluster::shared().url(APP, &database.name, "pool_size=2");
    let proxy = Proxy::start_with(&ProxyOptions::url(&url).config(TRUST).config(limits));
    (database, proxy)
}

/// Asks again and again until told to stop; the longest that one answer took.
fn longest_answer(client: &mut Client, stop: &std::sync::atomic::AtomicBool) -> Duration {
    let mut longest = Duration::ZERO;
    while !stop.load(std::sync::atomic::Ordering::Relaxed) {
        let start = Instant::now();
        client.run("select 1");
        longest = longest.max(start.elapsed());
        std::thread::sleep(Duration::from_millis(2));
    }
    longest
}

#[test]
fn ten_thousand_idle_clients() {
    if direct_only() {
        return;
    }
    let clients = affordable(10_000);
    let (database, proxy) = scene("[limits]\nmax_clients = 20000\n");
    let packet = database.login().packet();
    let come = |_| {
        let mut stream = TcpStream::connect(proxy.addr).expect("it connects");
        stream.write_all(&packet).expect("the packet goes out");
        assert_eq!(fate(&mut stream), Ok(Fate::In));
        stream
    };
    // What is made once, for the first clients, is not theirs.
    let mut crowd: Vec<TcpStream> = (0..100).map(come).collect();
    let before = proxy.memory();
    crowd.extend((100..clients).map(come));
    let each = (proxy.memory() - before) / (clients as u64 - 100);
    println!("{each} bytes for each of {clients} idle clients");
    assert!(each <= 4096, "{each} bytes for each idle client");

    let (cpu, start) = (proxy.cpu(), Instant::now());
    std::thread::sleep(Duration::from_secs(1));
    let (used, time) = (proxy.cpu() - cpu, start.elapsed());
    assert!(used * 20 <= time, "{used:?} of processor time in {time:?} while everybody is idle");

    let mut active = Client::connect(&proxy.endpoint(), &database.login());
    let mut times: Vec<Duration> = (0..200)
        .map(|_| {
            let start = Instant::now();
            active.run("select 1");
            start.elapsed()
        })
        .collect();
    times.sort();
    assert!(times[100] < Duration::from_millis(100), "half of the answers took longer than {:?}", times[100]);
    // The idle ones are served as well.
    for stream in crowd.iter_mut().step_by(1000) {
        stream.write_all(&msg::query("select 1")).expect("the query goes out");
        assert_eq!(fate(stream), Ok(Fate::In));
    }
}

/// Opens all connections before the first one says a word.
fn all_at_once(proxy: &Proxy, login: &Login, clients: usize) -> Vec<Result<Fate, String>> {
    let mut crowd: Vec<TcpStream> =
        (0..clients).map(|_| TcpStream::connect(proxy.addr).expect("it connects")).collect();
    for stream in &mut crowd {
        // One that was turned away already may have closed.
        let _ = stream.write_all(&login.packet());
    }
    crowd.iter_mut().map(fate).collect()
}

#[test]
fn five_thousand_connect_at_once() {
    if direct_only() {
        return;
    }
    let clients = affordable(5000);
    let (database, proxy) = scene("[limits]\nmax_unauthenticated = 10000\n");
    let mut beside = Client::connect(&proxy.endpoint(), &database.login());
    let stop = std::sync::atomic::AtomicBool::new(false);
    let start = Instant::now();
    let (fates, longest) = std::thread::scope(|scope| {
        let beside = scope.spawn(|| longest_answer(&mut beside, &stop));
        let fates = all_at_once(&proxy, &database.login(), clients);
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        (fates, beside.join().expect("it was served"))
    });
    println!("{clients} clients in {:?}, longest answer beside them {longest:?}", start.elapsed());
    let others: Vec<_> = fates.iter().filter(|fate| **fate != Ok(Fate::In)).collect();
    assert!(others.is_empty(), "{} of {clients} did not get in: {:?}", others.len(), others.first());
    assert!(longest < Duration::from_secs(2), "a client beside them waited {longest:?}");
}

#[test]
fn more_than_may_log_in_at_once() {
    if direct_only() {
        return;
    }
    let (limit, clients) = (200, affordable(1000));
    let (database, proxy) =
        scene(&format!("[limits]\nmax_unauthenticated = {limit}\nlogin_timeout = \"5s\"\n"));
    let mut beside = Client::connect(&proxy.endpoint(), &database.login());
    let fates = all_at_once(&proxy, &database.login(), clients);
    let count = |wanted: &Fate| fates.iter().filter(|fate| fate.as_ref() == Ok(wanted)).count();
    let (inside, refused) = (count(&Fate::In), count(&Fate::Refused("53300".into())));
    assert_eq!(inside + refused, clients, "{:?}", fates.iter().find(|fate| fate.is_err()));
    assert!(inside >= limit, "{inside} of {clients} got in, {limit} may");
    assert_eq!(beside.value("select 'beside'"), "beside");
    assert_eq!(Client::connect(&proxy.endpoint(), &database.login()).value("select 'later'"), "later");
}

#[test]
fn the_limit_of_open_files_is_raised_and_told_where_it_is_too_low() {
    if direct_only() {
        return;
    }
    let database = Cluster::shared().database();
    let mut options = ProxyOptions::url(&Cluster::shared().url(APP, &database.name, "pool_size=2"))
        .config(TRUST)
        .config("[limits]\nmax_clients = 5000\nmax_servers = 10\n");
    options.under = ["prlimit", "--nofile=40:300"].map(str::to_owned).into();
    let proxy = Proxy::start_with(&options);
    let connect = || Client::connect(&proxy.endpoint(), &database.login());
    let mut crowd: Vec<Client> = (0..200).map(|_| connect()).collect();
    assert!(crowd.iter_mut().all(|client| client.value("select 1") == "1"));
    assert!(proxy.log().contains("max_clients and max_servers do not fit"), "{}", proxy.log());
    drop(proxy);

    options.under = ["prlimit", "--nofile=40:6000"].map(str::to_owned).into();
    assert!(!Proxy::start_with(&options).log().contains("do not fit"));
}

/// What nobody has asked for is no trouble to tell; what holds is shown.
#[test]
fn by_default_there_may_be_as_many_clients_as_files() {
    if direct_only() {
        return;
    }
    let database = Cluster::shared().database();
    let mut options = ProxyOptions::url(&Cluster::shared().url(APP, &database.name, "pool_size=2"))
        .config(&format!("[admin]\nstats_users = [\"{}\"]\n", APP.0));
    options.under = ["prlimit", "--nofile=40:2000"].map(str::to_owned).into();
    let proxy = Proxy::start_with(&options);
    let mut console = Client::connect(&proxy.endpoint(), &Login::new(APP.0, APP.1, "pgweir"));
    let shown = |console: &mut Client| {
        let rows = show(console, "CONFIG");
        let keys = ["limits.max_clients", "max_client_conn", "limits.max_servers"];
        keys.map(|key| rows.iter().find(|row| row["key"] == key).map(|row| row["value"].clone()))
    };
    let expected = ["1436", "1436", "500"].map(|value| Some(value.to_owned()));
    assert_eq!(shown(&mut console), expected);
    proxy.signal("HUP");
    eventually("it is reloaded", || proxy.log().contains("settings reloaded"));
    assert_eq!(shown(&mut console), expected);
    let log = proxy.log();
    assert!(!log.contains("number of files") && !log.contains("max_clients"), "{log}");
}

#[test]
fn who_is_turned_away_is_told_behind_its_ssl_request() {
    if direct_only() {
        return;
    }
    let (database, proxy) = scene("[limits]\nmax_unauthenticated = 1\n");
    // Whoever asked if the port is open has left.
    eventually("the place is free", || {
        Client::dial(&proxy.endpoint()).is_ok_and(|mut first| first.login(&database.login()).is_ok())
    });
    let silent = Client::dial(&proxy.endpoint()).expect("connects");
    let mut refused = Client::dial(&proxy.endpoint()).expect("connects");
    refused.send(&msg::ssl_request());
    assert_eq!(refused.read_byte(), Ok(Some(b'N')), "an error here would not be shown by libpq");
    refused.send(&database.login().packet());
    let error = refused.until(b'E').expect("it is told").pop().expect("why");
    assert_eq!((error.sqlstate().as_str(), error.field(b'S').as_deref()), ("53300", Some("FATAL")));
    drop(silent);
}
