//! What a transaction has written is in doubt from before its end is sent, not from the statement on: until then others are answered out of the cache, and from
//! then on nobody misses it, however the end is sent.

use std::time::Duration;

use super::applied::Ruled;
use crate::harness::cluster::Cluster;
use crate::harness::raw::Client;
use crate::harness::{eventually, frontend as msg};

const RULES: &str = r#"
[[rule]]
name = "kept"
when = { class = "select", tables = "kept" }
then.cache = { level = "strict", ttl_cap = "1h" }
"#;

const SETUP: &str = "create table kept (id int primary key, kind int, n int);
    insert into kept select i, i % 10, 0 from generate_series(1, 100) as i;
    create procedure twice(v int) language plpgsql as
        'begin update kept set n = v where kind = 7; commit; perform pg_sleep(0.05); update kept set n = v + 1 where kind = 7; end'";

const READ: &str = "select n from kept where id = 7";

struct Scene {
    ruled: Ruled,
    reader: Client,
    beside: Client,
}

impl Scene {
    fn new() -> Option<Scene> {
        let ruled = Ruled::with(RULES, "pool_size=4")?;
        ruled.databases[0].setup(SETUP);
        let beside = Cluster::shared().superuser(&ruled.databases[0].name);
        let reader = ruled.client();
        Some(Scene { ruled, reader, beside })
    }

    fn hits(&self) -> u64 {
        self.ruled.metric("pgweir_cache_hits_total").parse().expect("a number")
    }

    /// Whether the reader is answered out of the cache now, and with what.
    fn read(&mut self) -> (bool, String) {
        let before = self.hits();
        let value = self.reader.value(READ);
        (self.hits() > before, value)
    }

    #[track_caller]
    fn until_hit(&mut self) {
        eventually("the answer is kept", || {
            (0..3).for_each(|_| drop(self.reader.value(READ)));
            std::thread::sleep(Duration::from_millis(20));
            self.read().0
        });
    }

    /// The reader, who had an answer that was kept, sees what was acknowledged to the writer just now.
    #[track_caller]
    fn sees(&mut self, value: i32, what: &str) {
        assert_eq!(self.read().1, value.to_string(), "{what}");
    }
}

#[test]
fn others_are_served_until_the_end_is_sent() {
    let Some(mut scene) = Scene::new() else { return };
    let mut writer = scene.ruled.client();
    for n in 1..30 {
        scene.until_hit();
        writer.run("begin");
        writer.run(&format!("update kept set n = {n} where kind = 7"));
        writer.run("savepoint a; update kept set n = 0; rollback to a");
        let (hit, value) = scene.read();
        assert!(hit && value == (n - 1).to_string(), "{n}: {hit} {value}, while it is not committed");
        writer.run("commit");
        scene.sees(n, "a commit");
    }
    // One that was rolled back has nothing in doubt.
    scene.until_hit();
    writer.run("begin");
    writer.run("update kept set n = -1 where kind = 7");
    writer.run("update kept set n = -2 where kind = 7");
    writer.run("rollback");
    let (hit, value) = scene.read();
    assert!(hit && value == "29", "{hit} {value}");
}

#[test]
fn an_end_that_is_hidden_is_seen_all_the_same() {
    let Some(mut scene) = Scene::new() else { return };
    let mut writer = scene.ruled.client();
    let mut n = 0;
    let mut next = || {
        n += 10;
        n
    };
    for _ in 0..5 {
        let v = next();
        scene.until_hit();
        writer.run(&format!("begin; update kept set n = {v} where kind = 7; commit"));
        scene.sees(v, "a transaction in one text");
        let v = next();
        scene.until_hit();
        writer.run("begin");
        writer.run(&format!("update kept set n = {v} where kind = 7; commit; select 1"));
        scene.sees(v, "an end behind the statement");
        let v = next();
        scene.until_hit();
        writer.run("begin");
        writer.run(&format!("update kept set n = {v} where kind = 7"));
        writer.run(&format!("commit and chain; update kept set n = {} where kind = 7", v + 1));
        scene.sees(v, "a commit that begins another");
        writer.run("commit");
        scene.sees(v + 1, "that other one");
        let v = next();
        scene.until_hit();
        writer.send(
            &[
                msg::query("begin"),
                msg::query(&format!("update kept set n = {v} where kind = 7")),
                msg::query("commit"),
            ]
            .concat(),
        );
        (0..3).for_each(|_| drop(writer.until_ready()));
        scene.sees(v, "all sent at once");
        let v = next();
        scene.until_hit();
        // What is sent behind a COMMIT is in no transaction.
        writer.run("begin");
        writer.send(
            &[msg::query("commit"), msg::query(&format!("update kept set n = {v} where kind = 7"))].concat(),
        );
        (0..2).for_each(|_| drop(writer.until_ready()));
        scene.sees(v, "a statement behind the end");
        let v = next();
        scene.until_hit();
        writer.run(&format!("call twice({v})"));
        scene.sees(v + 1, "a procedure that commits");
    }
}

#[test]
fn an_end_that_was_bound_before_is_seen() {
    let Some(mut scene) = Scene::new() else { return };
    let mut writer = scene.ruled.client();
    for n in 1..10 {
        scene.until_hit();
        writer.run("begin");
        let bound = [msg::parse("", "commit"), msg::bind("p", "", &[]), msg::sync()].concat();
        writer.send(&bound);
        writer.until_ready();
        writer.run(&format!("update kept set n = {n} where kind = 7"));
        writer.send(&[msg::execute("p", 0), msg::sync()].concat());
        let told = writer.until_ready();
        assert!(told.iter().any(|message| message.command_tag() == "COMMIT"), "{told:?}");
        scene.sees(n, "a portal that commits");
    }
}

#[test]
fn an_end_of_the_extended_protocol_is_seen() {
    let Some(mut scene) = Scene::new() else { return };
    let mut writer = scene.ruled.client();
    let batch = |text: &str| [msg::unnamed(text, &[]), msg::sync()].concat();
    for n in 1..10 {
        scene.until_hit();
        for text in ["begin".to_owned(), format!("update kept set n = {n} where kind = 7")] {
            writer.send(&batch(&text));
            writer.until_ready();
        }
        assert_eq!(scene.read(), (true, (n - 1).to_string()));
        writer.send(&batch("commit"));
        writer.until_ready();
        scene.sees(n, "a commit");
    }
}

#[test]
fn a_prepared_transaction_is_seen_when_it_is_committed() {
    let Some(mut scene) = Scene::new() else { return };
    if scene.beside.value("show max_prepared_transactions") == "0" {
        return println!("the server prepares no transactions");
    }
    let mut writer = scene.ruled.client();
    // A table is followed only when all transactions have ended that ran before, prepared ones too.
    scene.until_hit();
    for n in 1..10 {
        writer.run(&format!("begin; update kept set n = {n} where kind = 7"));
        let name = format!("{}_{n}", scene.ruled.databases[0].name);
        writer.run(&format!("prepare transaction '{name}'"));
        scene.until_hit();
        writer.run(&format!("commit prepared '{name}'"));
        scene.sees(n, "what was prepared");
    }
}

#[test]
fn who_vanishes_with_the_commit_under_way_leaves_it_in_doubt() {
    let Some(mut scene) = Scene::new() else { return };
    for n in 1..4 {
        let mut writer = scene.ruled.client();
        scene.until_hit();
        writer.run("begin");
        writer.run(&format!("update kept set n = {n} where kind = 7"));
        writer.send(&msg::query("commit"));
        drop(writer);
        let mut tries = 0;
        // It may be rolled back too; then it is done again.
        while scene.beside.value(READ) != n.to_string() {
            tries += 1;
            if tries == 100 {
                scene.beside.run(&format!("update kept set n = {n} where kind = 7"));
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        if tries < 100 {
            scene.sees(n, "what everybody sees");
        }
        // It is kept in doubt for ten seconds, since its server might be slow.
        let ends = (0..100).any(|_| {
            std::thread::sleep(Duration::from_millis(250));
            scene.read().0
        });
        assert!(ends, "its doubt ends");
    }
}
