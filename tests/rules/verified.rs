//! `verify`: hits that are run again on the primary. A wrong one is an alarm; right ones are none, whoever writes beside them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::applied::Ruled;
use crate::admin::{get, show};
use crate::harness::cluster::Cluster;
use crate::harness::raw::Client;
use crate::harness::{eventually, frontend as msg};

const SETUP: &str =
    "create table kept (id int primary key, name text, at timestamptz default '2024-05-06 07:08:09+00');
    insert into kept select i, 'name ' || i from generate_series(1, 100) as i;
    create table orders (id int primary key, customer int, total int, weight float default 0.1);
    insert into orders select i, i % 10, i from generate_series(1, 100) as i;
    create function volume() returns bigint language sql immutable as 'select sum(total) from orders';
    create function volume_of(int) returns bigint language sql immutable as 'select volume() + $1 * 0'";

fn ruled(rules: &str) -> Option<Ruled> {
    let ruled = Ruled::with(rules, "pool_size=6")?;
    ruled.databases[0].setup(SETUP);
    Some(ruled)
}

fn rule(level: &str, more: &str) -> String {
    format!(
        "[[rule]]\nname = \"kept-{level}\"\nwhen = {{ class = \"select\" }}\nthen.cache = {{ level = \"{level}\"{more} }}\n"
    )
}

impl Ruled {
    fn verified(&self, result: &str) -> u64 {
        let name = &self.databases[0].name;
        let sample = format!("pgweir_cache_verified_total{{database=\"{name}\",result=\"{result}\"}}");
        let (_, page) = get(self.http, "/metrics");
        // Before the first session reads by the cache, there is none.
        let line = page.lines().find_map(|line| line.strip_prefix(&sample));
        line.map_or(0, |number| number.trim().parse().expect("a number"))
    }

    fn hits_of_cache(&self) -> u64 {
        self.metric("pgweir_cache_hits_total ").parse().expect("a number")
    }

    /// Asks until there are so many more results of that kind.
    #[track_caller]
    fn until_verified(&self, result: &str, more: u64, mut ask: impl FnMut()) {
        let before = self.verified(result);
        eventually(&format!("{more} more are {result}"), || {
            ask();
            std::thread::sleep(Duration::from_millis(20));
            self.verified(result) >= before + more
        });
    }
}

#[test]
fn an_answer_that_is_wrong_is_an_alarm() {
    // The function says that it never changes, and no rule knows better.
    let Some(ruled) = ruled(&rule("session", ", verify = 100")) else { return };
    let mut beside = Cluster::shared().superuser(&ruled.databases[0].name);
    let mut client = ruled.client();
    let read = "select volume_of(id), 'sekret' from kept where id = 7";
    ruled.until_verified("same", 3, || assert_eq!(client.value(read), "5050"));
    let wrong = format!("pgweir_cache_wrong_total{{database=\"{}\"}}", ruled.databases[0].name);
    assert_eq!(ruled.metric(&wrong), "0");
    beside.run("update orders set total = total + 1 where id = 1");
    // It is handed out until it is found, and not any more then.
    eventually("the right answer", || client.value(read) == "5051");
    // Each that was given it is counted, and it is told once.
    eventually("it is counted", || ruled.metric(&wrong) != "0");
    let mut found = 0;
    eventually("all that were given it are counted", || {
        let before = std::mem::replace(&mut found, ruled.verified("wrong"));
        std::thread::sleep(Duration::from_millis(500));
        found > 0 && before == found && ruled.verified("wrong") == found
    });
    let told = show(&mut ruled.console(), "CACHE");
    let told = told.iter().find(|row| row["database"] == ruled.databases[0].name).expect("the database");
    assert!(
        told["wrong"] == found.to_string() && told["verified"].parse::<u64>().expect("a number") >= 4,
        "{told:?}"
    );
    let log = ruled.proxy.log();
    let lines: Vec<_> =
        log.lines().filter(|line| line.contains("the cache has given a wrong answer")).collect();
    let [line] = lines.as_slice() else { panic!("one alarm in {log}") };
    for said in ["ERROR", "kept-session", "fingerprint=", "level=\"session\"", &ruled.databases[0].name] {
        assert!(line.contains(said), "{said}: {line}");
    }
    assert!(!log.contains("sekret") && !line.contains("5050"), "no values: {line}");
    // With what the rule now says it depends on there is nothing wrong with it.
    ruled.write(&rule("session", ", verify = 100, depends_on = [\"orders\"]"));
    ruled.console().run("RELOAD");
    ruled.until_verified("same", 3, || drop(client.value(read)));
    beside.run("update orders set total = total + 1 where id = 1");
    eventually("the right answer", || client.value(read) == "5052");
    ruled.until_verified("same", 3, || drop(client.value(read)));
    assert_eq!(ruled.verified("wrong"), found);
}

#[test]
fn where_order_decides_nothing_is_wrong() {
    let Some(ruled) = ruled(&rule("strict", ", verify = 100")) else { return };
    let mut beside = Cluster::shared().superuser(&ruled.databases[0].name);
    let mut client = ruled.client();
    let read = "select volume_of(id) from kept where id < 9 order by id limit 1";
    ruled.until_verified("same", 2, || drop(client.value(read)));
    beside.run("update orders set total = total + 1 where id = 1");
    ruled.until_verified("undecided", 2, || assert_eq!(client.value(read), "5050"));
    assert_eq!(ruled.verified("wrong"), 0);
    // Rows in another order are the same rows.
    let unordered = "select id, name from kept where id in (3, 4)";
    ruled.until_verified("same", 2, || drop(client.simple(unordered)));
    beside.run("begin; update kept set name = name where id = 3; commit");
    ruled.until_verified("same", 2, || drop(client.simple(unordered)));
    assert_eq!(ruled.verified("wrong"), 0);
}

#[test]
fn it_is_run_as_the_session_would() {
    let Some(ruled) = ruled(&rule("bounded", ", verify = 100")) else { return };
    let database = &ruled.databases[0].name;
    let reader = format!("reader_{database}");
    let mut beside = Cluster::shared().superuser(database);
    beside.run(&format!(
        "create role {reader}; grant {reader} to app; grant all on all tables in schema public to {reader}; \
         create schema {reader} authorization app; create table {reader}.orders (id int primary key, note text); \
         insert into {reader}.orders values (1, 'of the reader'); grant all on {reader}.orders to {reader}, app; \
         grant usage on schema {reader} to {reader}"
    ));
    let mut client = ruled.client();
    client.run(&format!(
        "set timezone = 'Asia/Tokyo'; set datestyle = 'SQL, DMY'; set search_path = \"$user\", public; set role {reader}"
    ));
    ruled.until_verified("same", 5, || {
        assert_eq!(client.value("select at from kept where id = 7"), "06/05/2024 16:08:09 JST");
        assert_eq!(client.value("select note from orders where id = 1"), "of the reader");
    });
    let run = || [msg::execute("", 0), msg::sync()].concat();
    let bind = |formats: &[u16]| msg::bind_formats("", "s", &[0], &[Some(b"7")], formats);
    client.send(&[msg::parse("s", "select * from kept where id = $1"), msg::sync()].concat());
    client.until_ready();
    let by_id = msg::parse("", "select id, at from kept where id = 8");
    for cycle in [
        [bind(&[]), run()].concat(),
        [bind(&[1]), msg::describe_portal(""), run()].concat(),
        [by_id.clone(), msg::describe_statement(""), msg::bind("", "", &[]), run()].concat(),
        [by_id, msg::bind("", "", &[]), msg::describe_portal(""), run()].concat(),
    ] {
        ruled.until_verified("same", 2, || {
            client.send(&cycle);
            client.until_ready();
        });
    }
    assert_eq!((ruled.verified("wrong"), ruled.verified("undecided"), ruled.verified("failed")), (0, 0, 0));
    // A right that it has not is none of what is compared with.
    beside.run(&format!("reset role; revoke all on kept from {reader}"));
    ruled.until_verified("failed", 1, || {
        client.simple("select at from kept where id = 7");
    });
    assert_eq!(ruled.verified("wrong"), 0);
}

#[test]
fn a_share_and_a_default() {
    let (some, none) = (rule("session", ""), rule("session", ", verify = 0"));
    let config = "[limits]\ncache_verify = \"50%\"\n";
    let Some(ruled) = Ruled::with_settings(&some, "pool_size=3", config) else { return };
    ruled.databases[0].setup(SETUP);
    let mut client = ruled.client();
    let all = |ruled: &Ruled| {
        ["same", "wrong", "changed", "undecided", "failed", "dropped"]
            .map(|result| ruled.verified(result))
            .iter()
            .sum::<u64>()
    };
    let ask = |client: &mut Client, count: u64| {
        let before = ruled.hits_of_cache();
        eventually("hits", || {
            drop(client.value("select name from kept where id = 7"));
            ruled.hits_of_cache() >= before + count
        });
    };
    ask(&mut client, 40);
    eventually("about half of them is compared", || all(&ruled) >= 15);
    assert!(all(&ruled) <= ruled.hits_of_cache() / 2 + 1);
    ruled.write(&none);
    ruled.console().run("RELOAD");
    let mut before = 0;
    eventually("what was drawn before is compared", || {
        std::thread::sleep(Duration::from_millis(300));
        std::mem::replace(&mut before, all(&ruled)) == all(&ruled)
    });
    ask(&mut client, 20);
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(all(&ruled), before);
}

/// Writers through pgweir and around it, readers of three levels, each hit compared. `PGWEIR_VERIFY_SECONDS` has it go on for longer.
#[test]
fn writes_beside_it_are_no_alarm() {
    let rules = [("alpha", "session"), ("beta", "strict"), ("gamma", "bounded")].map(|(app, level)| {
        rule(level, ", verify = 100")
            .replace("class = \"select\"", &format!("class = \"select\", application = \"{app}\""))
    });
    let Some(ruled) = ruled(&rules.concat()) else { return };
    let seconds = std::env::var("PGWEIR_VERIFY_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    let until = Instant::now() + Duration::from_secs(seconds.unwrap_or(6));
    let (done, database) = (AtomicBool::new(false), &ruled.databases[0]);
    let writes = |client: &mut Client, seed: u64| {
        let mut n = seed;
        while !done.load(Ordering::Relaxed) {
            n = n.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let id = (n >> 33) % 20 + 1;
            client.run(&match n >> 60 {
                0..=6 => format!("update kept set name = 'n{n}' where id = {id}"),
                7..=10 => format!("update orders set total = total + 1, customer = {} where id = {id}", id % 4),
                11 => format!("begin; delete from orders where id = {id}; insert into orders values ({id}, 1, 1); commit"),
                12 => format!("begin; update kept set name = 'never' where id = {id}; rollback"),
                _ => format!("update orders set total = 0 where customer = {}", id % 4),
            });
            std::thread::sleep(Duration::from_millis(15));
        }
    };
    let reads = |client: &mut Client| {
        let mut n = 0_u32;
        while !done.load(Ordering::Relaxed) {
            n = n.wrapping_add(7);
            let id = n % 20 + 1;
            for text in [
                format!("select * from kept where id = {id}"),
                format!("select sum(total), count(*) from orders where customer = {}", id % 4),
                format!("select k.name, o.total from kept k join orders o on o.id = k.id where k.id = {id}"),
                format!("select id, name from kept where id in ({id}, 3)"),
                "select max(total) from orders".to_owned(),
            ] {
                client.simple(&text);
            }
        }
    };
    std::thread::scope(|scope| {
        for seed in 1..=2 {
            let (mut through, mut around) =
                (ruled.client(), Client::connect(&Cluster::shared().tcp(), &database.login()));
            scope.spawn(move || writes(&mut through, seed));
            scope.spawn(move || writes(&mut around, seed + 10));
        }
        for app in ["alpha", "beta", "gamma"] {
            let mut client = ruled.client();
            client.run(&format!("set application_name = '{app}'"));
            scope.spawn(move || reads(&mut client));
        }
        // Where the machine is at work, fewer are compared.
        while Instant::now() < until
            || ruled.verified("same") < 10 && Instant::now() < until + Duration::from_secs(60)
        {
            std::thread::sleep(Duration::from_millis(100));
        }
        done.store(true, Ordering::Relaxed);
    });
    let results = ["same", "wrong", "changed", "undecided", "failed", "dropped"];
    let told = results.map(|result| (result, ruled.verified(result)));
    println!("{told:?}, {} hits", ruled.hits_of_cache());
    assert!(ruled.verified("same") >= 10, "{told:?}");
    assert_eq!((ruled.verified("wrong"), ruled.verified("failed")), (0, 0), "{told:?}");
}
