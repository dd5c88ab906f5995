//! What a rule says of tables where the catalog cannot know: which tables triggers write, and which columns never change.

use std::process::Command;
use std::time::Duration;

use super::applied::Ruled;
use super::cached::{answer, is_hit, until_hit};
use crate::harness::cluster::Cluster;
use crate::harness::command::{Folder, run};
use crate::harness::proxy::program;
use crate::harness::raw::Client;
use crate::harness::{eventually, frontend as msg};

const RULES: &str = r#"
[[rule]]
name = "kept"
when = { class = "select", tables = ["lines", "audit", "other"] }
then.cache = { level = "strict", FACTS }
"#;

const SETUP: &str = "create table lines (id int primary key, tenant int, state text);
    insert into lines select i, i % 5, 'new' from generate_series(1, 50) as i;
    create table audit (id int primary key, seen int); insert into audit values (1, 0);
    create table other (id int primary key, n int); insert into other values (1, 1);
    create function note() returns trigger language plpgsql as
        'begin update audit set seen = seen + 1 where id = 1; return new; end';
    create trigger noted after update on lines for each row execute function note()";

fn ruled(facts: &str) -> Option<(Ruled, Client)> {
    let ruled = Ruled::with(&RULES.replace("FACTS", facts), "pool_size=4")?;
    ruled.databases[0].setup(SETUP);
    let beside = Cluster::shared().superuser(&ruled.databases[0].name);
    Some((ruled, beside))
}

const OTHER: &str = "select n from other where id = 1";

/// Whether an answer about another table is handed out while a transaction that has written `lines` is about to end.
fn is_other_held_back(ruled: &Ruled, beside: &mut Client) -> bool {
    let (mut reader, mut writer) = (ruled.client(), ruled.client());
    let cycle = msg::query(OTHER);
    until_hit(&mut reader, beside, "other", &cycle);
    // It waits for a lock with its doubts: what it may write is in doubt until that is over.
    beside.run("begin; lock table audit in exclusive mode");
    writer.send(&msg::query("update lines set state = 'sent' where id = 7"));
    std::thread::sleep(Duration::from_millis(100));
    let mut third = Cluster::shared().superuser(&ruled.databases[0].name);
    let hit = is_hit(&mut reader, &mut third, "other", &cycle);
    beside.run("commit");
    writer.until_ready();
    !hit
}

#[test]
fn what_triggers_write_is_held_back_and_nothing_else() {
    let Some((ruled, mut beside)) = ruled("trigger_writes = { lines = \"audit\" }") else { return };
    assert!(!is_other_held_back(&ruled, &mut beside), "a rule says that triggers do not write it");
    // What they do write is seen by another session as soon as it is acknowledged.
    let (mut reader, mut writer) = (ruled.client(), ruled.client());
    let read = "select seen from audit where id = 1";
    for _ in 0..20 {
        until_hit(&mut reader, &mut beside, "audit", &msg::query(read));
        let before: u32 = reader.value(read).parse().expect("a number");
        writer.run("update lines set state = state || 'x' where id = 8");
        assert_eq!(reader.value(read), (before + 1).to_string());
    }
}

#[test]
fn without_it_all_is_held_back() {
    let Some((ruled, mut beside)) = ruled("ttl_cap = \"1h\"") else { return };
    assert!(is_other_held_back(&ruled, &mut beside), "nobody knows what its triggers write");
}

#[test]
fn a_name_that_is_not_there_counts_for_nothing_and_is_logged() {
    let facts = "trigger_writes = { lines = \"audits\" }, immutable_columns = { lines = [\"tenent\"] }";
    let Some((ruled, mut beside)) = ruled(facts) else { return };
    assert!(is_other_held_back(&ruled, &mut beside), "what is written is not known");
    let name = &ruled.databases[0].name;
    eventually("it is logged with its place", || {
        let log = ruled.proxy.log();
        log.contains(&format!(
            "a.toml:3:1: `kept`: `trigger_writes` names `audits`, which is no table in database `{name}`"
        )) && log.contains("`immutable_columns` names `tenent`, which is no column of `lines`")
    });
}

#[test]
fn a_check_refuses_names_that_are_not_there() {
    let facts = "trigger_writes = { lines = \"audits\" }, depends_on = \"other\", immutable_columns = { lines = [\"tenent\", \"tenant\"] }";
    let Some((ruled, _)) = ruled(facts) else { return };
    let config = Folder::new();
    let path = config.0.join("pgweir.toml");
    let check = |rules: &str| {
        std::fs::write(&path, ruled.proxy.config()).expect("written");
        ruled.write(rules);
        let arguments = ["check", "--config", &path.display().to_string(), "--rules", &ruled.folder()];
        run(Command::new(program()).args(arguments), Duration::from_secs(60))
    };
    // It is for one of the two databases.
    let only = |text: &str| {
        text.replace("when = { ", &format!("when = {{ database = \"{}\", ", ruled.databases[0].name))
    };
    let told = check(&only(&RULES.replace("FACTS", facts)));
    assert!(!told.ok, "{told:?}");
    let place = "a.toml:3:1: `kept`: ";
    for missing in [
        "`trigger_writes` names `audits`, which is no table",
        "`immutable_columns` names `tenent`, which is no column of `lines`",
    ] {
        assert!(told.stderr.contains(&format!("{place}{missing}")), "{told:?}");
    }
    assert!(!told.stderr.contains("`other`") && !told.stderr.contains("`tenant`"), "{told:?}");
    let right = RULES.replace(
        "FACTS",
        "trigger_writes = { lines = \"audit\" }, immutable_columns = { lines = \"tenant\" }",
    );
    let told = check(&only(&right));
    assert!(told.ok, "{told:?}");
    assert!(
        check(&right).stderr.contains("which is no table in database"),
        "the other database has none of them"
    );
}

const BY_TENANT: &str = "select count(*), max(state) from lines where tenant = 2";

/// Whether an answer for one tenant is there after a change around pgweir of a row of another one.
fn outlives_another(ruled: &Ruled, beside: &mut Client, reader: &mut Client, change: &str) -> bool {
    let cycle = msg::query(BY_TENANT);
    until_hit(reader, beside, "lines", &cycle);
    beside.run(change);
    ruled.barrier();
    is_hit(reader, beside, "lines", &cycle)
}

#[test]
fn a_column_that_never_changes_spares_answers() {
    let Some((ruled, mut beside)) = ruled("immutable_columns = { lines = \"tenant\" }") else { return };
    let mut reader = ruled.client();
    eventually("it is known by its tenant", || {
        outlives_another(&ruled, &mut beside, &mut reader, "update lines set state = 'first' where id = 6")
    });
    for n in 0..5 {
        let change = format!("update lines set state = 'change {n}' where id = 6");
        assert!(outlives_another(&ruled, &mut beside, &mut reader, &change), "a row of tenant 1");
    }
    // A row of its own, whoever changes it.
    beside.run("update lines set state = 'z' where id = 7");
    eventually("the change is seen", || {
        let row = answer(&mut reader, &msg::query(BY_TENANT));
        row.iter().any(|message| message.tag == b'D' && message.values()[1].as_deref() == Some(b"z"))
    });
    // Of a deleted row only the key is known.
    assert!(!outlives_another(&ruled, &mut beside, &mut reader, "delete from lines where id = 1"));
    // From now on it may change.
    ruled.write(&RULES.replace("FACTS", "ttl_cap = \"1h\""));
    ruled.console().run("reload");
    assert!(!outlives_another(
        &ruled,
        &mut beside,
        &mut reader,
        "update lines set state = 'new' where id = 6"
    ));
}

#[test]
fn without_the_old_row_an_update_ends_all_answers_by_a_column() {
    let Some((ruled, mut beside)) = ruled("ttl_cap = \"1h\"") else { return };
    let mut reader = ruled.client();
    assert!(!outlives_another(
        &ruled,
        &mut beside,
        &mut reader,
        "update lines set state = 'new' where id = 6"
    ));
}
