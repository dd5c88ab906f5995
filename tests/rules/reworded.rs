//! `rewrite` and `hint`: what the server gets, what the client learns of it, and what becomes of what is prepared when rules change.

use std::net::SocketAddr;
use std::time::Duration;

use super::applied::{Ruled, error};
use crate::admin::get;
use crate::cluster::Scene;
use crate::harness::cluster::{APP, free_port};
use crate::harness::command::Folder;
use crate::harness::message::Message;
use crate::harness::proxy::{Proxy, ProxyOptions};
use crate::harness::raw::{Client, Login};
use crate::harness::{direct_only, eventually, frontend as msg};

/// What the server has got, as it says itself.
const SELF: &str = "select query from pg_stat_activity where pid = pg_backend_pid()";

const RULES: &str = r#"
[[rule]]
name = "other"
then.rewrite = { from = "select i, 'all' from t where i = 1", to = "select i, 'one' from t where i = $2 limit 1" }

[[rule]]
name = "hinted"
when = { class = "read", tables = "pg_stat_activity" }
then.hint = "SeqScan(pg_stat_activity)"

[[rule]]
name = "hinted-t"
when.tables = "t"
then.hint = "SeqScan(t)"

[[rule]]
name = "refused"
then.rewrite = { from = "select 'no' from t where i = 1", to = "select nosuch from t where i = $2" }

[[rule]]
name = "in-transactions"
when.in_transaction = true
then.rewrite = { from = "select i + 0 from t where i = 1", to = "select i * 10 from t where i = $2" }

[[rule]]
name = "accents"
then.rewrite = { from = "select 'plain' where 1 = 1", to = "select 'é' where $2 = $3" }

[[rule]]
name = "write"
then.rewrite = { from = "delete from t where i = 1", to = "update t set i = -i where i = $1" }
"#;

/// The values of all rows, by column.
fn rows(messages: &[Message]) -> Vec<Vec<String>> {
    let text = |value: Option<Vec<u8>>| String::from_utf8_lossy(&value.unwrap_or_default()).into_owned();
    let rows = messages.iter().filter(|message| message.tag == b'D');
    rows.map(|row| row.values().into_iter().map(text).collect()).collect()
}

fn tags(messages: &[Message]) -> String {
    messages.iter().map(|message| message.tag as char).collect()
}

#[test]
fn a_query_goes_on_in_other_words() {
    let Some(ruled) = Ruled::new(RULES) else { return };
    let mut client = ruled.client();
    for text in [
        "select i, 'all' from t where i = 4",
        "SELECT i , 'x'\n FROM t WHERE i = 4 ; -- yes",
        "/* a */ select i,'x' from t where i=4;",
    ] {
        let answer = client.simple(text);
        assert_eq!(rows(&answer), [["4", "one"]], "{text}");
        assert_eq!(
            answer.iter().find(|message| message.tag == b'C').map(Message::command_tag).as_deref(),
            Some("SELECT 1")
        );
    }
    assert_eq!(ruled.hits("other"), [3, 0]);
    // A text where a number was, and one of several: as they are.
    assert_eq!(rows(&client.simple("select i, 'all' from t where i = '4'")), [["4", "all"]]);
    assert_eq!(
        rows(&client.simple("select i, 'all' from t where i = 4; select i, 'all' from t where i = 5")),
        [["4", "all"], ["5", "all"]]
    );
    // In a transaction, in a pipeline, and a write.
    client.send(
        &["begin", "delete from t where i = 3", "select i, '' from t where i = 2", "commit"]
            .map(msg::query)
            .concat(),
    );
    let answers: Vec<_> = (0..4).map(|_| client.until_ready()).collect();
    assert_eq!(answers[1][0].command_tag(), "UPDATE 1");
    assert_eq!(rows(&answers[2]), [["2", "one"]]);
    assert_eq!(client.value("select count(*) from t where i = -3"), "1");
    assert_eq!(client.error("select 1 / 0"), "22012");
    assert_eq!(client.value("select count(*) from t"), "5");
}

#[test]
fn hints_come_first_and_change_nothing_else() {
    let Some(ruled) = Ruled::new(RULES) else { return };
    let mut client = ruled.client();
    let hint = "/*+ SeqScan(pg_stat_activity) */ ";
    assert_eq!(client.value(SELF), format!("{hint}{SELF}"));
    assert_eq!(
        client.value(&format!("/*+ IndexScan(x) */ {SELF}")),
        format!("{hint}/*+ IndexScan(x) */ {SELF}")
    );
    client.send(&[msg::unnamed(SELF, &[]), msg::sync()].concat());
    assert_eq!(rows(&client.until_ready()), [[format!("{hint}{SELF}")]]);
    client.send(&[msg::parse("s", SELF), msg::sync()].concat());
    client.until_ready();
    for _ in 0..3 {
        client.send(&[msg::bind("", "s", &[]), msg::execute("", 0), msg::sync()].concat());
        assert_eq!(rows(&client.until_ready()), [[format!("{hint}{SELF}")]]);
    }
    assert_eq!(ruled.hits("hinted"), [6, 0]);
    // A place in an error is one in the client's own text.
    let wrong = "select 'ä', nosuch from t";
    let mut direct = crate::harness::cluster::Cluster::shared().superuser(&ruled.databases[0].name);
    let expected = error(&direct.simple(wrong)).field(b'P');
    assert_eq!(expected.as_deref(), Some("13"));
    let told = client.simple(wrong);
    assert_eq!((error(&told).field(b'P'), error(&told).field(b'H')), (expected.clone(), None));
    for messages in [msg::unnamed(wrong, &[]), msg::parse("wrong", wrong)] {
        client.send(&[messages, msg::sync()].concat());
        assert_eq!(error(&client.until_ready()).field(b'P'), expected);
    }
}

#[test]
fn the_extended_protocol_prepares_the_other_words() {
    let Some(ruled) = Ruled::new(RULES) else { return };
    let mut client = ruled.client();
    let text = "select i, $2 from t where i = $1";
    // The template would lose $2: the statement stays as it is.
    client.send(&[msg::unnamed(text, &["4", "x"]), msg::sync()].concat());
    assert_eq!(rows(&client.until_ready()), [["4", "x"]]);
    let text = "select i, 'all' from t where i = $1";
    client.send(&[msg::parse("s", text), msg::describe_statement("s"), msg::sync()].concat());
    let described = client.until_ready();
    assert_eq!(tags(&described), "1tTZ", "{described:?}");
    assert_eq!(described[1].body, [&[0, 1][..], &23_u32.to_be_bytes()].concat(), "the parameter is an int");
    for i in ["4", "5"] {
        client.send(
            &[msg::bind("", "s", &[i]), msg::describe_portal(""), msg::execute("", 0), msg::sync()].concat(),
        );
        let answer = client.until_ready();
        assert_eq!(
            (tags(&answer).as_str(), rows(&answer)),
            ("2TDCZ", vec![vec![i.to_owned(), "one".to_owned()]])
        );
    }
    client.send(&[msg::unnamed(text, &["3"]), msg::sync()].concat());
    assert_eq!(rows(&client.until_ready()), [["3", "one"]]);
    assert_eq!(ruled.hits("other"), [4, 0], "what is prepared counts when it is bound");
    // Another session, on whatever server, has the same.
    let mut others: Vec<_> = (0..4).map(|_| ruled.client()).collect();
    others.iter_mut().for_each(|other| other.run("begin"));
    for other in &mut others[..2] {
        other.send(
            &[msg::parse("s", text), msg::bind("", "s", &["1"]), msg::execute("", 0), msg::sync()].concat(),
        );
        assert_eq!(rows(&other.until_ready()), [["1", "one"]]);
    }
    for other in &mut others[..2] {
        other.run("rollback");
        other.send(&[msg::bind("", "s", &["2"]), msg::execute("", 0), msg::sync()].concat());
        assert_eq!(rows(&other.until_ready()), [["2", "one"]]);
        other.send(&[msg::close_statement("s"), msg::sync()].concat());
        assert_eq!(tags(&other.until_ready()), "3Z");
    }
    // A name that is taken is still the first one's.
    client.send(&[msg::parse("s", "select i, 'none' from t where i = $1"), msg::sync()].concat());
    assert_eq!(error(&client.until_ready()).sqlstate(), "42P05");
    client.send(&[msg::bind("", "s", &["4"]), msg::execute("", 0), msg::sync()].concat());
    assert_eq!(rows(&client.until_ready()), [["4", "one"]]);
}

#[test]
fn what_postgresql_refuses_names_the_rule_and_no_place() {
    let Some(ruled) = Ruled::new(RULES) else { return };
    let mut client = ruled.client();
    let text = "select 'no' from t where i = 1";
    let mut check = |messages: Vec<u8>| {
        client.send(&messages);
        let answer = client.until_ready();
        let told = error(&answer);
        assert_eq!((told.sqlstate().as_str(), told.field(b'P')), ("42703", None), "{answer:?}");
        let hint = told.field(b'H').unwrap_or_default();
        assert!(hint.ends_with("The statement was rewritten by rule \"refused\"."), "{hint}");
        assert_eq!(client.value("select 1"), "1");
    };
    check(msg::query(text));
    check([msg::unnamed(text, &[]), msg::sync()].concat());
    check([msg::parse("s", text), msg::sync()].concat());
    check([msg::parse("s", text), msg::sync()].concat());
    // One that was prepared well fails where it is prepared anew.
    client.send(&[msg::parse("late", "select i, 'x' from t where i = $1"), msg::sync()].concat());
    client.until_ready();
    ruled.write(&RULES.replace("select i, 'one' from t", "select gone from t"));
    ruled.console().run("reload");
    let run = [msg::bind("", "late", &["4"]), msg::execute("", 0), msg::sync()].concat();
    eventually("the new rules are in force", || {
        client.send(&run);
        client.until_ready()[0].tag == b'E'
    });
    client.send(&run);
    let answer = client.until_ready();
    let told = error(&answer);
    assert_eq!((told.sqlstate().as_str(), told.field(b'P')), ("42703", None));
    assert!(told.field(b'H').unwrap_or_default().contains("rule \"other\""), "{told:?}");
    ruled.write(RULES);
    ruled.console().run("reload");
    eventually("it is as before", || {
        client.send(&run);
        rows(&client.until_ready()) == [["4", "one"]]
    });
}

#[test]
fn what_is_prepared_follows_rules_and_what_they_ask() {
    let Some(ruled) = Ruled::new(RULES) else { return };
    let mut client = ruled.client();
    let text = "select i + 0 from t where i = $1";
    client.send(&[msg::parse("s", text), msg::describe_statement("s"), msg::sync()].concat());
    client.until_ready();
    let run = |client: &mut Client, name: &str| {
        client.send(&[msg::bind("", name, &["4"]), msg::execute("", 0), msg::sync()].concat());
        client.until_ready()
    };
    // A column of another name: what the client was told does not hold any more, as PostgreSQL says then.
    assert_eq!(rows(&run(&mut client, "s")), [["4"]]);
    client.run("begin");
    assert_eq!(rows(&run(&mut client, "s")), [["40"]], "the rule holds in transactions only");
    client.run("commit");
    assert_eq!(rows(&run(&mut client, "s")), [["4"]]);
    client.send(
        &[msg::parse("t", "select i, 'x' from t where i = $1"), msg::describe_statement("t"), msg::sync()]
            .concat(),
    );
    client.until_ready();
    assert_eq!(rows(&run(&mut client, "t")), [["4", "one"]]);
    // Other words with the same columns.
    ruled.write(&RULES.replace("'one'", "'two'"));
    ruled.console().run("reload");
    eventually("other words", || rows(&run(&mut client, "t")) == [["4", "two"]]);
    // No rules: the client's own.
    ruled.write("");
    ruled.console().run("reload");
    eventually("its own words", || rows(&run(&mut client, "t")) == [["4", "x"]]);
    // Other columns: the client must prepare it anew, as it would have to directly.
    ruled.write(&RULES.replace("select i, 'one' from t", "select i, 1 as n, 2 as m from t"));
    ruled.console().run("reload");
    eventually("it is another statement", || run(&mut client, "t").iter().any(|message| message.tag == b'E'));
    let answer = run(&mut client, "t");
    let told = error(&answer);
    assert_eq!(
        (told.sqlstate().as_str(), told.field(b'R').as_deref()),
        ("0A000", Some("RevalidateCachedQuery"))
    );
    client.send(
        &[msg::close_statement("t"), msg::parse("t", "select i, 'x' from t where i = $1"), msg::sync()]
            .concat(),
    );
    client.until_ready();
    assert_eq!(rows(&run(&mut client, "t")), [["4", "1", "2"]]);
}

#[test]
fn a_template_is_said_only_where_it_is_read_as_it_is_written() {
    let Some(ruled) = Ruled::new(RULES) else { return };
    let mut client = ruled.client();
    assert_eq!(client.value("select 'plain' where 1 = 1"), "é");
    client.run("set client_encoding = latin1");
    assert_eq!(client.value("select 'plain' where 1 = 1"), "plain");
    client.run("set standard_conforming_strings = off");
    assert_eq!(client.value("select i, '\\'' from t where i = 4"), "4");
    assert_eq!(rows(&client.simple("select i, 'x' from t where i = 4")), [["4", "one"]]);
}

#[test]
fn in_shadow_words_stay() {
    let shadowed = RULES.replace("\n[[rule]]", "\nmode = \"shadow\"\n[[rule]]").replacen(
        "\nmode = \"shadow\"\n",
        "\n",
        1,
    );
    let Some(ruled) = Ruled::new(&format!("{shadowed}mode = \"shadow\"\n")) else { return };
    let mut client = ruled.client();
    assert_eq!(rows(&client.simple("select i, 'all' from t where i = 4")), [["4", "all"]]);
    client.send(&[msg::unnamed("select i, 'all' from t where i = $1", &["4"]), msg::sync()].concat());
    assert_eq!(rows(&client.until_ready()), [["4", "all"]]);
    assert_eq!(ruled.hits("other"), [0, 2]);
}

#[test]
fn reworded_reads_go_to_replicas_and_come_back() {
    if direct_only() {
        return;
    }
    let scene = Scene::new(1);
    let mut superuser = scene.primary.superuser("postgres");
    superuser.run("create table t (i int); insert into t values (1), (2); grant all on t to public");
    let rules = r#"
[[rule]]
name = "words"
then.rewrite = { from = "select 'here' from t where i = 1", to = "select 'there' from t where i = $2" }
[[rule]]
name = "young"
then.rewrite = { from = "select 'old' from young where i = 1", to = "select 'new' from young where i = $2" }
[[rule]]
name = "hint"
when.tables = ["t", "young"]
then.hint = "SeqScan(t)"
"#;
    let folder = Folder::new();
    std::fs::write(folder.0.join("a.toml"), rules).expect("a file can be written");
    let http = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let mut options = ProxyOptions::url(&scene.url(APP, "check_interval=50ms&consistency=any"));
    options.args.extend([
        "--http".to_owned(),
        http.to_string(),
        "--rules".to_owned(),
        folder.0.display().to_string(),
    ]);
    let proxy = Proxy::start_with(&options);
    let mut client = Client::connect(&proxy.endpoint(), &Login::new(APP.0, APP.1, "postgres"));
    let counted = |result: &str| {
        let page = get(http, "/metrics").1;
        let of = format!("result=\"{result}\"");
        let line =
            page.lines().find(|line| line.starts_with("pgweir_replica_reads_total") && line.contains(&of));
        line.and_then(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).unwrap_or_default()
    };
    let there = [["there"]];
    eventually("reads go to the replica", || {
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(rows(&client.simple("select 'here' from t where i = 1")), there);
        counted("answered") > 0
    });
    let before = counted("answered");
    assert_eq!(rows(&client.simple("select 'here' from t where i = 1")), there);
    client.send(&[msg::unnamed("select 'here' from t where i = $1", &["2"]), msg::sync()].concat());
    assert_eq!(rows(&client.until_ready()), there);
    client.send(&[msg::parse("s", "select 'here' from t where i = $1"), msg::sync()].concat());
    client.until_ready();
    client.send(&[msg::bind("", "s", &["2"]), msg::execute("", 0), msg::sync()].concat());
    assert_eq!(rows(&client.until_ready()), there);
    assert_eq!(counted("answered"), before + 3);
    // What the replica does not know, the primary is asked in the same words.
    scene.standbys[0].superuser("postgres").run("select pg_wal_replay_pause()");
    superuser.run("create table young as select 7 as i; grant all on young to public");
    let (young, expected) = ("select 'old' from young where i = 7", [["new"]]);
    assert_eq!(rows(&client.simple(young)), expected);
    client.send(&[msg::unnamed(young, &[]), msg::sync()].concat());
    assert_eq!(rows(&client.until_ready()), expected);
    assert_eq!(counted("asked_again"), 2);
    let wrong = client.simple("select nosuch from t");
    assert_eq!(error(&wrong).field(b'P').as_deref(), Some("8"), "the primary's error has the client's place");
}
