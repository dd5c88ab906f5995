//! What wins, and what the settings are in the end.

use std::time::Duration;

use super::*;
use crate::config::settings::*;
use crate::plan::topology::Transactions;

fn loaded(text: &str, sources: &Sources) -> Settings {
    load_text(text, sources).unwrap_or_else(|errors| panic!("{errors:#?}\nin\n{text}")).settings
}

fn secret(text: &str) -> Option<Secret> {
    Some(Secret(text.to_owned()))
}

fn keys<T>(map: &std::collections::BTreeMap<String, T>) -> Vec<&str> {
    map.keys().map(String::as_str).collect()
}

#[test]
fn a_url_alone_is_enough() {
    let settings = loaded("", &with_url("postgres://app:pw@h1,h2:5433/shop?pool_size=4&pool_mode=session"));
    assert_eq!(keys(&settings.databases), ["*", "shop"]);
    let shop = &settings.databases["shop"];
    assert_eq!(shop.hosts, [Host::Tcp("h1".into(), 5432), Host::Tcp("h2".into(), 5433)]);
    assert_eq!(shop.server_database.as_deref(), Some("shop"));
    assert_eq!(shop.pool, Pool { mode: PoolMode::Session, size: 4, ..Pool::default() });
    assert_eq!(shop.server_user, None);
    assert_eq!(shop.probe_users, ["app"]);
    let fallback = Database { server_database: None, ..shop.clone() };
    assert_eq!(settings.databases["*"], fallback);
    assert_eq!(keys(&settings.users), ["app"]);
    assert_eq!(settings.users["app"], User { password: secret("pw"), ..User::default() });
    assert_eq!(settings.auth, Auth { auth_user: Some("app".into()), ..Auth::default() });
    assert_eq!(settings.limits, Limits::default());
}

#[test]
fn a_url_needs_neither_password_nor_database_nor_user() {
    let settings = loaded("", &with_url("postgres://app@%2Frun%2Fpostgresql:5433"));
    assert_eq!(keys(&settings.databases), ["*"]);
    assert_eq!(settings.databases["*"].hosts, [Host::Unix("/run/postgresql".into(), 5433)]);
    assert_eq!(settings.databases["*"].server_database, None);
    assert_eq!(settings.users["app"], User::default());

    let settings = loaded("", &with_url("postgres://h/shop"));
    assert_eq!(keys(&settings.users), [""; 0]);
    assert_eq!(settings.databases["shop"].probe_users, [""; 0]);
    assert_eq!(settings.auth.auth_user, None);
}

#[test]
fn parameters_of_a_url() {
    let url = "postgres://h/d?sslmode=verify-full&target_session_attrs=primary&application_name=weir\
               &options=-c%20geqo%3Doff&connect_timeout=3&queue_timeout=2s&min_idle=1&lifetime=2h&idle_timeout=5min\
               &pins=refuse&defer_begin=off&share_servers=off";
    let settings = loaded("", &with_url(url));
    let database = &settings.databases["d"];
    assert_eq!(database.tls, ServerTls { mode: SslMode::VerifyFull, ..ServerTls::default() });
    assert_eq!(database.target, TargetSessionAttrs::Primary);
    let options = [("application_name", "weir"), ("geqo", "off")];
    assert!(database.server_options.iter().map(|(k, v)| (k.as_str(), v.as_str())).eq(options));
    assert_eq!(database.connect_timeout, Some(Duration::from_secs(3)));
    assert_eq!(database.queue_timeout, Some(Duration::from_secs(2)));
    let pool = Pool {
        mode: PoolMode::Transaction,
        size: 16,
        min_idle: 1,
        lifetime: Duration::from_secs(7200),
        idle_timeout: Duration::from_secs(300),
        pins: PinPolicy::Refuse,
        defer_begin: false,
        share_servers: Sharing::Off,
    };
    assert_eq!(database.pool, pool);
}

#[test]
fn defaults_are_those_of_the_documentation() {
    let s = Duration::from_secs;
    let limits = Limits {
        login_timeout: s(15),
        max_unauthenticated: 5000,
        max_clients: 20000,
        max_servers: 500,
        max_replication: 10,
        queue_length: 10000,
        queue_timeout: s(30),
        connect_timeout: s(5),
        max_held_message: 16 << 20,
        prepared_per_server: 500,
        prepared_per_session: 2000,
        cache_size: 64 << 20,
        cache_verify: 0,
        client_idle_timeout: None,
        idle_in_transaction_timeout: None,
        drain_timeout: s(30),
    };
    let pool = Pool {
        mode: PoolMode::Transaction,
        size: 16,
        min_idle: 0,
        lifetime: s(3600),
        idle_timeout: s(600),
        pins: PinPolicy::Pin,
        defer_begin: true,
        share_servers: Sharing::Auto,
    };
    let auth = Auth {
        method: AuthMethod::ScramSha256,
        hba_file: None,
        ident_file: None,
        auth_query: None,
        auth_user: None,
        pass_through: true,
    };
    let settings = Settings::default();
    assert_eq!(settings.listen, ["127.0.0.1:6432".parse().unwrap()]);
    assert_eq!(settings.http_listen, Some("127.0.0.1:6433".parse().unwrap()));
    assert!(settings.workers >= 1);
    assert_eq!((settings.limits, Pool::default(), settings.auth), (limits, pool, auth));
    assert_eq!(settings.client_tls, ClientTls::default());
    assert_eq!(settings.log, Log { json: false, level: "info".to_owned() });
}

#[test]
fn the_file_wins_over_defaults_and_the_command_line_over_the_file() {
    let file = "
        listen = ['127.0.0.1:1', '127.0.0.1:2']
        http = 'off'
        [pool]
        pool_size = 8
        lifetime = '2h'
        [databases.shop]
        url = 'postgres://app:file@one/shop?pool_size=5&min_idle=2'
        min_idle = 3
        sslmode = 'require'
        [databases.other]
        hosts = ['two:5433']
        [users.app]
        max_clients = 7
        consistency = 'bounded:2s'
    ";
    let settings = loaded(file, &Sources::default());
    assert_eq!(settings.listen.len(), 2);
    assert_eq!(settings.http_listen, None);
    let shop = &settings.databases["shop"];
    assert_eq!((shop.pool.size, shop.pool.min_idle, shop.pool.lifetime.as_secs()), (5, 3, 7200));
    let other = &settings.databases["other"];
    assert_eq!((other.pool.size, other.server_database.clone()), (8, None));
    assert_eq!(keys(&settings.databases), ["other", "shop"]);
    let consistency = Some(Level::Bounded(Duration::from_secs(2)));
    let app = User { password: secret("file"), max_clients: Some(7), consistency, ..User::default() };
    assert_eq!(settings.users["app"], app);

    let sources = Sources {
        listen: vec!["[::1]:3".to_owned()],
        http: Some("127.0.0.1:4".to_owned()),
        ..with_url("postgres://app:line@three/shop?pool_size=6")
    };
    let settings = loaded(file, &sources);
    assert_eq!(settings.listen, ["[::1]:3".parse().unwrap()]);
    assert_eq!(settings.http_listen, Some("127.0.0.1:4".parse().unwrap()));
    let shop = &settings.databases["shop"];
    assert_eq!(shop.hosts, [Host::Tcp("three".into(), 5432)]);
    assert_eq!((shop.pool.size, shop.pool.min_idle, shop.tls.mode), (6, 3, SslMode::Require));
    assert_eq!(settings.users["app"].password, secret("line"));
    // The file says which databases there are, so there is no fallback.
    assert_eq!(keys(&settings.databases), ["other", "shop"]);
    let unnamed = load_text(file, &with_url("postgres://three")).expect_err("no name");
    assert_eq!(unnamed, ["URL: the URL names no database; add /name, since the file has databases too"]);
}

#[test]
fn a_url_wins_over_the_password_of_the_users_section() {
    let file = "[users.app]\npassword = 'file'\npool_size = 2\n";
    let settings = loaded(file, &with_url("postgres://app:line@h/shop"));
    let app = User { password: secret("line"), pool_size: Some(2), ..User::default() };
    assert_eq!(settings.users["app"], app);
    assert_eq!(keys(&settings.databases), ["*", "shop"]);
}

#[test]
fn secrets_come_from_the_environment_and_from_files() {
    let path = std::env::temp_dir().join(format!("pgweir-secret-{}", std::process::id()));
    std::fs::write(&path, "from a file\n").unwrap();
    let check = |written: &str, expected: &str| {
        let text = format!("[databases.d]\nhosts = 'h'\nuser = 'u'\npassword = {written:?}\n");
        let settings = loaded(&text, &Sources::default());
        assert_eq!(settings.users["u"].password, secret(expected), "{written}");
    };
    check("pw", "pw");
    check("env:SHOP_PASSWORD", "from the environment");
    check(&format!("file:{}", path.display()), "from a file");
    check("plain:env:SHOP_PASSWORD", "env:SHOP_PASSWORD");
    std::fs::remove_file(&path).unwrap();

    let settings = loaded("[databases.d]\nurl = 'env:SHOP_URL'\n", &Sources::default());
    assert_eq!(settings.users["app"].password, secret("sekret"));
    assert_eq!(settings.databases["d"].pool.size, 3);
    assert!(!format!("{settings:?}").contains("sekret"));
}

#[test]
fn origins_say_where() {
    let file =
        "[databases.shop]\nurl = 'postgres://app:pw@one/shop?sslmode=require'\npool_size = 3\n[users.x]\n";
    let check = |sources: &Sources, path: &str, expected: &str| {
        let origins = load_text(file, sources).expect("good").origins;
        assert_eq!(origins.of(path).to_string(), expected, "{path}");
    };
    let none = Sources::default();
    check(&none, "databases.shop", "f.toml:1:12");
    check(&none, "databases.shop.hosts", "f.toml:2:8");
    check(&none, "databases.shop.sslmode", "f.toml:2:35");
    check(&none, "databases.shop.pool_size", "f.toml:3:1");
    check(&none, "databases.shop.lifetime", "f.toml:1:12");
    check(&none, "users.app", "f.toml:2:8");
    check(&none, "users.x", "f.toml:4:8");
    check(&none, "limits.max_clients", "default");
    let line = with_url("postgres://app:other@two/shop?pool_size=4");
    check(&line, "databases.shop", "URL");
    check(&line, "databases.shop.hosts", "URL");
    check(&line, "databases.shop.pool_size", "URL, character 31");
    check(&line, "users.app", "URL");
}

/// What a running process keeps is what the reference says takes a restart.
#[test]
fn what_takes_a_restart() {
    let sections = super::super::keys::sections();
    let path = |section: &super::super::keys::Section, key: &str| match section.name {
        "" => key.to_owned(),
        name => format!("{name}.{key}"),
    };
    let documented: Vec<String> = sections
        .iter()
        .flat_map(|section| section.keys.iter().map(move |key| (section, key)))
        .filter(|(_, key)| key.effect == super::super::keys::Effect::Restart)
        .map(|(section, key)| path(section, key.name))
        .collect();
    let load = |text: &str| loaded(text, &with_url("postgres://db/shop"));
    let old = load("");
    let other = "listen = [\"127.0.0.1:1\"]\nunix_socket_dir = \"/tmp\"\nhttp = \"off\"\nworkers = 3\n[limits]\ncache_size = \"1MB\"\n[log]\nformat = \"json\"\nlevel = \"debug\"\n[history]\ninstance = \"a\"\n";
    // A history is in one of two places.
    let places = [
        ("store = \"h.db\"\n", "history.url"),
        ("url = \"postgres://u:secret@h/history\"\n", "history.store"),
    ];
    for (place, unset) in places {
        let mut new = load(&format!("{other}{place}"));
        let expected: Vec<_> = documented.iter().filter(|path| *path != unset).collect();
        assert_eq!(super::super::keep_until_restart(&mut new, &old), expected);
        assert_eq!(new.log.level, "debug");
        new.log.level.clone_from(&old.log.level);
        assert_eq!(new, old);
        assert!(super::super::keep_until_restart(&mut new, &old).is_empty());
    }
}

#[test]
fn reads_are_said_in_a_url_too() {
    use crate::plan::balance::Strategy;
    let settings = loaded("", &with_url("postgres://app:pw@h/shop"));
    let shop = &settings.databases["shop"];
    let defaults = Reads { check_interval: Duration::from_secs(1), ..Reads::default() };
    assert_eq!((&shop.reads, shop.target), (&defaults, TargetSessionAttrs::Any));
    let url = "postgres://app:pw@h1,h2/shop?reads=replicas&replicas=h3,h4:5433&weights=h3%3D3&zones=h2%3Da,h3%3Db&zone=a\
               &balance=client-hash&consistency=bounded:200ms&replica_wait=5ms&max_replica_lag=30s&check_interval=100ms\
               &read_only_transactions=all";
    let settings = loaded("", &with_url(url));
    let shop = &settings.databases["shop"];
    let host = |name: &str, port| Host::Tcp(name.to_owned(), port);
    let expected = Reads {
        to_replicas: true,
        replicas: vec![host("h3", 5432), host("h4", 5433)],
        weights: vec![(host("h3", 5432), 3)],
        zones: vec![(host("h2", 5432), "a".to_owned()), (host("h3", 5432), "b".to_owned())],
        zone: Some("a".to_owned()),
        balance: Strategy::ClientHash,
        consistency: Level::Bounded(Duration::from_millis(200)),
        replica_wait: Duration::from_millis(5),
        max_replica_lag: Some(Duration::from_secs(30)),
        check_interval: Duration::from_millis(100),
        transactions: Transactions::All,
    };
    assert_eq!(shop.reads, expected);
    assert_eq!(
        shop.target,
        TargetSessionAttrs::Primary,
        "with replicas among the hosts, not any of them will do"
    );
    assert_eq!(shop.nodes().count(), 4);
}
