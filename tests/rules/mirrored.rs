//! `mirror`: copies of reads at another node, and nothing of them for the client.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::admin::get;
use crate::harness::cluster::{APP, Cluster, free_port};
use crate::harness::command::Folder;
use crate::harness::proxy::{Proxy, ProxyOptions};
use crate::harness::raw::{Client, Login};
use crate::harness::{direct_only, eventually, frontend as msg};

/// A proxy in front of one cluster, whose rules copy to another.
struct Mirrored {
    proxy: Proxy,
    http: SocketAddr,
    own: Cluster,
    other: Cluster,
    _folder: Folder,
}

impl Mirrored {
    fn new(percent: &str) -> Option<Mirrored> {
        if direct_only() {
            return None;
        }
        let (own, other) = (Cluster::start("", &[]), Cluster::start("log_statement = all\n", &[]));
        for cluster in [&own, &other] {
            cluster.superuser("postgres").run(
                "create table t (i int); insert into t values (1), (2); grant all on t to public; \
                 create schema s; create table s.t as select 100 as i; grant all on schema s to public; grant all on s.t to public; \
                 create function writes() returns int language sql as 'insert into t values (3) returning i'",
            );
        }
        let rules = format!(
            "[[rule]]\nname = \"copied\"\nthen.mirror = {{ node = \"127.0.0.1:{}\"{percent} }}\n",
            other.port
        );
        let folder = Folder::new();
        std::fs::write(folder.0.join("a.toml"), rules).expect("a file can be written");
        let http = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let mut options = ProxyOptions::url(&own.url(APP, "postgres", ""));
        options.args.extend([
            "--http".to_owned(),
            http.to_string(),
            "--rules".to_owned(),
            folder.0.display().to_string(),
        ]);
        let proxy = Proxy::start_with(&options);
        let mirrored = Mirrored { proxy, http, own, other, _folder: folder };
        eventually("HTTP answers", || get(http, "/health").0 == 200);
        let mut client = mirrored.client();
        eventually("functions are known, and reads copied", || {
            client.run("select 'begin'");
            mirrored.counted("pgweir_mirror_copies_total", "answered") > 0.0
        });
        eventually("all copies are done with", || {
            let before = mirrored.copies();
            std::thread::sleep(Duration::from_millis(300));
            mirrored.copies() == before
        });
        Some(mirrored)
    }

    fn client(&self) -> Client {
        Client::connect(&self.proxy.endpoint(), &Login::new(APP.0, APP.1, "postgres"))
    }

    fn counted(&self, metric: &str, label: &str) -> f64 {
        let (_, page) = get(self.http, "/metrics");
        let label = format!("=\"{label}\"");
        let lines = page.lines().filter(|line| {
            line.starts_with(metric) && line.contains("user=\"app\"") && line.contains(&label)
        });
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    /// How many copies are done with, in whatever way.
    fn copies(&self) -> f64 {
        ["answered", "failed", "dropped"]
            .iter()
            .map(|result| self.counted("pgweir_mirror_copies_total", result))
            .sum()
    }
}

#[test]
fn reads_are_copied_and_nothing_else() {
    let Some(mirrored) = Mirrored::new("") else { return };
    let mut client = mirrored.client();
    let (copies, answered) = (mirrored.copies(), mirrored.counted("pgweir_mirror_copies_total", "answered"));
    assert_eq!(client.value("select i from t where i = 1 /* simple */"), "1");
    client.send(&[msg::unnamed("select i from t where i = $1 /* unnamed */", &["2"]), msg::sync()].concat());
    assert!(client.until_ready().iter().any(|message| message.tag == b'D' && message.value() == "2"));
    client
        .send(&[msg::parse("p", "select i + $1::int from t where i = 1 /* named */"), msg::sync()].concat());
    client.until_ready();
    client.send(&[msg::bind("", "p", &["41"]), msg::execute("", 0), msg::sync()].concat());
    assert!(client.until_ready().iter().any(|message| message.tag == b'D' && message.value() == "42"));
    // Under the session's own settings.
    client.run("set search_path = s");
    assert_eq!(client.value("select i from t /* of s */"), "100");
    eventually("they are answered", || {
        mirrored.counted("pgweir_mirror_copies_total", "answered") >= answered + 4.0
    });
    client.run("reset search_path");
    let parts = [
        "/* simple */",
        "/* unnamed */",
        "$1 = '2'",
        "/* named */",
        "$1 = '41'",
        "/* of s */",
        "E'search_path',E's'",
        "BEGIN READ ONLY",
    ];
    eventually("all of them are there", || {
        let log = mirrored.other.log();
        parts.iter().all(|part| log.contains(part))
    });
    for write in [
        "insert into t values (3)",
        "select writes()",
        "select i from t for update",
        "begin",
        "create table x ()",
        "drop table x",
        "rollback",
        "select nextval(pg_get_serial_sequence('t', 'i'))",
        "copy t to stdout",
        "select 1; select 2",
    ] {
        client.simple(write);
    }
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(mirrored.copies(), copies + 4.0, "{}", mirrored.other.log());
    assert_eq!(mirrored.other.superuser("postgres").value("select count(*) from t"), "2");
    assert_eq!(mirrored.own.superuser("postgres").value("select count(*) from t"), "4");
    for of in ["copy", "original"] {
        assert!(mirrored.counted("pgweir_mirror_statements_total", of) >= 5.0, "{of}");
        assert!(mirrored.counted("pgweir_mirror_seconds_total", of) > 0.0, "{of}");
    }
    // Behind the definitions above it is a read for certain once the catalogs were read again.
    let before = mirrored.copies();
    eventually("reads are copied again", || {
        client.value("select count(*) from t");
        mirrored.copies() > before
    });
    std::thread::sleep(Duration::from_millis(300));
    // What fails there only is counted.
    let failed = mirrored.counted("pgweir_mirror_copies_total", "failed");
    mirrored.other.superuser("postgres").run("alter table t rename to gone");
    assert_eq!(client.value("select count(*) from t"), "4");
    eventually("the failure is counted", || {
        mirrored.counted("pgweir_mirror_copies_total", "failed") == failed + 1.0
    });
    assert_eq!(client.value("select count(*) from t"), "4");
}

#[test]
fn a_share_is_a_share_of_the_statements() {
    let Some(mirrored) = Mirrored::new(", percent = 10") else { return };
    let mut client = mirrored.client();
    let before = mirrored.copies();
    for _ in 0..500 {
        client.run("select i from t where i = 1");
    }
    // One worker has all of them; the first few were others'.
    eventually("a tenth is copied", || (mirrored.copies() - before - 50.0).abs() <= 3.0);
}

#[test]
fn a_node_that_is_slow_frozen_or_gone_delays_nobody() {
    let Some(mirrored) = Mirrored::new("") else { return };
    let mut client = mirrored.client();
    let mut quick = |what: &str| {
        let began = Instant::now();
        for n in 0..400 {
            let text = format!("select i + {n} from t where i = 1 /* {} */", "x".repeat(1000));
            assert_eq!(client.value(&text), (n + 1).to_string(), "{what}");
        }
        assert!(began.elapsed() < Duration::from_secs(5), "{what}: {:?}", began.elapsed());
    };
    let dropped = || mirrored.counted("pgweir_mirror_copies_total", "dropped");
    quick("well");
    let before = dropped();
    let memory = mirrored.proxy.memory();
    let frozen = mirrored.other.freeze();
    (0..5).for_each(|_| quick("frozen"));
    // Of 2000, few can wait.
    assert!(dropped() - before > 1800.0, "{}", dropped());
    assert!(mirrored.proxy.memory() < memory + (16 << 20), "{} from {memory}", mirrored.proxy.memory());
    drop(frozen);
    eventually("what waited is done", || {
        let mirrored = mirrored.counted("pgweir_mirror_copies_total", "answered");
        mirrored > 40.0
    });
    let failed = mirrored.counted("pgweir_mirror_copies_total", "failed");
    mirrored.other.stop("immediate");
    quick("gone");
    eventually("failures are counted", || mirrored.counted("pgweir_mirror_copies_total", "failed") > failed);
    quick("gone for a while");
    mirrored.other.start_again();
    let answered = mirrored.counted("pgweir_mirror_copies_total", "answered");
    eventually("copies are answered again", || {
        std::thread::sleep(Duration::from_millis(100));
        quick("back");
        mirrored.counted("pgweir_mirror_copies_total", "answered") > answered
    });
}
