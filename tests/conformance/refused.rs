//! Users whom the server refuses, and a server that is not there: who is told what and when, and that it concerns nobody else.

use std::time::{Duration, Instant};

use crate::explain::explain;
use crate::harness::cluster::{APP, Cluster};
use crate::harness::message::Message;
use crate::harness::proxy::{Proxy, ProxyOptions};
use crate::harness::raw::{Client, Login};
use crate::harness::{direct_only, eventually};

/// A pgweir in front of a database, with these users beside `app`.
fn proxy(cluster: &Cluster, database: &str, users: &[String]) -> Proxy {
    let app = format!("[users.{}]\npassword = \"{}\"\n", APP.0, APP.1);
    let users: String = users.iter().map(|user| format!("[users.{user}]\npassword = \"secret\"\n")).collect();
    let hosts = format!("[databases.{database}]\nhosts = [\"127.0.0.1:{}\"]\n", cluster.port);
    Proxy::start_with(&ProxyOptions::default().config(&format!("workers = 1\n{hosts}{app}{users}")))
}

/// The error with which a login is refused; `None`: it is not.
fn refusal(proxy: &Proxy, login: &Login) -> Option<Message> {
    let mut client = Client::dial(&proxy.endpoint()).expect("a connection");
    let answers = client.login(login).expect("an answer");
    answers.into_iter().find(|message| message.tag == b'E')
}

/// Roles of the cluster, with the password `secret`, that may not connect to the database.
fn kept_out(cluster: &Cluster, database: &str, count: usize) -> Vec<String> {
    let roles: Vec<String> = (0..count).map(|n| format!("{database}_out{n}")).collect();
    let mut superuser = cluster.superuser("postgres");
    superuser.run(&format!("revoke connect on database {database} from public"));
    superuser.run(&format!("grant connect on database {database} to {}", APP.0));
    roles.iter().for_each(|role| superuser.run(&format!("create role {role} login password 'secret'")));
    roles
}

#[test]
fn users_who_are_refused_leave_the_statements_of_others_known() {
    if direct_only() {
        return;
    }
    let cluster = Cluster::shared();
    let database = cluster.database();
    database.setup("create table t (i int)");
    let out = kept_out(cluster, &database.name, 8);
    let proxy = proxy(cluster, &database.name, &out);
    for user in &out {
        let told = refusal(&proxy, &Login::new(user, "secret", &database.name)).expect("it is refused");
        assert_eq!(told.sqlstate(), "42501");
    }
    let refused = || {
        let log = cluster.log();
        log.lines()
            .filter(|line| {
                line.contains(&format!("database \"{}\"", database.name)) && line.contains("denied")
            })
            .count()
    };
    let before = refused();
    assert!(before >= out.len(), "{before}");
    let mut client = Client::connect(&proxy.endpoint(), &database.login());
    eventually("the definitions are read", || {
        explain(&mut client, "select i from t").reason("read").is_empty()
    });
    assert_eq!(refused(), before, "they are not tried again");
}

/// How long the slowest of many logins takes, one after the other for so long. All are refused with this.
fn slowest(proxy: &Proxy, login: &Login, sqlstate: &str, time: Duration) -> Duration {
    let (begun, mut slowest, mut told_when) = (Instant::now(), Duration::ZERO, false);
    while begun.elapsed() < time {
        let asked = Instant::now();
        let told = refusal(proxy, login).expect("it is refused");
        slowest = slowest.max(asked.elapsed());
        assert_eq!(told.sqlstate(), sqlstate);
        told_when |= told
            .field(b'D')
            .is_some_and(|detail| detail.contains("the next login to the server is tried in"));
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(told_when, "nobody is told when it is tried again");
    slowest
}

/// More than the longest back-off.
const SOON: Duration = Duration::from_secs(4);
/// Nobody waits for so long where waiting is in vain.
const AT_ONCE: Duration = Duration::from_millis(1200);

fn is_let_in_soon(proxy: &Proxy, login: &Login) {
    let cured = Instant::now();
    while let Some(told) = refusal(proxy, login) {
        assert!(cured.elapsed() < SOON, "still: {:?}", told.fields());
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn while_the_server_is_away_clients_are_told_at_once() {
    if direct_only() {
        return;
    }
    let cluster = Cluster::start("", &[]);
    let proxy = proxy(&cluster, "postgres", &[]);
    let login = Login::new(APP.0, APP.1, "postgres");
    let mut session = Client::connect(&proxy.endpoint(), &login);
    cluster.stop("immediate");
    let slowest = slowest(
        &proxy,
        &Login::new(APP.0, APP.1, "postgres").param("extra_float_digits", "2"),
        "08001",
        Duration::from_secs(8),
    );
    assert!(slowest < AT_ONCE, "a login took {slowest:?}");
    let asked = Instant::now();
    assert_eq!(session.error("select 1"), "08001");
    assert!(asked.elapsed() < AT_ONCE);
    cluster.start_again();
    is_let_in_soon(&proxy, &login);
    eventually("a session that was there goes on", || {
        session.simple("select 1").iter().all(|m| m.tag != b'E')
    });
}

#[test]
fn a_user_who_is_refused_is_told_at_once_and_let_in_soon() {
    if direct_only() {
        return;
    }
    let cluster = Cluster::shared();
    let database = cluster.database();
    let out = kept_out(cluster, &database.name, 1);
    let proxy = proxy(cluster, &database.name, &out);
    let login = Login::new(&out[0], "secret", &database.name);
    let slowest = slowest(&proxy, &login, "42501", Duration::from_secs(8));
    assert!(slowest < AT_ONCE, "a login took {slowest:?}");
    cluster.superuser("postgres").run(&format!("grant connect on database {} to {}", database.name, out[0]));
    is_let_in_soon(&proxy, &login);
}
