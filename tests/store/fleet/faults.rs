//! Whatever is wrong with the server of the history, statements go on; it is told, and nothing is lost that there is room for.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::{CALLS, Fleet, NOON, ask, state, store, ten, writer, written};
use crate::harness::cluster::{APP, APP2, Cluster};
use crate::harness::proxy::{Proxy, ProxyOptions};
use crate::harness::raw::{Client, Login};
use crate::harness::{direct_only, eventually};
use pgweir::store::Writer;

/// Waits until it is in a state, and gives the reason.
fn becomes(writer: &Writer, state: &str) -> String {
    let end = Instant::now() + Duration::from_secs(40);
    loop {
        let (found, reason) = writer.status().standing();
        if found.name() == state {
            return reason;
        }
        assert!(Instant::now() < end, "it is {} ({reason}), and not {state}", found.name());
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn fleet_history_outlasts_its_server() {
    if direct_only() {
        return;
    }
    // What it has said is committed outlasts it.
    let cluster = Cluster::start("synchronous_commit = on\n", &[]);
    let history = cluster.database();
    let mut own = writer(&cluster.url(APP, &history.name, ""), "own");
    let mut sent = 0;
    for (round, mode) in ["immediate", "fast", "immediate"].into_iter().enumerate() {
        for n in 0..2 {
            assert!(own.send(ten(NOON + round as i64 * 10 + n)));
            sent += 10;
        }
        written(&own, sent);
        cluster.stop(mode);
        // Some of it waits in the line.
        for n in 3..6 {
            assert!(own.send(ten(NOON + round as i64 * 10 + n)));
            sent += 10;
        }
        becomes(&own, "away");
        cluster.start_again();
        becomes(&own, "ok");
        written(&own, sent);
    }
    assert_eq!(own.status().dropped.load(Ordering::Relaxed), 0);
    // In the middle of what it does, too.
    for n in 0..40 {
        while !own.send(ten(NOON + 60 + n)) {
            std::thread::sleep(Duration::from_millis(50));
        }
        sent += 10;
        if n % 20 == 10 {
            cluster.restart("immediate");
        }
    }
    let dropped = own.status().dropped.load(Ordering::Relaxed);
    let end = Instant::now() + Duration::from_secs(40);
    while own.status().written.load(Ordering::Relaxed) < sent {
        assert!(Instant::now() < end, "{:?}", own.status());
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(own.close(Duration::from_secs(10)));
    assert_eq!(
        ask(&cluster, &history.name, CALLS),
        sent.to_string(),
        "{dropped} were refused and sent again"
    );
}

#[test]
fn fleet_history_whose_server_is_away_never_stops_the_proxy() {
    if direct_only() {
        return;
    }
    let (shop, cluster) = (Cluster::shared().database(), Cluster::start("", &[]));
    let history = cluster.database();
    let url = cluster.url(APP, &history.name, "connect_timeout=1");
    cluster.stop("fast");
    let config = format!(
        "[admin]\nadmin_users = [\"{}\"]\n[history]\ninterval = \"50ms\"\ninstance = \"one\"\nurl = \"{url}\"\n",
        APP.0
    );
    let options = ProxyOptions::url(&Cluster::shared().url(APP, &shop.name, "")).config(&config);
    let mut proxy = Proxy::start_with(&options);
    let mut client = Client::connect(&proxy.endpoint(), &shop.login());
    eventually("it is seen", || state(&proxy) == "away");
    let mut runs = 0;
    eventually("there is no more room", || {
        client.run("select 1");
        runs += 1;
        store(&proxy)["dropped"] != "0"
    });
    assert!(proxy.log().lines().filter(|line| line.contains("the store cannot be written")).count() == 1);
    cluster.start_again();
    let end = Instant::now() + Duration::from_secs(60);
    while state(&proxy) != "ok" {
        assert!(Instant::now() < end, "{}", proxy.log());
        client.run("select 1");
        runs += 1;
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(proxy.log().contains("the store is written again"), "{}", proxy.log());
    client.run("select 1");
    runs += 1;
    drop(client);
    std::thread::sleep(Duration::from_millis(300));
    proxy.stop();
    // What is not there is counted as missing.
    let all = "select (select coalesce(sum(calls), 0) from pgweir_history.bucket) + (select sum(statements) from pgweir_history.missing)";
    assert_eq!(ask(&cluster, &history.name, all), runs.to_string(), "{}", proxy.log());
    let missing = ask(&cluster, &history.name, "select sum(statements) from pgweir_history.missing");
    assert_ne!(missing, "0");
}

#[test]
fn fleet_history_says_what_is_the_matter() {
    let Some(fleet) = Fleet::new() else { return };
    let url = fleet.url();
    let check = |url: &str, state: &str, reason: &str| {
        let own = writer(url, "own");
        assert!(own.send(ten(NOON)));
        let told = becomes(&own, state);
        assert!(told.contains(reason), "{state}: {told}");
        assert!(!told.contains("xSECRETx"), "{told}");
    };
    check(&url.replace(APP.1, "xSECRETx"), "refused", "password authentication failed");
    check(&url.replace(&fleet.history.name, "nowhere"), "refused", "does not exist");
    check("postgres://app:xSECRETx@127.0.0.1:1/nowhere", "away", "cannot connect");
    let other = fleet.cluster.url(APP2, &fleet.history.name, "");
    check(&other, "denied", "permission denied");
    let read_only = format!("{url}options=-c%20default_transaction_read_only%3Don");
    check(&read_only, "read-only", "read-only transaction");
    fleet.history.setup("create schema pgweir_history; create table pgweir_history.mine (i int)");
    check(&url, "foreign", "not pgweir's");
    fleet.history.setup("drop schema pgweir_history cascade");
    check(&url, "ok", "");
    check(&other, "denied", "permission denied");
    fleet.history.setup("insert into pgweir_history.migration (number, name) values (99, 'later')");
    check(&url, "newer", "version 99");
    let (well, text) = super::report(std::path::Path::new(&url), &[]);
    assert!(!well && text.contains("version 99"), "{text}");
    assert_eq!(fleet.ask(CALLS), "10", "what is newer is left alone");
}

#[test]
fn fleet_history_gives_up_a_server_that_does_not_answer() {
    if direct_only() {
        return;
    }
    let cluster = Cluster::start("", &[]);
    let history = cluster.database();
    let own = writer(&cluster.url(APP, &history.name, ""), "own");
    assert!(own.send(ten(NOON)));
    written(&own, 10);
    // A lock of somebody else's.
    let mut other = Client::connect(&cluster.unix(), &Login::new(APP.0, APP.1, &history.name));
    other.run("begin; lock table pgweir_history.bucket in access exclusive mode");
    assert!(own.send(ten(NOON + 1)));
    becomes(&own, "locked");
    other.run("rollback");
    written(&own, 20);
    // Nothing at all is heard.
    let frozen = cluster.freeze();
    assert!(own.send(ten(NOON + 2)));
    becomes(&own, "slow");
    drop(frozen);
    let end = Instant::now() + Duration::from_secs(60);
    while own.status().written.load(Ordering::Relaxed) < 30 {
        assert!(Instant::now() < end, "{:?}", own.status());
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(ask(&cluster, &history.name, CALLS), "30");
}

#[test]
fn fleet_history_ends_in_time_whatever_its_server_does() {
    if direct_only() {
        return;
    }
    let cluster = Cluster::start("", &[]);
    let (shop, history) = (Cluster::shared().database(), cluster.database());
    let config =
        format!("[history]\ninterval = \"50ms\"\nurl = \"{}\"\n", cluster.url(APP, &history.name, ""));
    let options = ProxyOptions::url(&Cluster::shared().url(APP, &shop.name, "")).config(&config);
    let mut proxy = Proxy::start_with(&options);
    let mut client = Client::connect(&proxy.endpoint(), &shop.login());
    client.run("select 1");
    let frozen = cluster.freeze();
    (0..20).for_each(|_| client.run("select 1"));
    drop(client);
    let began = Instant::now();
    proxy.signal("TERM");
    proxy.ended(Duration::from_secs(15));
    assert!(began.elapsed() < Duration::from_secs(12), "{:?}\n{}", began.elapsed(), proxy.log());
    drop(frozen);
}
