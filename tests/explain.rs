//! `EXPLAIN ROUTE`: what it says, in either protocol and on the console, and that it changes nothing.

mod kept;
mod mixed;
mod routed;

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use crate::admin::{get, show};
use crate::harness::cluster::{APP, Cluster, Database, free_port};
use crate::harness::command::{Folder, run};
use crate::harness::message::Message;
use crate::harness::proxy::{Proxy, ProxyOptions, program};
use crate::harness::raw::{Client, Login};
use crate::harness::{direct_only, eventually, frontend as msg};

/// Lines of an explanation: what each is about, what is said, and why.
pub(crate) struct Lines(Vec<[Option<String>; 3]>);

impl Lines {
    pub(crate) fn of(messages: &[Message]) -> Lines {
        let error = messages.iter().find(|message| message.tag == b'E');
        assert!(error.is_none(), "{:?}", error.map(Message::fields));
        let rows = messages.iter().filter(|message| message.tag == b'D').map(|message| {
            let text = |value: Option<Vec<u8>>| value.map(|value| String::from_utf8(value).expect("UTF-8"));
            let values: Vec<_> = message.values().into_iter().map(text).collect();
            values.try_into().expect("three columns")
        });
        Lines(rows.collect())
    }

    /// All that is said of something.
    pub(crate) fn all(&self, item: &str) -> Vec<&str> {
        let of = |line: &&[Option<String>; 3]| line[0].as_deref() == Some(item);
        self.0.iter().filter(of).filter_map(|line| line[1].as_deref()).collect()
    }

    #[track_caller]
    pub(crate) fn value(&self, item: &str) -> &str {
        let all = self.all(item);
        assert_eq!(all.len(), 1, "{item}: {:#?}", self.0);
        all[0]
    }

    /// The reason behind what is said of something; empty: none.
    #[track_caller]
    pub(crate) fn reason(&self, item: &str) -> &str {
        let line = self.0.iter().find(|line| line[0].as_deref() == Some(item));
        line.unwrap_or_else(|| panic!("no {item}: {:#?}", self.0))[2].as_deref().unwrap_or_default()
    }

    /// The plan and its reason.
    #[track_caller]
    pub(crate) fn plan(&self) -> (&str, &str) {
        (self.value("plan"), self.reason("plan"))
    }

    /// As `pgweir explain` prints them, those of these items.
    fn printed(&self, items: &[&str]) -> String {
        let of = |line: &&[Option<String>; 3]| items.contains(&line[0].as_deref().unwrap_or_default());
        let print = |line: &[Option<String>; 3]| {
            format!(
                "{:<12} {}\n",
                line[0].as_deref().unwrap_or_default(),
                line[1].as_deref().unwrap_or_default()
            )
        };
        self.0.iter().filter(of).map(print).collect()
    }
}

/// Asks by a Query.
#[track_caller]
pub(crate) fn explain(client: &mut Client, sql: &str) -> Lines {
    let messages = client.simple(&format!("EXPLAIN ROUTE {sql}"));
    let tags: Vec<u8> = messages.iter().map(|message| message.tag).filter(|tag| *tag != b'D').collect();
    assert_eq!(tags, b"TCZ", "{messages:?}");
    assert_eq!(messages[messages.len() - 2].command_tag(), "EXPLAIN");
    Lines::of(&messages)
}

const RULES: &str = r#"
[[rule]]
name = "no-delete"
when = { class = "delete", where = false }
then = { block = { sqlstate = "P0403", message = "no" } }

[[rule]]
name = "reports"
when = { user = "app", tables = "t", in_transaction = false }
then = { route = "replica", timeout = "30s", throttle = { rate = "1/h" } }

[[rule]]
name = "seen"
when.class = "read"
then.log = "info"
mode = "shadow"
"#;

struct Scene {
    proxy: Proxy,
    http: SocketAddr,
    database: Database<'static>,
    folder: Folder,
    url: String,
}

impl Scene {
    fn new(rules: &str, query: &str) -> Option<Scene> {
        if direct_only() {
            return None;
        }
        let cluster = Cluster::shared();
        let database = cluster.database();
        database.setup("create table t (i int); insert into t select generate_series(1, 5)");
        let folder = Folder::new();
        std::fs::write(folder.0.join("a.toml"), rules).expect("written");
        let http = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let url = cluster.url(APP, &database.name, query);
        let admin = format!("[admin]\nadmin_users = [\"{}\"]\n[log]\nlevel = \"debug\"\n", APP.0);
        let settings = format!("{admin}[databases.{}]\nurl = \"{url}\"\n", database.name);
        let mut options = ProxyOptions::default().config(&settings);
        let rules = folder.0.display().to_string();
        options.args.extend(["--http".to_owned(), http.to_string(), "--rules".to_owned(), rules]);
        let proxy = Proxy::start_with(&options);
        eventually("HTTP answers", || get(http, "/health").0 == 200);
        Some(Scene { proxy, http, database, folder, url })
    }

    fn client(&self) -> Client {
        Client::connect(&self.proxy.endpoint(), &self.database.login())
    }

    fn console(&self) -> Client {
        Client::connect(&self.proxy.endpoint(), &Login::new(APP.0, APP.1, "pgweir"))
    }

    /// A client of a database whose functions are known.
    fn knowing_client(&self) -> Client {
        let mut client = self.client();
        eventually("the catalog is read", || {
            explain(&mut client, "select i from t").reason("read").is_empty()
        });
        client
    }

    /// All metrics that count what sessions do, but for bytes.
    fn counted(&self) -> Vec<String> {
        let (_, page) = get(self.http, "/metrics");
        let names =
            ["queries_total", "transactions_total", "assignments_total", "reads_total", "rule_hits_total"];
        let counts = |line: &&str| names.iter().any(|name| line.contains(name)) && !line.starts_with('#');
        page.lines().filter(counts).map(str::to_owned).collect()
    }
}

#[test]
fn a_query_is_explained_and_not_run() {
    let Some(scene) = Scene::new("", "") else { return };
    let mut client = scene.knowing_client();
    client.run("select 1");
    let before = scene.counted();
    assert!(before.len() > 4, "{before:?}");
    let lines = explain(&mut client, "insert into t values (6); ");
    assert_eq!(lines.value("class"), "insert");
    assert_eq!(lines.value("shape"), "insert into t values ($1)");
    assert_eq!(lines.value("tables"), "t (written)");
    assert_eq!(
        (lines.value("read"), lines.reason("read")),
        ("no: is no SELECT, VALUES, TABLE or WITH", "not a read")
    );
    assert_eq!((lines.value("transaction"), lines.plan()), ("none", ("primary", "not a read")));
    let place = format!("127.0.0.1:{}, pool of app at {}", Cluster::shared().port, scene.database.name);
    assert_eq!(lines.value("target"), place);
    assert_eq!((lines.value("share"), lines.reason("share")), ("no", "not a read"));
    let lines = explain(&mut client, "select i from t where i = 'sekret'");
    assert_eq!((lines.value("read"), lines.plan()), ("yes", ("primary", "no replicas watched")));
    assert_eq!(lines.reason("share"), "not known to be short");
    let lines = explain(&mut client, "select nextval('s')");
    assert_eq!(lines.plan(), ("primary", "reaches more"));
    let lines = explain(&mut client, "select 1; delete from t");
    assert_eq!(lines.value("class"), "several");
    let lines = explain(&mut client, "create temp table x (i int)");
    assert_eq!(
        (lines.value("pins"), lines.reason("pins")),
        ("if it leaves one behind: temporary object", "temporary object")
    );
    let lines = explain(&mut client, "selec 1");
    assert_eq!((lines.value("class"), lines.plan()), ("unknown", ("primary", "not a read")));
    assert_eq!(
        explain(&mut client, "explain route select 1").plan(),
        ("answered by pgweir", "answered by pgweir")
    );
    assert_eq!(explain(&mut client, "begin").plan().1, "answered by pgweir");
    for nothing in ["explain route", "explain route ;", "explain route -- select 1"] {
        assert_eq!(client.error(nothing), "42601", "{nothing}");
    }
    assert_eq!(client.error("explain routes select 1"), "42601", "PostgreSQL's own");
    assert_eq!(scene.counted().len(), before.len());
    let queries = |lines: &[String]| lines.iter().find(|line| line.contains("queries_total")).cloned();
    assert_ne!(queries(&before), queries(&scene.counted()), "what went to PostgreSQL was counted");
    assert_eq!(client.value("select count(*) from t"), "5");
    let log = scene.proxy.log();
    assert!(log.contains("DEBUG") && !log.contains("sekret"), "{log}");
}

#[test]
fn nothing_is_counted_leased_or_taken() {
    let Some(scene) = Scene::new(RULES, "pool_size=1&queue_timeout=1s") else { return };
    let mut client = scene.knowing_client();
    client.run("select 1");
    let mut console = scene.console();
    let before = scene.counted();
    assert!(before.iter().any(|line| line.contains("rule_hits_total")), "{before:?}");
    // Nobody gets a server, and who explains needs none.
    console.run(&format!("PAUSE {}", scene.database.name));
    for _ in 0..20 {
        explain(&mut client, "select i from t");
        let deletes = explain(&mut client, "delete from t");
        assert_eq!(deletes.plan(), ("refused (P0403), by rule no-delete", "blocked by a rule"));
        client.send(&[msg::unnamed("explain route select i from t", &[]), msg::sync()].concat());
        Lines::of(&client.until_ready());
    }
    assert_eq!(scene.counted(), before);
    console.run(&format!("RESUME {}", scene.database.name));
    assert_eq!(client.error("delete from t"), "P0403");
    assert_eq!(show(&mut console, "RULES")[0]["hits"], "1");
}

#[test]
fn rules_are_told_one_by_one_and_as_on_the_command_line() {
    let Some(scene) = Scene::new(RULES, "") else { return };
    let mut client = scene.knowing_client();
    let file = scene.folder.0.join("a.toml").display().to_string();
    let lines = explain(&mut client, "select i from t where i = 7");
    let told = [
        format!("no-delete ({file}:3:1): does not hold: `class`"),
        format!("reports ({file}:8:1): holds: decides route, timeout, throttle"),
        format!("seen ({file}:13:1): holds: in shadow, would decide log"),
    ];
    assert_eq!(lines.all("rule"), told);
    let decisions = lines.all("decision");
    assert!(
        decisions[0] == "route replica (by reports)" && decisions[1].starts_with("timeout 30s (by reports")
    );
    assert_eq!(decisions[3], "log info (in shadow, by seen)");
    // The same words, wherever they are asked for.
    let same = [
        "shape",
        "fingerprint",
        "read",
        "session",
        "pins",
        "class",
        "tree",
        "tables",
        "functions",
        "clauses",
        "predicate",
        "statements",
        "rule",
        "decision",
    ];
    for sql in [
        "select i from t where i = 7",
        "select i from t where i in (1, 2, 3) order by 1 limit 5",
        "delete from t",
        "update t set i = 1 where i = $1 returning i",
        "select current_setting('app.tenant')",
        "select nextval('s') from t for update",
        "select pg_advisory_lock(1); select 2",
        "create temp table x as select 1",
        "vacuum t",
        "no such thing",
        "set app.tenant = 'x'",
    ] {
        for inside in [false, true] {
            client.run(if inside { "begin; select 1" } else { "select 1" });
            let live = explain(&mut client, sql).printed(&same);
            client.run(if inside { "commit" } else { "select 1" });
            let mut command = Command::new(program());
            command.args(["explain", "--user", APP.0, "--database", &scene.database.name]);
            command.arg("--rules").arg(&scene.folder.0).args(inside.then_some("--in-transaction"));
            let offline =
                run(command.args(["--client", "127.0.0.1", sql, &scene.url]), Duration::from_secs(30));
            assert_eq!(live, offline.success(), "{sql}, in a transaction: {inside}");
        }
    }
}

#[test]
fn in_transactions_it_says_what_would_happen_there() {
    let Some(scene) = Scene::new(RULES, "") else { return };
    let mut client = scene.knowing_client();
    let status =
        |client: &mut Client| client.simple("explain route select 1").last().map(|ready| ready.body[0]);
    client.run("begin");
    let lines = explain(&mut client, "select i from t");
    assert_eq!(lines.value("transaction"), "open; its BEGIN waits for its first statement");
    assert_eq!(lines.plan(), ("primary", "in a transaction"));
    assert_eq!(
        lines.all("rule")[1].split_once("): ").map(|rule| rule.1),
        Some("does not hold: `in_transaction`")
    );
    assert_eq!(explain(&mut client, "commit").plan(), ("answered by pgweir", "answered by pgweir"));
    assert_eq!(status(&mut client), Some(b'T'));
    client.run("insert into t values (6)");
    let lines = explain(&mut client, "select i from t");
    assert_eq!(
        (lines.value("transaction"), lines.plan()),
        ("open", ("the server in hand", "in a transaction"))
    );
    assert!(lines.value("target").starts_with(&format!("127.0.0.1:{}", Cluster::shared().port)));
    // Neither asked for nor noticed.
    client.send(
        &[
            msg::query("insert into t values (7)"),
            msg::query("explain route select 1"),
            msg::query("select 7"),
        ]
        .concat(),
    );
    let answers = [(); 3].map(|()| client.until_ready());
    assert_eq!(answers[0][0].command_tag(), "INSERT 0 1");
    assert_eq!(Lines::of(&answers[1]).plan().1, "in a transaction");
    assert_eq!(answers[2][1].value(), "7");
    // It works in a failed one, as it asks no server.
    assert_eq!(client.error("select 1 / 0"), "22012");
    let lines = explain(&mut client, "select i from t");
    assert_eq!(
        (lines.value("transaction"), lines.plan()),
        ("failed", ("refused (25P02), until ROLLBACK", "transaction failed"))
    );
    client.send(&[msg::unnamed("explain route rollback", &[]), msg::sync()].concat());
    assert_eq!(Lines::of(&client.until_ready()).plan(), ("the server in hand", "in a transaction"));
    assert_eq!(status(&mut client), Some(b'E'));
    assert_eq!(client.simple("commit")[0].command_tag(), "ROLLBACK");
    // One that is wrong is an error like another.
    for begun in ["begin", "begin; insert into t values (8)"] {
        client.run(begun);
        assert_eq!(client.error("explain route"), "42601");
        assert_eq!(client.error("select 1"), "25P02");
        assert_eq!(client.simple("commit")[0].command_tag(), "ROLLBACK");
    }
    assert_eq!(client.value("select count(*) from t"), "5");
}

#[test]
fn pins_and_modes_are_reasons() {
    let Some(scene) = Scene::new("", "") else { return };
    let mut client = scene.knowing_client();
    client.run("select pg_advisory_lock(7)");
    // The question what it has left is under way: it is waited for.
    let lines = explain(&mut client, "select i from t");
    assert_eq!((lines.value("pinned"), lines.plan()), ("advisory lock", ("the server in hand", "pinned")));
    client.run("select pg_advisory_unlock(7)");
    let lines = explain(&mut client, "select i from t");
    assert_eq!((lines.all("pinned").len(), lines.plan().1), (0, "no replicas watched"));
    let Some(refusing) = Scene::new("", "pins=refuse") else { return };
    let mut client = refusing.client();
    assert_eq!(
        explain(&mut client, "create temp table x (i int)").plan(),
        ("refused (0A000)", "pins refused")
    );
    let Some(own) = Scene::new("", "pool_mode=session") else { return };
    let mut client = own.knowing_client();
    client.run("select 1");
    assert_eq!(explain(&mut client, "select i from t").plan(), ("the server in hand", "session pool"));
}

fn tags(messages: &[Message]) -> String {
    let mut tags: Vec<u8> = messages.iter().map(|message| message.tag).collect();
    tags.dedup_by(|next, before| *next == b'D' && *before == b'D');
    String::from_utf8(tags).expect("letters")
}

#[test]
fn the_extended_protocol_has_all_its_steps() {
    let Some(scene) = Scene::new("", "") else { return };
    let mut client = scene.knowing_client();
    let sql = "explain route select i from t where i = $1 and i < $2";
    client.send(&[msg::parse_typed("e", sql, &[23]), msg::describe_statement("e"), msg::sync()].concat());
    let answer = client.until_ready();
    assert_eq!(tags(&answer), "1tTZ");
    assert_eq!(answer[1].body, [0, 2, 0, 0, 0, 23, 0, 0, 0, 25], "as given, and text");
    // In text and in binary the columns are the same; no type is looked at.
    for formats in [&[][..], &[1], &[0, 1, 0]] {
        let values = [Some(&b"4711"[..]), None];
        let bind = msg::bind_formats("", "e", &[], &values, formats);
        client.send(
            &[bind, msg::describe_portal(""), msg::execute("", 0), msg::close_portal(""), msg::sync()]
                .concat(),
        );
        let answer = client.until_ready();
        assert_eq!(tags(&answer), "2TDC3Z");
        let lines = Lines::of(&answer);
        let told = ["t.i equal $1 (4711), for every row", "t.i range $2 (NULL), for every row"];
        assert_eq!(lines.all("predicate"), told);
        let wanted = formats.get(if formats.len() == 1 { 0 } else { 1 }).copied().unwrap_or(0);
        assert!(answer[1].body.windows(8).any(|at| *at == [255, 255, 255, 255, 255, 255, 0, wanted as u8]));
    }
    // Some rows at a time, in a transaction and by a portal with a name.
    client.run("begin");
    client.run("select 1");
    client.send(&[msg::bind("p", "e", &["1", "2"]), msg::execute("p", 2), msg::sync()].concat());
    let answer = client.until_ready();
    assert_eq!((tags(&answer).as_str(), Lines::of(&answer).0.len()), ("2DsZ", 2));
    client.send(&[msg::bind("p", "e", &["1", "2"]), msg::sync()].concat());
    assert_eq!(client.until_ready()[0].sqlstate(), "42P03");
    client.run("rollback; begin; select 1");
    client.send(&[msg::execute("p", 0), msg::sync()].concat());
    client.until_ready();
    client.run("rollback");
    // Its name is a name like others.
    client.send(&[msg::parse("e", "explain route select 1"), msg::sync()].concat());
    assert_eq!(client.until_ready()[0].sqlstate(), "42P05");
    client.send(&[msg::parse("e", "select 1"), msg::sync()].concat());
    assert_eq!(client.until_ready()[0].sqlstate(), "42P05");
    client.send(&[msg::bind("", "e", &["1"]), msg::execute("", 0), msg::sync()].concat());
    assert_eq!(client.until_ready()[0].sqlstate(), "08P01");
    client.run("deallocate e");
    client.send(&[msg::bind("", "e", &["1", "2"]), msg::execute("", 0), msg::sync()].concat());
    assert_eq!(client.until_ready()[0].sqlstate(), "26000");
    client
        .send(&[msg::parse("e", "explain route select 1"), msg::close_statement("e"), msg::sync()].concat());
    assert_eq!(tags(&client.until_ready()), "13Z");
    client.send(
        &[msg::parse("e", "select 7"), msg::bind("", "e", &[]), msg::execute("", 0), msg::sync()].concat(),
    );
    assert_eq!(client.until_ready()[2].value(), "7");
}

#[test]
fn unnamed_statements_and_portals_give_way_to_each_other() {
    let Some(scene) = Scene::new("", "") else { return };
    let mut client = scene.knowing_client();
    for begun in [false, true] {
        if begun {
            client.run("begin; select 1");
        }
        let why = || msg::unnamed("explain route select 1", &[]);
        let run = |sql: &str| msg::unnamed(sql, &[]);
        client.send(&[why(), run("select 7"), why(), run("select 8"), msg::sync()].concat());
        let answer = client.until_ready();
        assert_eq!(tags(&answer), "12TDC12TDC12TDC12TDCZ");
        let values: Vec<_> = answer.iter().filter(|row| row.tag == b'D').map(Message::value).collect();
        assert!(
            values.contains(&"7".to_owned()) && values.last().is_some_and(|last| last == "8"),
            "{values:?}"
        );
        // The unnamed statement is the last one, wherever it is.
        client.send(&[msg::parse("", "explain route select 1"), msg::sync()].concat());
        client.until_ready();
        client.send(&[msg::bind("", "", &[]), msg::execute("", 0), msg::sync()].concat());
        assert_eq!(Lines::of(&client.until_ready()).value("class"), "select");
        client.send(&[msg::parse("", "select 9"), msg::sync()].concat());
        client.until_ready();
        client.send(&[msg::bind("", "", &[]), msg::execute("", 0), msg::sync()].concat());
        assert_eq!(client.until_ready()[1].value(), "9");
        client.send(
            &[msg::parse("", "explain route select 1"), msg::close_statement(""), msg::sync()].concat(),
        );
        assert_eq!(tags(&client.until_ready()), "13Z");
        client.send(&[msg::parse("", "explain route select 1"), msg::sync()].concat());
        client.until_ready();
        client.run("select 1");
        client.send(&[msg::bind("", "", &[]), msg::sync()].concat());
        assert_eq!(client.until_ready()[0].sqlstate(), "26000", "a Query takes it away");
        if begun {
            client.run("rollback");
        }
    }
}

#[test]
fn what_stands_behind_an_error_is_skipped() {
    let Some(scene) = Scene::new("", "") else { return };
    let mut client = scene.knowing_client();
    let why = |name: &str| {
        [msg::parse(name, "explain route select 1"), msg::bind("", name, &[]), msg::execute("", 0)].concat()
    };
    for ahead in ["select 1 / 0", "selec", "explain route"] {
        client.send(&[msg::unnamed(ahead, &[]), why("e"), msg::sync()].concat());
        let answer = client.until_ready();
        assert_eq!(answer.iter().filter(|message| message.tag == b'E').count(), 1, "{ahead}: {answer:?}");
        assert!(tags(&answer).ends_with("EZ"), "{ahead}: {answer:?}");
        client.send(&[msg::bind("", "e", &[]), msg::sync()].concat());
        assert_eq!(client.until_ready()[0].sqlstate(), "26000", "{ahead}: it was never prepared");
    }
    // What stands before it has happened.
    client.send(&[why("e"), msg::unnamed("select 1 / 0", &[]), msg::sync()].concat());
    let answer = client.until_ready();
    assert!(tags(&answer).starts_with("12DC") && tags(&answer).ends_with("EZ"), "{answer:?}");
    client.send(&[msg::bind("", "e", &[]), msg::execute("", 0), msg::sync()].concat());
    Lines::of(&client.until_ready());
    // A Query in the middle of a batch cannot be answered in its place.
    client.send(
        &[msg::unnamed("insert into t values (6)", &[]), msg::query("explain route select 1"), msg::sync()]
            .concat(),
    );
    let first = client.until_ready();
    assert_eq!(
        first.iter().find(|message| message.tag == b'E').map(Message::sqlstate).as_deref(),
        Some("0A000")
    );
    client.until_ready();
    assert_eq!(client.value("select 7"), "7");
    // Byte by byte.
    for byte in [msg::query("explain route select 1"), why(""), msg::sync()].concat() {
        client.send(&[byte]);
    }
    Lines::of(&client.until_ready());
    Lines::of(&client.until_ready());
    // In COPY it is none of pgweir's: PostgreSQL takes no Query there.
    client.send(&msg::query("copy t from stdin"));
    assert_eq!(client.until(b'G').expect("an answer").last().map(|message| message.tag), Some(b'G'));
    client.send(&msg::query("explain route select 1"));
    let told = client.read().expect("an answer").expect("an answer");
    assert_eq!((told.tag, told.sqlstate().as_str()), (b'E', "08P01"));
}

#[test]
fn other_encodings_get_what_they_can_read() {
    let Some(scene) = Scene::new("", "") else { return };
    let mut client = scene.knowing_client();
    assert_eq!(explain(&mut client, "select größe from t").value("shape"), "select größe from t");
    client.run("set client_encoding = latin1");
    client.send(&msg::query_bytes(b"explain route select gr\xf6\xdfe from t"));
    let answer = client.until_ready();
    let shape = Lines::of(&answer).value("shape").to_owned();
    assert!(shape.is_ascii() && shape.starts_with("select gr?"), "{shape}");
}

#[test]
fn the_console_explains_for_whom_it_is_told() {
    let Some(scene) = Scene::new(RULES, "") else { return };
    scene.knowing_client();
    let mut console = scene.console();
    let lines = Lines::of(&console.simple("EXPLAIN ROUTE 'select i from t where i = 7' USER app;"));
    assert_eq!((lines.value("read"), lines.plan()), ("yes", ("primary", "no replicas watched")));
    assert!(lines.all("rule")[1].ends_with("holds: decides route, timeout, throttle"));
    let lines = Lines::of(&console.simple("explain route $$delete from t$$ user other"));
    assert!(lines.all("rule")[1].ends_with("does not hold: `user`"));
    assert_eq!(lines.plan(), ("refused (P0403), by rule no-delete", "blocked by a rule"));
    let named = format!("explain route 'select 1' database {}", scene.database.name);
    assert_eq!(Lines::of(&console.simple(&named)).value("class"), "select");
    assert_eq!(console.error("explain route 'select 1' database nosuch"), "3D000");
    assert_eq!(console.error("explain route ''"), "42601");
    assert_eq!(console.error("explain route select 1"), "42601");
    let answer = console.simple("explain route 'select 1'");
    assert_eq!(answer[answer.len() - 2].command_tag(), "EXPLAIN");
    let rules = show(&mut console, "RULES");
    assert!(rules.iter().all(|row| row["hits"] == "0"), "{rules:?}");
}
