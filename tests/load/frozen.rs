//! PostgreSQL freezes, is killed, restarts: sessions that wait are told why, and nobody gets a dead server.

use super::prelude::*;

fn proxy(cluster: &Cluster, query: &str, limits: &str) -> Proxy {
    let config = format!("[admin]\nadmin_users = [\"{}\"]\n[limits]\n{limits}", APP.0);
    Proxy::start_with(&ProxyOptions::url(&cluster.url(APP, "postgres", query)).config(&config))
}

fn client(proxy: &Proxy) -> Client {
    Client::connect(&proxy.endpoint(), &Login::new(APP.0, APP.1, "postgres"))
}

fn console(proxy: &Proxy) -> Client {
    Client::connect(&proxy.endpoint(), &Login::new(APP.0, APP.1, "pgweir"))
}

/// The error of the next answer, with its detail.
fn error(client: &mut Client) -> (String, String) {
    let messages = client.until(b'Z').expect("an answer in time");
    let error = messages.iter().find(|m| m.tag == b'E').unwrap_or_else(|| panic!("no error: {messages:?}"));
    (error.sqlstate(), error.to_string())
}

#[test]
fn a_frozen_server_is_waited_for_no_longer_than_was_said() {
    if direct_only() {
        return;
    }
    let cluster = Cluster::start("", &[]);
    let proxy = proxy(&cluster, "pool_size=2", "connect_timeout = \"500ms\"\nqueue_timeout = \"1s\"\n");
    let (mut busy, mut idle, mut late) = (client(&proxy), client(&proxy), client(&proxy));
    busy.run("begin");
    busy.run("select 'busy'");
    let frozen = cluster.freeze();
    busy.send(&msg::query("select 'still there'"));
    // No server is idle, the second one cannot be made: it waits, and learns of both.
    let start = Instant::now();
    late.send(&msg::query("select 'late'"));
    let (sqlstate, text) = error(&mut late);
    assert_eq!(sqlstate, "53300", "{text}");
    assert!(text.contains("queue_timeout") && text.contains("timed out"), "{text}");
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    // Somebody whom only the server knows cannot be let in.
    let mut stranger = Client::dial(&proxy.endpoint()).expect("it connects");
    let answer = stranger.login(&Login::new("app2", "app2-secret", "postgres")).expect("an answer in time");
    let refusal = answer.last().expect("an error");
    assert!(refusal.tag == b'E' && refusal.sqlstate().starts_with("08"), "{answer:?}");
    assert!(console(&proxy).simple("show pools").iter().any(|m| m.tag == b'D'), "the console answers");
    drop(frozen);
    assert_eq!(
        busy.until_ready().iter().find(|m| m.tag == b'D').map(Message::value).as_deref(),
        Some("still there")
    );
    busy.run("commit");
    assert_eq!(late.value("select 'late'"), "late");
    assert_eq!(idle.value("select 'idle'"), "idle");
    assert_eq!(client(&proxy).value("select 'new'"), "new");
}

#[test]
fn a_pool_whose_first_server_is_frozen_says_so() {
    if direct_only() {
        return;
    }
    let cluster = Cluster::start("", &[]);
    let proxy = proxy(&cluster, "pool_size=2", "connect_timeout = \"500ms\"\n");
    let frozen = cluster.freeze();
    let mut first = Client::dial(&proxy.endpoint()).expect("it connects");
    let start = Instant::now();
    let answer = first.login(&Login::new(APP.0, APP.1, "postgres")).expect("an answer in time");
    let text = answer.last().expect("an error").to_string();
    assert!(text.contains("08001") && text.contains("timed out"), "{text}");
    assert!(start.elapsed() < Duration::from_secs(10));
    drop(frozen);
    eventually("it works again", || {
        let mut client = Client::dial(&proxy.endpoint()).expect("it connects");
        let answer = client.login(&Login::new(APP.0, APP.1, "postgres")).expect("an answer in time");
        answer.last().is_some_and(|m| m.tag == b'Z')
    });
}

/// Servers that died while idle, one way or the other, in a cluster that is up again.
#[test]
fn dead_servers_are_not_handed_out() {
    if direct_only() {
        return;
    }
    let cluster = Cluster::start("restart_after_crash = on\n", &[]);
    let proxy = proxy(&cluster, "pool_size=3", "");
    let mut old: Vec<Client> = (0..3).map(|_| client(&proxy)).collect();
    let deaths: [(&str, &dyn Fn()); 4] = [
        ("fast restart", &|| cluster.restart("fast")),
        ("immediate restart", &|| cluster.restart("immediate")),
        ("kill -9", &|| kill_all(&cluster, "KILL")),
        ("kill -TERM", &|| kill_all(&cluster, "TERM")),
    ];
    for (how, die) in deaths {
        // All three servers of the pool are there, and idle.
        old.iter_mut().for_each(|client| client.send(&msg::query("select pg_sleep(0.05)")));
        old.iter_mut().for_each(|client| drop(client.until_ready()));
        old[0].run("set work_mem = '70kB'");
        die();
        for (n, client) in old.iter_mut().enumerate() {
            assert_eq!(client.value(&format!("select 'old {n}'")), format!("old {n}"), "{how}");
        }
        assert_eq!(old[0].value("show work_mem"), "70kB", "{how}");
        assert_eq!(client(&proxy).value("select 'new'"), "new", "{how}");
    }
}

/// Kills the processes of all idle sessions of `app`, and waits until they are gone.
fn kill_all(cluster: &Cluster, signal: &str) {
    let pids = "select coalesce(string_agg(pid::text, ' '), '') from pg_stat_activity where usename = 'app'";
    let pids = cluster.superuser("postgres").value(pids);
    let kill = format!(
        "kill -{signal} {pids}; while kill -0 {} 2>/dev/null; do sleep 0.01; done",
        pids.replace(' ', " 2>/dev/null || kill -0 ")
    );
    let status = std::process::Command::new("sh").args(["-c", &kill]).status();
    assert!(status.expect("sh runs").success());
}
