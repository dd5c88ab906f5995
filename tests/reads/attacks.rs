//! What attackers of the judgement tried: `attacks.sql` says it.

use std::time::{Duration, Instant};

use super::{barriers, reason};
use crate::harness::cluster::{Cluster, KEEPS_WAL, SUPERUSER, pg_version};
use crate::harness::message::Message;
use crate::harness::raw::{Client, Login};

const OBJECTS: &str = "
    create table log (at timestamptz, what text);
    create table t (i int, name text);
    insert into t values (1, 'one'), (2, 'two');
    create sequence ids;
    create function touch() returns int language plpgsql as $$ begin insert into public.log values (now(), 'x'); return 1; end $$;
    create function touch(i int) returns int language plpgsql as $$ begin insert into public.log values (now(), 'x'); return 1; end $$";
const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn no_attack_gets_through() {
    let primary = Cluster::start(&format!("{KEEPS_WAL}synchronous_commit = on\n"), &[]);
    let replica = primary.standby();
    let mut wrong = vec![];
    for (number, section) in include_str!("attacks.sql").split("\n== ").skip(1).enumerate() {
        let (title, body) = section.split_once('\n').expect("a section has a body");
        let database = format!("attack_{number}");
        primary.superuser("postgres").run(&format!("create database {database}"));
        let mut owner = primary.superuser(&database);
        owner.run(OBJECTS);
        let is_judged = |line: &&str| line.starts_with("! ") || line.starts_with("= ");
        let objects: String =
            body.lines().filter(|line| !is_judged(line)).map(|line| format!("{line}\n")).collect();
        let made = owner.simple(&objects);
        if made.iter().any(|message| message.tag == b'E') {
            // Some sections cannot be made in other versions than the one that they were written for.
            assert_ne!(pg_version(), 15, "{title}: {made:?}");
            continue;
        }
        let barriers = barriers(&mut primary.superuser(&database));
        for line in body.lines().filter(is_judged) {
            let (expected, text) = line.split_at(2);
            match reason(text, &barriers) {
                // Elsewhere there may be no such thing.
                None if expected == "! " && pg_version() == 15 => {
                    wrong.push(format!("{title}: judged a read: {text}"))
                }
                Some(reason) if expected == "= " => {
                    wrong.push(format!("{title}: no read, it {reason}: {text}"))
                }
                Some(_) => {}
                None => wrong.extend(
                    differs(&primary, &replica, &database, text).map(|how| format!("{title}: {how}: {text}")),
                ),
            }
        }
    }
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// How a read does more on the primary than a read does, or other things there than on the replica.
fn differs(primary: &Cluster, replica: &Cluster, database: &str, text: &str) -> Option<String> {
    let connect =
        |node: &Cluster| Client::connect(&node.unix(), &Login::new(SUPERUSER.0, SUPERUSER.1, database));
    let mut session = connect(primary);
    session.run("begin");
    let here = session.simple(text);
    if here.iter().all(|message| message.tag != b'E') {
        let left =
            "select concat(pg_current_xact_id_if_assigned(), (select string_agg(mode, ' ') from pg_locks
            where pid = pg_backend_pid() and mode <> 'AccessShareLock' and locktype <> 'virtualxid'))";
        let left = session.value(left);
        if !left.is_empty() {
            return Some(format!("left {left}"));
        }
    }
    session.run("rollback");
    let end = session.value("select pg_current_wal_flush_lsn()");
    // It may not have the database yet.
    let mut watch = replica.superuser("postgres");
    let started = Instant::now();
    while watch.value(&format!("select pg_last_wal_replay_lsn() >= '{end}'")) != "t" {
        assert!(started.elapsed() < PATIENCE, "the replica does not follow");
        std::thread::sleep(Duration::from_millis(1));
    }
    let there = connect(replica).simple(text);
    // In the block, an error leaves another state.
    let bytes = |answer: &[Message]| -> Vec<_> {
        answer.iter().filter(|message| message.tag != b'Z').map(Message::comparable).collect()
    };
    (bytes(&here) != bytes(&there)).then(|| format!("{here:?} and on the replica {there:?}"))
}
