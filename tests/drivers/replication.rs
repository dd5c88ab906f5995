//! The programs that speak the replication protocol: base backup, WAL, logical changes.

use std::process::{Command, Stdio};
use std::time::Duration;

use crate::harness::cluster::{Cluster, SUPERUSER, client_bin, newer_than_clients};
use crate::harness::command::{self, Folder};
use crate::harness::proxy::Proxy;
use crate::harness::{direct_only, eventually};

fn program(name: &str, port: u16) -> Command {
    let mut command = Command::new(client_bin().join(name));
    command
        .args(["-h", "127.0.0.1", "-p", &port.to_string(), "-U", SUPERUSER.0, "-w"])
        .env("PGPASSWORD", SUPERUSER.1);
    command
}

fn directly_and_through_pgweir(suite: impl Fn(u16, &Cluster)) {
    if newer_than_clients() {
        return;
    }
    let cluster = Cluster::start("", &[]);
    suite(cluster.port, &cluster);
    if !direct_only() {
        let proxy = Proxy::start(&cluster.url(SUPERUSER, "postgres", "pool_size=2"));
        suite(proxy.addr.port(), &cluster);
    }
}

#[test]
fn base_backup() {
    directly_and_through_pgweir(|port, _| {
        let folder = Folder::new();
        let mut backup = program("pg_basebackup", port);
        backup.args(["--checkpoint=fast", "--no-sync", "-X", "stream", "-D"]).arg(folder.0.join("copy"));
        command::run(&mut backup, Duration::from_secs(60)).success();
        assert!(folder.0.join("copy/PG_VERSION").exists());
        let verify = command::run(
            Command::new(client_bin().join("pg_verifybackup")).arg(folder.0.join("copy")),
            Duration::from_secs(60),
        );
        verify.success();
    });
}

#[test]
fn received_wal() {
    directly_and_through_pgweir(|port, cluster| {
        let folder = Folder::new();
        let mut receive = program("pg_receivewal", port);
        let child =
            receive.args(["--no-loop", "--no-sync", "-D"]).arg(&folder.0).stderr(Stdio::null()).spawn();
        let mut child = child.expect("pg_receivewal starts");
        let mut superuser = cluster.superuser("postgres");
        eventually("a whole WAL segment arrived", || {
            superuser.run("select pg_logical_emit_message(false, 'test', 'text')");
            superuser.run("select pg_switch_wal()");
            let names = std::fs::read_dir(&folder.0).expect("the folder").flatten().map(|e| e.file_name());
            names.filter(|name| name.len() == 24).count() > 0
        });
        let _ = child.kill();
        let _ = child.wait();
    });
}

#[test]
fn logical_changes() {
    directly_and_through_pgweir(|port, cluster| {
        let folder = Folder::new();
        let out = folder.0.join("out");
        let create = ["-d", "postgres", "--slot=logical", "--create-slot", "-P", "test_decoding"];
        command::run(program("pg_recvlogical", port).args(create), Duration::from_secs(30)).success();
        let mut child = program("pg_recvlogical", port)
            .args(["-d", "postgres", "--slot=logical", "--start", "--no-loop", "--fsync-interval=0", "-f"])
            .arg(&out)
            .stderr(Stdio::null())
            .spawn()
            .expect("pg_recvlogical starts");
        cluster
            .superuser("postgres")
            .run("create table if not exists changes (i int); insert into changes values (42)");
        eventually("the change arrived", || {
            std::fs::read_to_string(&out).is_ok_and(|text| text.contains("INSERT: i[integer]:42"))
        });
        let _ = child.kill();
        let _ = child.wait();
        let mut superuser = cluster.superuser("postgres");
        eventually("the slot is free", || {
            superuser.value("select active from pg_replication_slots where slot_name = 'logical'") == "f"
        });
        command::run(
            program("pg_recvlogical", port).args(["-d", "postgres", "--slot=logical", "--drop-slot"]),
            Duration::from_secs(30),
        )
        .success();
    });
}
