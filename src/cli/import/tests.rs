//! The tables hold what they promise, the samples come through pgweir's own reader, and no secret is shown.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::report::{Line, Said};
use super::table::{Fate, Section, Source};
use super::{From, Imported, SOURCES, import, output};
use crate::config::keys;
use crate::config::settings::{AuthMethod, Host, PoolMode, Settings, SslMode, TargetSessionAttrs};

/// Keys of a rule that tables name.
const RULE_KEYS: [&str; 16] = [
    "rule.name",
    "rule.when",
    "rule.when.class",
    "rule.when.client",
    "rule.when.database",
    "rule.when.shape_regex",
    "rule.when.tables",
    "rule.when.text_regex",
    "rule.when.user",
    "rule.then.block",
    "rule.then.log",
    "rule.then.mirror",
    "rule.then.route",
    "rule.then.timeout",
    "users.NAME",
    "databases.NAME",
];

fn sample(name: &str) -> Imported {
    let path = PathBuf::from("tests/import").join(name);
    let text =
        std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(&path)).expect("the sample can be read");
    import(&path, &text, None)
}

/// The settings of a sample, as pgweir reads them.
fn settings(imported: &Imported) -> Settings {
    let text = imported.settings.as_deref().expect("there are settings");
    let path = Path::new("pgweir.toml");
    assert_eq!(output::refused(path, text), [], "{text}");
    let bare = imported.settings_without_secrets.as_deref().expect("there are settings");
    assert_eq!(output::refused(path, bare), [], "{bare}");
    crate::config::read(path, text).expect("it was read").settings
}

fn lines(imported: &Imported) -> Vec<String> {
    imported.report.lines().iter().map(ToString::to_string).collect()
}

/// The report has a line that begins and ends so.
fn says(imported: &Imported, begin: &str, end: &str) {
    let lines = lines(imported);
    let found = lines.iter().any(|line| line.starts_with(begin) && line.ends_with(end));
    assert!(found, "no {begin} ... {end} in\n{}", lines.join("\n"));
}

fn tcp(name: &str, port: u16) -> Host {
    Host::Tcp(name.to_owned(), port)
}

#[test]
fn what_keys_become_is_there() {
    let mut known: BTreeSet<String> = RULE_KEYS.iter().map(|key| (*key).to_owned()).collect();
    for section in keys::sections() {
        for key in &section.keys {
            let path = |section: &str| {
                if section.is_empty() { key.name.to_owned() } else { format!("{section}.{}", key.name) }
            };
            known.insert(path(section.name));
            if section.name == "pool" {
                known.insert(path("databases.NAME"));
            }
        }
    }
    for key in SOURCES.iter().flat_map(|source| source.sections).flat_map(|section| section.keys) {
        for to in key.to {
            assert!(known.contains(*to), "{:?} becomes {to}, which does not exist", key.names);
        }
        let explained = !key.says.is_empty() || key.fate == Fate::Taken;
        assert!(explained, "{:?}: it is not said why or how", key.names);
        assert!(key.fate != Fate::Left || key.to.is_empty(), "{:?} is left and goes somewhere", key.names);
        assert!(!key.says.ends_with('.') && !key.says.contains('\n'), "{:?}: {}", key.names, key.says);
    }
}

#[test]
fn no_key_is_there_twice() {
    for section in SOURCES.iter().flat_map(|source| source.sections) {
        let mut names = BTreeSet::new();
        for name in section.keys.iter().flat_map(|key| key.names) {
            assert!(names.insert(name), "{}: {name} is there twice", section.name);
        }
    }
}

#[test]
fn the_page_is_committed_as_generated() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/guide/importing.md");
    let found = std::fs::read_to_string(path).unwrap_or_default();
    let command = "cargo run -- generate importing-page > docs/guide/importing.md";
    assert!(found == super::page::text(), "docs/guide/importing.md is not as generated; run: {command}");
}

fn section<'a>(source: &'a Source, name: &str) -> &'a Section {
    source.sections.iter().find(|section| section.name == name).expect("there is such a section")
}

/// Every key of the section, written as `form` has it, gets a line of the report.
fn every_key_is_told(
    source: &Source,
    name: &str,
    before: &str,
    from: From,
    form: fn(&str) -> String,
    behind: &str,
) {
    for key in section(source, name).keys.iter().flat_map(|key| key.names) {
        let text = format!("{before}{}{behind}", form(key));
        let imported = import(Path::new("f"), text.as_bytes(), Some(from));
        let told =
            |line: &&Line| line.key.ends_with(key) && line.said != Said::Note && line.said != Said::Error;
        let lines = imported.report.lines();
        assert!(lines.iter().any(told), "{name}: nothing is said of {key} in\n{text}\n{lines:?}");
    }
}

#[test]
fn every_key_of_every_source_is_told() {
    let [bouncer, cat, dog, sql] = SOURCES;
    let line = |key: &str| match key {
        "auth_file" => "auth_file =\n".to_owned(),
        key => format!("{key} = 1\n"),
    };
    every_key_is_told(bouncer, "[pgbouncer]", "[databases]\na=\n[pgbouncer]\n", From::Pgbouncer, line, "");
    let pair = |key: &str| format!("{key}=1");
    every_key_is_told(bouncer, "[databases]", "[databases]\na = user=u ", From::Pgbouncer, pair, "");
    every_key_is_told(bouncer, "[users]", "[databases]\na=\n[users]\na = ", From::Pgbouncer, pair, "");
    every_key_is_told(bouncer, "[peers]", "[peers]\n1 = ", From::Pgbouncer, pair, "");
    every_key_is_told(cat, "[general]", "[general]\n", From::Pgcat, |key| format!("{key} = 1\n"), "");
    let shard = "[pools.p.shards.0]\nservers = [['h', 5432, 'primary']]\n";
    every_key_is_told(cat, "[pools.NAME]", "[pools.p]\n", From::Pgcat, |key| format!("{key} = 1\n"), shard);
    let user = |key: &str| match key {
        "username" => "username = 'u'\n".to_owned(),
        key => format!("username = 'u'\n{key} = 1\n"),
    };
    every_key_is_told(cat, "[pools.NAME.users.N]", "[pools.p.users.0]\n", From::Pgcat, user, shard);
    let plugin = |key: &str| format!("[plugins.{key}]\nenabled = true\n");
    every_key_is_told(cat, "[plugins]", "", From::Pgcat, plugin, "");
    every_key_is_told(dog, "[general]", "[general]\n", From::Pgdog, |key| format!("{key} = 1\n"), "");
    every_key_is_told(dog, "pgdog.toml", "", From::Pgdog, |key| format!("[{key}]\na = 1\n"), "");
    let database = |key: &str| match key {
        "name" | "host" => String::new(),
        "resharding_only" => "resharding_only = true\n".to_owned(),
        "user" | "password" => "user = 'u'\npassword = 'p'\n".to_owned(),
        key => format!("{key} = 1\n"),
    };
    let named = "[[databases]]\nname = 'd'\nhost = 'h'\n";
    for key in section(dog, "[[databases]]")
        .keys
        .iter()
        .flat_map(|key| key.names)
        .filter(|key| **key != "resharding_only")
    {
        let imported =
            import(Path::new("f"), format!("{named}{}", database(key)).as_bytes(), Some(From::Pgdog));
        assert!(imported.report.lines().iter().any(|line| line.key == format!("d: {key}")), "{key}");
    }
    for column in section(sql, "pgsql_query_rules")
        .keys
        .iter()
        .flat_map(|key| key.names)
        .filter(|name| **name != "rule_id")
    {
        let text =
            format!("INSERT INTO pgsql_query_rules (rule_id, active, log, {column}) VALUES (5, 1, 1, 2);");
        let imported = import(Path::new("f"), text.as_bytes(), Some(From::Proxysql));
        let told = imported
            .report
            .lines()
            .iter()
            .any(|line| line.key.to_lowercase().ends_with(&column.to_lowercase()));
        assert!(told, "{column}: {:?}", lines(&imported));
    }
}

#[test]
fn pgbouncers_sample() {
    let imported = sample("pgbouncer/pgbouncer.ini");
    let settings = settings(&imported);
    assert_eq!(settings.listen, ["127.0.0.1:6432".parse().expect("an address")]);
    assert_eq!(settings.databases.keys().collect::<Vec<_>>(), ["*", "reports", "shop", "two words"]);
    let (shop, reports) = (&settings.databases["shop"], &settings.databases["reports"]);
    assert_eq!((shop.pool.mode, shop.pool.size, shop.pool.min_idle), (PoolMode::Session, 3, 3));
    assert_eq!(shop.server_options["timezone"], "Europe/Berlin");
    assert_eq!(shop.server_options["statement_timeout"], "300000ms");
    assert_eq!(reports.hosts, [tcp("10.0.0.1", 5432), tcp("10.0.0.2", 5432)]);
    assert_eq!(
        (reports.server_user.as_deref(), reports.server_database.as_deref()),
        (Some("report"), Some("shop"))
    );
    assert_eq!(settings.databases["*"].hosts, [tcp("::1", 5432)]);
    let password = |user: &str| settings.users[user].password.as_ref().map(|secret| secret.0.as_str());
    assert_eq!(password("app"), Some("app\"secret"));
    assert_eq!(password("asker"), Some("env:secret"));
    assert_eq!(password("report"), Some("it's secret"));
    assert_eq!(
        (settings.users["batch"].max_clients, settings.users["app"].max_clients),
        (Some(5), Some(100))
    );
    assert_eq!((settings.limits.max_clients, settings.pool.size), (2000, 30));
    assert_eq!(settings.auth.auth_user.as_deref(), Some("asker"));
    let file = "tests/import/pgbouncer/pgbouncer.ini";
    says(&imported, &format!("{file}:26: pool_mode: not taken over"), "pgbouncer.ini:49, which counts");
    says(&imported, &format!("{file}:34: server_idle_timeout: taken over as pool.idle_timeout"), "is 365d");
    says(&imported, &format!("{file}:48: max_clients: not taken over"), "by hand");
    says(
        &imported,
        "tests/import/pgbouncer/databases.ini:2: reports: host: taken over",
        "takes them in turn",
    );
}

#[test]
fn pgbouncers_defaults_are_written() {
    let imported = import(
        Path::new("f.ini"),
        b"[databases]\na = host=h\n[pgbouncer]\nauth_type = hba\nauth_user = u\n",
        None,
    );
    let settings = settings(&imported);
    assert_eq!(
        (settings.pool.mode, settings.pool.size, settings.limits.max_clients),
        (PoolMode::Session, 20, 100)
    );
    assert_eq!(settings.limits.queue_timeout.as_secs(), 120);
    assert_eq!(settings.unix_socket_dir.as_deref(), Some(Path::new("/tmp")));
    assert!(settings.auth.pass_through, "somebody looks users up");
    let md5 = import(Path::new("f.ini"), b"[databases]\na = host=h\n[pgbouncer]\n", None);
    let md5 = self::settings(&md5);
    assert_eq!((md5.auth.method, md5.auth.pass_through), (AuthMethod::Md5, false));
}

#[test]
fn who_can_no_longer_log_in_is_told() {
    let text = "[databases]\na = host=h\n[users]\nbatch = pool_mode=session\n[pgbouncer]\nauth_user = asker\nauth_query = select * from f($1)\n";
    let imported = import(Path::new("f.ini"), text.as_bytes(), None);
    assert!(settings(&imported).users["batch"].password.is_none());
    says(
        &imported,
        "f.ini:4: batch has no password here",
        "write users.batch.password, or remove [users.batch]",
    );
    let blind = text.replace("f($1)", "f()");
    let blind = import(Path::new("f.ini"), blind.as_bytes(), None);
    assert_eq!(settings(&blind).auth.auth_query, None);
    says(&blind, "f.ini:7: auth_query: not taken over", "with $1 where the name goes");
    let alone = import(Path::new("f.ini"), b"[databases]\na = host=h\n[pgbouncer]\n", None);
    says(&alone, "f.ini: nobody looks users up", "only users of the settings can log in");
}

#[test]
fn what_would_make_the_settings_wrong_is_left_out() {
    let scram = "SCRAM-SHA-256$4096:c2FsdHNhbHRzYWx0c2E=$MBqUSnwnLMBpFzNV7kNOk0wyCwrPcLCOWWLIBfRW3Xg=:rtVBqZ7CAh0WaIpiJzuMTPXMQAG2Dtyn/sI3ZUyH6K0=";
    let text = "[databases]\npgweir = host=h\nok = host=h pool_size=900\nbad = host=h user=v\nworse = host=@abstract/x\ntwice = user=app password=other host=h\n\
         v = host=h port=0\n[users]\nv = \n[pgbouncer]\nauth_user = v\nauth_query = select 1\nlisten_addr = *, nohost\nlisten_port = 6433\nunix_socket_dir =\n";
    let folder = crate_folder();
    std::fs::write(
        folder.join("list"),
        format!("\"v\" \"{scram}\"\n\"app\" \"one\"\n\"w\" \"SCRAM-SHA-256$x\"\n"),
    )
    .expect("written");
    let text = format!("{text}auth_file = {}\n", folder.join("list").display());
    let imported = import(Path::new("f.ini"), text.as_bytes(), None);
    let settings = settings(&imported);
    std::fs::remove_dir_all(&folder).expect("the folder is removed");
    assert_eq!(settings.databases.keys().collect::<Vec<_>>(), ["ok", "twice"]);
    assert_eq!((settings.limits.max_servers, settings.auth.auth_user.as_deref()), (900, None));
    assert_eq!(settings.users["app"].password.as_ref().map(|secret| secret.0.as_str()), Some("one"));
    assert_eq!(settings.listen, ["0.0.0.0:6433".parse().expect("an address")]);
    assert_eq!(settings.http_listen, Some("127.0.0.1:6434".parse().expect("an address")));
    says(
        &imported,
        "f.ini:6: twice: password: not taken over: this user has another password at",
        "so make them the same",
    );
    says(
        &imported,
        "f.ini:4: bad: user: not taken over: of this user only a SCRAM verifier is known",
        "left out",
    );
    says(&imported, "f.ini:12: auth_query: not taken over", "write auth.auth_user too");
}

fn crate_folder() -> PathBuf {
    let folder = std::env::temp_dir().join(format!("pgweir-import-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder can be made");
    folder
}

#[test]
fn pgcats_sample() {
    let imported = sample("pgcat/pgcat.toml");
    let settings = settings(&imported);
    assert_eq!(settings.databases.keys().collect::<Vec<_>>(), ["events_shard_0", "events_shard_1", "shop"]);
    let shop = &settings.databases["shop"];
    assert_eq!(shop.hosts, [tcp("10.0.0.1", 5432), tcp("10.0.0.2", 5432)], "the primary comes first");
    assert_eq!((shop.target, shop.tls.mode), (TargetSessionAttrs::Primary, SslMode::Prefer));
    assert!(shop.reads.to_replicas && !settings.databases["events_shard_0"].reads.to_replicas);
    assert_eq!((shop.pool.min_idle, shop.server_options["statement_timeout"].as_str()), (3, "15000ms"));
    assert_eq!(settings.databases["events_shard_1"].server_database.as_deref(), Some("events1"));
    assert_eq!(settings.databases["events_shard_0"].server_user, None, "users have different ones");
    assert_eq!(
        settings.auth.auth_query.as_deref(),
        Some("SELECT usename, passwd FROM pg_shadow WHERE usename=$1")
    );
    assert_eq!((settings.users["app"].pool_size, settings.users["loader"].pool_size), (Some(9), Some(2)));
    let rules: toml::Table =
        toml::from_str(imported.rules.as_deref().expect("there are rules")).expect("TOML");
    assert_eq!(rules["rule"][0]["then"]["block"]["sqlstate"].as_str(), Some("42501"));
    assert_eq!(rules["rule"][1]["when"]["class"].as_str(), Some("read"));
    says(&imported, "tests/import/pgcat/pgcat.toml:61: app: pool_size: taken over", "it is 9, the largest");
    says(
        &imported,
        "tests/import/pgcat/pgcat.toml:66: events_shard_0: loader: server_username: not taken over",
        "server_user",
    );
}

#[test]
fn pgdogs_sample() {
    let imported = sample("pgdog/pgdog.toml");
    let settings = settings(&imported);
    assert_eq!(
        settings.databases.keys().collect::<Vec<_>>(),
        ["copy", "shop", "wide_shard_0", "wide_shard_1"]
    );
    let (shop, copy) = (&settings.databases["shop"], &settings.databases["copy"]);
    assert_eq!((shop.hosts.len(), shop.target), (2, TargetSessionAttrs::Primary));
    assert!(shop.reads.to_replicas && !copy.reads.to_replicas);
    assert_eq!(copy.server_user.as_deref(), Some("owner"));
    assert_eq!((copy.server_database.as_deref(), copy.pool.size), (Some("shop"), 5));
    assert_eq!(settings.databases["wide_shard_1"].server_database.as_deref(), Some("wide"));
    assert_eq!(settings.admin.admin_users, ["pgdog"]);
    assert_eq!(settings.users["app"].pool_size, Some(20));
    assert_eq!((settings.pool.size, settings.pool.min_idle, settings.auth.pass_through), (15, 1, false));
    let rules: toml::Table =
        toml::from_str(imported.rules.as_deref().expect("there are rules")).expect("TOML");
    assert_eq!(rules["rule"][1]["then"]["mirror"]["percent"].as_integer(), Some(25));
    says(&imported, "tests/import/pgdog/pgdog.toml:47: plugins: not taken over", "may be said by rules");
}

#[test]
fn proxysqls_sample() {
    let imported = sample("proxysql/rules.sql");
    let settings = settings(&imported);
    let all = &settings.databases["*"];
    assert_eq!((all.hosts[0].clone(), all.target), (tcp("10.0.0.1", 5432), TargetSessionAttrs::Primary));
    assert!(all.reads.to_replicas);
    assert_eq!(settings.users["app"].max_clients, Some(200));
    let rules: toml::Table =
        toml::from_str(imported.rules.as_deref().expect("there are rules")).expect("TOML");
    let names: Vec<_> =
        rules["rule"].as_array().expect("rules").iter().map(|rule| rule["name"].as_str()).collect();
    let expected = ["proxysql-1-2", "proxysql-1", "proxysql-3", "proxysql-10", "proxysql-20", "proxysql-6"];
    assert_eq!(names, expected.map(Some));
    assert_eq!(rules["rule"][0]["when"]["text_regex"].as_str(), Some("(?i)orders\\s+o"));
    let file = "tests/import/proxysql/rules.sql";
    says(&imported, &format!("{file}:16: rule 5: not taken over"), "reach the rules below it");
    says(&imported, &format!("{file}:17: rule 7: digest: not taken over"), "the rule is left out");
    let taken = lines(&imported).iter().any(|line| line.contains("rule 5: destination_hostgroup"));
    assert!(!taken, "nothing of a rule that is left out is taken over");
}

#[test]
fn hostgroups_that_are_not_said_send_nothing_anywhere() {
    let text = b"INSERT INTO pgsql_query_rules (rule_id, active, match_pattern, destination_hostgroup, apply) VALUES (1, 1, '^SELECT', 3, 1);";
    let imported = import(Path::new("d.sql"), text, None);
    assert!(imported.settings.is_none() && imported.rules.is_none());
    says(
        &imported,
        "d.sql:1: rule 1: destination_hostgroup: not taken over",
        "--hostgroup 3=primary or 3=replica",
    );
}

#[test]
fn broken_files_have_their_line_and_give_nothing() {
    let check = |name: &str, text: &[u8], line: &str| {
        let imported = import(Path::new(name), text, None);
        assert!(imported.settings.is_none() && imported.rules.is_none(), "{name}");
        assert!(
            lines(&imported).iter().any(|found| found.starts_with(line)),
            "no {line} in {:?}",
            lines(&imported)
        );
    };
    check("pgbouncer.ini", b"[pgbouncer]\nnonsense\n", "pgbouncer.ini:2: there is no `=`");
    check("pgbouncer.ini", b"a = b\n", "pgbouncer.ini:1: a key before any section");
    check("pgbouncer.ini", b"[databases]\na = host\n", "pgbouncer.ini:2: a: a key has no `=`");
    check(
        "pgbouncer.ini",
        b"[pgbouncer]\n%include /nowhere/x.ini\n",
        "pgbouncer.ini:2: /nowhere/x.ini cannot be read",
    );
    check("pgbouncer.ini", b"[pgbouncer]\nauth_file = /dev/zero\n", "pgbouncer.ini:2: /dev/zero is no file");
    check("pgbouncer.ini", b"[pgbouncer]\na = \xff\n", "pgbouncer.ini:2: this is not UTF-8");
    check("pgbouncer.ini", b"[pgbouncer]\n\0", "pgbouncer.ini:2: a zero byte");
    check("pgcat.toml", b"[general]\nport = \n", "pgcat.toml:2: not TOML: ");
    check("rules.sql", b"INSERT INTO pgsql_query_rules VALUES (1);", "rules.sql:1: a row has not as many");
    check("anything", b"hello\n", "anything: it looks like the configuration of none of them");
}

#[test]
fn more_than_fits_is_refused_in_a_moment() {
    let begin = std::time::Instant::now();
    let many = format!("[pgbouncer]\n{}", "a=1\n".repeat(1_000_000));
    assert!(import(Path::new("pgbouncer.ini"), many.as_bytes(), None).report.failed());
    let rules: String = (0..50_000).map(|id| format!(",({id},1,0,{},0,1)\n", id % 50)).collect();
    let insert =
        "INSERT INTO pgsql_query_rules (rule_id, active, flagIN, flagOUT, apply, log) VALUES (0,1,0,1,0,1)\n";
    let imported = import(Path::new("d.sql"), format!("{insert}{rules};").as_bytes(), None);
    assert!(imported.report.failed() && imported.rules.is_none());
    assert!(begin.elapsed().as_secs() < 60, "it took {:?}", begin.elapsed());
}

#[test]
fn no_secret_is_shown() {
    let samples = ["pgbouncer/pgbouncer.ini", "pgcat/pgcat.toml", "pgdog/pgdog.toml", "proxysql/rules.sql"];
    for name in samples {
        let imported = sample(name);
        let shown =
            lines(&imported).join("\n") + imported.settings_without_secrets.as_deref().unwrap_or_default();
        for secret in [
            "secret\"",
            "app\"secret",
            "app-secret",
            "console-pass",
            "owner-secret",
            "it's secret",
            "md545f",
            "env:secret",
        ] {
            let hidden =
                shown.lines().filter(|line| !line.contains("auth_query")).all(|line| !line.contains(secret));
            assert!(hidden, "{name} shows {secret}");
        }
    }
}
