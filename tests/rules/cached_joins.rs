//! Answers of joins: by columns that are equal to constants, and by the value that ties a row known by its key to another table.

use super::applied::Ruled;
use super::cached::{self, answer, change, until_hit};
use crate::harness::cluster::Cluster;
use crate::harness::raw::Client;
use crate::harness::{eventually, frontend as msg};

const RULES: &str = r#"
[[rule]]
name = "kept"
when = { class = "select", tables = "bought" }
then.cache = { level = "strict", ttl_cap = "10m" }
"#;

/// Lines have the number of what was bought in their key, so that the stream tells what they had.
const SETUP: &str = "create table buyer (id int primary key, name text, code text);
    create table bought (id int primary key, buyer_id int, total int, shop_id bigint, code varchar(9));
    create table shop (id int primary key, name text);
    create table line (bought_id bigint, n int, price int, primary key (bought_id, n));
    insert into buyer select i, 'buyer ' || i, 'c' || i - 1 from generate_series(1, 100) as i;
    insert into shop select i, 'shop ' || i from generate_series(1, 10) as i;
    insert into bought select i, i % 50 + 1, i, i % 10 + 1, 'c' || i % 50 from generate_series(1, 200) as i;
    insert into line select i, n, n from generate_series(1, 200) as i, generate_series(1, 3) as n";

fn ruled() -> Option<(Ruled, Client)> {
    let ruled = Ruled::with(RULES, "pool_size=4")?;
    ruled.databases[0].setup(SETUP);
    let beside = Cluster::shared().superuser(&ruled.databases[0].name);
    Some((ruled, beside))
}

/// Whether it is answered where the database would not answer; what is counted as a hit then.
#[track_caller]
fn is_hit(ruled: &Ruled, client: &mut Client, beside: &mut Client, cycle: &[u8]) -> bool {
    let hits = || ruled.metric("pgweir_cache_hits_total").parse::<u64>().expect("a number");
    let before = hits();
    let answered = cached::is_hit(client, beside, "bought", cycle);
    assert!(!answered || hits() > before, "it is counted");
    answered
}

/// Asks until the answer is kept, and is one that outlives this change.
#[track_caller]
fn until_it_outlives(ruled: &Ruled, client: &mut Client, beside: &mut Client, cycle: &[u8], text: &str) {
    eventually("an answer is kept that is known by keys", || {
        until_hit(client, beside, "bought", cycle);
        change(ruled, beside, text);
        is_hit(ruled, client, beside, cycle)
    });
}

/// Changes that end an answer, each of which the client sees then.
#[track_caller]
fn ends(ruled: &Ruled, client: &mut Client, beside: &mut Client, read: &str, others: &str, own: &[&str]) {
    let cycle = msg::query(read);
    let values = |all: &[crate::harness::message::Message]| {
        let mut rows: Vec<_> = all.iter().filter(|one| one.tag == b'D').map(|one| one.values()).collect();
        rows.sort();
        rows
    };
    for own in own {
        until_it_outlives(ruled, client, beside, &cycle, others);
        change(ruled, beside, own);
        assert!(!is_hit(ruled, client, beside, &cycle), "{read}: {own}");
        let expected = beside.simple(read);
        eventually(&format!("it is seen: {own}"), || values(&client.simple(read)) == values(&expected));
    }
}

#[test]
fn what_a_join_makes_equal_to_a_constant_is_a_key() {
    let Some((ruled, mut beside)) = ruled() else { return };
    let mut client = ruled.client();
    let read = "select b.total, sum(l.price) from bought b left join line l on l.bought_id = b.id where b.id = 7 group by 1";
    let others = "update line set price = price + 1 where bought_id = 8; update bought set total = total + 1 where id = 9";
    let own = [
        "update line set price = price + 1 where bought_id = 7 and n = 1",
        "insert into line values (7, 4, 10)",
        "update line set bought_id = 8, n = 9 where bought_id = 7 and n = 2",
        "update line set bought_id = 7, n = 9 where bought_id = 10 and n = 2",
        "delete from line where bought_id = 7",
        "update bought set total = 0 where id = 7",
    ];
    ends(&ruled, &mut client, &mut beside, read, others, &own);
}

#[test]
fn the_value_that_ties_two_tables_is_taken_from_the_answer() {
    let Some((ruled, mut beside)) = ruled() else { return };
    let mut client = ruled.client();
    let others = "update buyer set name = name || '.' where id = 50";
    for read in [
        "select b.*, x.name from bought b join buyer x on x.id = b.buyer_id where b.id = 7",
        "select x.id, x.name, b.total from bought b left join buyer x on x.id = b.buyer_id where b.id = 7 limit 1",
    ] {
        let own = [
            "update buyer set name = 'other' where id = 8",
            "update bought set buyer_id = 9 where id = 7",
            "update buyer set name = 'another' where id = 9",
            "update buyer set id = 209 where id = 9",
        ];
        ends(&ruled, &mut client, &mut beside, read, others, &own);
        beside.run("update bought set buyer_id = 8 where id = 7; update buyer set id = 9 where id = 209");
    }
    // A buyer who is not there may come; and the row that names the buyer may be another one of the same key.
    beside.run("update bought set buyer_id = 500 where id = 7");
    let read =
        "select b.id, b.buyer_id, x.name from bought b left join buyer x on x.id = b.buyer_id where b.id = 7";
    let own = [
        "insert into buyer values (500, 'came')",
        "delete from buyer where id = 500",
        "update buyer set id = 500 where id = 60",
        "delete from bought where id = 7; insert into bought values (7, 9, 1)",
        "update buyer set name = 'yet another' where id = 9",
        "update bought set buyer_id = null where id = 7",
    ];
    ends(&ruled, &mut client, &mut beside, read, others, &own);
    // Of any buyer, since the answer does not say whose it is, or there is none.
    for read in [
        "select x.name from bought b join buyer x on x.id = b.buyer_id where b.id = 7",
        "select b.*, x.name from bought b join buyer x on x.id = b.buyer_id where b.id = 7777",
        "select b.*, x.name from bought b join buyer x on x.id = b.buyer_id where b.id in (7, 8)",
    ] {
        let cycle = msg::query(read);
        until_hit(&mut client, &mut beside, "bought", &cycle);
        change(&ruled, &mut beside, others);
        assert!(!is_hit(&ruled, &mut client, &mut beside, &cycle), "{read}");
    }
}

#[test]
fn two_ties_are_told_each_by_its_value() {
    let Some((ruled, mut beside)) = ruled() else { return };
    let mut client = ruled.client();
    beside.run("update bought set shop_id = 3 where id = 7");
    let read = "select x.id, x.name, b.shop_id, s.name from bought b join buyer x on x.id = b.buyer_id left join shop s on s.id = b.shop_id where b.id = 7";
    let others = "update buyer set name = name || '.' where id = 50; update shop set name = name || '.' where id = 4; insert into shop select max(id) + 1, 'new' from shop";
    let own = [
        "update shop set name = 'other' where id = 3",
        "update buyer set name = 'other' where id = 8",
        "delete from shop where id = 3",
        "insert into shop values (3, 'again')",
        "update bought set shop_id = 5 where id = 7",
        "update shop set name = 'its own' where id = 5",
        "update bought set shop_id = null where id = 7",
    ];
    ends(&ruled, &mut client, &mut beside, read, others, &own);
    // Without a value any shop may be the one that is missing; the buyer is known all the same.
    let cycle = msg::query(read);
    until_it_outlives(
        &ruled,
        &mut client,
        &mut beside,
        &cycle,
        "update buyer set name = name || '.' where id = 50",
    );
    change(&ruled, &mut beside, "update shop set name = name || '.' where id = 4");
    assert!(!is_hit(&ruled, &mut client, &mut beside, &cycle));
}

#[test]
fn a_tie_may_be_by_a_column_outside_of_every_key() {
    let Some((ruled, mut beside)) = ruled() else { return };
    let mut client = ruled.client();
    let read =
        "select b.code, x.id, x.name from bought b left join buyer x on x.code = b.code where b.id = 7";
    // The stream has no codes of rows as they were: what is changed may have had this one.
    let others = "insert into buyer select max(id) + 1, 'new', 'none' from buyer";
    let own = [
        "update buyer set name = 'other' where id = 8",
        "update buyer set code = 'c7' where id = 60",
        "update buyer set code = 'c9' where id = 60",
        "insert into buyer values (0, 'one more', 'c7')",
        "delete from buyer where id = 0",
        "delete from buyer where code = 'c7'",
        "insert into buyer values (-1, 'alone', 'c7')",
        "update bought set code = 'c9' where id = 7",
        "update buyer set name = 'its own' where code = 'c9'",
    ];
    ends(&ruled, &mut client, &mut beside, read, others, &own);
    // Where it has, others are known to be others.
    beside.run("alter table buyer replica identity full");
    let others = "update buyer set name = name || '.' where id = 50";
    let own =
        ["update buyer set code = 'c8' where code = 'c9'", "update buyer set code = 'c9' where id = 50"];
    ends(&ruled, &mut client, &mut beside, read, others, &own);
}

#[test]
fn no_foreign_key_is_believed() {
    let Some((ruled, mut beside)) = ruled() else { return };
    let mut client = ruled.client();
    beside.run("alter table bought add foreign key (buyer_id) references buyer");
    let read =
        "select b.id, b.buyer_id, x.name from bought b left join buyer x on x.id = b.buyer_id where b.id = 7";
    let others = "update buyer set name = name || '.' where id = 50";
    // Nothing is checked there, so that a buyer goes and comes back.
    let own = [
        "set session_replication_role = replica; delete from buyer where id = 8; reset session_replication_role",
        "insert into buyer values (8, 'came back')",
        "set session_replication_role = replica; update bought set buyer_id = 700 where id = 7; reset session_replication_role",
        "insert into buyer values (700, 'came late')",
    ];
    ends(&ruled, &mut client, &mut beside, read, others, &own);
}

#[test]
fn writes_through_pgweir_are_seen_at_once_in_joins() {
    let Some((ruled, mut beside)) = ruled() else { return };
    let (mut reader, mut writer) = (ruled.client(), ruled.client());
    answer(
        &mut reader,
        &[
            msg::parse(
                "s",
                "select b.buyer_id, x.name from bought b join buyer x on x.id = b.buyer_id where b.id = $1",
            ),
            msg::sync(),
        ]
        .concat(),
    );
    let run = [msg::execute("", 0), msg::sync()].concat();
    let described = [msg::bind("", "s", &["7"]), msg::describe_portal(""), run.clone()].concat();
    // Without a description it is known from those before.
    let bare = [msg::bind("", "s", &["7"]), run].concat();
    for cycle in [described, bare] {
        let others = "update buyer set name = name || '.' where id = 50";
        until_it_outlives(&ruled, &mut reader, &mut beside, &cycle, others);
        for n in 0..30 {
            let (text, expected) = match n % 2 {
                0 => (format!("update buyer set name = 'n{n}' where id = 8"), format!("n{n}")),
                _ => (
                    format!("update buyer set name = 'other' where id = {}", 60 + n % 30),
                    format!("n{}", n - 1),
                ),
            };
            writer.run(&text);
            let rows = answer(&mut reader, &cycle);
            let row = rows.iter().find(|one| one.tag == b'D').expect("a row");
            assert_eq!(row.values()[1].as_deref(), Some(expected.as_bytes()), "{text}");
        }
    }
}
