//! The pages of a running pgweir: what they show, who may see them, and that nothing that is counted is more than words on them.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::admin::show;
use crate::harness::cluster::{APP, Cluster, Database, free_port};
use crate::harness::command::Folder;
use crate::harness::proxy::{Proxy, ProxyOptions};
use crate::harness::raw::{Client, Login};
use crate::harness::{direct_only, eventually};

const HOSTILE: &str = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>";

struct Scene {
    proxy: Proxy,
    http: SocketAddr,
    database: Database<'static>,
    _folder: Folder,
}

impl Scene {
    fn start(config: &str, arguments: &[&str]) -> Option<Scene> {
        Self::start_with(config, "[history]\ncapture = \"on\"\ninterval = \"100ms\"\n", arguments)
    }

    fn start_with(config: &str, history: &str, arguments: &[&str]) -> Option<Scene> {
        if direct_only() {
            return None;
        }
        let database = Cluster::shared().database();
        let folder = Folder::new();
        let http = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let mut options = ProxyOptions::url(&Cluster::shared().url(APP, &database.name, "pool_size=2"))
            .config(&format!("{config}\n{history}"));
        options.args.extend(["--http".to_owned(), http.to_string()]);
        options
            .args
            .extend(arguments.iter().map(|text| text.replace("FOLDER", &folder.0.display().to_string())));
        let proxy = Proxy::start_with(&options);
        Some(Scene { proxy, http, database, _folder: folder })
    }

    fn client(&self) -> Client {
        Client::connect(&self.proxy.endpoint(), &self.database.login().param("application_name", HOSTILE))
    }

    /// Status, head and body of an answer.
    fn get(&self, path: &str, headers: &str) -> (u16, String, String) {
        let host = if headers.to_lowercase().contains("host:") { "" } else { "Host: localhost\r\n" };
        self.ask(&format!("GET {path} HTTP/1.1\r\n{host}{headers}Connection: close\r\n\r\n"))
    }

    fn ask(&self, request: &str) -> (u16, String, String) {
        let mut stream = TcpStream::connect(self.http).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a time");
        stream.write_all(request.as_bytes()).expect("it takes it");
        let mut answer = String::new();
        drop(stream.read_to_string(&mut answer));
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        (status, head.to_lowercase(), body.to_owned())
    }

    fn body(&self, path: &str) -> String {
        let (status, _, body) = self.get(path, "");
        assert_eq!(status, 200, "{path}: {body}");
        body
    }
}

#[test]
fn pages_show_what_is_counted_and_nothing_in_it_is_more_than_words() {
    let console = format!("[admin]\nadmin_users = [\"{}\"]\n", APP.0);
    let Some(scene) = Scene::start(&console, &["--store", "FOLDER/h.db"]) else { return };
    eventually("it listens", || TcpStream::connect(scene.http).is_ok());
    let mut client = scene.client();
    client.run(&format!("select 1 as \"{}\"", HOSTILE.replace('"', "\"\"")));
    for (seconds, n) in [("0.05", 1), ("0.001", 2), ("0.002", 3), ("0.003", 4)] {
        client.run(&format!("select pg_sleep({seconds}), 'planted-secret-{n}'"));
    }
    // What is read of the store is kept for a while: all of it is there before a page asks.
    let mut console = Client::connect(&scene.proxy.endpoint(), &Login::new(APP.0, APP.1, "pgweir"));
    console.run(&format!("mark '{}'", HOSTILE.replace('\'', "''")));
    eventually("it is written", || {
        show(&mut console, "STORE")[0]["written"].parse::<u64>().is_ok_and(|written| written >= 5)
    });
    let statement = "select pg_sleep($1), $2";
    eventually("it is shown with its number and over time", || {
        let body = scene.get("/", "").2;
        body.contains(statement)
            && body.contains(">Q")
            && body.contains("Time by statement")
            && body.contains("What happened")
    });
    let overview = scene.body("/");
    for part in [
        "<h2 id=\"do-these-first\">",
        "p95 of all statements",
        "Slow statements",
        "aria-current=\"page\">Overview",
    ] {
        assert!(overview.contains(part), "{part} is not in {overview}");
    }
    let addresses: Vec<_> =
        overview.split("href=\"/statement/").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert!(addresses.len() >= 2, "{overview}");
    eventually("times are shown by values", || {
        addresses.iter().any(|address| {
            let body = scene.body(&format!("/statement/{address}"));
            body.contains("How long it took, by ") && body.contains("class=\"dots\"") && body.contains("#")
        })
    });
    let mut all = vec![overview.clone()];
    all.extend(addresses.iter().map(|address| scene.body(&format!("/statement/{address}"))));
    all.extend(["/fixes", "/cache", "/rules", "/cluster", "/fleet"].map(|path| scene.body(path)));
    for body in &all {
        for absent in
            ["<script", "<img", "onerror=alert(1)>", "planted-secret", " style=", "http://", "https://"]
        {
            assert!(!body.contains(absent), "{absent} is in {body}");
        }
    }
    assert!(
        all.iter().any(|body| body.contains("&lt;script&gt;alert(1)&lt;/script&gt;")),
        "the name is shown"
    );
    assert!(all.iter().any(|body| body.contains("aria-label=\"Five clocks.")));
    assert!(
        all.iter()
            .any(|body| body.contains("Time by pgweir") && body.contains("aria-current=\"page\">Fleet"))
    );
    let number = overview.split("\">Q").nth(1).and_then(|rest| rest.split('<').next()).expect("a number");
    assert!(scene.body(&format!("/statement/Q{number}")).contains("fingerprint"));
}

/// An empty page is no sign that nothing is slow.
#[test]
fn what_is_switched_off_is_told_with_how_to_switch_it_on() {
    let admin = format!("[admin]\nadmin_users = [\"{}\"]\n", APP.0);
    let Some(scene) = Scene::start_with(&admin, "", &[]) else { return };
    eventually("it listens", || TcpStream::connect(scene.http).is_ok());
    let mut console = Client::connect(&scene.proxy.endpoint(), &Login::new(APP.0, APP.1, "pgweir"));
    let mut notices = |what: &str| {
        let told = console.simple(&format!("SHOW {what}"));
        assert_eq!(told.last().map(|message| message.tag), Some(b'Z'), "{told:?}");
        let notices = told.iter().filter(|message| message.tag == b'N');
        let notices: Vec<_> =
            notices.map(|one| (one.field(b'S').unwrap(), one.field(b'M').unwrap())).collect();
        assert!(notices.iter().all(|(severity, _)| severity == "NOTICE"), "{notices:?}");
        notices.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join("\n")
    };
    let not_counted = "Statements are not counted: start pgweir with --store FILE, or set capture = ";
    for what in ["STATEMENTS", "ADVICE"] {
        assert!(notices(what).starts_with(not_counted), "{what}: {}", notices(what));
    }
    for path in ["/", "/fixes"] {
        let body = scene.body(path);
        assert!(
            body.contains(not_counted) && !body.contains("What takes the time is known"),
            "{path}: {body}"
        );
    }
    let (status, _, body) = scene.get("/statement/Q1", "");
    assert!(status == 404 && body.contains(not_counted), "{body}");

    let off = "capture = \"on\"\nadvise = \"never\"\n";
    scene.proxy.set_config(&format!("http = \"off\"\n{admin}[history]\n{off}"));
    scene.proxy.signal("HUP");
    eventually("it counts", || notices("STATEMENTS").is_empty());
    let never = "No database is asked for advice: advise is ";
    assert!(notices("ADVICE").starts_with(never), "{}", notices("ADVICE"));
    for path in ["/", "/fixes"] {
        let body = scene.body(path);
        assert!(body.contains(never) && !body.contains("not counted"), "{path}: {body}");
    }
    scene.proxy.set_config(&format!("http = \"off\"\n{admin}[history]\ncapture = \"on\"\n"));
    scene.proxy.signal("HUP");
    eventually("it will advise", || notices("ADVICE").starts_with("No database was asked for advice yet"));
    assert!(scene.body("/fixes").contains("Nothing is proposed yet"));
}

#[test]
fn pages_forbid_what_browsers_should_not_do() {
    let Some(scene) = Scene::start("", &[]) else { return };
    eventually("it listens", || TcpStream::connect(scene.http).is_ok());
    for path in ["/", "/statement/none", "/style.css"] {
        let (_, head, _) = scene.get(path, "");
        for part in [
            "content-security-policy: default-src 'none'; style-src 'self'",
            "x-content-type-options: nosniff",
            "cache-control: no-store",
        ] {
            assert!(head.contains(part), "{path}: {head}");
        }
    }
    assert_eq!(scene.get("/statement/none", "").0, 404);
    assert_eq!(scene.get(&format!("/statement/{}", "x".repeat(2000)), "").0, 414);
    assert_eq!(scene.get("/statement/%3Cscript%3E", "").0, 404);
    assert!(!scene.get("/statement/%3Cscript%3E", "").2.contains("<script"));
    assert_eq!(
        scene.ask("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").0,
        405
    );
    assert!(matches!(scene.get("/", &format!("X: {}\r\n", "x".repeat(1 << 20))).0, 0 | 400 | 431));
    assert_eq!(scene.get("/health", "").0, 200, "it is alive");
}

#[test]
fn who_is_not_here_needs_a_user_of_the_console() {
    let users = format!(
        "[admin]\nadmin_users = [\"{}\"]\nstats_users = [\"watcher\"]\n[users.watcher]\npassword = \"watch-secret\"\n[users.other]\npassword = \"other-secret\"\n",
        APP.0
    );
    let Some(scene) = Scene::start(&users, &[]) else { return };
    eventually("it listens", || TcpStream::connect(scene.http).is_ok());
    let elsewhere = "Host: shop.example\r\n";
    let with = |token: &str| scene.get("/", &format!("{elsewhere}Authorization: Basic {token}\r\n")).0;
    let (status, head, body) = scene.get("/", elsewhere);
    assert!(
        status == 401 && head.contains("www-authenticate: basic realm=\"pgweir\"") && !body.contains("<html"),
        "{head}"
    );
    assert_eq!(scene.get("/", "X-Forwarded-For: 10.0.0.1\r\n").0, 401);
    // watcher:watch-secret, watcher:wrong, other:other-secret, nobody:x
    let began = Instant::now();
    assert_eq!(
        ["d2F0Y2hlcjp3YXRjaC1zZWNyZXQ=", "d2F0Y2hlcjp3cm9uZw==", "b3RoZXI6b3RoZXItc2VjcmV0", "bm9ib2R5Ong="]
            .map(with),
        [200, 401, 401, 401]
    );
    assert!(began.elapsed() > Duration::from_millis(1400), "wrong ones take their time");
    assert_eq!(scene.get("/", "").0, 200, "on this machine");
    assert_eq!(scene.get("/metrics", elsewhere).0, 200, "as before");
    assert!(scene.proxy.log().contains("pages refused") && !scene.proxy.log().contains("watch-secret"));
}

#[test]
fn without_users_pages_stay_on_this_machine() {
    let Some(scene) = Scene::start("", &[]) else { return };
    eventually("it listens", || TcpStream::connect(scene.http).is_ok());
    assert_eq!(scene.get("/", "Host: shop.example\r\n").0, 403);
    // So many that say nothing keep nobody out.
    let idle: Vec<_> = (0..100).map(|_| TcpStream::connect(scene.http).expect("it listens")).collect();
    assert_eq!(scene.get("/health", "").0, 200);
    drop(idle);
}
