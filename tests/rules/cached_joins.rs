//! Answers of joins: by columns that are equal to constants, and by the value that ties a row known by its key to another table.

use super::applied::Ruled;
use super::cached::{answer, is_hit, until_hit};
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
const SETUP: &str = "create table buyer (id int primary key, name text);
    create table bought (id int primary key, buyer_id int, total int);
    create table line (bought_id bigint, n int, price int, primary key (bought_id, n));
    insert into buyer select i, 'buyer ' || i from generate_series(1, 100) as i;
    insert into bought select i, i % 50 + 1, i from generate_series(1, 200) as i;
    insert into line select i, n, n from generate_series(1, 200) as i, generate_series(1, 3) as n";

fn ruled() -> Option<(Ruled, Client)> {
    let ruled = Ruled::with(RULES, "pool_size=4")?;
    ruled.databases[0].setup(SETUP);
    let beside = Cluster::shared().superuser(&ruled.databases[0].name);
    Some((ruled, beside))
}

/// Changes something around pgweir, and waits until the stream has told it.
fn change(ruled: &Ruled, beside: &mut Client, text: &str) {
    beside.run(text);
    ruled.barrier();
}

/// Asks until the answer is kept, and is one that outlives this change.
#[track_caller]
fn until_it_outlives(ruled: &Ruled, client: &mut Client, beside: &mut Client, cycle: &[u8], text: &str) {
    eventually("an answer is kept that is known by keys", || {
        until_hit(client, beside, "bought", cycle);
        change(ruled, beside, text);
        is_hit(client, beside, "bought", cycle)
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
        assert!(!is_hit(client, beside, "bought", &cycle), "{read}: {own}");
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
    // Of any buyer, since the answer does not say whose it is, or there is none.
    for read in [
        "select x.name from bought b join buyer x on x.id = b.buyer_id where b.id = 7",
        "select b.*, x.name from bought b join buyer x on x.id = b.buyer_id where b.id = 7777",
        "select b.*, x.name from bought b join buyer x on x.id = b.buyer_id where b.id in (7, 8)",
    ] {
        let cycle = msg::query(read);
        until_hit(&mut client, &mut beside, "bought", &cycle);
        change(&ruled, &mut beside, others);
        assert!(!is_hit(&mut client, &mut beside, "bought", &cycle), "{read}");
    }
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
