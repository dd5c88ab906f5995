//! Commands whose output nobody reads to its end: they end quietly, as other programs do.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::harness::cluster::{Cluster, SUPERUSER};
use crate::harness::command::{Folder, wait};
use crate::harness::proxy::program;

/// As a shell tells of a program that has ended by SIGPIPE.
const BY_SIGPIPE: Option<i32> = Some(141);

/// Runs a command whose reader has left; gives how it ended, and what it said on standard error. `both`: that has no reader either.
fn without_reader(arguments: &[&str], both: bool) -> (Option<i32>, String) {
    let folder = Folder::new();
    let closed = || Stdio::from(std::io::pipe().expect("a pipe").1);
    let said = folder.0.join("err");
    let err = if both { closed() } else { fs::File::create(&said).expect("a file").into() };
    let mut command = Command::new(program());
    command.args(arguments).stdin(Stdio::null()).stdout(closed()).stderr(err);
    let mut child = command.spawn().expect("it starts");
    let Some(status) = wait(&mut child, Duration::from_secs(30)) else {
        let _ = child.kill();
        let _ = child.wait();
        panic!("{arguments:?} does not end");
    };
    (status.code(), fs::read_to_string(said).unwrap_or_default())
}

#[test]
fn who_reads_no_more_is_no_error() {
    let folder = Folder::new();
    let file = |name: &str, text: &str| {
        let path = folder.0.join(name);
        fs::write(&path, text).expect("a file can be written");
        path.display().to_string()
    };
    let rules = folder.0.join("rules");
    fs::create_dir(&rules).expect("a folder can be made");
    fs::write(rules.join("one.toml"), "[[rule]]\nname = \"r\"\nthen.tag = \"x\"\n").expect("it is written");
    let rules = rules.display().to_string();
    let log = file(
        "log",
        "2026-11-30 10:00:00.000 UTC [1] app@shop LOG:  duration: 5.000 ms  statement: select 1\n",
    );
    let ini = file("pgbouncer.ini", "[databases]\nshop = host=db\n[pgbouncer]\nlisten_port = 6432\n");
    let settings = file("pgweir.toml", "[databases.shop]\nhosts = [\"127.0.0.1:1\"]\n");
    let url = Cluster::shared().url(SUPERUSER, "postgres", "");
    let workload = file("workload.json", "{\"seconds\": 60, \"statements\": []}");
    for arguments in [
        &["generate", "settings-page"][..],
        &["explain", "select 1"],
        &["check", "--rules", &rules],
        &["check", "--config", &settings],
        &["check", &url],
        &["report", "--log", &log],
        &["report", "--log", &log, "--format", "html"],
        &["import", &ini],
        &["upstream", "status", &url],
        &["advise", "--workload", &workload, &url],
    ] {
        let (code, said) = without_reader(arguments, false);
        let told = !said.is_empty() && arguments[0] != "import";
        assert!(code == BY_SIGPIPE && !told && !said.contains("panicked"), "{arguments:?}: {code:?} {said}");
        assert_eq!(without_reader(arguments, true).0, BY_SIGPIPE, "{arguments:?}");
    }
    // What is wrong is told on standard error.
    for arguments in [&["import", "no-such-file"][..], &["report", "--log", "no-such-file"]] {
        assert_eq!(without_reader(arguments, true).0, BY_SIGPIPE, "{arguments:?}");
    }
}
