//! What `EXPLAIN ROUTE`, the console and `pgweir explain` say of the result cache, and of whose turn it is.

use std::process::Command;
use std::time::Duration;

use super::{Lines, Scene, explain};
use crate::harness::cluster::APP;
use crate::harness::command::run;
use crate::harness::proxy::program;
use crate::harness::raw::Client;
use crate::harness::{eventually, frontend as msg};

const RULES: &str = r#"
[[rule]]
name = "short"
when = { class = "read", tables = "short" }
then.max_rows = 3

[[rule]]
name = "kept"
when.class = "select"
then.cache = { level = "strict", depends_on = ["other"] }
"#;

const SETUP: &str = "create table short (i int primary key); create table other (i int primary key); \
    create schema aside; create table aside.own (i int primary key, n text, f float); create unlogged table u (i int)";

fn scene(rules: &str) -> Option<(Scene, Client)> {
    let scene = Scene::new(rules, "pool_size=3")?;
    scene.database.setup(SETUP);
    let mut client = scene.knowing_client();
    // What the cache decides by is read when the rules are known, which is when a session comes.
    eventually("it is known what may be kept", || {
        let reason = explain(&mut client, "select * from aside.own").reason("cache").to_owned();
        reason.is_empty()
    });
    Some((scene, client))
}

/// Item, value and reason of the lines of the cache.
fn told(lines: &Lines) -> Vec<(String, String, String)> {
    let of = ["cache", "cache key", "cache tags"].into_iter();
    let line = |item: &str| {
        let values = lines.all(item).into_iter().map(str::to_owned).collect::<Vec<_>>();
        values
            .into_iter()
            .map(|value| (item.to_owned(), value, lines.reason(item).to_owned()))
            .collect::<Vec<_>>()
    };
    of.flat_map(line).collect()
}

#[test]
fn what_the_cache_has_to_do_with_a_statement() {
    let Some((scene, mut client)) = scene(RULES) else { return };
    client.run("set timezone = 'Asia/Tokyo'; set application_name = 'me'; set app.tenant = 'sekret'");
    let sql = "select n from aside.own where i = 4711 and n = 'sekret' and f = 1.5";
    let asked = "level strict, by rule kept";
    let lines = explain(&mut client, sql);
    assert_eq!((lines.value("cache"), lines.reason("cache")), (asked, ""));
    let key = lines.value("cache key");
    let settings = key.strip_prefix("database, user, settings (").expect(key).split_once(')').expect(key);
    let mut names: Vec<&str> = settings.0.split(", ").filter(|name| *name != "client_encoding").collect();
    names.sort_unstable();
    assert_eq!(
        (names.as_slice(), settings.1),
        (&["app.tenant", "timezone"][..], ", protocol (simple), text")
    );
    let tags = "database, definitions, aside.own (i, n), other (any row, by the rule)";
    assert_eq!(lines.value("cache tags"), tags);
    assert!(!key.contains("sekret") && !key.contains("Tokyo") && !key.contains("4711"));
    // As a batch it has another key.
    client.send(&[msg::unnamed(&format!("explain route {sql}"), &[]), msg::sync()].concat());
    let lines = Lines::of(&client.until_ready());
    assert!(lines.value("cache key").ends_with("types and values of parameters, formats of results"));
    assert_eq!(lines.value("cache tags"), tags);
    for (sql, why) in [
        ("select now() from aside.own", "stable_function"),
        ("select random() from aside.own", "volatile_function"),
        ("select * from aside.own for update", "for_update"),
        ("select * from u", "unlogged"),
        ("select * from pg_class", "system_catalog"),
        ("select * from nowhere", "unknown_relation"),
    ] {
        let line = ("cache".to_owned(), format!("not kept: {why} ({asked})"), why.to_owned());
        assert_eq!(told(&explain(&mut client, sql)), [line], "{sql}");
    }
    // Where no rule asks for it, nothing is said.
    assert_eq!(told(&explain(&mut client, "delete from aside.own")), []);
    let of_session = |client: &mut Client, sql: &str, why: &str| {
        let lines = explain(client, sql);
        let told = (lines.value("cache"), lines.reason("cache"));
        assert_eq!(told, (format!("not asked: {why} ({asked})").as_str(), why), "{sql}");
        assert_eq!(lines.all("cache tags").len(), 1);
    };
    of_session(&mut client, "select * from short", "changed by a rule");
    client.run("begin");
    of_session(&mut client, sql, "in a transaction");
    client.run("insert into aside.own values (1)");
    of_session(&mut client, sql, "in a transaction");
    client.run("rollback; set default_transaction_isolation = 'serializable'");
    of_session(&mut client, sql, "serializable");
    client.run("reset default_transaction_isolation; select pg_advisory_lock(7)");
    of_session(&mut client, sql, "pinned");
    drop(scene);
}

#[test]
fn the_console_and_the_command_say_the_same() {
    let Some((scene, mut client)) = scene(RULES) else { return };
    let mut console = scene.console();
    for sql in ["select n from aside.own where i = 7", "select now()", "select * from u", "delete from short"]
    {
        let mut live = told(&explain(&mut client, sql));
        let on_console = told(&Lines::of(&console.simple(&format!("explain route $${sql}$$ user app"))));
        let mut command = Command::new(program());
        command.args(["explain", "--user", APP.0, "--database", &scene.database.name]);
        command.arg("--rules").arg(&scene.folder.0).args([sql, &scene.url]);
        let offline = run(&mut command, Duration::from_secs(30)).success().to_owned();
        let offline: Vec<&str> = offline.lines().filter(|line| line.starts_with("cache")).collect();
        let printed = |(item, value, _): &(String, String, String)| format!("{item:<12} {value}");
        assert_eq!(offline, on_console.iter().map(printed).collect::<Vec<_>>(), "{sql}");
        // Only a session knows its settings, and how it sends.
        if let Some(key) = live.get_mut(1) {
            let known = "database, user, settings, protocol, text, types and values of parameters, formats of results";
            key.1 = known.to_owned();
        }
        assert_eq!(live, on_console, "{sql}");
    }
    let mut command = Command::new(program());
    command.args(["explain", "--user", APP.0, "--database", "d"]);
    command.arg("--rules").arg(&scene.folder.0).arg("select 1");
    let alone = run(&mut command, Duration::from_secs(30)).success();
    let words =
        "cache        level strict, by rule kept; without a database, whether it may be kept is not known\n";
    assert!(alone.contains(words), "{alone}");
}

const TURNS: &str = r#"
[[rule]]
name = "seldom"
when = { class = "select", tables = "short" }
then.throttle = { rate = "1/h", burst = 1, wait = "100ms" }

[[rule]]
name = "one"
when = { class = "select", tables = "other" }
then.concurrency = { limit = 1, wait = "1h" }
"#;

#[test]
fn whose_turn_it_is() {
    let Some(scene) = Scene::new(TURNS, "pool_size=3") else { return };
    scene.database.setup(SETUP);
    let (mut client, mut console) = (scene.knowing_client(), scene.console());
    let both = |client: &mut Client, console: &mut Client, sql: &str| {
        [explain(client, sql), Lines::of(&console.simple(&format!("explain route '{sql}' user app")))]
    };
    let (seldom, one) = ("select i from short", "select i from other, pg_sleep(0.8)");
    for sql in [seldom, one] {
        for lines in both(&mut client, &mut console, sql) {
            assert_eq!((lines.all("turn").len(), lines.plan().0), (0, "primary"), "{sql}");
        }
    }
    client.run(seldom);
    for lines in both(&mut client, &mut console, seldom) {
        let turn = lines.value("turn");
        assert!(turn.starts_with("too late, after ") && turn.ends_with("s, by rule seldom"), "{turn}");
        assert_eq!(lines.reason("turn"), "not its turn");
        assert_eq!(lines.plan(), ("refused (53400), by rule seldom", "not its turn"));
    }
    assert_eq!(client.error(seldom), "53400", "as was said");
    let mut other = scene.client();
    other.run("insert into other values (1)");
    other.send(&msg::query(one));
    eventually("it has the only permit", || !explain(&mut client, one).all("turn").is_empty());
    for lines in both(&mut client, &mut console, one) {
        assert_eq!(lines.value("turn"), "when others have ended, by rule one");
        assert_eq!((lines.reason("turn"), lines.plan().0), ("not its turn", "primary"));
    }
    other.until_ready();
    eventually("it may go on", || explain(&mut client, one).all("turn").is_empty());
}
