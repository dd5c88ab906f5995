//! What answers depend on beside rows, and is changed around pgweir without the optional objects: definitions, rights, settings. Nobody is answered by what was
//! before for longer than some seconds, and what is written behind it is not missed.

use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use super::applied::Ruled;
use crate::admin::get;
use crate::harness::cluster::{APP, Cluster, SUPERUSER, free_port, since};
use crate::harness::command::{Folder, run};
use crate::harness::message::Message;
use crate::harness::proxy::{Proxy, ProxyOptions, program};
use crate::harness::raw::Client;
use crate::harness::{direct_only, eventually};

const RULES: &str = r#"
[[rule]]
name = "kept"
when = { class = "select", tables = ["kept", "shown"] }
then.cache = { level = "LEVEL", ttl_cap = "1h" }
"#;

const SETUP: &str = "create table kept (id int primary key, name text, bytes bytea);
    insert into kept select i, 'old', '\\x00ff' from generate_series(1, 10) as i;
    create table other (id int primary key, name text);
    insert into other select i, 'other' from generate_series(1, 10) as i;
    create view shown as select id, name from kept";

const READ: &str = "select name from kept where id = 7";

/// A second is the rule, and half a minute would be the next reading of the catalog; a machine that has much else to do needs some more.
const NOTICED: Duration = Duration::from_secs(9);

/// A proxy, one of its clients, and a superuser beside it.
struct Scene {
    ruled: Ruled,
    client: Client,
    beside: Client,
}

impl Scene {
    fn new(level: &str) -> Option<Scene> {
        let ruled = Ruled::with(&RULES.replace("LEVEL", level), "pool_size=4")?;
        ruled.databases[0].setup(SETUP);
        let beside = Cluster::shared().superuser(&ruled.databases[0].name);
        let client = ruled.client();
        Some(Scene { ruled, client, beside })
    }

    fn hits(&self) -> u64 {
        self.ruled.metric("pgweir_cache_hits_total").parse().expect("a number")
    }

    #[track_caller]
    fn until_hit(&mut self, read: &str) {
        eventually("the answer is kept", || {
            (0..3).for_each(|_| drop(self.client.simple(read)));
            std::thread::sleep(Duration::from_millis(20));
            let before = self.hits();
            self.client.simple(read);
            self.hits() > before
        });
    }

    /// Is answered out of the cache, has something changed around pgweir, and is answered as the server would soon; for as long as before that, not otherwise.
    #[track_caller]
    fn notices(&mut self, read: &str, change: &str, expected: &str) {
        self.until_hit(read);
        self.changes(read, change, expected);
    }

    /// The same where nothing is kept before.
    #[track_caller]
    fn changes(&mut self, read: &str, change: &str, expected: &str) {
        self.beside.run(change);
        let begun = Instant::now();
        while said(&self.client.simple(read)) != expected {
            assert!(begun.elapsed() < NOTICED, "{change}: not noticed");
            std::thread::sleep(Duration::from_millis(5));
        }
        for _ in 0..20 {
            assert_eq!(said(&self.client.simple(read)), expected, "{change}: once noticed");
        }
    }
}

/// The values of an answer, or the SQLSTATE of an error.
fn said(answer: &[Message]) -> String {
    let values: Vec<_> = answer.iter().filter(|message| message.tag == b'D').map(Message::value).collect();
    match answer.iter().find(|message| message.tag == b'E') {
        Some(error) => error.sqlstate(),
        None => values.join(","),
    }
}

#[test]
fn rights_that_are_taken_away_are_noticed() {
    let Some(mut scene) = Scene::new("strict") else { return };
    let role = format!("{}_owners", scene.ruled.databases[0].name);
    scene.notices(READ, "revoke select on kept from app", "42501");
    scene.changes(READ, "grant select on kept to app", "old");
    scene.notices(READ, "revoke select on kept from app; grant select (id) on kept to app", "42501");
    scene.changes(READ, "grant select (id, name) on kept to app", "old");
    let owners = format!("create role {role}; grant {role} to app; grant all on schema public to {role}");
    scene.beside.run(&owners);
    scene.beside.run(&format!("alter table kept owner to {role}"));
    scene.notices(READ, &format!("revoke {role} from app; revoke all on kept from app"), "42501");
    scene.changes(READ, &format!("grant {role} to app"), "old");
    let drop = format!("alter table kept owner to app; drop owned by {role}; drop role {role}");
    scene.beside.run(&drop);
    scene.notices(
        READ,
        "alter table kept enable row level security; alter table kept force row level security",
        "",
    );
    scene.changes(READ, "alter table kept disable row level security", "old");
    scene.notices(
        READ,
        "revoke usage on schema public from public; alter schema public owner to postgres",
        "42P01",
    );
}

#[test]
fn definitions_are_noticed_with_what_is_written_behind_them() {
    let Some(mut scene) = Scene::new("session") else { return };
    let read = "select name from shown where id = 7";
    scene.notices(read, "create or replace view shown as select id, name from other", "other");
    // It is kept again by what it reads now.
    scene.notices(read, "update other set name = 'new'", "new");
    scene.notices(READ, "alter table kept rename to gone; alter table other rename to kept", "new");
    scene.notices(READ, "update kept set name = 'newer'", "newer");
    scene.notices(
        READ,
        "alter table kept rename name to was; alter table kept add name text default 'x'",
        "x",
    );
    scene.notices(READ, "update kept set name = 'y' where id = 7", "y");
}

#[test]
fn with_the_optional_objects_statements_are_judged_by_what_was_told() {
    if !since(14) {
        return;
    }
    let Some(mut scene) = Scene::new("bounded") else { return };
    let url = Cluster::shared().url(SUPERUSER, &scene.ruled.databases[0].name, "");
    run(Command::new(program()).args(["upstream", "install", &url]), Duration::from_secs(30)).success();
    let read = "select name from shown where id = 7";
    for n in 0..12 {
        let table = ["other", "kept"][n % 2];
        scene.until_hit(read);
        scene.beside.run(&format!("create or replace view shown as select id, name from {table}"));
        // What is kept from here on is of the other table.
        scene.ruled.barrier();
        (0..4).for_each(|_| drop(scene.client.simple(read)));
        scene.beside.run(&format!("update {table} set name = 'new {n}'"));
        scene.ruled.barrier();
        assert_eq!(scene.client.value(read), format!("new {n}"));
    }
}

#[test]
fn settings_are_noticed() {
    if direct_only() {
        return;
    }
    let cluster = Cluster::start("", &[]);
    let database = cluster.database();
    database.setup(SETUP);
    let folder = Folder::new();
    std::fs::write(folder.0.join("a.toml"), RULES.replace("LEVEL", "bounded")).expect("written");
    let http = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let mut options = ProxyOptions::url(&cluster.url(APP, &database.name, "pool_size=1"));
    let rules = folder.0.display().to_string();
    options.args.extend(["--http".to_owned(), http.to_string(), "--rules".to_owned(), rules]);
    let proxy = Proxy::start_with(&options);
    let mut client = Client::connect(&proxy.endpoint(), &database.login());
    let mut beside = cluster.superuser(&database.name);
    let hits = || {
        let page = get(http, "/metrics").1;
        let hits = page.lines().find_map(|line| line.strip_prefix("pgweir_cache_hits_total "));
        hits.expect("a metric").trim().parse::<u64>().expect("a number")
    };
    let read = "select bytes from kept where id = 7";
    let mut until = |change: &str, expected: &str| {
        beside.run(change);
        beside.run("select pg_reload_conf()");
        let begun = Instant::now();
        while client.value(read) != expected {
            assert!(begun.elapsed() < NOTICED, "{change}: not noticed");
            std::thread::sleep(Duration::from_millis(5));
        }
        eventually("it is kept", || {
            let before = hits();
            std::thread::sleep(Duration::from_millis(20));
            assert_eq!(client.value(read), expected, "{change}: once noticed");
            hits() > before
        });
    };
    until("select 1", "\\x00ff");
    until("alter system set bytea_output = 'escape'", "\\000\\377");
    until("alter system reset bytea_output", "\\x00ff");
}

#[test]
fn settings_of_roles_and_databases_put_out_what_is_kept() {
    let Some(mut scene) = Scene::new("strict") else { return };
    let name = scene.ruled.databases[0].name.clone();
    for change in [
        format!("alter database {name} set bytea_output = 'escape'"),
        format!("alter role app in database {name} set lc_monetary = 'C'"),
        format!("alter role app in database {name} reset all"),
    ] {
        scene.until_hit(READ);
        scene.beside.run(&change);
        let begun = Instant::now();
        loop {
            let before = scene.hits();
            scene.client.simple(READ);
            if scene.hits() == before {
                break;
            }
            assert!(begun.elapsed() < NOTICED, "{change}: not noticed");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

#[test]
fn what_is_temporary_puts_nothing_out() {
    let Some(mut scene) = Scene::new("strict") else { return };
    scene.until_hit(READ);
    let (begun, mut hits, mut asked) = (Instant::now(), 0, 0);
    while begun.elapsed() < Duration::from_secs(3) {
        scene
            .beside
            .run("create temp table mine (id serial primary key, name text default 'x'); drop table mine");
        let before = scene.hits();
        scene.client.simple(READ);
        (hits, asked) = (hits + scene.hits() - before, asked + 1);
    }
    assert!(hits == asked && asked > 20, "{hits} hits of {asked}");
}

#[test]
fn a_statement_that_may_do_anything_costs_a_pause_and_no_answers() {
    let Some(mut scene) = Scene::new("strict") else { return };
    let mut other = scene.ruled.client();
    scene.until_hit(READ);
    let fills = |scene: &Scene| {
        let missed = |why: &str| {
            let metric = format!("pgweir_cache_misses_total{{reason=\"{why}\"}}");
            scene.ruled.metric(&metric).parse::<u64>().expect("a number")
        };
        missed("absent") + missed("first_use") + missed("invalidated")
    };
    let (before, mut pauses) = (fills(&scene), vec![]);
    for n in 0..10 {
        match n % 3 {
            0 => other.run("do $$ begin perform 1; end $$"),
            1 => drop(other.simple("frobnicate the table kept")),
            _ => other.run("prepare one as select 1; execute one; deallocate one"),
        }
        let begun = Instant::now();
        eventually("it is answered out of the cache again", || {
            let hits = scene.hits();
            assert_eq!(said(&scene.client.simple(READ)), "old");
            scene.hits() > hits
        });
        pauses.push(begun.elapsed());
    }
    assert_eq!(fills(&scene), before, "what was kept is still there");
    pauses.sort_unstable();
    println!("{pauses:?}");
    // Three do nothing; were there a second between two readings, each of the others would take that long.
    assert!(pauses[3] < Duration::from_millis(900), "{pauses:?}");
    // What does change them is seen all the same.
    scene.until_hit(READ);
    other.run("do $$ begin alter table kept rename name to was; alter table kept add name text default 'new'; end $$");
    assert_eq!(said(&scene.client.simple(READ)), "new");
    other.run("do $$ begin execute 'alter table kept rename to gone'; execute 'alter table other rename to kept'; end $$");
    assert_eq!(said(&scene.client.simple(READ)), "other");
}
