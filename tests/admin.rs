//! Seen from outside: the console, metrics and health, after traffic whose numbers are known.

mod cache;
mod databases;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::harness::cluster::{APP, APP2, Cluster, Database, free_port};
use crate::harness::command;
use crate::harness::message::Message;
use crate::harness::proxy::{Proxy, ProxyOptions, program};
use crate::harness::raw::{Client, Login};
use crate::harness::{direct_only, eventually, frontend as msg};

/// A proxy whose console `app` may command and `app2` may read, and the address of its HTTP.
struct Scene {
    proxy: Proxy,
    database: Database<'static>,
    http: SocketAddr,
}

/// What a SHOW answered: rows by column name.
pub(crate) type Rows = Vec<BTreeMap<String, String>>;

impl Scene {
    fn new(pool: &str) -> Option<Scene> {
        if direct_only() {
            return None;
        }
        let database = Cluster::shared().database();
        let http = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let users = format!(
            "[admin]\nadmin_users = [\"{}\"]\nstats_users = [\"{}\"]\n[users.{}]\npassword = \"plain:{}\"\n",
            APP.0, APP2.0, APP2.0, APP2.1
        );
        let mut options = ProxyOptions::url(&Cluster::shared().url(APP, &database.name, pool)).config(&users);
        options.args.extend(["--http".to_owned(), http.to_string()]);
        let proxy = Proxy::start_with(&options);
        eventually("HTTP answers", || get(http, "/health").0 == 200);
        Some(Scene { proxy, database, http })
    }

    fn client(&self) -> Client {
        Client::connect(&self.proxy.endpoint(), &self.database.login())
    }

    fn console(&self, user: (&str, &str)) -> Client {
        Client::connect(&self.proxy.endpoint(), &Login::new(user.0, user.1, "pgweir"))
    }

    fn metric(&self, name: &str, label: &str) -> f64 {
        let (status, page) = get(self.http, "/metrics");
        assert_eq!(status, 200);
        let prefix = format!("{name}{{database=\"{}\",user=\"app\"{label}}} ", self.database.name);
        let line = page.lines().find_map(|line| line.strip_prefix(&prefix));
        line.unwrap_or_else(|| panic!("no {prefix}in\n{page}")).parse().expect("a number")
    }
}

pub(crate) fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    };
    let Ok(text) = ask() else { return (0, String::new()) };
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    (status, text.split_once("\r\n\r\n").map_or(String::new(), |(_, body)| body.to_owned()))
}

fn columns(messages: &[Message]) -> Vec<String> {
    let description = messages.iter().find(|message| message.tag == b'T').expect("a RowDescription");
    let mut rest = &description.body[2..];
    let mut names = vec![];
    while let Some(end) = rest.iter().position(|byte| *byte == 0) {
        names.push(String::from_utf8_lossy(&rest[..end]).into_owned());
        rest = &rest[end + 19..];
    }
    names
}

pub(crate) fn show(console: &mut Client, what: &str) -> Rows {
    let messages = console.simple(&format!("SHOW {what};"));
    let names = columns(&messages);
    let rows = messages.iter().filter(|message| message.tag == b'D').map(|message| {
        let values = message
            .values()
            .into_iter()
            .map(|value| String::from_utf8(value.unwrap_or_default()).expect("text"));
        names.iter().cloned().zip(values).collect()
    });
    rows.collect()
}

fn row<'a>(rows: &'a Rows, column: &str, value: &str) -> &'a BTreeMap<String, String> {
    rows.iter()
        .find(|row| row[column] == value)
        .unwrap_or_else(|| panic!("no row with {column} = {value}: {rows:?}"))
}

fn fault(messages: &[Message]) -> Message {
    messages
        .iter()
        .find(|message| message.tag == b'E')
        .cloned()
        .unwrap_or_else(|| panic!("no error: {messages:?}"))
}

/// Eight transactions in ten statements, two of them prepared.
fn traffic(client: &mut Client) {
    for _ in 0..5 {
        assert_eq!(client.value("select 1"), "1");
    }
    client.run("begin");
    client.run("select 2");
    client.run("commit");
    for _ in 0..2 {
        client.send(&[msg::unnamed("select $1::int", &["7"]), msg::sync()].concat());
        client.until_ready();
    }
}

#[test]
fn admin_numbers_after_known_traffic() {
    let Some(scene) = Scene::new("pool_size=3") else { return };
    let mut client = scene.client();
    traffic(&mut client);
    let mut console = scene.console(APP2);
    let name = scene.database.name.as_str();
    let stats = show(&mut console, "STATS");
    let mine = row(&stats, "database", name);
    assert_eq!((mine["total_xact_count"].as_str(), mine["total_query_count"].as_str()), ("8", "10"));
    assert_eq!((mine["total_bind_count"].as_str(), mine["total_client_parse_count"].as_str()), ("2", "2"));
    for positive in ["total_received", "total_sent", "total_xact_time", "total_query_time", "avg_query_time"]
    {
        assert!(mine[positive].parse::<u64>().expect("a number") > 0, "{positive}: {mine:?}");
    }
    let totals = show(&mut console, "STATS_TOTALS");
    assert_eq!(row(&totals, "database", name)["xact_count"], "8");
    assert_eq!(row(&show(&mut console, "TOTALS"), "name", "total_xact_count")["value"], "8");
    let pools = show(&mut console, "POOLS");
    let pool = row(&pools, "database", name);
    let numbers =
        ["cl_active", "cl_waiting", "sv_active", "sv_idle", "pool_mode"].map(|column| pool[column].as_str());
    assert_eq!(numbers, ["1", "0", "0", "1", "transaction"]);
    assert_eq!(row(&show(&mut console, "LISTS"), "list", "used_clients")["items"], "1");
    assert_eq!(scene.metric("pgweir_transactions_total", ""), 8.0);
    assert_eq!(scene.metric("pgweir_queries_total", ""), 10.0);
    assert_eq!(scene.metric("pgweir_client_logins_total", ",result=\"ok\""), 1.0);
    assert_eq!(scene.metric("pgweir_server_logins_total", ",result=\"ok\""), 1.0);
}

#[test]
fn admin_tables_have_their_columns() {
    let Some(scene) = Scene::new("pool_size=3") else { return };
    let mut client = scene.client();
    client.run("begin");
    client.run("select 1");
    let mut console = scene.console(APP);
    let name = scene.database.name.clone();
    for (what, some) in [
        ("version", "version"),
        (
            "pools",
            "database user cl_active cl_waiting cl_active_cancel_req cl_waiting_cancel_req sv_active sv_active_cancel sv_being_canceled sv_idle sv_used sv_tested sv_login maxwait maxwait_us pool_mode",
        ),
        ("clients", "type user database state addr port connect_time link application_name id"),
        ("servers", "type user database state addr port connect_time link remote_pid id"),
        (
            "databases",
            "name host port database force_user pool_size pool_mode current_connections paused disabled",
        ),
        ("users", "name pool_mode current_connections"),
        (
            "stats",
            "database total_xact_count total_query_count total_received total_sent total_xact_time total_query_time total_wait_time avg_xact_count avg_query_count avg_recv avg_sent avg_xact_time avg_query_time avg_wait_time",
        ),
        (
            "stats_totals",
            "database xact_count query_count bytes_received bytes_sent xact_time query_time wait_time",
        ),
        (
            "stats_averages",
            "database xact_count query_count bytes_received bytes_sent xact_time query_time wait_time",
        ),
        ("totals", "name value"),
        ("config", "key value default changeable"),
        ("lists", "list items"),
        ("mem", "name size used free memtotal"),
        ("pins", "database user reason count"),
        ("state", "key value"),
    ] {
        let messages = console.simple(&format!("show {what}"));
        let names = columns(&messages);
        assert!(some.split(' ').all(|column| names.iter().any(|name| name == column)), "{what}: {names:?}");
        assert!(messages.iter().any(|message| message.tag == b'D'), "{what} has no row");
    }
    let clients = show(&mut console, "CLIENTS");
    let mine = row(&clients, "database", &name);
    assert_eq!(
        (mine["state"].as_str(), mine["user"].as_str(), mine["id"].as_str()),
        ("active", "app", client.pid.to_string().as_str())
    );
    let servers = show(&mut console, "SERVERS");
    let server = row(&servers, "link", &mine["ptr"]);
    assert_eq!(
        (server["state"].as_str(), server["remote_pid"].as_str()),
        ("active", client.value("select pg_backend_pid()").as_str())
    );
    let config = show(&mut console, "CONFIG");
    assert_eq!(row(&config, "key", "limits.drain_timeout")["default"], "30s");
    client.run("commit");
    client.run("create temp table t (i int)");
    eventually("the pin is counted", || {
        row(&show(&mut console, "PINS"), "reason", "temporary object")["count"] == "1"
    });
    assert_eq!(scene.metric("pgweir_pins_total", ",reason=\"temporary object\""), 1.0);
}

#[test]
fn admin_pause_holds_clients_until_resume() {
    let Some(scene) = Scene::new("pool_size=2") else { return };
    let mut client = scene.client();
    client.run("begin");
    client.run("select 1");
    let mut console = scene.console(APP);
    console.send(&msg::query(&format!("PAUSE {};", scene.database.name)));
    let quiet = console.within(Duration::from_millis(300)).expect("no end");
    assert!(quiet.is_empty(), "PAUSE waits for the transaction: {quiet:?}");
    client.run("commit");
    assert_eq!(console.until_ready()[0].command_tag(), "PAUSE");
    let pools = show(&mut console, "POOLS");
    assert_eq!((pools[0]["sv_idle"].as_str(), pools[0]["sv_active"].as_str()), ("0", "0"));
    client.send(&msg::query("select 'held'"));
    assert!(client.within(Duration::from_millis(300)).expect("no end").is_empty());
    assert_eq!(show(&mut console, "POOLS")[0]["cl_waiting"], "1");
    assert_eq!(row(&show(&mut console, "DATABASES"), "name", &scene.database.name)["paused"], "1");
    assert_eq!(console.simple("resume").first().map(Message::command_tag).as_deref(), Some("RESUME"));
    assert!(client.until_ready().iter().any(|message| message.tag == b'D'));
    console.run("reconnect");
    console.run("wait_close");
    assert_eq!(client.value("select 1"), "1");
}

#[test]
fn admin_pause_is_told_to_those_who_waited_in_vain() {
    let Some(scene) = Scene::new("pool_size=2&queue_timeout=300ms") else { return };
    let mut client = scene.client();
    client.run("select 1");
    scene.console(APP).run("PAUSE");
    let answers = client.simple("select 2");
    let error = answers.iter().find(|message| message.tag == b'E').expect("an error");
    let told = "the database is paused, and was not resumed in 300ms (queue_timeout)";
    assert_eq!((error.sqlstate().as_str(), error.field(b'M').as_deref()), ("53300", Some(told)));
}

/// What to paste is told wherever a URL is given, and the log does not fill with what cannot be read.
#[test]
fn run_tells_what_to_paste_and_once_what_it_cannot_read() {
    if direct_only() {
        return;
    }
    let cluster = Cluster::shared();
    let mut proxy = Proxy::start(&cluster.url((APP.0, "wrong-secret"), "postgres", ""));
    let line = format!("through pgweir:  psql postgres://app@{}/postgres\n", proxy.addr);
    eventually("it is told what to paste", || proxy.log().contains(&line));
    for _ in 0..4 {
        let mut client = Client::dial(&proxy.endpoint()).expect("a connection");
        let answers = client.login(&Login::new(APP.0, "wrong-secret", "postgres")).expect("an answer");
        assert!(answers.iter().any(|message| message.tag == b'E' && message.sqlstate() == "28P01"));
        std::thread::sleep(Duration::from_millis(400));
    }
    let log = proxy.log();
    assert!(!log.contains("wrong-secret"), "{log}");
    assert_eq!(log.matches("cannot read which functions change their session").count(), 1, "{log}");
    assert!(proxy.stop().success());
}

#[test]
fn admin_pause_before_there_is_a_pool() {
    let Some(scene) = Scene::new("pool_size=2") else { return };
    let mut console = scene.console(APP);
    let name = scene.database.name.clone();
    let paused = |console: &mut Client| row(&show(console, "DATABASES"), "name", &name)["paused"].clone();
    console.run("PAUSE");
    assert_eq!(paused(&mut console), "1");
    assert_eq!(row(&show(&mut console, "STATE"), "key", "paused")["value"], "yes");
    console.run(&format!("RESUME \"{name}\""));
    assert_eq!(paused(&mut console), "0");
    // A pool that comes later is not paused either.
    assert_eq!(scene.client().value("select 1"), "1");
    console.run("RESUME");
    assert_eq!(row(&show(&mut console, "STATE"), "key", "paused")["value"], "no");
}

#[test]
fn admin_kills_and_disables() {
    let Some(scene) = Scene::new("pool_size=2") else { return };
    let mut console = scene.console(APP);
    let (mut first, mut second) = (scene.client(), scene.client());
    assert_eq!(console.error("KILL_CLIENT 1234567890"), "22023");
    console.run(&format!("KILL_CLIENT {}", first.pid));
    let told = first.until(b'Z').expect("the session ends in words");
    assert_eq!(fault(&told).sqlstate(), "57P01");
    assert_eq!(second.value("select 1"), "1");
    console.run(&format!("disable {}", scene.database.name));
    let mut refused = Client::dial(&scene.proxy.endpoint()).expect("it connects");
    let messages = refused.login(&scene.database.login()).expect("an answer");
    assert_eq!(fault(&messages).sqlstate(), "57P03");
    console.run(&format!("enable {}", scene.database.name));
    let logged = format!("command=\"enable {}\"", scene.database.name);
    eventually("the command is logged as typed", || scene.proxy.log().contains(&logged));
    assert_eq!(scene.client().value("select 1"), "1");
    console.run(&format!("KILL {}", scene.database.name));
    let log = scene.proxy.log();
    assert!(log.contains("sessions were ended") && !log.contains("order=Pause"), "{log}");
    assert_eq!(fault(&second.until(b'Z').expect("the session ends in words")).sqlstate(), "57P01");
    console.run("RESUME");
    assert_eq!(scene.client().value("select 1"), "1");
}

#[test]
fn admin_roles_and_refusals() {
    let Some(scene) = Scene::new("pool_size=2") else { return };
    let mut reader = scene.console(APP2);
    for command in
        ["PAUSE", "RESUME", "RELOAD", "KILL", "KILL_CLIENT 1", "DISABLE x", "SHUTDOWN", "RECONNECT"]
    {
        assert_eq!(reader.error(command), "42501", "{command}");
    }
    let error = fault(&reader.simple("select 1"));
    assert_eq!(
        (error.sqlstate().as_str(), error.field(b'H').is_some_and(|hint| hint.contains("SHOW HELP"))),
        ("42601", true)
    );
    assert_eq!(reader.error("show nothing"), "42601");
    reader.send(&[msg::unnamed("SHOW POOLS", &[]), msg::sync()].concat());
    assert_eq!(fault(&reader.until_ready()).sqlstate(), "0A000");
    assert_eq!(reader.value("show version"), format!("pgweir {}", env!("CARGO_PKG_VERSION")));
    assert!(reader.simple("show help").iter().any(|message| message.tag == b'N'));
    assert!(reader.simple(";").iter().any(|message| message.tag == b'I'));
    for tag in ["BEGIN", "COMMIT"] {
        assert_eq!(reader.simple(tag)[0].command_tag(), tag);
    }
    let mut console = scene.console(APP);
    // Every name is a database here, because of the connection string.
    assert_eq!(console.simple("pause nowhere")[0].command_tag(), "PAUSE");
    let mut stranger = Client::dial(&scene.proxy.endpoint()).expect("it connects");
    let messages = stranger.login(&Login::new("md5", "x", "pgbouncer")).expect("an answer");
    assert_eq!(fault(&messages).sqlstate(), "28P01", "as for any database: `app` may not look others up");
}

#[test]
fn admin_reload_is_all_or_nothing() {
    let Some(scene) = Scene::new("pool_size=2") else { return };
    let mut console = scene.console(APP);
    assert_eq!(console.simple("RELOAD")[0].command_tag(), "RELOAD");
    let good = scene.proxy.config();
    scene.proxy.set_config(&format!("{good}\n[limits]\nmax_clients = 7\nflurb = 1\n"));
    let error = fault(&console.simple("RELOAD"));
    assert_eq!(error.sqlstate(), "F0000");
    assert!(error.field(b'D').is_some_and(|detail| detail.contains("flurb")), "{error}");
    let limit =
        |console: &mut Client| row(&show(console, "CONFIG"), "key", "limits.max_clients")["value"].clone();
    assert_ne!(limit(&mut console), "7");
    // The file itself is there, and no certificate.
    scene
        .proxy
        .set_config(&format!("{good}\n[databases.x]\nhosts = [\"db\"]\nsslrootcert = \"pgweir.toml\"\n"));
    let line = good.lines().count() + 4;
    let detail = fault(&console.simple("RELOAD")).field(b'D').expect("it says what is wrong");
    assert!(detail.contains(&format!("pgweir.toml:{line}:1: ")), "{detail}");
    scene.proxy.set_config(&format!("{good}\n[limits]\nmax_clients = 7\n"));
    console.run("reload");
    assert_eq!(limit(&mut console), "7");
}

#[test]
fn admin_reload_tells_what_waits_for_a_restart() {
    let Some(scene) = Scene::new("pool_size=2") else { return };
    let mut console = scene.console(APP);
    let good = scene.proxy.config();
    assert!(!scene.proxy.log().contains("DEBUG"));
    scene
        .proxy
        .set_config(&format!("workers = 3\nunix_socket_dir = \"/tmp\"\n{good}\n[log]\nlevel = \"debug\"\n"));
    let answers = console.simple("RELOAD");
    let notices: Vec<_> = answers.iter().filter(|message| message.tag == b'N').collect();
    let told: Vec<_> = notices.iter().filter_map(|notice| notice.field(b'M')).collect();
    assert_eq!(
        told,
        ["`unix_socket_dir` is changed by a restart only", "`workers` is changed by a restart only"]
    );
    assert!(scene.proxy.log().contains("`workers` is changed by a restart only"));
    let config = show(&mut console, "CONFIG");
    assert_ne!(row(&config, "key", "workers")["value"], "3", "what is in force is shown");
    drop(scene.client());
    eventually("more is logged", || scene.proxy.log().contains("DEBUG"));
}

#[test]
fn admin_config_shows_every_setting() {
    let Some(scene) = Scene::new("pool_size=2") else { return };
    let shown: Vec<String> =
        show(&mut scene.console(APP), "CONFIG").iter().map(|row| row["key"].clone()).collect();
    for section in pgweir::config::keys::sections() {
        for key in section.keys.iter().filter(|_| !section.name.contains('.')) {
            let path = if section.name.is_empty() {
                key.name.to_owned()
            } else {
                format!("{}.{}", section.name, key.name)
            };
            assert!(shown.contains(&path), "{path} is not shown");
        }
    }
}

/// Where no database is there for every name, [pool] is shown all the same, and not what one database has instead.
#[test]
fn admin_config_shows_what_databases_start_from() {
    if direct_only() {
        return;
    }
    let cluster = Cluster::shared();
    let shop = format!("[databases.shop]\nurl = \"{}\"\n", cluster.url(APP, "postgres", "pool_size=3"));
    let text = format!("[pool]\npool_size = 5\nmin_idle = 1\n[admin]\nadmin_users = [\"{}\"]\n{shop}", APP.0);
    let proxy = Proxy::start_with(&ProxyOptions::default().config(&text));
    let mut console = Client::connect(&proxy.endpoint(), &Login::new(APP.0, APP.1, "pgweir"));
    let config = show(&mut console, "CONFIG");
    let value = |key: &str| row(&config, "key", key)["value"].clone();
    assert_eq!(value("default_pool_size"), "5");
    assert_eq!(value("pool.pool_size"), "5");
    assert_eq!(value("pool.min_idle"), "1");
    assert_eq!(value("pool.pins"), "pin");
}

/// A reload that changes nothing of where servers are leaves them, and what was learned of users, as they are.
#[test]
fn admin_reload_keeps_servers_and_keys() {
    if direct_only() {
        return;
    }
    let cluster = Cluster::shared();
    let database = cluster.database();
    let superuser = crate::harness::cluster::SUPERUSER;
    let proxy = Proxy::start(&cluster.url(superuser, &database.name, "pool_size=2"));
    // Proven by pass-through: the keys for its servers are its own.
    let mut client = Client::connect(&proxy.endpoint(), &database.login());
    let server = client.value("select pg_backend_pid()");
    for _ in 0..2 {
        proxy.signal("HUP");
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(client.value("select pg_backend_pid()"), server, "the server is the same");
    }
    // A server that is made after a reload is logged in to with the keys that were learned before.
    let mut admin = cluster.superuser(&database.name);
    admin.run(&format!("select pg_terminate_backend({server})"));
    eventually("the server is gone", || {
        admin.value(&format!("select count(*) from pg_stat_activity where pid = {server}")) == "0"
    });
    assert_ne!(client.value("select pg_backend_pid()"), server);
}

/// Whom the settings do not have is looked up for the console too, though no server has a database of its name.
#[test]
fn admin_users_by_pass_through() {
    if direct_only() {
        return;
    }
    let cluster = Cluster::shared();
    let database = cluster.database();
    let superuser = crate::harness::cluster::SUPERUSER;
    let named = format!("[databases.{}]\nhosts = [\"127.0.0.1:{}\"]\n", database.name, cluster.port);
    let asker =
        format!("[auth]\nauth_user = \"{0}\"\n[users.{0}]\npassword = \"{1}\"\n", superuser.0, superuser.1);
    let admin = format!("[admin]\nadmin_users = [\"{}\"]\n", APP.0);
    for options in [
        ProxyOptions::default().config(&format!("{named}{asker}{admin}")),
        ProxyOptions::url(&cluster.url(superuser, &database.name, "")).config(&admin),
    ] {
        let proxy = Proxy::start_with(&options);
        let mut console = Client::connect(&proxy.endpoint(), &Login::new(APP.0, APP.1, "pgweir"));
        assert!(!show(&mut console, "DATABASES").is_empty());
        let mut wrong = Client::dial(&proxy.endpoint()).expect("a connection");
        let answers = wrong.login(&Login::new(APP.0, "wrong", "pgweir")).expect("an answer");
        assert_eq!(fault(&answers).sqlstate(), "28P01");
    }
}

#[test]
fn admin_no_more_clients_of_a_user_than_allowed() {
    let Some(scene) = Scene::new("pool_size=2") else { return };
    let good = scene.proxy.config();
    let mut first = scene.client();
    let limited = |most: usize| {
        let users = format!("[users.{}]\nmax_clients = {most}\n", APP.0);
        scene.proxy.set_config(&format!("{good}\n{users}"));
        scene.console(APP2);
        scene.proxy.signal("HUP");
        std::thread::sleep(Duration::from_millis(300));
    };
    limited(2);
    let second = scene.client();
    let refused = || {
        let mut third = Client::dial(&scene.proxy.endpoint()).expect("it connects");
        let answers = third.login(&scene.database.login()).expect("an answer");
        answers.iter().find(|message| message.tag == b'E').map(Message::sqlstate)
    };
    assert_eq!(refused().as_deref(), Some("53300"), "two are in, one of them from before");
    drop(second);
    eventually("there is room again", || refused().is_none());
    limited(1);
    assert_eq!(refused().as_deref(), Some("53300"));
    assert_eq!(first.value("select 1"), "1", "who is in stays");
}

#[test]
fn admin_idle_clients_are_ended() {
    if direct_only() {
        return;
    }
    let cluster = Cluster::shared();
    let database = cluster.database();
    let start = |limits: &str| {
        let options = ProxyOptions::url(&cluster.url(APP, &database.name, "pool_size=4"));
        Proxy::start_with(&options.config(&format!("[limits]\n{limits}\n")))
    };
    let ends = |client: &mut Client, sqlstate: &str| {
        let end = client.until(b'E').expect("the reason");
        assert_eq!(end.last().map(Message::sqlstate).as_deref(), Some(sqlstate));
        assert_eq!(client.read(), Ok(None));
    };
    let proxy = start("client_idle_timeout = \"600ms\"");
    let connect = |proxy: &Proxy| Client::connect(&proxy.endpoint(), &database.login());
    let (mut idle, mut works, mut in_transaction) = (connect(&proxy), connect(&proxy), connect(&proxy));
    in_transaction.run("begin");
    in_transaction.run("select 1");
    // What runs for longer is no idleness, and from its end on it counts anew.
    let began = std::time::Instant::now();
    assert_eq!(works.value("select 'done' from pg_sleep(1.5)"), "done");
    ends(&mut idle, "57P05");
    ends(&mut works, "57P05");
    assert!(began.elapsed() >= Duration::from_millis(2000), "{:?}", began.elapsed());
    in_transaction.run("commit");
    ends(&mut in_transaction, "57P05");
    let proxy = start("idle_in_transaction_timeout = \"600ms\"");
    let (mut idle, mut in_transaction) = (connect(&proxy), connect(&proxy));
    in_transaction.run("begin");
    in_transaction.run("create table t (i int)");
    ends(&mut in_transaction, "25P03");
    assert_eq!(idle.value("select count(*) from pg_class where relname = 't'"), "0", "it is rolled back");
}

#[test]
fn admin_waits_for_clients_to_leave() {
    let Some(mut scene) = Scene::new("pool_size=2") else { return };
    let mut client = scene.client();
    client.run("select 1");
    let mut console = scene.console(APP);
    console.run("SHUTDOWN WAIT_FOR_CLIENTS");
    let mut late = Client::dial(&scene.proxy.endpoint()).expect("it still listens");
    let answer = late.login(&scene.database.login()).expect("an answer in time");
    assert_eq!(answer.last().map(Message::sqlstate).as_deref(), Some("57P03"), "{answer:?}");
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(client.value("select 'idle ones stay'"), "idle ones stay");
    assert_eq!(fault(&console.simple("RELOAD")).sqlstate(), "57P03");
    drop(client);
    assert!(scene.proxy.ended(Duration::from_secs(10)).success());
}

#[test]
fn admin_signals() {
    let Some(mut scene) = Scene::new("pool_size=2") else { return };
    let mut console = scene.console(APP);
    let paused = |console: &mut Client| row(&show(console, "STATE"), "key", "paused")["value"] == "yes";
    scene.proxy.signal("USR1");
    eventually("it is paused", || paused(&mut console));
    scene.proxy.signal("USR2");
    eventually("it goes on", || !paused(&mut console));
    let mut client = scene.client();
    client.run("begin");
    client.run("select 1");
    scene.proxy.signal("TERM");
    let told = "stopping: waiting for transactions to end; another signal stops at once";
    eventually("it waits", || scene.proxy.log().contains(told));
    scene.proxy.signal("TERM");
    assert_eq!(client.until(b'E').expect("why").last().map(Message::sqlstate).as_deref(), Some("57P01"));
    assert!(scene.proxy.ended(Duration::from_secs(5)).success());
}

#[test]
fn nothing_is_promised_before_it_listens() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("it has an address").to_string();
    let mut command = Command::new(program());
    command.args(["demo", "--http", "off", "--listen", &address]).env("PGWEIR_UNDER_MAKE", "1");
    let output = command::run(&mut command, Duration::from_secs(60));
    assert!(!output.ok && output.stdout.is_empty(), "no server is made for it: {}", output.stdout);
    let told = format!("cannot listen on {address} (choose another with make run ARGS=\"--listen ");
    assert!(output.stderr.contains(&told), "{}", output.stderr);
}

/// Closing the terminal is no wish to read settings again, where there are none.
#[test]
fn a_hangup_ends_what_is_thrown_away() {
    let folder = command::Folder::new();
    // The server may run as another user.
    std::fs::set_permissions(&folder.0, std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .expect("it is ours");
    let address = format!("127.0.0.1:{}", free_port());
    let mut command = Command::new(program());
    command.args(["demo", "--http", "off", "--listen", &address]).env("TMPDIR", &folder.0);
    let mut demo = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    let up = Instant::now() + Duration::from_secs(90);
    while TcpStream::connect(&address).is_err() {
        assert!(Instant::now() < up && demo.try_wait().expect("its state").is_none(), "it does not come up");
        std::thread::sleep(Duration::from_millis(50));
    }
    let hangup = Command::new("kill").args(["-HUP", &demo.id().to_string()]).status().expect("kill runs");
    assert!(hangup.success());
    let ended = command::wait(&mut demo, Duration::from_secs(30));
    if ended.is_none() {
        demo.kill().expect("it can be ended");
        demo.wait().expect("it ends");
    }
    assert!(ended.is_some_and(|status| status.success()), "{ended:?}");
    let left = std::fs::read_dir(&folder.0).expect("it is there").count();
    assert_eq!(left, 0, "the server's folder is left");
}

#[test]
fn a_terminal_that_is_closed_ends_it() {
    let folder = command::Folder::new();
    let log = folder.0.join("log");
    let address = format!("127.0.0.1:{}", free_port());
    // As the first process of the terminal it is the one that is told of its end.
    let line = format!(
        "exec '{}' run --http off --listen {address} postgres://a:b@127.0.0.1:{}/x 2>'{}'",
        program().to_string_lossy(),
        free_port(),
        log.display()
    );
    let mut terminal = Command::new("script");
    terminal.args(["-qec", &line, "/dev/null"]).stdin(Stdio::piped()).stdout(Stdio::null());
    let mut terminal = terminal.spawn().expect("script runs");
    eventually("it listens", || TcpStream::connect(&address).is_ok());
    terminal.kill().expect("it can be ended");
    terminal.wait().expect("it ends");
    let told = || std::fs::read_to_string(&log).unwrap_or_default();
    eventually("it ends as when it is interrupted", || told().contains("stopped"));
    assert!(!told().contains("settings reloaded") && !told().contains("panicked"), "{}", told());
    eventually("it listens no more", || TcpStream::connect(&address).is_err());
}

#[test]
fn admin_metrics_parse_line_by_line() {
    let Some(scene) = Scene::new("pool_size=2") else { return };
    traffic(&mut scene.client());
    let (status, page) = get(scene.http, "/metrics");
    assert_eq!(status, 200);
    let mut current = String::new();
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            current = rest.split(' ').next().expect("a name").to_owned();
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            assert!(rest == format!("{current} counter") || rest == format!("{current} gauge"), "{line}");
        } else {
            let (sample, number) = line.rsplit_once(' ').expect("a sample");
            number.parse::<f64>().unwrap_or_else(|_| panic!("no number: {line}"));
            let labels = sample.strip_prefix(&current).unwrap_or_else(|| panic!("not of {current}: {line}"));
            assert!(labels.is_empty() || labels.starts_with('{') && labels.ends_with("\"}"), "{line}");
        }
    }
    assert!(page.lines().count() > 60);
    assert_eq!(get(scene.http, "/nothing").0, 404);
}

#[test]
fn admin_ready_until_it_drains() {
    let Some(scene) = Scene::new("pool_size=2") else { return };
    assert_eq!(get(scene.http, "/ready").0, 200, "a server can be reached");
    let mut client = scene.client();
    client.run("begin");
    client.run("select 1");
    assert_eq!(get(scene.http, "/ready").0, 200);
    let mut console = scene.console(APP);
    console.send(&msg::query("SHUTDOWN WAIT_FOR_SERVERS"));
    eventually("it is not ready any more", || get(scene.http, "/ready").0 == 503);
    assert_eq!(get(scene.http, "/health").0, 200);
    client.run("commit");
    eventually("the process ends", || get(scene.http, "/health").0 == 0);
}

/// That something listens there is not enough: nobody would be served.
#[test]
fn admin_ready_needs_a_login() {
    let cluster = Cluster::shared();
    let database = cluster.database();
    let check = |url: &str, config: &str, status: u16, told: &str| {
        let http = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let mut options = ProxyOptions::url(url).config(config);
        options.args.extend(["--http".to_owned(), http.to_string()]);
        let proxy = Proxy::start_with(&options);
        for _ in 0..2 {
            eventually("HTTP answers", || get(http, "/health").0 == 200);
            assert_eq!(get(http, "/ready"), (status, told.to_owned()), "{}", proxy.log());
        }
    };
    let nobody = "no server can be reached and logged in to\n";
    check(&cluster.url(APP, &database.name, ""), "", 200, "ready\n");
    check(&cluster.url((APP.0, "wrong"), &database.name, ""), "", 503, nobody);
    check(&format!("postgres://app:secret@127.0.0.1:{}/shop", free_port()), "", 503, nobody);
    // Whoever logs in by a key that is still to be learned.
    let known = format!("[users.{}]\n", APP.0);
    check(&format!("postgres://127.0.0.1:{}/{}", cluster.port, database.name), &known, 200, "ready\n");
}

#[test]
fn admin_http_port_in_use_is_no_end() {
    let Some(scene) = Scene::new("pool_size=2") else { return };
    let mut options = ProxyOptions::url(&Cluster::shared().url(APP, &scene.database.name, ""));
    options.args.extend(["--http".to_owned(), scene.http.to_string()]);
    let second = Proxy::start_with(&options);
    assert_eq!(Client::connect(&second.endpoint(), &scene.database.login()).value("select 1"), "1");
    assert!(second.log().contains("no HTTP"), "{}", second.log());
}

/// From the moment on that it says that it listens, signals mean what they should.
#[test]
fn a_reload_as_soon_as_it_listens() {
    let url = format!("postgres://app:secret@127.0.0.1:{}/nowhere", free_port());
    for round in 0..20 {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(program()).args(["run", "--http", "off", "--listen"]);
        command.arg(format!("127.0.0.1:{}", free_port())).arg(&url).stderr(Stdio::piped());
        let mut child = command.spawn().expect("pgweir starts");
        let pid = rustix::process::Pid::from_child(&child);
        let log = BufReader::new(child.stderr.take().expect("a pipe"));
        let mut lines = log.lines().map_while(Result::ok);
        assert!(lines.any(|line| line.contains(" listening ")), "round {round}: it does not listen");
        rustix::process::kill_process(pid, rustix::process::Signal::HUP).expect("it is there");
        assert!(lines.any(|line| line.contains("settings reloaded")), "round {round}: it did not reload");
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it is there");
        assert!(child.wait().expect("it ends").success(), "round {round}");
    }
}
