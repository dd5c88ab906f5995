//! `pgweir import` as people run it: files, their modes, and a pgweir that runs with what was imported.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::harness::cluster::{APP, Cluster, SUPERUSER};
use crate::harness::command::{Folder, Output, run};
use crate::harness::proxy::{Proxy, ProxyOptions, program};
use crate::harness::raw::{Client, Login};

/// Imports a file, with more arguments.
fn import(file: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(program());
    run(command.arg("import").arg(file).args(arguments), Duration::from_secs(30))
}

/// A `pgbouncer.ini` in front of the cluster, whose users stand in a file beside it.
fn pgbouncer(folder: &Folder) -> std::path::PathBuf {
    let port = Cluster::shared().port;
    let ini = format!(
        "[databases]\nshop = host=127.0.0.1 port={port} dbname=postgres\n\
         reports = host=127.0.0.1 port={port} dbname=postgres user={} password={} timezone=Asia/Tokyo\n\
         [pgbouncer]\nlisten_addr = 127.0.0.1\nunix_socket_dir =\nauth_type = scram-sha-256\nauth_file = userlist.txt\n\
         pool_mode = transaction\nquery_timeout = 120\nadmin_users = {}\n",
        SUPERUSER.0, SUPERUSER.1, APP.0
    );
    std::fs::write(folder.0.join("userlist.txt"), format!("\"{}\" \"{}\"\n", APP.0, APP.1)).expect("written");
    let file = folder.0.join("pgbouncer.ini");
    std::fs::write(&file, ini).expect("a file can be written");
    file
}

#[test]
fn pgweir_runs_with_what_was_imported() {
    let folder = Folder::new();
    let out = folder.0.join("out");
    let output = import(&pgbouncer(&folder), &["--out", &out.display().to_string()]);
    assert!(output.ok, "{}", output.stderr);
    assert!(!output.stderr.contains(APP.1) && !output.stderr.contains(SUPERUSER.1), "{}", output.stderr);
    let text = std::fs::read_to_string(out.join("pgweir.toml")).expect("it was written");
    let proxy = Proxy::start_with(&ProxyOptions::default().config(&text));
    let connect = |user: (&str, &str), database: &str| {
        Client::connect(&proxy.endpoint(), &Login::new(user.0, user.1, database))
    };
    let mut shop = connect(APP, "shop");
    assert_eq!(shop.value("select current_user"), APP.0);
    assert_eq!(shop.value("show statement_timeout"), "2min");
    let mut reports = connect(APP, "reports");
    assert_eq!(reports.value("select current_user"), SUPERUSER.0, "servers have the user of the database");
    assert_eq!(reports.value("show timezone"), "Asia/Tokyo");
    let mut console = connect(APP, "pgbouncer");
    assert!(!console.simple("show pools").is_empty());
}

#[test]
fn files_are_private_and_never_overwritten() {
    let folder = Folder::new();
    let file = pgbouncer(&folder);
    let out = folder.0.join("a/b");
    let arguments = ["--out", &out.display().to_string()];
    assert!(import(&file, &arguments).ok);
    let mode = |path: &Path| std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!(mode(&out.join("pgweir.toml")), 0o600);
    let before = std::fs::read(out.join("pgweir.toml")).expect("it is there");
    let again = import(&file, &arguments);
    assert!(
        !again.ok && again.stderr.contains("is there already, and nothing was written"),
        "{}",
        again.stderr
    );
    assert_eq!(std::fs::read(out.join("pgweir.toml")).expect("it is there"), before);
}

#[test]
fn standard_output_has_settings_without_passwords() {
    let folder = Folder::new();
    let output = import(&pgbouncer(&folder), &[]);
    let text = output.success();
    assert!(text.contains("[users.app]\n# password = \"...\": left out here; --out writes it"), "{text}");
    assert!(!text.contains(APP.1) && !text.contains(SUPERUSER.1), "{text}");
}

#[test]
fn rules_get_a_file_and_hostgroups_a_role() {
    let folder = Folder::new();
    let file = folder.0.join("dump");
    let row = "INSERT INTO pgsql_query_rules (rule_id, active, match_digest, destination_hostgroup, apply) VALUES (1, 1, '^SELECT', 5, 1);";
    std::fs::write(&file, row).expect("a file can be written");
    let out = folder.0.join("out");
    let output = import(
        &file,
        &["--from", "proxysql", "--hostgroup", "5=replica", "--out", &out.display().to_string()],
    );
    assert!(output.ok, "{}", output.stderr);
    let rules = std::fs::read_to_string(out.join("rules/50-imported.toml")).expect("it was written");
    assert!(
        rules.contains("when = { shape_regex = \"(?i)^SELECT\" }\nthen = { route = \"replica\" }"),
        "{rules}"
    );
    assert!(!out.join("pgweir.toml").exists(), "there are no settings in it");
    assert!(!import(&file, &["--hostgroup", "5=reader"]).ok);
}

#[test]
fn what_cannot_be_understood_is_told_by_line_and_nothing_is_written() {
    let folder = Folder::new();
    let file = folder.0.join("pgcat.toml");
    std::fs::write(&file, "[general]\nadmin_password = \"sekret\nport = 1\n").expect("a file can be written");
    let out = folder.0.join("out");
    let output = import(&file, &["--out", &out.display().to_string()]);
    assert!(!output.ok && !out.exists());
    assert!(output.stderr.contains(&format!("{}:2: not TOML: ", file.display())), "{}", output.stderr);
    assert!(!output.stderr.contains("sekret"), "{}", output.stderr);
    assert!(!import(&folder.0.join("none.ini"), &[]).ok);
}
