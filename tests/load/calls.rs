//! What a simple statement costs: four data system calls, counted by strace.

use std::fs;

use super::prelude::*;
use crate::harness::command::Folder;

/// Calls that move data of sockets, by any name.
const DATA_CALLS: &str =
    "read,write,readv,writev,recvfrom,recvmsg,recvmmsg,sendto,sendmsg,sendmmsg,splice,sendfile";
const STATEMENTS: usize = 300;

/// A call as strace writes it: `1234 recvfrom(9, ...`, or the end of one that another thread's call stood in.
fn is_data_call(line: &str) -> bool {
    let call = line.split_once(' ').map_or(line, |(_, call)| call.trim_start());
    // A look whether an idle server is still there moves no data, and is made after a pause only; nor does a wake-up.
    let moves_none = line.contains("MSG_PEEK") || line.contains("[eventfd]");
    !call.starts_with("<...") && !moves_none && call.contains('(')
}

fn count(path: &std::path::Path) -> usize {
    fs::read_to_string(path).unwrap_or_default().lines().filter(|line| is_data_call(line)).count()
}

#[test]
fn four_data_calls_per_simple_statement() {
    if direct_only() {
        return;
    }
    let folder = Folder::new();
    let trace = folder.0.join("trace");
    let database = Cluster::shared().database();
    let url = Cluster::shared().url(APP, &database.name, "pool_size=2");
    let mut options = ProxyOptions::url(&url);
    // As a grandchild (-D), so that the proxy is our own child; -e signal=none: calls only.
    let words = ["strace", "-D", "-f", "-qq", "-y", "-s", "0", "-e", "signal=none", "-e"];
    options.under = words.iter().map(|word| (*word).to_owned()).collect();
    options.under.extend([
        format!("trace={DATA_CALLS}"),
        "-o".into(),
        trace.display().to_string(),
        "--".into(),
    ]);
    let proxy = Proxy::start_with(&options);
    let mut client = Client::connect(&proxy.endpoint(), &database.login());
    (0..20).for_each(|_| client.run("select 1"));
    // What reads must not mention is read once, when somebody has sent one.
    eventually("definitions are read", || {
        let answer = client.simple("explain route select 1");
        let told: String = answer.iter().map(|message| String::from_utf8_lossy(&message.body)).collect();
        assert!(told.contains("fingerprint"), "{told}");
        !told.contains("definitions not read")
    });
    std::thread::sleep(Duration::from_millis(500));
    let settled = || {
        let mut known = count(&trace);
        eventually("nothing more is traced", || {
            std::thread::sleep(Duration::from_millis(50));
            std::mem::replace(&mut known, count(&trace)) == known
        });
        known
    };
    let before = settled();
    assert!(before > 80, "strace traced {before} calls of the warming up: may it trace here?");
    (0..STATEMENTS).for_each(|_| client.run("select 1"));
    let calls = settled() - before;
    let floor = 4 * STATEMENTS;
    assert!(calls >= floor, "{calls} calls for {STATEMENTS} statements: some were not seen");
    assert!(
        calls <= floor + STATEMENTS / 100,
        "{calls} data calls for {STATEMENTS} statements; the last:\n{}",
        fs::read_to_string(&trace).unwrap_or_default().lines().rev().take(40).collect::<Vec<_>>().join("\n")
    );
}
