//! A running pgweir that advises by itself, and the report on its store that asks the database: on the same load.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;

use serde_json::Value;

use super::*;
use crate::admin::{Rows, show};
use crate::harness::cluster::free_port;
use crate::harness::command::{Folder, Output, run};
use crate::harness::proxy::{Proxy, ProxyOptions, program};
use crate::harness::raw::{Client, Login};
use crate::harness::{direct_only, eventually, frontend as msg};

/// Stands in every place where a value may.
const SECRET: &str = "xSECRETx";
const SLOW: &str = "select * from orders where account_id = $1 order by created_at desc limit 20";
const INDEX: &str = "index orders(account_id, created_at DESC)";

struct Running {
    scene: Scene,
    proxy: Proxy,
    http: SocketAddr,
    folder: Folder,
}

impl Running {
    fn start(advise: &str) -> Option<Running> {
        if direct_only() {
            return None;
        }
        let scene = Scene::new(SHOP)?;
        let folder = Folder::new();
        let http = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let slow = folder.0.join("slow.log").display().to_string();
        let config = format!(
            "[admin]\nadmin_users = [\"{}\"]\n[history]\ninterval = \"100ms\"\nadvise = \"{advise}\"\n\
             [slow_log]\nfile = {slow:?}\nthreshold = \"1ms\"\n",
            APP.0
        );
        let mut options = ProxyOptions::url(&scene.url(APP)).config(&config);
        let file = folder.0.join("history.db").display().to_string();
        options.args.extend(["--store".to_owned(), file, "--http".to_owned(), http.to_string()]);
        Some(Running { proxy: Proxy::start_with(&options), scene, http, folder })
    }

    fn client(&self) -> Client {
        Client::connect(&self.proxy.endpoint(), &self.scene.database.login())
    }

    /// Statements that lack an index, and some with secrets as values.
    fn load(&self, client: &mut Client) {
        for account in ["15", "1", "44", "15", "300"] {
            client.send(&[msg::unnamed(SLOW, &[account]), msg::sync()].concat());
            client.until_ready();
        }
        client.run(&format!("select count(*) from accounts where email = '{SECRET}'"));
    }

    fn file(&self) -> String {
        self.folder.0.join("history.db").display().to_string()
    }

    fn advice(&self) -> Rows {
        show(&mut Client::connect(&self.proxy.endpoint(), &Login::new(APP.0, APP.1, "pgweir")), "ADVICE")
    }

    fn body(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(self.http).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a time");
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("it takes it");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("text");
        answer
    }

    /// Lines of the slow-query log on the statement that lacks an index.
    fn lines(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.folder.0.join("slow.log")).unwrap_or_default();
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        lines
            .filter(|line| {
                line["statement"].as_str().is_some_and(|text| text.starts_with("select * from orders"))
            })
            .collect()
    }

    /// Waits until the store has so many calls of it.
    fn written(&self, calls: u64) {
        eventually("it is written", || {
            let said = report(&["--store", &self.file(), "--format", "json"]);
            let Ok(value) = serde_json::from_str::<Value>(&said.stdout) else { return false };
            let all = value["statements"].as_array().cloned().unwrap_or_default();
            let is_there = |one: &Value| {
                one["text"].as_str().is_some_and(|text| text.starts_with("select * from orders"))
                    && one["calls"].as_u64() >= Some(calls)
            };
            all.iter().any(is_there)
        });
    }
}

fn report(arguments: &[&str]) -> Output {
    run(Command::new(program()).arg("report").args(arguments), Duration::from_secs(60))
}

#[test]
fn a_report_on_a_store_asks_the_database_of_the_url() {
    let Some(running) = Running::start("never") else { return };
    let mut client = running.client();
    (0..8).for_each(|_| running.load(&mut client));
    running.written(40);
    let (file, url) = (running.file(), running.scene.url(APP));
    let alone = report(&["--store", &file]).success();
    assert!(
        alone.contains("put its URL at the end of `pgweir report`") && !alone.contains("CREATE INDEX"),
        "{alone}"
    );
    for format in ["text", "md", "html", "json"] {
        let said =
            report(&["--store", &file, "--format", format, "--explains-per-second", "500", &url]).success();
        assert!(said.contains("CREATE INDEX CONCURRENTLY orders_account_id_created_at_idx"), "{said}");
        assert!(said.contains("FIX-1"), "{said}");
        assert!(!said.contains(SECRET) && !said.contains(APP.1), "{said}");
    }
    let said = report(&["--store", &file, "--format", "json", &url]).success();
    let value: Value = serde_json::from_str(&said).expect("JSON");
    let fix = &value["fixes"][0];
    assert_eq!((&fix["id"], &fix["title"]), (&"FIX-1".into(), &INDEX.into()), "{fix}");
    let found = report(&["--store", &file, "--fail-on", "index", &url]);
    assert!(!found.ok && found.stderr.contains(&format!("--fail-on index: FIX-1: {INDEX}")), "{found:?}");
    // `advise` has the same names, though it lists what is there by itself.
    let asked = ["advise", "--store", &file, &url];
    let said = run(Command::new(program()).args(asked), Duration::from_secs(60)).success();
    assert!(said.contains(&format!("FIX-1  {INDEX}")), "{said}");
    assert!(running.advice().is_empty(), "nobody is asked where settings say so");
    let wrong = report(&["--store", &file, "--database", "nowhere", &url]);
    assert!(!wrong.ok && wrong.stderr.contains("name one of these with --database"), "{wrong:?}");
    let none = report(&["--store", &file, "--budget", "1MB"]);
    assert!(!none.ok && none.stderr.contains("URL"), "{none:?}");
    let unreachable = report(&["--store", &file, &Cluster::shared().url((APP.0, "wrong"), "postgres", "")]);
    assert!(!unreachable.ok && !unreachable.stderr.contains("wrong"), "{unreachable:?}");
}

#[test]
fn a_running_pgweir_advises_by_itself() {
    let Some(mut running) = Running::start("1s") else { return };
    let mut client = running.client();
    eventually("the index is advised", || {
        running.load(&mut client);
        running.advice().iter().any(|row| row["title"] == INDEX)
    });
    let rows = running.advice();
    let row = rows.iter().find(|row| row["title"] == INDEX).expect("it is there");
    assert_eq!(
        (row["database"].as_str(), row["code"].as_str()),
        (running.scene.database.name.as_str(), "index")
    );
    assert!(row["proof"].starts_with("planner "), "its values are known: {row:?}");
    let id = row["id"].clone();
    assert!(id[4..].parse::<u32>().is_ok(), "the store gave it a number: {id}");
    for path in ["/", "/fixes"] {
        let body = running.body(path);
        assert!(body.contains(&id) && body.contains("CREATE INDEX CONCURRENTLY"), "{path}: {body}");
        assert!(!body.contains(SECRET) && !body.contains(APP.1), "{path}: {body}");
    }
    eventually("lines of the slow-query log name it", || {
        running.load(&mut client);
        let words = format!("{id} {INDEX}");
        running
            .lines()
            .iter()
            .any(|line| line["advice"].as_str().is_some_and(|advice| advice.contains(&words)))
    });
    running.scene.database.setup("create index on orders (account_id, created_at desc)");
    eventually("what is there is advised no more", || {
        running.load(&mut client);
        running.advice().iter().all(|row| row["title"] != INDEX)
    });
    assert_eq!(running.scene.value("select count(*) from pg_index where indrelid = 'orders'::regclass"), "2");
    // One whose condition has a value, which is nobody's to see.
    running
        .scene
        .database
        .setup(&format!("create index hers on orders (account_id) where state = '{SECRET}'"));
    eventually("indexes that came are marked", || {
        let said = report(&["--store", &running.file(), "--format", "json"]);
        let value: Value = serde_json::from_str(&said.stdout).expect("JSON");
        let marks = value["marks"].as_array().cloned().unwrap_or_default();
        let is_of = |mark: &Value, text: &str| {
            let moments =
                mark["since"].as_i64().zip(mark["at"].as_i64()).is_some_and(|(since, at)| since < at);
            mark["kind"] == "index_came"
                && moments
                && mark["text"].as_str().is_some_and(|words| words.contains(text))
        };
        [
            "orders_account_id_created_at_idx on orders(account_id, created_at DESC)",
            "hers on orders(account_id) WHERE (state = $1",
        ]
        .iter()
        .all(|text| marks.iter().any(|mark| is_of(mark, text)))
    });
    running.scene.database.setup("drop index hers");
    eventually("an index that went is marked", || {
        let said = report(&["--store", &running.file(), "--format", "html"]).stdout;
        assert!(!said.contains(SECRET), "{said}");
        said.contains("What happened")
            && said.contains("<code>hers on orders(account_id)")
            && said.contains(" went, in ")
    });
    drop(client);
    running.proxy.stop();
    let everything = [running.proxy.log().into_bytes()].into_iter().chain(
        fs::read_dir(&running.folder.0).expect("a folder").map(|entry| {
            let path = entry.expect("an entry").path();
            if path.is_file() { fs::read(path).expect("a file") } else { vec![] }
        }),
    );
    for bytes in everything {
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains(SECRET), "a value is told");
    }
}

#[test]
fn what_cannot_be_asked_is_told_once() {
    let Some(mut running) = Running::start("1s") else { return };
    let mut client = running.client();
    running.load(&mut client);
    // Advice logs in anew: nobody may, from now on.
    let mut server = Cluster::shared().superuser(&running.scene.database.name);
    server.run(&format!("alter database {} connection limit 0", running.scene.database.name));
    eventually("it is on the page", || running.body("/").contains("could not be asked for advice"));
    std::thread::sleep(Duration::from_secs(3));
    running.load(&mut client);
    drop(client);
    running.proxy.stop();
    let log = running.proxy.log();
    let told = log.lines().filter(|line| line.contains("no advice on this database"));
    assert_eq!(told.count(), 1, "{log}");
}
