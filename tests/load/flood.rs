//! Peers that say more than anybody reads: large results, notices, news of idle servers. Memory stays bounded.

use super::prelude::*;
use crate::harness::scripted::ScriptedServer;

const MB: u64 = 1 << 20;

fn scene(query: &str) -> (Database<'static>, Proxy) {
    let database = Cluster::shared().database();
    let proxy = Proxy::start(&Cluster::shared().url(APP, &database.name, query));
    (database, proxy)
}

/// The most memory that the proxy has over this time.
fn highest_memory(proxy: &Proxy, time: Duration) -> u64 {
    let end = Instant::now() + time;
    let mut highest = 0;
    while Instant::now() < end {
        highest = highest.max(proxy.memory());
        std::thread::sleep(Duration::from_millis(10));
    }
    highest
}

#[test]
fn clients_that_do_not_read_large_results() {
    if direct_only() {
        return;
    }
    let (database, proxy) = scene("pool_size=10");
    let connect = || Client::connect(&proxy.endpoint(), &database.login());
    let mut beside = connect();
    let mut slow: Vec<Client> = (0..8).map(|_| connect()).collect();
    beside.run("select 1");
    let before = proxy.memory();
    // 800 MB each.
    let flood = msg::query("select repeat('x', 100000) from generate_series(1, 8000)");
    slow.iter_mut().for_each(|client| client.send(&flood));
    let mut superuser = Cluster::shared().superuser(&database.name);
    let blocked = "select count(*) from pg_stat_activity where datname = current_database() and wait_event = 'ClientWrite'";
    eventually("their servers are not read any more", || superuser.value(blocked) == "8");
    let grown = highest_memory(&proxy, Duration::from_millis(500)).saturating_sub(before);
    println!("{} kB for 8 slow clients", grown / 1024);
    assert!(grown < 16 * MB, "{} MB for 8 slow clients", grown / MB);
    let start = Instant::now();
    for n in 0..100 {
        assert_eq!(beside.value(&format!("select {n}")), n.to_string());
    }
    assert!(start.elapsed() < Duration::from_secs(10), "{:?} for 100 answers beside them", start.elapsed());
    // One reads after all, and nothing is missing.
    let mut late = slow.pop().expect("there are eight");
    let (mut rows, mut bytes) = (0, 0);
    while let Some(message) = late.read().expect("it goes on") {
        rows += usize::from(message.tag == b'D');
        bytes += message.body.len();
        if message.tag == b'Z' {
            break;
        }
    }
    assert_eq!(rows, 8000);
    assert!(bytes > 800_000_000, "{bytes} bytes");
    // The others leave, and their servers are free again.
    drop(slow);
    eventually("the servers of those that left are let go", || superuser.value(blocked) == "0");
}

#[test]
fn a_flood_of_notices_to_a_slow_client() {
    if direct_only() {
        return;
    }
    let (database, proxy) = scene("pool_size=2");
    let connect = || Client::connect(&proxy.endpoint(), &database.login());
    let (mut slow, mut beside) = (connect(), connect());
    beside.run("select 1");
    slow.run("select 1");
    let before = proxy.memory();
    let text = "do $$ begin for i in 1..100000 loop raise notice 'notice % %', i, repeat('x', 200); end loop; end $$";
    slow.send(&msg::query(text));
    let grown = highest_memory(&proxy, Duration::from_secs(1)).saturating_sub(before);
    assert!(grown < 8 * MB, "{} MB for a client that reads no notices", grown / MB);
    assert_eq!(beside.value("select 'beside'"), "beside");
    let notices = slow.until_ready().iter().filter(|m| m.tag == b'N').count();
    assert_eq!(notices, 100_000);
    let grown = proxy.memory().saturating_sub(before);
    assert!(grown < 8 * MB, "{} MB are left of it", grown / MB);
}

#[test]
fn news_of_idle_servers() {
    if direct_only() {
        return;
    }
    let said = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
    let server = ScriptedServer::start({
        let said = said.clone();
        move |_, peer| {
            if peer.login().is_err() {
                return Ok(());
            }
            while let Some(message) = peer.read()? {
                match message.tag {
                    b'Q' if message.body.starts_with(b"set chatty") => {
                        peer.complete("SET", b'I');
                        for n in 0..50_000 {
                            let notice =
                                format!("SNOTICE\0VNOTICE\0C00000\0Mnotice {n} {}\0\0", "x".repeat(200));
                            peer.send(&msg::frame(b'N', notice.as_bytes()));
                            peer.send(&msg::frame(b'S', format!("TimeZone\0Zone/{n}\0").as_bytes()));
                        }
                        said.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    }
                    b'Q' => peer.complete("SET", b'I'),
                    b'S' => peer.ready(b'I'),
                    b'X' => break,
                    _ => {}
                }
            }
            Ok(())
        }
    });
    let proxy = Proxy::start(&server.url("pool_size=1"));
    let login = Login::new(APP.0, APP.1, "app");
    let mut client = Client::connect(&proxy.endpoint(), &login);
    client.run("set calm");
    let before = proxy.memory();
    for n in 1..=3 {
        client.run("set chatty");
        eventually("the server has said it all", || said.load(std::sync::atomic::Ordering::Relaxed) >= n);
        client.run("set calm");
        Client::connect(&proxy.endpoint(), &login).run("set calm");
    }
    let grown = proxy.memory().saturating_sub(before);
    assert!(grown < 8 * MB, "{} MB after what idle servers said", grown / MB);
}
