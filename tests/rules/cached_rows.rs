//! Answers that show the keys of their rows: a change of a row that is in none of them ends none, though the stream does not have the old row.

use super::applied::Ruled;
use super::cached::{answer, change, is_hit, until_hit};
use crate::harness::cluster::Cluster;
use crate::harness::raw::Client;
use crate::harness::{eventually, frontend as msg};

const RULES: &str = r#"
[[rule]]
name = "kept"
when = { class = "select", tables = "goods" }
then.cache = { level = "strict", ttl_cap = "10m" }
"#;

const SETUP: &str = "create table goods (id int, part text, kind text, price int, primary key (id, part));
    insert into goods select i, 'p' || i % 2, 'kind ' || i % 10, i from generate_series(1, 1000) as i";

fn ruled() -> Option<(Ruled, Client)> {
    let ruled = Ruled::with(RULES, "pool_size=4")?;
    ruled.databases[0].setup(SETUP);
    let beside = Cluster::shared().superuser(&ruled.databases[0].name);
    Some((ruled, beside))
}

/// Asks until the answer is kept, and is one that outlives a change of a row of another kind.
#[track_caller]
fn until_known_by_rows(ruled: &Ruled, client: &mut Client, beside: &mut Client, cycle: &[u8]) {
    let mut n = 0;
    eventually("an answer is kept that is known by its rows", || {
        n += 1;
        until_hit(client, beside, "goods", cycle);
        change(ruled, beside, &format!("update goods set price = {n} where id = 2"));
        is_hit(client, beside, "goods", cycle)
    });
}

#[test]
fn only_what_is_in_an_answer_or_comes_into_it_ends_it() {
    let Some((ruled, mut beside)) = ruled() else { return };
    let mut client = ruled.client();
    // The stream has the key of a row as it was: that of `kind 3` may have been any.
    let read = "select id, price, part from goods where kind = 'kind 3' and id < 100 order by id";
    let cycle = msg::query(read);
    until_known_by_rows(&ruled, &mut client, &mut beside, &cycle);
    for other in [
        "update goods set price = 0 where kind = 'kind 4'",
        "update goods set kind = 'kind 5' where id = 6",
        "delete from goods where id in (7, 8)",
        "insert into goods values (2000, 'p', 'kind 9', 1)",
    ] {
        change(&ruled, &mut beside, other);
        assert!(is_hit(&mut client, &mut beside, "goods", &cycle), "{other}");
    }
    for own in [
        "update goods set price = 33 where id = 3",
        "update goods set kind = 'kind 4' where id = 13",
        "update goods set kind = 'kind 3' where id = 14",
        "delete from goods where id = 23",
        "insert into goods values (5, 'new', 'kind 3', 1)",
        "update goods set id = 6000 where id = 33",
        "update goods set part = 'other' where id = 43",
    ] {
        until_known_by_rows(&ruled, &mut client, &mut beside, &cycle);
        beside.run(own);
        let expected = beside.simple(read);
        let values = |all: &[crate::harness::message::Message]| {
            all.iter().filter(|one| one.tag == b'D').map(|one| one.values()).collect::<Vec<_>>()
        };
        eventually(&format!("it is seen: {own}"), || values(&client.simple(read)) == values(&expected));
    }
}

#[test]
fn what_comes_through_pgweir_is_seen_at_once() {
    let Some((ruled, mut beside)) = ruled() else { return };
    let (mut reader, mut writer) = (ruled.client(), ruled.client());
    let read = "select id, part from goods where kind = 'kind 3' and price < 50";
    let count =
        |answer: &[crate::harness::message::Message]| answer.iter().filter(|one| one.tag == b'D').count();
    until_known_by_rows(&ruled, &mut reader, &mut beside, &msg::query(read));
    let mut expected = count(&reader.simple(read));
    for n in 0..30 {
        // One comes by a column of which the answer says nothing, one by the one that it looks for, one goes.
        for (text, difference) in [
            (
                format!(
                    "update goods set price = 1 where id = {} and part = 'p1'",
                    103 + n * 10 + n % 2 * 1000
                ),
                1,
            ),
            (format!("update goods set kind = 'kind 3', price = 2 where id = {}", 104 + n * 10), 1),
            (format!("delete from goods where id = {}", 104 + n * 10), -1),
        ] {
            let tag = writer.simple(&text);
            let touched = tag.iter().any(|one| one.tag == b'C' && one.command_tag().ends_with(" 1"));
            expected = expected.saturating_add_signed(if touched { difference } else { 0 });
            assert_eq!(count(&reader.simple(read)), expected, "{n} {text}");
        }
    }
}

#[test]
fn what_does_not_show_its_rows_is_ended_by_any() {
    let Some((ruled, mut beside)) = ruled() else { return };
    let mut client = ruled.client();
    for (n, read) in [
        "select price from goods where kind = 'kind 3'",
        "select id from goods where kind = 'kind 3'",
        "select count(*), max(id) from goods where kind = 'kind 3'",
        "select id, part from goods where kind = 'kind 3' order by id offset 1",
        "select id, part, count(*) over () from goods where kind = 'kind 3' limit 5",
        "select id::bigint, part from goods where kind = 'kind 3'",
        // More rows than are told one by one.
        "select * from goods where kind = 'kind 3' and price > 5",
    ]
    .into_iter()
    .enumerate()
    {
        let cycle = msg::query(read);
        until_hit(&mut client, &mut beside, "goods", &cycle);
        change(&ruled, &mut beside, &format!("update goods set price = {n} where id = 4"));
        assert!(!is_hit(&mut client, &mut beside, "goods", &cycle), "{read}");
    }
}

#[test]
fn every_form_of_asking_shows_its_rows() {
    let Some((ruled, mut beside)) = ruled() else { return };
    let mut client = ruled.client();
    let text = "select price, id, part from goods where kind = $1 and price < 40";
    answer(&mut client, &[msg::parse("s", text), msg::sync()].concat());
    let bind = |formats: &[u16]| msg::bind_formats("", "s", &[0], &[Some(b"kind 3")], formats);
    let run = || [msg::execute("", 0), msg::sync()].concat();
    let described = [bind(&[]), msg::describe_portal(""), run()].concat();
    let binary = [bind(&[1]), msg::describe_portal(""), run()].concat();
    let mixed = [bind(&[1, 0, 1]), run()].concat();
    // Without a description it is known from those before.
    let bare = [bind(&[]), run()].concat();
    for cycle in [described, binary, mixed, bare] {
        until_known_by_rows(&ruled, &mut client, &mut beside, &cycle);
        change(&ruled, &mut beside, "update goods set price = price + 100 where id = 3");
        assert!(!is_hit(&mut client, &mut beside, "goods", &cycle), "a row of its own");
        beside.run("update goods set price = 3 where id = 3");
    }
}

#[test]
fn an_empty_answer_waits_for_what_comes() {
    let Some((ruled, mut beside)) = ruled() else { return };
    let mut client = ruled.client();
    let read = "select price from goods where kind = 'nothing'";
    let cycle = msg::query(read);
    until_known_by_rows(&ruled, &mut client, &mut beside, &cycle);
    beside.run("update goods set kind = 'nothing', price = 77 where id = 9");
    eventually("it is seen", || client.simple(read).iter().any(|one| one.tag == b'D' && one.value() == "77"));
}

#[test]
fn another_replica_identity_tells_by_its_own_columns() {
    let Some((ruled, mut beside)) = ruled() else { return };
    ruled.databases[0].setup(
        "alter table goods add code int; update goods set code = 10000 + id; alter table goods alter code set not null;
         create unique index goods_code on goods (code); alter table goods replica identity using index goods_code",
    );
    let mut client = ruled.client();
    let cycle = msg::query("select code, price from goods where kind = 'kind 3' and price < 40");
    until_known_by_rows(&ruled, &mut client, &mut beside, &cycle);
    change(&ruled, &mut beside, "update goods set kind = 'kind 4' where id = 3");
    assert!(!is_hit(&mut client, &mut beside, "goods", &cycle), "a row of its own has gone");
    let by_key = msg::query("select id, part, price from goods where kind = 'kind 3' and price < 40");
    until_hit(&mut client, &mut beside, "goods", &by_key);
    change(&ruled, &mut beside, "update goods set price = 5000 where id = 4");
    assert!(!is_hit(&mut client, &mut beside, "goods", &by_key), "it does not show the columns");
}
