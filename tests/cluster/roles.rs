//! Entries with `target_session_attrs` whose nodes are not watched: a server is lent only while its node is what is asked for.

use std::time::Duration;

use super::Scene;
use crate::harness::cluster::{APP, Cluster, SUPERUSER, pg_version};
use crate::harness::proxy::{Proxy, ProxyOptions};
use crate::harness::raw::{Client, Login};
use crate::harness::{direct_only, eventually};

const PORT: &str = "select current_setting('port')";

/// An entry for these nodes, in this order.
fn entry(nodes: &[&Cluster], query: &str) -> Proxy {
    let hosts: Vec<_> = nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)).collect();
    Proxy::start(&format!("postgres://{}:{}@{}/postgres?{query}", APP.0, APP.1, hosts.join(",")))
}

fn connect(proxy: &Proxy) -> Client {
    Client::connect(&proxy.endpoint(), &Login::new(APP.0, APP.1, "postgres"))
}

/// A cluster with a table that everybody may write to, which all standbys have.
fn scene(standbys: usize) -> Scene {
    let scene = Scene::new(standbys);
    scene.primary.superuser("postgres").run("create table w (i int); grant all on w to public");
    for standby in &scene.standbys {
        let mut there = standby.superuser("postgres");
        eventually("the standby has the table", || there.value("select to_regclass('w')") == "w");
    }
    scene
}

fn rows(node: &Cluster) -> String {
    node.superuser("postgres").value("select count(*) from w")
}

#[test]
fn an_entry_for_standbys_does_not_write_at_one_that_was_promoted() {
    if direct_only() {
        return;
    }
    let scene = scene(1);
    let promoted = &scene.standbys[0];
    let entries = ["standby", "read-only"]
        .map(|attrs| entry(&[promoted], &format!("target_session_attrs={attrs}&pool_size=3")));
    // Several servers that are idle.
    let mut clients: Vec<_> = [0, 0, 0, 1, 1, 1].iter().map(|n| connect(&entries[*n])).collect();
    for client in &mut clients {
        client.run("begin");
        assert_eq!(client.value(PORT), promoted.port.to_string());
    }
    clients.iter_mut().for_each(|client| client.run("commit"));
    assert_eq!(clients[0].error("insert into w values (0)"), "25006");
    promoted.promote();
    std::thread::sleep(Duration::from_millis(400));
    for client in &mut clients {
        assert_eq!(client.error("insert into w values (1)"), "08001");
    }
    assert_eq!(rows(promoted), "0");
}

#[test]
fn an_entry_that_prefers_standbys_leaves_one_that_was_promoted() {
    if direct_only() {
        return;
    }
    let scene = scene(2);
    let (first, second) = (&scene.standbys[0], &scene.standbys[1]);
    let proxy = entry(&[first, second, &scene.primary], "target_session_attrs=prefer-standby&pool_size=4");
    let [mut idle, mut open] = std::array::from_fn(|_| connect(&proxy));
    assert_eq!(idle.value(PORT), first.port.to_string());
    open.run("begin");
    assert_eq!(open.value(PORT), first.port.to_string());
    first.promote();
    std::thread::sleep(Duration::from_millis(400));
    assert_eq!(idle.value(PORT), second.port.to_string());
    // What is under way is left to its end.
    assert_eq!(open.value(PORT), first.port.to_string());
    open.run("commit");
    assert_eq!(open.value(PORT), second.port.to_string());
    // Where there is no standby any more, a primary will do.
    second.promote();
    std::thread::sleep(Duration::from_millis(400));
    idle.run("insert into w values (1)");
    let stays = idle.value("select pg_backend_pid()");
    std::thread::sleep(Duration::from_millis(400));
    assert_eq!(idle.value("select pg_backend_pid()"), stays, "it is what it was when it was made");
}

/// Without a pause between statements nobody is asked: from PostgreSQL 14 on a server tells by itself what has become of it.
#[test]
fn an_entry_at_work_leaves_a_standby_that_was_promoted() {
    if direct_only() {
        return;
    }
    let scene = scene(2);
    let (first, second) = (&scene.standbys[0], &scene.standbys[1]);
    let proxy = entry(&[first, second], "target_session_attrs=standby&pool_size=2");
    let over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut client = connect(&proxy);
                while !over.load(std::sync::atomic::Ordering::Relaxed) {
                    client.simple("insert into w values (1)");
                }
            });
        }
        std::thread::sleep(Duration::from_millis(300));
        first.promote();
        std::thread::sleep(Duration::from_millis(700));
        over.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    let written: usize = rows(first).parse().expect("a number");
    // Before 14 it does not tell by itself, and is asked from time to time.
    let tells = pg_version() >= 14;
    assert!(!tells || written <= 4, "each of two servers may write once or twice before it tells: {written}");
    assert_eq!(connect(&proxy).value(PORT), second.port.to_string());
}

#[test]
fn an_entry_that_writes_leaves_a_node_that_was_set_read_only() {
    if direct_only() || pg_version() < 14 {
        return;
    }
    let cluster = Cluster::start("", &[]);
    cluster.superuser("postgres").run("create table w (i int); grant all on w to public");
    let proxy = entry(&[&cluster], "target_session_attrs=read-write&pool_size=1");
    let mut client = connect(&proxy);
    // A session's own wish says nothing of the node.
    client.run("set default_transaction_read_only = on");
    assert_eq!(client.error("insert into w values (1)"), "25006");
    let pid = client.value("select pg_backend_pid()");
    client.run("reset default_transaction_read_only");
    client.run("insert into w values (1)");
    assert_eq!(client.value("select pg_backend_pid()"), pid);
    cluster.superuser("postgres").run("alter system set default_transaction_read_only = on");
    cluster.superuser("postgres").run("select pg_reload_conf()");
    eventually("the server tells", || {
        let answers = client.simple("insert into w values (2)");
        answers.iter().any(|message| message.tag == b'E' && message.sqlstate() == "08001")
    });
    cluster.superuser("postgres").run("alter system reset default_transaction_read_only");
    cluster.superuser("postgres").run("select pg_reload_conf()");
    eventually("it goes on", || {
        client.simple("insert into w values (3)").iter().all(|message| message.tag != b'E')
    });
}

/// Users that are looked up wait for a primary like all others.
#[test]
fn logins_of_users_that_are_looked_up_wait_through_a_failover() {
    if direct_only() {
        return;
    }
    let scene = scene(1);
    let url = scene.url(SUPERUSER, "check_interval=100ms");
    let ask = "[auth]\nauth_query = \"select usename, passwd from pg_shadow where usename = $1\"\n\
               auth_user = \"postgres\"\n";
    let proxies = ["", ask].map(|auth| Proxy::start_with(&ProxyOptions::url(&url).config(auth)));
    for proxy in &proxies {
        eventually("its primary is known", || proxy.log().contains("primary found"));
        assert_eq!(connect(proxy).value("select 1"), "1");
    }
    // Nobody waits for ever.
    let brief = Proxy::start(&scene.url(SUPERUSER, "check_interval=100ms&queue_timeout=700ms"));
    assert_eq!(connect(&brief).value("select 1"), "1");
    eventually("its primary is known", || brief.log().contains("primary found"));
    let Scene { primary, standbys } = scene;
    primary.stop("immediate");
    eventually("it is lost", || {
        proxies.iter().chain([&brief]).all(|proxy| proxy.log().contains("node lost"))
    });
    let login = |proxy: &Proxy| {
        let mut client = Client::dial(&proxy.endpoint()).expect("a connection");
        let answers = client.login(&Login::new(APP.0, APP.1, "postgres")).expect("an answer");
        (client, answers)
    };
    let since = std::time::Instant::now();
    let (_, refused) = login(&brief);
    assert_eq!(refused.last().map(|last| last.sqlstate()).as_deref(), Some("08001"), "{refused:?}");
    let took = since.elapsed();
    assert!(took > Duration::from_millis(600) && took < Duration::from_secs(4), "{took:?}");
    std::thread::scope(|scope| {
        // Several at once, and one whose password is wrong.
        let (login, proxies) = (&login, &proxies);
        let logins = [0, 0, 1, 1].map(|n| scope.spawn(move || login(&proxies[n])));
        let wrong = scope.spawn(|| {
            let mut client = Client::dial(&proxies[0].endpoint()).expect("a connection");
            client.login(&Login::new(APP.0, "wrong", "postgres")).expect("an answer")
        });
        std::thread::sleep(Duration::from_secs(1));
        assert!(logins.iter().all(|login| !login.is_finished()), "they wait");
        standbys[0].promote();
        for login in logins {
            let (mut client, answers) = login.join().expect("it does not panic");
            assert_eq!(answers.last().map(|last| last.tag), Some(b'Z'), "{answers:?}");
            client.run("insert into w values (7)");
        }
        let wrong = wrong.join().expect("it does not panic");
        assert_eq!(wrong.last().map(|last| last.sqlstate()).as_deref(), Some("28P01"), "{wrong:?}");
    });
    assert_eq!(rows(&standbys[0]), "4");
}
