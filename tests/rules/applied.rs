//! What `pgweir run --rules` does with statements: refusals, shadows, conditions, reloads, and what is counted.

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

const NO_DELETE: &str = r#"
[[rule]]
name = "no-delete"
when = { class = "delete", where = false }
then = { block = { sqlstate = "P0403", message = "DELETE without WHERE is not allowed here", hint = "Add a WHERE." } }
"#;

/// A proxy in front of two databases, and a folder with its rules.
pub(super) struct Ruled {
    pub(super) proxy: Proxy,
    pub(super) http: SocketAddr,
    pub(super) databases: [Database<'static>; 2],
    folder: Folder,
}

/// See [`Ruled::another`].
pub(super) struct Another {
    pub(super) proxy: Proxy,
    pub(super) http: SocketAddr,
}

impl Ruled {
    /// `OTHER` in the rules stands for the name of the second database.
    pub(super) fn new(rules: &str) -> Option<Ruled> {
        Ruled::with(rules, "pool_size=3")
    }

    /// The same with these parameters of the databases' connection strings.
    pub(super) fn with(rules: &str, query: &str) -> Option<Ruled> {
        Ruled::start(rules, query, "")
    }

    /// And with these settings beside them.
    pub(super) fn with_settings(rules: &str, query: &str, settings: &str) -> Option<Ruled> {
        Ruled::start(rules, query, settings)
    }

    /// With two threads that have sessions.
    pub(super) fn with_two_workers(rules: &str, query: &str) -> Option<Ruled> {
        Ruled::start(rules, query, "workers = 2\n")
    }

    fn start(rules: &str, query: &str, settings: &str) -> Option<Ruled> {
        if direct_only() {
            return None;
        }
        let cluster = Cluster::shared();
        let databases = [cluster.database(), cluster.database()];
        for database in &databases {
            database.setup("create table t (i int); insert into t select generate_series(1, 5)");
        }
        let folder = Folder::new();
        let http = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let mut config = format!("{settings}[admin]\nadmin_users = [\"{}\"]\n", APP.0);
        for database in &databases {
            let url = cluster.url(APP, &database.name, query);
            config.push_str(&format!("[databases.{}]\nurl = \"{url}\"\n", database.name));
        }
        std::fs::write(folder.0.join("a.toml"), rules.replace("OTHER", &databases[1].name)).expect("written");
        let mut options = ProxyOptions::default().config(&config);
        let rules = folder.0.display().to_string();
        options.args.extend(["--http".to_owned(), http.to_string(), "--rules".to_owned(), rules]);
        let proxy = Proxy::start_with(&options);
        eventually("HTTP answers", || get(http, "/health").0 == 200);
        Some(Ruled { proxy, http, databases, folder })
    }

    /// A second proxy in front of the same databases, with the same rules.
    pub(super) fn another(&self) -> Another {
        let http = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let url = Cluster::shared().url(APP, &self.databases[0].name, "pool_size=3");
        let mut options = ProxyOptions::url(&url);
        let rules = self.folder.0.display().to_string();
        options.args.extend(["--http".to_owned(), http.to_string(), "--rules".to_owned(), rules]);
        let proxy = Proxy::start_with(&options);
        eventually("HTTP answers", || get(http, "/health").0 == 200);
        Another { proxy, http }
    }

    pub(super) fn client(&self) -> Client {
        Client::connect(&self.proxy.endpoint(), &self.databases[0].login())
    }

    pub(super) fn console(&self) -> Client {
        Client::connect(&self.proxy.endpoint(), &Login::new(APP.0, APP.1, "pgweir"))
    }

    /// Returns when the cache knows all that was committed by now.
    pub(super) fn barrier(&self) {
        let told = (0..6).find(|_| {
            // It waits for a while, and then says for what.
            let answer = self.console().simple("cache barrier");
            answer.iter().all(|message| message.tag != b'E')
        });
        assert!(told.is_some(), "the stream has not come so far");
    }

    /// Where its rules are.
    pub(super) fn folder(&self) -> String {
        self.folder.0.display().to_string()
    }

    pub(super) fn write(&self, text: &str) {
        std::fs::write(self.folder.0.join("a.toml"), text).expect("a file can be written");
    }

    /// The hits of a rule, as the console says, and those in shadow.
    pub(super) fn hits(&self, rule: &str) -> [u64; 2] {
        let rows = show(&mut self.console(), "RULES");
        let row =
            rows.iter().find(|row| row["name"] == rule).unwrap_or_else(|| panic!("no {rule}: {rows:?}"));
        ["hits", "shadow_hits"].map(|column| row[column].parse().expect("a number"))
    }

    pub(super) fn metric(&self, sample: &str) -> String {
        let (_, page) = get(self.http, "/metrics");
        let line = page.lines().find_map(|line| line.strip_prefix(sample));
        line.unwrap_or_else(|| panic!("no {sample} in\n{page}")).trim().to_owned()
    }
}

pub(super) fn error(messages: &[Message]) -> &Message {
    messages.iter().find(|message| message.tag == b'E').unwrap_or_else(|| panic!("no error: {messages:?}"))
}

/// Blocked in the words of the rule, in a transaction of that status behind it.
#[track_caller]
fn assert_blocked(messages: &[Message], status: u8) {
    let error = error(messages);
    let field = |code| error.field(code).unwrap_or_default();
    let told = (field(b'S'), field(b'C'), field(b'M'), field(b'H'));
    let told = (told.0.as_str(), told.1.as_str(), told.2.as_str(), told.3.as_str());
    assert_eq!(told, ("ERROR", "P0403", "DELETE without WHERE is not allowed here", "Add a WHERE."));
    let ready = messages.last().expect("an answer");
    assert_eq!((ready.tag, ready.body[0] as char), (b'Z', status as char));
    assert_eq!(messages.iter().filter(|message| message.tag == b'E').count(), 1, "{messages:?}");
}

#[test]
fn a_query_is_blocked() {
    let Some(ruled) = Ruled::new(NO_DELETE) else { return };
    let mut client = ruled.client();
    for text in ["delete from t", "DELETE  FROM t -- all of it", "delete from t;", "delete from t ; "] {
        assert_blocked(&client.simple(text), b'I');
        assert_eq!(client.value("select count(*) from t"), "5");
    }
    client.run("delete from t where i = 5");
    assert_eq!(client.value("select count(*) from t"), "4");
    // In one write, answers are in their places.
    let pipeline =
        ["select 1", "delete from t", "select 2", "begin", "delete from t", "select 3", "commit", "select 4"];
    client.send(&pipeline.map(msg::query).concat());
    let answers = pipeline.map(|_| client.until_ready());
    assert_eq!(
        answers[0].iter().find(|message| message.tag == b'D').map(Message::value).as_deref(),
        Some("1")
    );
    assert_blocked(&answers[1], b'I');
    assert_eq!(
        answers[2].iter().find(|message| message.tag == b'D').map(Message::value).as_deref(),
        Some("2")
    );
    assert_blocked(&answers[4], b'E');
    assert_eq!(error(&answers[5]).sqlstate(), "25P02");
    assert_eq!(
        answers[7].iter().find(|message| message.tag == b'D').map(Message::value).as_deref(),
        Some("4")
    );
    assert_eq!(client.value("select count(*) from t"), "4");
    assert_eq!(ruled.hits("no-delete"), [6, 0]);
    assert_eq!(ruled.metric("pgweir_rule_hits_total{rule=\"no-delete\",mode=\"enforce\"}"), "6");
}

#[test]
fn a_transaction_fails_with_what_is_blocked_in_it() {
    let Some(ruled) = Ruled::new(NO_DELETE) else { return };
    let mut client = ruled.client();
    client.run("begin");
    client.run("insert into t values (6)");
    assert_blocked(&client.simple("delete from t"), b'E');
    assert_eq!(client.error("select 1"), "25P02");
    assert_eq!(client.simple("commit")[0].command_tag(), "ROLLBACK");
    assert_eq!(client.value("select count(*) from t"), "5");
    // The first statement: pgweir has not begun on a server yet.
    client.run("begin");
    assert_blocked(&client.simple("delete from t"), b'E');
    assert_eq!(client.error("select 1"), "25P02");
    assert_eq!(client.simple("commit")[0].command_tag(), "ROLLBACK");
    assert_eq!(client.value("select 1"), "1");
    // A savepoint is a way back.
    client.run("begin");
    client.run("insert into t values (6)");
    client.run("savepoint a");
    assert_blocked(&client.simple("delete from t"), b'E');
    client.run("rollback to a");
    client.run("commit");
    assert_eq!(client.value("select count(*) from t"), "6");
    assert_eq!(ruled.hits("no-delete"), [3, 0]);
}

/// What the server has refused of a COPY it knows before pgweir does; what stands behind runs.
#[test]
fn what_stands_behind_refused_data_is_blocked() {
    let Some(ruled) = Ruled::new(NO_DELETE) else { return };
    let mut client = ruled.client();
    client.send(&msg::query("copy t from stdin"));
    client.until(b'G').expect("the copy begins");
    client.send(&[msg::copy_data(b"bad\n"), msg::query("delete from t"), msg::query("select 1")].concat());
    assert_eq!(error(&client.until_ready()).sqlstate(), "22P02");
    assert_blocked(&client.until_ready(), b'I');
    client.until_ready();
    let delete = msg::unnamed("delete from t", &[]);
    for behind in [[delete, msg::sync()].concat(), msg::query("delete from t")] {
        client.send(&[msg::unnamed("copy t from stdin", &[]), msg::flush()].concat());
        client.until(b'G').expect("the copy begins");
        client.send(&[msg::copy_data(b"bad\n"), msg::sync(), behind].concat());
        assert_eq!(error(&client.until_ready()).sqlstate(), "22P02");
        assert_blocked(&client.until_ready(), b'I');
        assert_eq!(client.value("select count(*) from t"), "5");
    }
}

#[test]
fn the_extended_protocol_is_blocked_when_it_binds() {
    let Some(ruled) = Ruled::new(NO_DELETE) else { return };
    let mut client = ruled.client();
    let run = [msg::bind("", "s", &[]), msg::execute("", 0), msg::sync()].concat();
    client.send(&[msg::unnamed("delete from t", &[]), msg::sync()].concat());
    assert_blocked(&client.until_ready(), b'I');
    assert_eq!(client.value("select count(*) from t"), "5");
    client.send(&[msg::parse("s", "delete from t;"), msg::sync()].concat());
    assert_eq!(client.until_ready()[0].tag, b'1', "to prepare it does no harm");
    for _ in 0..2 {
        client.send(&run);
        assert_blocked(&client.until_ready(), b'I');
    }
    // All that stands before it in its batch is undone, what stands behind is skipped.
    let insert = msg::unnamed("insert into t values (6)", &[]);
    client.send(&[insert.clone(), run.clone(), insert, msg::sync()].concat());
    assert_blocked(&client.until_ready(), b'I');
    assert_eq!(client.until_ready().iter().map(|message| message.tag as char).collect::<String>(), "12nCZ");
    assert_eq!(client.value("select count(*) from t"), "6");
    client.run("begin");
    client.send(&run);
    assert_blocked(&client.until_ready(), b'E');
    client.run("rollback");
    client.run("begin");
    client.run("insert into t values (7)");
    client.send(&[msg::unnamed("delete from t", &[]), msg::sync()].concat());
    assert_blocked(&client.until_ready(), b'E');
    client.run("rollback");
    // The session is as good as before.
    client.send(&[msg::unnamed("select $1::int", &["7"]), msg::sync()].concat());
    let answer = client.until_ready();
    assert_eq!(answer.iter().find(|message| message.tag == b'D').map(Message::value).as_deref(), Some("7"));
    client.send(&[msg::bind("", "s", &[]), msg::sync()].concat());
    assert_blocked(&client.until_ready(), b'I');
    assert_eq!(ruled.hits("no-delete"), [7, 0]);
}

#[test]
fn a_rule_in_shadow_only_counts() {
    let Some(ruled) = Ruled::new(&format!("{NO_DELETE}mode = \"shadow\"\n")) else { return };
    let mut client = ruled.client();
    client.run("delete from t");
    client.send(&[msg::unnamed("delete from t", &[]), msg::sync()].concat());
    assert!(client.until_ready().iter().all(|message| message.tag != b'E'));
    assert_eq!(client.value("select count(*) from t"), "0");
    assert_eq!(ruled.hits("no-delete"), [0, 2]);
    assert_eq!(ruled.metric("pgweir_rule_hits_total{rule=\"no-delete\",mode=\"shadow\"}"), "2");
}

#[test]
fn rules_are_reloaded_as_a_whole_or_not_at_all() {
    let Some(ruled) = Ruled::new(NO_DELETE) else { return };
    let (mut client, mut console) = (ruled.client(), ruled.console());
    assert_blocked(&client.simple("delete from t"), b'I');
    ruled.write(&NO_DELETE.replace("class", "clas"));
    let answer = console.simple("reload");
    let told = error(&answer).field(b'D').unwrap_or_default();
    let place = format!("{}:4:10: unknown key `clas`", ruled.folder.0.join("a.toml").display());
    assert!(told.starts_with(&place), "{told}");
    assert!(ruled.proxy.log().contains(&place), "{}", ruled.proxy.log());
    assert_eq!(ruled.metric("pgweir_reloads_total{result=\"refused\"}"), "1");
    assert_blocked(&client.simple("delete from t"), b'I');
    // The same rule goes on counting, and there is another.
    ruled.write(&format!(
        "{NO_DELETE}[[rule]]\nname = \"no-insert\"\nwhen.class = \"insert\"\nthen.block.message = \"no\"\n"
    ));
    console.run("reload");
    assert_eq!(ruled.metric("pgweir_reloads_total{result=\"ok\"}"), "1");
    eventually("the new rules are in force", || client.simple("insert into t values (6)")[0].tag == b'E');
    assert_eq!(client.error("insert into t values (6)"), "42501");
    assert_blocked(&client.simple("delete from t"), b'I');
    assert_eq!(ruled.hits("no-delete"), [3, 0]);
    ruled.write("");
    ruled.proxy.signal("HUP");
    eventually("there are no rules", || client.simple("delete from t")[0].tag == b'C');
    assert!(show(&mut console, "RULES").is_empty());
}

#[test]
fn a_bad_file_or_none_at_the_start() {
    let folder = Folder::new();
    std::fs::write(folder.0.join("a.toml"), NO_DELETE.replace("P0403", "P04")).expect("written");
    let mut command = Command::new(program());
    let port = free_port().to_string();
    command.args(["run", "--http", "off", "--listen", &format!("127.0.0.1:{port}"), "--rules"]);
    let output = run(command.arg(&folder.0).arg("postgres://nowhere.invalid/x"), Duration::from_secs(30));
    assert!(!output.ok);
    let place = format!("{}:5:31: ", folder.0.join("a.toml").display());
    assert!(output.stderr.contains(&place), "{}", output.stderr);
}

#[test]
fn conditions_on_session_and_moment() {
    let rules = r#"
[[rule]]
name = "no-batch"
when = { application = "batch-*", tables = "t" }
then.block.message = "not now"

[[rule]]
name = "only-in-a-transaction"
when = { class = "insert", in_transaction = false }
then.block.message = "BEGIN first"

[[rule]]
name = "not-here"
when = { database = "OTHER", class = "update" }
then.block.message = "not here"

[[rule]]
name = "no-secrets"
when = { class = "select", text_regex = "'secret'$" }
then.block.message = "hush"
"#;
    let Some(ruled) = Ruled::new(rules) else { return };
    let mut client = ruled.client();
    client.run("select * from t");
    client.run("set application_name = 'batch-7'");
    assert_eq!(client.error("select * from t"), "42501");
    client.send(&[msg::unnamed("select * from t", &[]), msg::sync()].concat());
    assert_eq!(error(&client.until_ready()).sqlstate(), "42501");
    client.run("reset application_name");
    client.run("select * from t");
    let login = ruled.databases[0].login().param("application_name", "batch-8");
    let mut batch = Client::connect(&ruled.proxy.endpoint(), &login);
    assert_eq!(batch.error("select * from t"), "42501");
    batch.run("select 1");
    assert_eq!(ruled.hits("no-batch"), [3, 0]);

    assert_eq!(client.error("insert into t values (6)"), "42501");
    for _ in 0..2 {
        client.run("begin");
        client.run("insert into t values (6)");
        client.run("insert into t values (6)");
        client.run("rollback");
        assert_eq!(client.error("insert into t values (6)"), "42501");
    }
    assert_eq!(ruled.hits("only-in-a-transaction"), [3, 0]);

    let mut other = Client::connect(&ruled.proxy.endpoint(), &ruled.databases[1].login());
    assert_eq!(other.error("update t set i = i"), "42501");
    client.run("update t set i = i");
    assert_eq!(ruled.hits("not-here"), [1, 0]);

    assert_eq!(client.error("select 'secret' ; "), "42501");
    client.run("select 'public'");
    assert_eq!(ruled.hits("no-secrets"), [1, 0]);
}

#[test]
fn a_statement_is_logged_without_its_values_and_a_route_to_nowhere_is_told() {
    let rules = r#"[[rule]]
name = "seen"
when.tables = "t"
then = { log = "warn", tag = "about-t", max_rows = 5, route = "replica" }
"#;
    let Some(ruled) = Ruled::new(rules) else { return };
    let place = format!("{}:2:1", ruled.folder.0.join("a.toml").display());
    let told = format!("{place}: `seen` sends reads to replicas, but no database has any");
    let log = ruled.proxy.log();
    assert!(log.contains(&told), "{told}\n{log}");
    ruled.client().run("select * from t where i = 4711");
    eventually("it is logged", || ruled.proxy.log().contains("about-t"));
    let log = ruled.proxy.log();
    let line = log.lines().find(|line| line.contains("about-t")).expect("a line");
    let parts = ["WARN", "rule=\"seen\"", "user=\"app\"", "shape=\"select * from t where i = $1\""];
    parts.iter().for_each(|part| assert!(line.contains(part), "{part}: {line}"));
    assert!(!log.contains("4711"), "{log}");
}

#[test]
fn of_many_rules_each_session_meets_its_own() {
    let rule = |n: u32| {
        format!("[[rule]]\nname = \"r{n}\"\nwhen.application = \"app-{n}\"\nthen.block.message = \"{n}\"\n")
    };
    let Some(ruled) = Ruled::new(&(1..200).map(rule).collect::<String>()) else { return };
    let mut client = ruled.client();
    for n in [0, 7, 150, 0, 150] {
        client.run(&format!("set application_name = 'app-{n}'"));
        for _ in 0..3 {
            let answer = client.simple("select 1");
            let told = answer.iter().find(|message| message.tag == b'E').and_then(|error| error.field(b'M'));
            assert_eq!(told, (n > 0).then(|| n.to_string()), "{answer:?}");
        }
        if n > 0 {
            // The session can set nothing while all is blocked.
            client = ruled.client();
        }
    }
    assert_eq!((ruled.hits("r7"), ruled.hits("r150"), ruled.hits("r8")), ([3, 0], [6, 0], [0, 0]));
    ruled.write(&rule(7));
    ruled.console().run("reload");
    let login = ruled.databases[0].login().param("application_name", "app-150");
    let mut free = Client::connect(&ruled.proxy.endpoint(), &login);
    eventually("the rule is gone", || free.simple("select 1").iter().all(|message| message.tag != b'E'));
}

/// Refuses what reaches one table in either way, and what writes another.
const BEHIND: &str = r#"
[[rule]]
name = "salaries"
when = { tables = "salaries", class = "select" }
then.block = { message = "not the salaries" }

[[rule]]
name = "ledger"
when.writes = "ledger"
then.block = { message = "not into the ledger" }

[[rule]]
name = "old"
when.reads = "events_old"
then.block = { message = "not the old events" }
"#;

#[test]
fn rules_hold_for_tables_behind_views_partitions_and_rules_of_the_server() {
    let Some(ruled) = Ruled::new(BEHIND) else { return };
    ruled.databases[0].setup(
        "create table salaries (i int); create table ledger (i int); create table orders (i int);
         create view people as select i from salaries; create view staff as select * from people;
         create table events (i int) partition by range (i);
         create table events_old partition of events for values from (0) to (10);
         create table events_new partition of events for values from (10) to (20);
         create rule booked as on insert to orders do also insert into ledger values (new.i)",
    );
    let mut client = ruled.client();
    // By simple query, and by the extended protocol.
    let mut refused = |sql: &str| {
        let simple = client.simple(sql);
        client.send(&[msg::unnamed(sql, &[]), msg::sync()].concat());
        [simple, client.until_ready()].map(|answer| {
            let error = answer.iter().find(|message| message.tag == b'E');
            error.map(|error| error.field(b'M').unwrap_or_default()).unwrap_or_default()
        })
    };
    let salaries = ["not the salaries"; 2];
    assert_eq!(refused("select * from salaries"), salaries, "what a statement names counts at once");
    eventually("the catalogs are read", || {
        std::thread::sleep(Duration::from_millis(50));
        refused("select * from staff") == salaries
    });
    let mut check = |sql: &str, expected: &str| assert_eq!(refused(sql), [expected; 2], "{sql}");
    check("select count(*) from people", "not the salaries");
    check("select * from events", "not the old events");
    check("select * from events_new", "");
    check("insert into events values (1)", "");
    check("insert into orders values (1)", "not into the ledger");
    check("select * from ledger, orders", "");
    check("select * from only_named_so", "relation \"only_named_so\" does not exist");
    // What is defined while it runs is known soon.
    ruled.client().run("create view payroll as select * from staff");
    eventually("the new view is known", || {
        std::thread::sleep(Duration::from_millis(50));
        refused("select i from payroll") == salaries
    });
    ruled.client().run("create or replace view people as select i from orders");
    eventually("the view reads another table", || {
        std::thread::sleep(Duration::from_millis(50));
        refused("select i from payroll") == ["", ""]
    });
}
