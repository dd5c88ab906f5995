//! `cache` in rules: answers that are kept, byte for byte as the server gives them, and no longer than they are right.
//!
//! That an answer was not the server's is seen by a lock: while somebody holds its table, the server answers no read of it.

use std::time::Duration;

use super::applied::Ruled;
use crate::harness::cluster::Cluster;
use crate::harness::message::Message;
use crate::harness::raw::Client;
use crate::harness::{eventually, frontend as msg};

const RULES: &str = r#"
[[rule]]
name = "kept"
when = { class = "select", tables = ["kept", "orders"] }
then.cache = { level = "session", ttl_cap = "10m", max_rows = 50 }
"#;

const SETUP: &str =
    "create table kept (id int primary key, name text, at timestamptz default '2024-05-06 07:08:09+00');
    insert into kept select i, 'name ' || i from generate_series(1, 100) as i;
    create table orders (id int primary key, customer int, total int);
    insert into orders select i, i % 10, i from generate_series(1, 100) as i";

/// A proxy whose cache follows its database, and a superuser beside it.
fn ruled() -> Option<(Ruled, Client)> {
    let ruled = Ruled::with(RULES, "pool_size=4")?;
    ruled.databases[0].setup(SETUP);
    let beside = Cluster::shared().superuser(&ruled.databases[0].name);
    Some((ruled, beside))
}

/// Changes something around pgweir, and waits until the stream has told it.
pub(super) fn change(ruled: &Ruled, beside: &mut Client, text: &str) {
    beside.run(text);
    ruled.barrier();
}

pub(super) fn answer(client: &mut Client, cycle: &[u8]) -> Vec<Message> {
    client.send(cycle);
    client.until_ready()
}

/// Whether the cycle is answered while `table` is locked.
pub(super) fn is_hit(client: &mut Client, beside: &mut Client, table: &str, cycle: &[u8]) -> bool {
    beside.run(&format!("begin; lock table {table}"));
    client.send(cycle);
    let answered = client.within(Duration::from_millis(300)).is_ok_and(|answer| !answer.is_empty());
    beside.run("commit");
    if !answered {
        client.until_ready();
    }
    answered
}

/// Asks until the answer is one that was kept.
#[track_caller]
pub(super) fn until_hit(client: &mut Client, beside: &mut Client, table: &str, cycle: &[u8]) {
    eventually(&format!("the answer is kept to {}", String::from_utf8_lossy(cycle)), || {
        // It is not kept at the first use; and the session must not have seen what the cache has not.
        (0..3).for_each(|_| drop(answer(client, cycle)));
        std::thread::sleep(Duration::from_millis(50));
        is_hit(client, beside, table, cycle)
    });
}

fn forms() -> Vec<(&'static str, Vec<u8>)> {
    let (by_id, parsed) = ("select * from kept where id = $1", "select id, name from kept where id = 8");
    let bind = |statement, binary: &[u16]| msg::bind_formats("", statement, &[0], &[Some(b"7")], binary);
    let run = || [msg::execute("", 0), msg::sync()].concat();
    vec![
        ("simple", msg::query("select * from kept where id = 7")),
        ("unnamed", msg::unnamed("select count(*) from kept", &[])),
        ("parameter", [msg::parse("", by_id), bind("", &[]), msg::describe_portal(""), run()].concat()),
        ("binary", [msg::parse("", by_id), bind("", &[1]), msg::describe_portal(""), run()].concat()),
        (
            "statement",
            [msg::parse("", parsed), msg::describe_statement(""), msg::bind("", "", &[]), run()].concat(),
        ),
        ("named", [bind("s", &[]), msg::describe_portal(""), run()].concat()),
        ("bare", [bind("s", &[]), run()].concat()),
    ]
}

#[test]
fn what_is_kept_is_what_the_server_says() {
    let Some((ruled, mut beside)) = ruled() else { return };
    let mut direct = Client::connect(&Cluster::shared().unix(), &ruled.databases[0].login());
    let mut client = ruled.client();
    for session in [&mut direct, &mut client] {
        answer(session, &[msg::parse("s", "select * from kept where id = $1"), msg::sync()].concat());
    }
    for (name, mut cycle) in forms() {
        if name == "unnamed" {
            cycle.extend(msg::sync());
        }
        let expected = answer(&mut direct, &cycle);
        until_hit(&mut client, &mut beside, "kept", &cycle);
        assert_eq!(answer(&mut client, &cycle), expected, "{name}");
        assert_eq!(client.value("select 'alive'"), "alive");
        assert_eq!(answer(&mut client, &cycle), expected, "{name}, behind another");
    }
}

#[test]
fn a_change_is_seen_whoever_makes_it() {
    let Some((ruled, mut beside)) = ruled() else { return };
    let (mut one, mut other) = (ruled.client(), ruled.client());
    let read = "select name from kept where id = 7";
    let cycle = msg::query(read);
    until_hit(&mut one, &mut beside, "kept", &cycle);
    until_hit(&mut other, &mut beside, "kept", &cycle);
    // Through pgweir: by all from the moment on that it is acknowledged.
    for n in 0..50 {
        one.run(&format!("update kept set name = 'by one {n}' where id = 7"));
        assert_eq!(one.value(read), format!("by one {n}"));
        assert_eq!(other.value(read), format!("by one {n}"));
    }
    one.run("begin; update kept set name = 'in a transaction' where id = 7");
    assert_eq!(other.value(read), "by one 49");
    one.run("commit");
    assert_eq!(other.value(read), "in a transaction");
    one.run("begin; update kept set name = 'never' where id = 7; rollback");
    assert_eq!(other.value(read), "in a transaction");
    // Of another key nothing is put out.
    until_hit(&mut other, &mut beside, "kept", &cycle);
    one.run("update kept set name = 'other' where id = 8");
    std::thread::sleep(Duration::from_millis(100));
    assert!(is_hit(&mut other, &mut beside, "kept", &cycle), "another key's change");
    // Around it: soon.
    beside.run("update kept set name = 'from beside' where id = 7");
    eventually("the change is seen", || other.value(read) == "from beside");
    beside.run("truncate kept");
    eventually("it is empty", || other.simple(read).iter().all(|message| message.tag != b'D'));
}

#[test]
fn what_must_not_be_kept_is_not() {
    let Some((ruled, mut beside)) = ruled() else { return };
    let mut client = ruled.client();
    until_hit(&mut client, &mut beside, "kept", &msg::query("select count(*) from kept"));
    for text in [
        "select *, now() from kept where id = 7",
        "select *, random() from kept where id = 7",
        "select * from kept where id = 7 for update",
        "select *, current_user from kept where id = 7",
        "select * from kept order by id limit 60",
        "select * from kept tablesample bernoulli (50)",
        "select 1 from kept where id = 7; select 2",
        "select name::int from kept where id = 7",
    ] {
        let cycle = msg::query(text);
        for _ in 0..4 {
            answer(&mut client, &cycle);
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(!is_hit(&mut client, &mut beside, "kept", &cycle), "{text}");
    }
    let read = msg::query("select * from kept where id = 9");
    until_hit(&mut client, &mut beside, "kept", &read);
    client.run("begin");
    assert!(!is_hit(&mut client, &mut beside, "kept", &read), "in a transaction");
    client.run("commit");
    client.run("create temp table own (i int)");
    assert!(!is_hit(&mut client, &mut beside, "kept", &read), "with a temporary table");
}

#[test]
fn rights_and_settings_are_a_part_of_what_is_asked() {
    let Some((ruled, mut beside)) = ruled() else { return };
    let mut client = ruled.client();
    let read = "select at from kept where id = 7";
    let cycle = msg::query(read);
    until_hit(&mut client, &mut beside, "kept", &cycle);
    client.run("set timezone = 'Asia/Tokyo'");
    assert_eq!(client.value(read), "2024-05-06 16:08:09+09");
    client.run("reset timezone");
    until_hit(&mut client, &mut beside, "kept", &cycle);
    client.run("set datestyle = 'SQL, DMY'");
    assert_eq!(client.value(read), "06/05/2024 07:08:09 UTC");
    client.run("reset datestyle");
    // A right that is taken away.
    client.run("revoke select on kept from app");
    assert_eq!(client.error(read), "42501");
    client.run("grant select on kept to app");
    assert_eq!(client.value(read), "2024-05-06 07:08:09+00");
}

#[test]
fn definitions_change() {
    let Some((ruled, mut beside)) = ruled() else { return };
    let mut client = ruled.client();
    let read = "select * from kept where id = 7";
    until_hit(&mut client, &mut beside, "kept", &msg::query(read));
    client.run("alter table kept add column more int default 5");
    let columns = |client: &mut Client| {
        let answer = client.simple(read);
        let row = answer.iter().find(|message| message.tag == b'D').expect("a row");
        u16::from_be_bytes([row.body[0], row.body[1]])
    };
    assert_eq!(columns(&mut client), 4);
    client.run("alter table kept drop column more");
    assert_eq!(columns(&mut client), 3);
    client.run("alter table kept rename to was_kept");
    assert_eq!(client.error(read), "42P01");
}

#[test]
fn what_a_rule_says_it_depends_on_counts() {
    let rules = RULES.replace("max_rows = 50", "depends_on = [\"orders\"]");
    let Some(ruled) = Ruled::with(&rules, "pool_size=4") else { return };
    ruled.databases[0].setup(SETUP);
    // The server is told that it never changes, and does not check.
    ruled.databases[0].setup(
        "create function volume() returns bigint language sql immutable as 'select sum(total) from orders'; \
         create function volume_of(int) returns bigint language sql immutable as 'select volume() + $1 * 0'",
    );
    let mut beside = Cluster::shared().superuser(&ruled.databases[0].name);
    let mut client = ruled.client();
    let read = "select volume_of(id) from kept where id = 7";
    until_hit(&mut client, &mut beside, "kept", &msg::query(read));
    assert_eq!(client.value(read), "5050");
    client.run("update orders set total = total + 1 where id = 1");
    assert_eq!(client.value(read), "5051");
    until_hit(&mut client, &mut beside, "kept", &msg::query(read));
    beside.run("delete from orders where id = 1");
    eventually("the change is seen", || client.value(read) == "5049");
}

#[test]
fn a_write_in_the_words_of_a_rule_is_seen() {
    let rules = format!(
        "{}\n[[rule]]\nname = \"other\"\nwhen.tables = \"orders\"\n\
         then.rewrite = {{ from = \"update orders set total = 0 where id = 3\", to = \"update kept set name = 'reworded' where id = 7\" }}\n",
        RULES.replace("\"session\"", "\"strict\"")
    );
    let Some(ruled) = Ruled::with(&rules, "pool_size=4") else { return };
    ruled.databases[0].setup(SETUP);
    let mut beside = Cluster::shared().superuser(&ruled.databases[0].name);
    // Another session, which is told by no floor of its own.
    let (mut client, mut other) = (ruled.client(), ruled.client());
    let read = "select name from kept where id = 7";
    until_hit(&mut other, &mut beside, "kept", &msg::query(read));
    for n in 0..6 {
        client.run(&format!("update kept set name = 'before {n}' where id = 7"));
        until_hit(&mut other, &mut beside, "kept", &msg::query(read));
        let told = client.simple("update orders set total = 0 where id = 3");
        assert!(told.iter().all(|message| message.tag != b'E'), "{told:?}");
        assert_eq!(other.value(read), "reworded");
    }
}

/// By age, rows are kept of tables that nobody follows yet: those are for nobody who asks for more.
#[test]
fn what_is_kept_by_age_is_for_those_who_want_it() {
    let rules = "[[rule]]\nname = \"old\"\nwhen = { class = \"select\", application = \"old\" }\nthen.cache = { level = \"ttl\", ttl_cap = \"10m\" }\n\
        [[rule]]\nname = \"new\"\nwhen.class = \"select\"\nthen.cache = { level = \"session\" }\n";
    let Some(ruled) = Ruled::with(rules, "pool_size=4") else { return };
    ruled.databases[0].setup(SETUP);
    let mut beside = Cluster::shared().superuser(&ruled.databases[0].name);
    let (mut old, mut new) = (ruled.client(), ruled.client());
    old.run("set application_name = 'old'");
    let read = "select name from kept where id = 7";
    until_hit(&mut old, &mut beside, "kept", &msg::query(read));
    beside.run("update kept set name = 'changed' where id = 7");
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(old.value(read), "name 7");
    for _ in 0..5 {
        assert_eq!(new.value(read), "changed");
    }
    until_hit(&mut new, &mut beside, "kept", &msg::query(read));
    assert_eq!((new.value(read), old.value(read)), ("changed".to_owned(), "name 7".to_owned()));
}

/// Cycles that begin with Describe, describe the statement behind Bind, or close the portal: by drivers, that of a prepared statement's first use, and tokio-postgres
/// and sqlx.
#[test]
fn cycles_of_drivers_are_kept_too() {
    let Some((ruled, mut beside)) = ruled() else { return };
    let mut direct = Client::connect(&Cluster::shared().unix(), &ruled.databases[0].login());
    let mut client = ruled.client();
    for session in [&mut direct, &mut client] {
        answer(session, &[msg::parse("s", "select * from kept where id = $1"), msg::sync()].concat());
    }
    let bind = || msg::bind_formats("", "s", &[0], &[Some(b"7")], &[1]);
    let run = || [msg::execute("", 0), msg::sync()].concat();
    let parsed = || msg::parse("", "select id, name from kept where id = 8");
    for (name, cycle) in [
        ("described first", [msg::describe_statement("s"), bind(), run()].concat()),
        ("both described", [msg::describe_statement("s"), bind(), msg::describe_portal(""), run()].concat()),
        ("described behind", [parsed(), msg::bind("", "", &[]), msg::describe_statement(""), run()].concat()),
        ("described behind, by name", [bind(), msg::describe_statement("s"), run()].concat()),
        ("closed", [bind(), msg::execute("", 0), msg::close_portal(""), msg::sync()].concat()),
        (
            "closed, unnamed",
            [parsed(), msg::bind("", "", &[]), msg::execute("", 0), msg::close_portal(""), msg::sync()]
                .concat(),
        ),
    ] {
        let expected = answer(&mut direct, &cycle);
        until_hit(&mut client, &mut beside, "kept", &cycle);
        assert_eq!(answer(&mut client, &cycle), expected, "{name}");
        assert_eq!(client.value("select 'alive'"), "alive");
        assert_eq!(answer(&mut client, &cycle), expected, "{name}, behind another");
        // The portal is gone, where it was closed, as is the one that was answered out of the cache.
        assert_eq!(answer(&mut client, &run())[0].sqlstate(), "34000", "{name}");
    }
    // A description of another statement is another cycle.
    answer(&mut client, &[msg::parse("t", "select 1 from kept"), msg::sync()].concat());
    let other = [msg::describe_statement("t"), bind(), run()].concat();
    let tags: Vec<u8> = answer(&mut client, &other).iter().map(|message| message.tag).collect();
    assert_eq!(tags, b"tT2DCZ");
    client.run("deallocate s");
    let gone = answer(&mut client, &[msg::describe_statement("s"), bind(), run()].concat());
    assert_eq!(gone[0].sqlstate(), "26000");
}

#[test]
fn read_only_transactions_where_a_rule_says_so() {
    let rules = RULES.replace("max_rows = 50", "in_transaction = \"read_only\"");
    let Some(ruled) = Ruled::with(&rules, "pool_size=4") else { return };
    ruled.databases[0].setup(SETUP);
    let mut beside = Cluster::shared().superuser(&ruled.databases[0].name);
    let mut direct = Client::connect(&Cluster::shared().unix(), &ruled.databases[0].login());
    let mut client = ruled.client();
    let unnamed = |sql: &str| [msg::unnamed(sql, &[]), msg::sync()].concat();
    let (one, other) =
        (msg::query("select * from kept where id = 7"), unnamed("select name from kept where id = 8"));
    let mut hits_inside = |client: &mut Client, begin: &str, cycle: &[u8]| {
        client.run(begin);
        let hit = is_hit(client, &mut beside, "kept", cycle);
        client.run("commit");
        hit
    };
    // They are kept there, and are hits there: all of a transaction, without a server.
    for cycle in [&one, &other] {
        eventually("it is kept", || {
            std::thread::sleep(Duration::from_millis(50));
            hits_inside(&mut client, "begin read only", cycle)
        });
        let begin = "start transaction isolation level read committed, read only";
        eventually("also where the level is said", || {
            std::thread::sleep(Duration::from_millis(50));
            hits_inside(&mut client, begin, cycle)
        });
        direct.run("begin read only");
        client.run("begin read only");
        for _ in 0..3 {
            assert_eq!(
                answer(&mut client, cycle),
                answer(&mut direct, cycle),
                "in a transaction, which is open"
            );
        }
        direct.run("commit");
        client.run("commit");
    }
    // Nor in others; and not behind what the server has answered.
    for begin in ["begin", "begin isolation level repeatable read read only", "begin read only; select 1"] {
        std::thread::sleep(Duration::from_millis(100));
        assert!(!hits_inside(&mut client, begin, &one), "{begin}");
    }
    client.run("set default_transaction_isolation = 'repeatable read'");
    assert!(!hits_inside(&mut client, "begin read only", &one));
    client.run("reset default_transaction_isolation");
    // What is seen there is what was committed, by whomever.
    for n in 0..20 {
        client.run(&format!("update kept set name = 'seen {n}' where id = 8"));
        client.run("begin read only");
        assert_eq!(client.value("select name from kept where id = 8"), format!("seen {n}"));
        client.run("commit");
    }
    client.run("begin read only");
    assert_eq!(client.error("update kept set name = 'never' where id = 8"), "25006");
    assert_eq!(client.error("select name from kept where id = 8"), "25P02");
    client.run("rollback");
}

#[test]
fn what_is_kept_for_its_age_is_not_for_other_levels() {
    // A table that is read for its age only is not followed by the stream.
    let old = "[[rule]]\nname = \"old\"\nwhen = { tables = \"kept\", application = \"old\" }\n\
               then.cache = { level = \"ttl\", ttl_cap = \"10m\" }\n";
    for level in ["strict", "session", "bounded"] {
        let Some(ruled) = Ruled::with(
            &(old.to_owned() + &RULES.replace("\"session\"", &format!("\"{level}\", bound = \"200ms\""))),
            "pool_size=4",
        ) else {
            return;
        };
        ruled.databases[0].setup(SETUP);
        let mut beside = Cluster::shared().superuser(&ruled.databases[0].name);
        let login = ruled.databases[0].login().param("application_name", "old");
        let (mut old, mut client) = (Client::connect(&ruled.proxy.endpoint(), &login), ruled.client());
        let (read, other) =
            ("select name from kept where id = 7", msg::query("select total from orders where id = 7"));
        // There is a stream, which has come to now.
        until_hit(&mut client, &mut beside, "orders", &other);
        until_hit(&mut old, &mut beside, "kept", &msg::query(read));
        beside.run("update kept set name = 'from beside' where id = 7");
        std::thread::sleep(Duration::from_millis(600));
        assert!(is_hit(&mut client, &mut beside, "orders", &other));
        assert_eq!(client.value(read), "from beside", "{level}");
        assert_eq!(old.value(read), "name 7");
    }
}
