//! Reads of drivers, prepared and not, that are answered out of the result cache: equal to what the server answers directly, and hits by the counter.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use sqlx::Row as _;
use tokio_postgres::NoTls;
use tokio_postgres::types::Type;

use super::{Target, block_on, environment, run, target};
use crate::admin::get;
use crate::harness::cluster::{APP, Cluster, free_port};
use crate::harness::command::Folder;
use crate::harness::direct_only;
use crate::harness::eventually;
use crate::harness::proxy::{Proxy, ProxyOptions};

const RULES: &str =
    "[[rule]]\nname = \"kept\"\nwhen.class = \"select\"\nthen.cache = { level = \"session\", verify = 50 }\n";

const SETUP: &str = "create table kept (i int primary key, s text, d date, f float8, b bytea, n numeric, at timestamptz); \
    insert into kept select i, 's' || i, date '2024-02-29' + i, i / 3.0, '\\x00ff', i / 7.0, timestamptz '2024-01-02 03:04:05+06' + i * interval '1 hour' \
    from generate_series(1, 50) as i; update kept set s = null where i = 8";

/// Hits so far, where the reads go through pgweir.
struct Hits(Option<SocketAddr>);

impl Hits {
    fn count(&self) -> u64 {
        let Some(http) = self.0 else { return 0 };
        let (_, page) = get(http, "/metrics");
        let line =
            page.lines().find_map(|line| line.strip_prefix("pgweir_cache_hits_total ")).expect("a sample");
        line.parse().expect("a number")
    }
}

/// Runs reads directly and through a cache: the same is to be said of both.
fn directly_and_out_of_the_cache(suite: impl Fn(&Target, &Hits) -> String) {
    // What other tests change of roles and databases is nothing to it.
    let cluster = Cluster::start("", &[]);
    let database = cluster.database();
    database.setup(SETUP);
    let expected = suite(&target(cluster.port, &database), &Hits(None));
    assert!(!expected.is_empty());
    if direct_only() {
        return;
    }
    let folder = Folder::new();
    std::fs::write(folder.0.join("a.toml"), RULES).expect("written");
    let http = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let mut options = ProxyOptions::url(&cluster.url(APP, &database.name, "pool_size=4"));
    let rules = folder.0.display().to_string();
    options.args.extend(["--http".to_owned(), http.to_string(), "--rules".to_owned(), rules]);
    let proxy = Proxy::start_with(&options);
    eventually("HTTP answers", || get(http, "/health").0 == 200);
    assert_eq!(suite(&target(proxy.addr.port(), &database), &Hits(Some(http))), expected);
    let (_, page) = get(http, "/metrics");
    let wrong = format!("pgweir_cache_wrong_total{{database=\"{}\"}} 0", database.name);
    assert!(page.lines().any(|line| line == wrong), "{page}");
}

fn by_script(program: &std::path::Path, name: &str, modules: Option<&std::path::Path>) {
    by_command(|| {
        let mut command = Command::new(program);
        command.arg(environment::suite(name));
        if let Some(modules) = modules {
            command.env("NODE_PATH", modules);
        }
        command
    });
}

fn by_command(command: impl Fn() -> Command) {
    directly_and_out_of_the_cache(|target, hits| {
        let mut command = command();
        target.environment(&mut command);
        if let Some(http) = hits.0 {
            command.env("PGWEIR_TEST_METRICS", format!("http://{http}/metrics"));
        }
        let said = run(&mut command);
        assert!(said.ends_with("all passed\n"), "{said}");
        said
    });
}

#[test]
fn psycopg() {
    by_script(&environment::python(), "kept_psycopg.py", None);
}

#[test]
fn asyncpg() {
    by_script(&environment::python(), "kept_asyncpg.py", None);
}

#[test]
fn node_postgres() {
    by_script("node".as_ref(), "kept_node.js", Some(&environment::node_modules()));
}

#[test]
#[ignore = "needs a JDK and the driver, which `make test-jdbc` installs"]
fn jdbc() {
    by_command(|| {
        let mut java = Command::new("java");
        java.args(["-cp", "/usr/share/java/postgresql.jar"]).arg(environment::suite("KeptJdbc.java"));
        java
    });
}

/// Asks until five more answers are hits; all of them are the same. Gives what they are.
async fn until_hits(name: &str, hits: &Hits, mut ask: impl AsyncFnMut() -> String) -> String {
    let first = ask().await;
    let before = hits.count();
    for _ in 0..300 {
        if hits.0.is_none() || hits.count() >= before + 5 {
            return format!("{name}: {first}\n");
        }
        assert_eq!(ask().await, first, "{name}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{name}: {} hits", hits.count() - before);
}

#[test]
fn tokio_postgres() {
    directly_and_out_of_the_cache(|target, hits| {
        block_on(async {
            let (client, connection) =
                ::tokio_postgres::connect(&target.url(), NoTls).await.expect("a connection");
            tokio::spawn(connection);
            let shown = |rows: Vec<::tokio_postgres::Row>| {
                let rows = rows.iter().map(|row| {
                    let (i, s): (i32, Option<String>) = (row.get(0), row.get(1));
                    (i, s, row.get::<_, f64>(2), row.get::<_, Vec<u8>>(3))
                });
                format!("{:?}", rows.collect::<Vec<_>>())
            };
            let text = "select i, s, f, b from kept where i = $1 or i = 9 order by i";
            let prepared = client.prepare(text).await.expect("a statement");
            let mut told = String::new();
            told += &until_hits("prepared", hits, async || {
                shown(client.query(&prepared, &[&7]).await.expect("rows"))
            })
            .await;
            let (unprepared, typed) = (format!("{text} -- unprepared"), format!("{text} -- typed"));
            told += &until_hits("unprepared", hits, async || {
                shown(client.query(&unprepared, &[&8]).await.expect("rows"))
            })
            .await;
            told += &until_hits("typed", hits, async || {
                shown(client.query_typed(&typed, &[(&7, Type::INT4)]).await.expect("rows"))
            })
            .await;
            told += &until_hits("simple", hits, async || {
                format!("{:?}", client.simple_query("select * from kept where i = 7").await.expect("rows"))
            })
            .await;
            told
        })
    });
}

#[test]
fn sqlx() {
    directly_and_out_of_the_cache(|target, hits| {
        block_on(async {
            let pool = ::sqlx::postgres::PgPoolOptions::new().max_connections(1);
            let pool = pool.connect(&target.url()).await.expect("a pool");
            let shown = |rows: Vec<::sqlx::postgres::PgRow>| {
                let rows = rows.iter().map(|row| {
                    let (i, s): (i32, Option<String>) = (row.get(0), row.get(1));
                    (i, s, row.get::<f64, _>(2), row.get::<Vec<u8>, _>(3))
                });
                format!("{:?}", rows.collect::<Vec<_>>())
            };
            let text = "select i, s, f, b from kept where i = $1 or i = 9 order by i";
            let mut told = String::new();
            told += &until_hits("prepared", hits, async || {
                shown(::sqlx::query(text).bind(7).fetch_all(&pool).await.expect("rows"))
            })
            .await;
            told += &until_hits("unprepared", hits, async || {
                shown(::sqlx::query(text).bind(8).persistent(false).fetch_all(&pool).await.expect("rows"))
            })
            .await;
            told += &until_hits("one row", hits, async || {
                shown(vec![::sqlx::query(text).bind(9).fetch_one(&pool).await.expect("a row")])
            })
            .await;
            told += &until_hits("simple", hits, async || {
                let rows = ::sqlx::raw_sql("select i from kept where i < 4 order by i")
                    .fetch_all(&pool)
                    .await
                    .expect("rows");
                format!("{:?}", rows.iter().map(|row| row.get::<i32, _>(0)).collect::<Vec<_>>())
            })
            .await;
            pool.close().await;
            told
        })
    });
}

/// Does something until it has brought so many hits in all: how many one time brings, other sessions' writes on the cluster decide.
fn until_enough(hits: &Hits, enough: u64, mut ask: impl FnMut()) {
    let before = hits.count();
    for _ in 0..10 {
        ask();
        if hits.0.is_none() || hits.count() >= before + enough {
            return;
        }
    }
    panic!("{} hits of {enough}", hits.count() - before);
}

#[test]
fn psql_and_pgbench() {
    directly_and_out_of_the_cache(|target, hits| {
        let folder = Folder::new();
        let script = folder.0.join("read.sql");
        std::fs::write(&script, "\\set i random(1, 3)\nselect * from kept where i = :i;\n").expect("written");
        for mode in ["simple", "extended", "prepared"] {
            until_enough(hits, 100, || {
                let mut pgbench = target.program("pgbench");
                let said = run(pgbench
                    .args(["-n", "-c", "2", "-t", "300", "-R", "300", "-M", mode, "-f"])
                    .arg(&script));
                assert!(said.contains("number of failed transactions: 0 "), "{said}");
            });
        }
        let reads = "select * from kept where i = 7;\n\\! sleep 0.03\n".repeat(20);
        std::fs::write(&script, reads).expect("written");
        let mut said = String::new();
        until_enough(hits, 5, || {
            said = run(target.program("psql").args(["-X", "-A", "-t", "-f"]).arg(&script))
        });
        said
    });
}
