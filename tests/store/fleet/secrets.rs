//! Neither a value of a statement nor the password of the history gets anywhere.

use std::path::Path;
use std::process::Command;

use super::{Fleet, report, store};
use crate::admin::show;
use crate::harness::cluster::{APP, client_bin};
use crate::harness::frontend as msg;
use crate::harness::proxy::Proxy;
use crate::harness::raw::{Client, Login};
use crate::harness::{eventually, message::text};

/// Stands in every place where a value may.
const SECRET: &str = "xSECRETx";

#[test]
fn fleet_history_never_shows_a_secret() {
    let Some(fleet) = Fleet::new() else { return };
    // A user of its own, whose password is nobody else's.
    let (user, password) = (format!("keeper_{}", fleet.history.name), "xPASSWORDx");
    let mut superuser = fleet.cluster.superuser(&fleet.history.name);
    superuser.run(&format!("create role {user} login password '{password}'"));
    superuser.run(&format!("create schema pgweir_history authorization {user}"));
    let url = fleet.cluster.url((&user, password), &fleet.history.name, "");
    let mut options = fleet.options("one").config("clear_values = [\"t.i\"]\n[log]\nlevel = \"debug\"\n");
    options.config = options.config.replace(&fleet.url(), &url);
    let mut proxy = Proxy::start_with(&options);
    let mut client = fleet.client(&proxy);
    for n in 0..40 {
        client.run(&format!("select i from t where i = {n} and s = '{SECRET}{}' /* {SECRET} */", n % 2));
        client
            .send(&[msg::unnamed("select s from t where s = $1 and i < 3", &[SECRET]), msg::sync()].concat());
        client.until_ready();
    }
    client.simple(&format!("select 'unterminated {SECRET}"));
    client.simple(&format!("alter role nobody password '{SECRET}'"));
    eventually("it is written", || store(&proxy)["written"].parse::<u64>().is_ok_and(|n| n >= 82));
    let mut console = Client::connect(&proxy.endpoint(), &Login::new(APP.0, APP.1, "pgweir"));
    let shown = format!("{:?}", ["STORE", "CONFIG", "STATEMENTS"].map(|what| show(&mut console, what)));
    drop((client, console));
    // One that is refused says why, and not with what.
    superuser.run(&format!("alter role {user} password 'another'"));
    superuser
        .run(&format!("select pg_terminate_backend(pid) from pg_stat_activity where usename = '{user}'"));
    let mut other = fleet.client(&proxy);
    eventually("it is refused", || {
        other.run("select 1");
        store(&proxy)["state"] == "refused"
    });
    let refused = format!("{:?}", store(&proxy));
    let (_, failed) = report(Path::new(&url), &[]);
    superuser.run(&format!("alter role {user} password '{password}'"));
    eventually("it is let in", || store(&proxy)["state"] == "ok");
    drop(other);
    proxy.stop();
    let (well, reported) = report(Path::new(&url), &["--format", "html"]);
    assert!(well, "{reported}");
    let mut dump = Command::new(client_bin().join("pg_dump"));
    dump.args(["--schema", "pgweir_history", "--inserts", "-h"]).arg(fleet.cluster.socket_dir());
    dump.args(["-p", &fleet.cluster.port.to_string(), "-U", "postgres", &fleet.history.name]);
    let dumped = dump.env("PGPASSWORD", crate::harness::cluster::SUPERUSER.1).output().expect("pg_dump runs");
    let dumped = text(&dumped.stdout);
    assert!(dumped.contains("INSERT INTO pgweir_history.sample") && dumped.contains("hash"), "{dumped}");
    assert!(shown.contains("(secret)") && shown.contains(&format!("postgres://{user}@")), "{shown}");
    for (what, said) in [
        ("console", &shown),
        ("console", &refused),
        ("report", &reported),
        ("failed report", &failed),
        ("log", &proxy.log()),
        ("tables", &dumped),
    ] {
        assert!(!said.contains(SECRET) && !said.contains(password), "{what}: {said}");
    }
    superuser.run(&format!("drop owned by {user}; drop role {user}"));
}
