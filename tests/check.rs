//! `pgweir check`: what is wrong with the settings or the nodes is told with its place, and what to do about it.

use std::process::Command;
use std::time::Duration;

use crate::harness::cluster::{APP, Cluster, SUPERUSER, free_port};
use crate::harness::command::{Folder, Output, run};
use crate::harness::proxy::program;
use crate::harness::tls::Authority;

/// Checks a settings file of this text. What it says names the file as `FILE`.
pub(crate) fn check(text: &str) -> Output {
    let folder = Folder::new();
    let path = folder.0.join("pgweir.toml");
    std::fs::write(&path, text).expect("a file can be written");
    let mut command = Command::new(program());
    let output = run(command.arg("check").arg("--config").arg(&path), Duration::from_secs(30));
    let short = |text: String| text.replace(&path.display().to_string(), "FILE");
    Output { ok: output.ok, stdout: short(output.stdout), stderr: short(output.stderr) }
}

/// A settings file whose third line has this connection string, from column 7 on.
fn with_url(url: &str) -> String {
    format!("http = \"off\"\n[databases.shop]\nurl = \"{url}\"\n")
}

/// The nodes of this file are not well: the error has this part, and the line below it begins so.
fn refuses(text: &str, error: &str, what_to_do: &str) {
    let output = check(text);
    assert!(!output.ok, "{error}: it is well\n{}", output.stdout);
    let nodes = output.stdout.split_once("\nnodes\n").expect("nodes are listed").1;
    let lines: Vec<&str> = nodes.lines().collect();
    let told =
        lines.windows(2).any(|two| two[0].contains(error) && two[1].trim_start().starts_with(what_to_do));
    assert!(told, "no {error:?} and {what_to_do:?} in\n{nodes}");
    assert!(!output.stdout.contains(APP.1) && !output.stderr.contains(APP.1), "a secret is shown\n{nodes}");
}

/// The settings of this file are refused, with these lines.
fn is_wrong(text: &str, lines: &[&str]) {
    let output = check(text);
    assert!(!output.ok, "it is well\n{}", output.stdout);
    assert_eq!(output.stderr.lines().collect::<Vec<_>>(), lines);
}

#[test]
fn what_will_run_is_shown_with_its_nodes() {
    let cluster = Cluster::shared();
    let output = check(&with_url(&cluster.url(APP, "postgres", "pool_size=7")));
    let text = output.success();
    assert!(text.contains("shop -> postgres on 127.0.0.1:"), "{text}");
    assert!(text.contains("transaction mode, 7 servers per user"), "{text}");
    assert!(text.contains("  app: password (FILE:3:8)"), "{text}");
    let node = format!("  127.0.0.1:{}, database shop, as app: ok: PostgreSQL ", cluster.port);
    assert!(text.contains(&node) && text.contains(", primary\n"), "{text}");
    assert!(!text.contains(APP.1), "{text}");
}

#[test]
fn keys_and_units_that_are_wrong() {
    is_wrong(
        "http = \"off\"\n[limits]\nqueue_timeuot = \"2s\"\nlogin_timeout = \"2 parsecs\"\n[databases.shop]\nurl = \"postgres://db/shop\"\n",
        &[
            "FILE:3:1: unknown key `queue_timeuot` in [limits]; did you mean `queue_timeout`?",
            "FILE:4:17: `login_timeout` has the unit `parsecs`; the units are us, ms, s, m or min, h, d",
        ],
    );
    is_wrong(
        &with_url("postgres://db/shop?pool_size=many"),
        &["FILE:3:27: `pool_size` is `many`, but takes a whole number from 1"],
    );
}

#[test]
fn a_node_that_cannot_be_reached() {
    let port = free_port();
    let url = format!("postgres://{}:{}@127.0.0.1:{port}/shop", APP.0, APP.1);
    let what_to_do =
        "FILE:3:8: see that PostgreSQL runs there and can be reached from here, or correct the host";
    refuses(
        &with_url(&url),
        &format!("127.0.0.1:{port}, database shop, as app: error: cannot connect to"),
        what_to_do,
    );
    let hosts = format!(
        "http = \"off\"\n[databases.shop]\nhosts = [\"127.0.0.1:{port}\"]\nuser = \"app\"\npassword = \"{}\"\n",
        APP.1
    );
    refuses(&hosts, "(08001)", "FILE:3:1: see that PostgreSQL runs there");
    let nowhere = format!("postgres://{}:{}@no-such-host.invalid/shop", APP.0, APP.1);
    refuses(
        &with_url(&nowhere),
        "cannot resolve no-such-host.invalid:5432",
        "FILE:3:8: correct the host's name",
    );
}

#[test]
fn one_of_two_nodes_that_cannot_be_reached() {
    let (live, dead) = (Cluster::shared().port, free_port());
    let url = format!("postgres://{}:{}@127.0.0.1:{live},127.0.0.1:{dead}/postgres", APP.0, APP.1);
    refuses(
        &with_url(&url),
        &format!("127.0.0.1:{dead}, database shop, as app: error:"),
        "FILE:3:8: see that",
    );
}

/// A database without a user of its own, and these users; the passwords of all but `app` are wrong.
fn with_users(users: &[&str], more: &str) -> String {
    let port = Cluster::shared().port;
    let hosts = format!("hosts = [\"127.0.0.1:{port}\"]\ndatabase = \"postgres\"\n");
    let password = |user: &str| if user == APP.0 { APP.1 } else { "wrong" };
    let users = users.iter().map(|user| format!("[users.{user}]\npassword = \"{}\"\n", password(user)));
    format!("http = \"off\"\n[databases.shop]\n{hosts}{more}{}", users.collect::<String>())
}

#[test]
fn nodes_are_tried_as_somebody_who_may_log_in() {
    let console = "[admin]\nadmin_users = [\"admin\"]\nstats_users = [\"aide\"]\n";
    let text = check(&with_users(&["admin", "aide", "app"], console)).success();
    assert!(text.contains("database shop, as app: ok: ") && !text.contains("not as"), "{text}");

    for (users, place) in [(["aaron", "app"], "FILE:6:1"), (["app", "zoe"], "FILE:8:1")] {
        let wrong = users.into_iter().find(|user| *user != APP.0).expect("one is");
        let what_to_do = format!("{place}: correct the user `{wrong}` or its password");
        let told = format!("user {wrong}: error: no node lets this user in; 127.0.0.1:");
        refuses(&with_users(&users, ""), &told, &what_to_do);
        let text = check(&with_users(&users, "")).stdout;
        assert!(text.contains("database shop, as app: ok: "), "{text}");
        assert!(text.contains(&format!("    not as {wrong}: ")), "{text}");
    }

    let nobody = with_users(&["aaron", "abel"], "");
    refuses(&nobody, "as aaron: error: ", "FILE:6:1: correct the user `aaron` or its password");
    assert!(check(&nobody).stdout.contains("    nor as abel: "), "{nobody}");

    let text = check(&with_users(&["admin"], "[admin]\nadmin_users = [\"admin\"]\n")).success();
    assert!(
        text.contains("not tried: nobody is known to log in to `shop` as (users of the console"),
        "{text}"
    );
}

/// What is wrong with a connection string and flags.
fn check_arguments(arguments: &[&str]) -> Output {
    let mut command = Command::new(program());
    run(command.args(["check", "--http", "off"]).args(arguments), Duration::from_secs(30))
}

#[test]
fn a_user_without_a_password_whom_the_server_trusts() {
    let cluster = Cluster::start_with_hba("", &[], "host all app 127.0.0.1/32 trust");
    let trusted = format!("postgres://app@127.0.0.1:{}/postgres", cluster.port);
    let output = check_arguments(&[&trusted]);
    assert!(!output.ok, "{}", output.stdout);
    for told in [
        "  warning: URL: `app` has no password here, so it cannot log in through pgweir",
        "  database postgres: error: nobody can log in through pgweir: no user above has a password, and app may not",
        "    URL: write user:password@ before the host in the URL",
    ] {
        assert!(output.stdout.contains(told), "no {told:?} in\n{}", output.stdout);
    }
    let with_password = check_arguments(&[&cluster.url(APP, "postgres", "")]).success();
    assert!(!with_password.contains("warning"), "{with_password}");
}

#[test]
fn a_connection_string_that_others_cannot_see() {
    let url = Cluster::shared().url(APP, "postgres", "");
    let folder = Folder::new();
    let path = folder.0.join("url");
    std::fs::write(&path, format!("{url}\n")).expect("a file can be written");
    let by_file = check_arguments(&[&format!("file:{}", path.display())]).success();
    assert!(by_file.contains("database postgres, as app: ok: "), "{by_file}");
    let mut command = Command::new(program());
    command.args(["check", "--http", "off", "env:SHOP_URL"]).env("SHOP_URL", &url);
    assert!(run(&mut command, Duration::from_secs(30)).success().contains("as app: ok: "));
    let output = check_arguments(&["env:NO_SUCH_URL"]);
    assert!(!output.ok);
    assert_eq!(
        output.stderr.trim_end(),
        "URL: the URL asks for the environment variable NO_SUCH_URL, which is not set"
    );
}

#[test]
fn a_history_that_cannot_be_kept() {
    let url = Cluster::shared().url(APP, "postgres", "");
    let output = check_arguments(&["--store", "/nope/x.db", &url]);
    assert!(!output.ok, "{}", output.stdout);
    assert!(
        output.stdout.contains("files\n  error: --store: the history cannot be kept in /nope/x.db: "),
        "{}",
        output.stdout
    );
}

#[test]
fn a_unix_socket_that_is_absent() {
    let folder = Folder::new();
    let url = format!("postgres:///shop?host={}&user={}&password={}", folder.0.display(), APP.0, APP.1);
    let what_to_do = "FILE:3:8: see that PostgreSQL runs and has its socket in this folder";
    refuses(&with_url(&url), ".s.PGSQL.5432: No such file or directory", what_to_do);
}

#[test]
fn a_wrong_password_an_unknown_user_an_unknown_database() {
    let cluster = Cluster::shared();
    let url = cluster.url((APP.0, "wrong"), "postgres", "");
    refuses(&with_url(&url), "(28P01)", "FILE:3:8: correct the user `app` or its password");
    let apart = format!(
        "http = \"off\"\n[databases.shop]\nhosts = [\"127.0.0.1:{}\"]\ndatabase = \"postgres\"\nuser = \"app\"\n\
         [users.app]\npassword = \"wrong\"\n",
        cluster.port
    );
    refuses(&apart, "(28P01)", "FILE:7:1: correct the user `app` or its password");
    let url = cluster.url(("nobody", "wrong"), "postgres", "");
    refuses(&with_url(&url), "(28P01)", "FILE:3:8: correct the user `nobody` or its password");
    let url = cluster.url(APP, "no_such_database", "");
    refuses(&with_url(&url), "(3D000)", "FILE:3:8: correct the name of the database");
}

#[test]
fn tls_that_is_not_to_be_had() {
    let cluster = Cluster::shared();
    let url = cluster.url(APP, "postgres", "sslmode=require");
    let column = 8 + url.find("sslmode").expect("it is there");
    refuses(&with_url(&url), "does not speak TLS", &format!("FILE:3:{column}: turn on TLS at the server"));
}

#[test]
fn tls_that_is_asked_for() {
    let only_tls =
        Cluster::start_with_hba("", &[], "hostssl all all all scram-sha-256\nhost all all all reject");
    let url = only_tls.url(APP, "postgres", "sslmode=disable");
    let column = 8 + url.find("sslmode").expect("it is there");
    let what_to_do = format!("FILE:3:{column}: the server wants TLS: set `sslmode` to `require`");
    refuses(&with_url(&url), "(28000)", &what_to_do);
}

#[test]
fn no_node_is_what_is_asked_for() {
    let cluster = Cluster::shared();
    let url = cluster.url(APP, "postgres", "target_session_attrs=standby");
    let column = 8 + url.find("target").expect("it is there");
    let what_to_do = format!("FILE:3:{column}: correct `target_session_attrs`, or name more hosts");
    refuses(&with_url(&url), "it asks for a standby, and no host is one", &what_to_do);
}

#[test]
fn users_that_are_looked_up() {
    let cluster = Cluster::shared();
    let superuser = cluster.url(crate::harness::cluster::SUPERUSER, "postgres", "pool_size=1");
    let file = |query: &str| {
        let user = crate::harness::cluster::SUPERUSER.0;
        format!(
            "http = \"off\"\n[databases.shop]\nurl = \"{superuser}\"\n[auth]\nauth_query = \"{query}\"\nauth_user = \"{user}\"\n"
        )
    };
    let well = check(&file("select usename, passwd from pg_shadow where usename = $1"));
    let text = well.success();
    assert!(text.contains("database shop: auth_query as postgres: ok"), "{text}");
    let correct = "FILE:5:";
    refuses(
        &file("select usename, passwort from pg_shadow where usename = $1"),
        "\"passwort\" does not exist",
        correct,
    );
    refuses(&file("select usename from pg_shadow where usename = $1"), "it gives one column", correct);
    refuses(&file("select 'a', 'b' where $1 = 'nobody'"), "it does not find `postgres`", correct);
    refuses(&file("select 'a', 'b' where $1 <> ''"), "another user's row than `postgres`'s", correct);
}

#[test]
fn pass_through_that_cannot_work_is_told() {
    let output = check(
        &with_url(&Cluster::shared().url(APP, "postgres", "pool_size=1"))
            .replace("http = \"off\"\n", "http = \"off\"\nauth = { auth_user = \"app\" }\n"),
    );
    let text = output.success();
    let told = "  database shop: no pass-through: app may not read pg_authid, so that only users above who have a password can log in\n    FILE:2:";
    assert!(text.contains(told), "{text}");
}

/// By a connection string alone. What is said before the server was asked is not what it turns out to refuse.
#[test]
fn who_can_log_in_by_pass_through_is_told_once() {
    let cluster = Cluster::shared();
    let told = |user: (&str, &str)| check_arguments(&[&cluster.url(user, "postgres", "")]).success();
    let clients = |user: &str| {
        format!(
            "  clients    scram-sha-256; users not below by pass-through, if {user} may read pg_authid (tried below)\n"
        )
    };
    let app = told(APP);
    assert!(app.contains(&clients("app")) && !app.contains("pass-through: ok"), "{app}");
    let refused = "  database postgres: no pass-through: app may not read pg_authid, so that only users above who have a password can log in\n    URL: ";
    assert!(app.split_once("\nnodes\n").is_some_and(|(_, nodes)| nodes.contains(refused)), "{app}");
    let postgres = told(SUPERUSER);
    assert!(postgres.contains(&clients("postgres")) && !postgres.contains("no pass-through"), "{postgres}");
    assert!(
        postgres.contains("  database postgres: pass-through: ok: postgres may read pg_authid\n"),
        "{postgres}"
    );
}

#[test]
fn every_line_of_the_rules_that_is_wrong() {
    let folder = Folder::new();
    let rules = folder.0.join("hba.conf");
    std::fs::write(&rules, "local all all trust\nhost all all 127.0.0.1 md5\nhost all all all frobnicate\n")
        .expect("a file can be written");
    let text = with_url(&Cluster::shared().url(APP, "postgres", "pool_size=1"));
    let output = check(&format!("{text}[auth]\nhba_file = \"{}\"\n", rules.display()));
    assert!(!output.ok);
    for line in [2, 3] {
        let place = format!("{}:{line}", rules.display());
        assert!(output.stdout.contains(&place), "no {place} in\n{}", output.stdout);
    }
    assert!(!output.stdout.contains("\nnodes\n"), "{}", output.stdout);
}

#[test]
fn users_of_the_console_who_are_not_there() {
    let text = with_url(&Cluster::shared().url(APP, "postgres", "pool_size=1"));
    let admins = "[admin]\nadmin_users = [\"app\", \"root\"]\n";
    let output = check(&format!("{text}{admins}"));
    let told = "  root: error: named in `admin_users`, and can never log in to the console\n    FILE:5:1: add [users.root]";
    assert!(!output.ok && output.stdout.contains(told), "{}", output.stdout);
    assert!(!output.stdout.contains("  app: error"), "{}", output.stdout);
    assert!(!check(&format!("{text}{admins}[users.root]\nmax_clients = 1\n")).ok, "without a password");

    // Whom the server knows can log in by way of the fallback.
    let fallback = text.replace("[databases.shop]", "[databases.\"*\"]");
    let looked_up = check(&format!("{fallback}{admins}[auth]\nauth_user = \"app\"\n")).success();
    assert!(
        looked_up.contains("  root: warning: named in `admin_users`, and not in [users]: looked up"),
        "{looked_up}"
    );
    let anybody = check(&format!("{text}{admins}[auth]\nmethod = \"trust\"\n")).success();
    assert!(!anybody.contains("root: "), "{anybody}");
}

#[test]
fn whoever_looks_users_up_is_not_let_in() {
    let hosts = format!("hosts = [\"127.0.0.1:{}\"]\ndatabase = \"postgres\"\n", Cluster::shared().port);
    let databases = format!("http = \"off\"\n[databases.a]\n{hosts}[databases.b]\n{hosts}");
    let users = format!("[users.app]\npassword = \"{}\"\n[users.asker]\npassword = \"wrong\"\n", APP.1);
    for (way, line) in [("auth_query = \"select 'a', 'b' where $1 = ''\"\n", 14), ("", 13)] {
        let output = check(&format!("{databases}[auth]\nauth_user = \"asker\"\n{way}{users}"));
        let advice = format!("    FILE:{line}:1: correct the user `asker` or its password\n");
        assert_eq!(output.stdout.matches(&advice).count(), 2, "{}", output.stdout);
        assert!(!output.stdout.contains("correct `auth_query`"), "{}", output.stdout);
        assert!(output.stdout.contains("database b, as app: ok"), "{}", output.stdout);
    }
}

#[test]
fn secrets_that_cannot_work() {
    let text = with_url(&Cluster::shared().url(APP, "postgres", "pool_size=1"));
    let output = check(&format!("{text}[users.x]\npassword = \"SCRAM-SHA-256$4096:...\"\n"));
    assert!(!output.ok && output.stderr.contains("FILE:5:"), "{}", output.stderr);
    assert!(output.stderr.contains("begins like a SCRAM verifier, and is none"), "{}", output.stderr);
    let md5 = format!("{text}[users.x]\npassword = \"md5{}\"\n", "0".repeat(32));
    assert!(check(&md5).success().contains("warning: an md5 verifier proves nothing by SCRAM"));
}

#[test]
fn files_for_tls_that_cannot_be_used() {
    let folder = Folder::new();
    let authority = Authority::new();
    let (one, other) = (authority.identity("one"), authority.identity("other"));
    for (name, text) in [("garbage", "no PEM"), ("cert", &one.cert), ("key", &one.key), ("other", &other.key)]
    {
        std::fs::write(folder.0.join(name), text).expect("a file can be written");
    }
    let path = |name: &str| folder.0.join(name).display().to_string();
    let (port, users) = (Cluster::shared().port, format!("[users.app]\npassword = \"{}\"\n", APP.1));
    let database = format!("hosts = [\"127.0.0.1:{port}\"]\ndatabase = \"postgres\"\n");
    let towards_server = |lines: &str| {
        check(&format!(
            "http = \"off\"\n[databases.a]\n{database}[databases.b]\n{lines}{database}[databases.c]\n{database}{users}"
        ))
    };
    let tells = |output: &Output, line: &str| {
        assert!(!output.ok && output.stdout.contains(line), "no {line} in\n{}", output.stdout);
    };
    let keys = |cert: &str, key: &str| format!("sslcert = {:?}\nsslkey = {:?}\n", path(cert), path(key));
    for (lines, place, file) in [
        (format!("sslrootcert = {:?}\n", path("garbage")), "FILE:6:1", "garbage"),
        (keys("garbage", "key"), "FILE:6:1", "garbage"),
        (keys("cert", "garbage"), "FILE:7:1", "garbage"),
        (keys("cert", "other"), "FILE:7:1", "other"),
    ] {
        let output = towards_server(&lines);
        tells(&output, &format!("  error: {place}: {}: ", path(file)));
        tells(&output, "database b: not tried: see `files` above");
        tells(&output, "database a, as app: ok");
        tells(&output, "database c, as app: ok");
    }
    for (cert, key, place, file) in [("cert", "garbage", 3, "garbage"), ("cert", "other", 3, "other")] {
        let tls =
            format!("[tls]\nmode = \"prefer\"\nkey_file = {:?}\ncert_file = {:?}\n", path(key), path(cert));
        let output = check(&format!("{tls}[databases.a]\n{database}{users}"));
        tells(&output, &format!("  error: FILE:{place}:1: {}: ", path(file)));
    }
}

#[test]
fn every_database_is_tried() {
    let port = Cluster::shared().port;
    let (user, password) = APP;
    let hosts = format!("hosts = [\"127.0.0.1:{port}\"]\ndatabase = \"postgres\"\n");
    let users = format!("[users.{user}]\npassword = \"plain:{password}\"\n");
    let text =
        format!("http = \"off\"\n[databases.a]\n{hosts}[databases.b]\n{hosts}sslmode = \"require\"\n{users}");
    let output = check(&text);
    assert!(!output.ok);
    assert!(output.stdout.contains("database a, as app: ok: PostgreSQL"), "{}", output.stdout);
    assert!(output.stdout.contains("database b, as app: error: "), "{}", output.stdout);
    refuses(
        &text.replace(
            "database = \"postgres\"\nsslmode = \"require\"",
            "options = \"-c statement_timeut=1\"\ndatabase = \"postgres\"",
        ),
        "statement_timeut",
        "FILE:7:",
    );
}
