//! A database that is somewhere else since a reload: its cache and its stream end, others begin at the new place, and nobody is shown rows of the old one.

use std::net::SocketAddr;

use crate::admin::{get, show};
use crate::harness::cluster::{APP, Cluster, Database, free_port};
use crate::harness::command::Folder;
use crate::harness::proxy::{Proxy, ProxyOptions};
use crate::harness::raw::{Client, Login};
use crate::harness::{direct_only, eventually};

const RULES: &str = "[[rule]]\nname = \"kept\"\nwhen.class = \"select\"\nthen.cache = { level = \"session\", verify = 100 }\n";

struct Place<'c> {
    cluster: &'c Cluster,
    database: Database<'c>,
}

impl<'c> Place<'c> {
    fn new(cluster: &'c Cluster, word: &str) -> Place<'c> {
        let database = cluster.database();
        database.setup(&format!("create table t (i int primary key, word text); insert into t select i, '{word}' from generate_series(1, 9) i"));
        Place { cluster, database }
    }

    /// Where it is.
    fn url(&self) -> String {
        self.cluster.url(APP, &self.database.name, "pool_size=3")
    }

    fn count(&self, sql: &str) -> String {
        self.cluster.superuser(&self.database.name).value(sql)
    }

    fn streams(&self) -> String {
        self.count("select count(*) from pg_replication_slots where database = current_database()")
    }

    fn publications(&self) -> String {
        self.count("select count(*) from pg_publication where pubname like 'pgweir%'")
    }
}

#[test]
fn a_database_that_moves_has_another_cache() {
    if direct_only() {
        return;
    }
    let elsewhere = Cluster::start("", &[]);
    let (old, new) = (Place::new(Cluster::shared(), "old"), Place::new(&elsewhere, "new"));
    let folder = Folder::new();
    std::fs::write(folder.0.join("a.toml"), RULES).expect("written");
    let http = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let mut options = ProxyOptions::default().config(&format!(
        "[admin]\nadmin_users = [\"{}\"]\n[databases.shop]\nurl = \"{}\"\n",
        APP.0,
        old.url()
    ));
    let rules = folder.0.display().to_string();
    options.args.extend(["--http".to_owned(), http.to_string(), "--rules".to_owned(), rules]);
    let proxy = Proxy::start_with(&options);
    eventually("HTTP answers", || get(http, "/health").0 == 200);
    let login = |database: &str| Login::new(APP.0, APP.1, database);
    let connect = || Client::connect(&proxy.endpoint(), &login("shop"));
    let mut console = Client::connect(&proxy.endpoint(), &login("pgweir"));
    let hits = || {
        let (_, page) = get(http, "/metrics");
        let line =
            page.lines().find_map(|line| line.strip_prefix("pgweir_cache_hits_total ")).expect("a sample");
        line.parse::<u64>().expect("a number")
    };
    let read = "select word from t where i = 7";
    let until_hit = |client: &mut Client, word: &str| {
        let before = hits();
        eventually(&format!("{word} is kept"), || {
            assert_eq!(client.value(read), word);
            hits() > before
        });
    };
    // One session stays, one is in a transaction, and others come.
    let (mut stays, mut inside) = (connect(), connect());
    until_hit(&mut stays, "old");
    until_hit(&mut inside, "old");
    assert_eq!((old.streams().as_str(), new.streams().as_str()), ("1", "0"));
    for (place, before, word) in [(&new, &old, "new"), (&old, &new, "old"), (&new, &old, "new")] {
        inside.run("begin; update t set word = word where i = 1");
        proxy.set_config(&proxy.config().replace(&before.url(), &place.url()));
        console.run("RELOAD");
        eventually("it reads there", || stays.value(read) == word);
        for _ in 0..20 {
            assert_eq!(stays.value(read), word, "and never in the old place again");
            assert_eq!(connect().value(read), word);
        }
        inside.run("commit");
        eventually("it too", || inside.value(read) == word);
        until_hit(&mut stays, word);
        until_hit(&mut inside, word);
        eventually("the old stream ends, and what it made is gone", || {
            (before.streams().as_str(), before.publications().as_str()) == ("0", "0")
        });
        assert_eq!(place.streams(), "1");
        let told = show(&mut console, "CACHE");
        let shown: Vec<_> =
            told.iter().map(|row| (row["database"].as_str(), row["state"].as_str())).collect();
        assert_eq!(shown, [("shop", "streaming"), ("", "")]);
        // A change there is seen; one in the old place concerns nobody.
        before.count("update t set word = 'nobody' where i = 7 returning word");
        place.count("update t set word = 'changed' where i = 7 returning word");
        eventually("the change is seen", || stays.value(read) == "changed");
        place.count(&format!("update t set word = '{word}' where i = 7 returning word"));
        eventually("the change is seen", || inside.value(read) == word);
        before.count(&format!(
            "update t set word = '{}' where i = 7 returning word",
            if word == "new" { "old" } else { "new" }
        ));
    }
    assert!(!proxy.log().contains("the cache has given a wrong answer"), "{}", proxy.log());
}
