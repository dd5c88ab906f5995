//! A database is read exactly, and in bounds.

use pgweir::advice::index::quoted;

use super::*;
use crate::harness::big;
use crate::harness::cluster::pg_version;

#[test]
fn indexes_are_read_so_that_they_can_be_made_again() {
    let Some(scene) = Scene::new(
        "create extension pg_trgm;
         create table t (id int primary key, email varchar(80) not null, name text collate \"C\", n numeric(10, 2), tags text[], doc jsonb, at timestamptz, gone bool, \"Odd \"\"Col\" int, u uuid unique);
         insert into t (id, email) select i, 'e' || i from generate_series(1, 100) i;
         create index on t (email, n desc, at desc nulls last, gone nulls first);
         create index on t (lower(email));
         create index on t ((email || name), lower(name) collate \"POSIX\");
         create index on t (email varchar_pattern_ops);
         create index on t (email collate \"C\");
         create index on t (name collate \"default\");
         create index on t (\"Odd \"\"Col\") include (u, at) where gone is null and n > 5;
         create unique index on t (email, (n + 1)) with (fillfactor = 80);
         create index on t using gin (tags); create index on t using gin (doc jsonb_path_ops);
         create index on t using gin (email gin_trgm_ops); create index on t using gist (name gist_trgm_ops (siglen = 32));
         create index on t using gin (to_tsvector('english', name));
         create index on t using hash (u); create index on t using brin (at) with (pages_per_range = 16);
         create table p (a int, b int) partition by hash (a); create table p0 partition of p for values with (modulus 1, remainder 0);
         create index on p (b, a desc);
         create table child (t_id int not null references t on delete cascade, x int); analyze",
    ) else {
        return;
    };
    let advised = scene.advise(&workload(vec![statement("select * from t where n = $1", 1, &[&["1"]])]));
    let schema = &advised.schema;
    let table = schema.named(None, "t").expect("it is there");
    assert_eq!(table.indexes.len(), 17, "{:#?}", table.indexes);
    let count = |what: &dyn Fn(&pgweir::advice::schema::Index) -> bool| {
        table.indexes.iter().filter(|one| what(one)).count()
    };
    assert_eq!(
        (count(&|one| one.primary), count(&|one| one.needed), count(&|one| one.definition.unique)),
        (1, 2, 3)
    );
    for index in table.indexes.iter().chain(&schema.named(None, "p0").expect("it is there").indexes) {
        let of = schema.table(index.definition.table).expect("its table");
        let unique = if index.definition.unique { "unique " } else { "" };
        let sql =
            format!("create {unique}index made_again on {} {}", quoted(&of.name), index.definition.body());
        scene.database.setup(&sql);
        let again = scene.value("select pg_get_indexdef('made_again'::regclass)");
        assert_eq!(again.replace(" made_again ", &format!(" {} ", quoted(&index.name))), index.sql, "{sql}");
        scene.database.setup("drop index made_again");
    }
    let part = &schema.named(None, "p0").expect("it is there").indexes[0];
    assert!(part.parent.is_some());
    let key = &schema.named(None, "child").expect("it is there").foreign_keys[0];
    assert_eq!((key.columns.as_slice(), key.to, key.action), (&["t_id".to_owned()][..], table.oid, 'c'));
    assert_eq!(schema.version / 10_000, pg_version());
    assert_eq!(schema.named(None, "p").expect("it is there").partition_key, ["a"]);
}

#[test]
fn of_too_many_tables_those_that_are_named_and_the_largest_are_read() {
    let Some(scene) = Scene::new(
        "do $$ begin for i in 1..30 loop execute format('create table small_%s (a int)', i); end loop; end $$;
         create table wanted (a int); create table large (a int); insert into large select generate_series(1, 5000); analyze",
    ) else {
        return;
    };
    let work = workload(vec![statement("select * from wanted where a = $1", 1, &[&["1"]])]);
    let (advised, log) = scene.advise_as(APP, &work, &Limits { tables: 5, ..limits() });
    assert_eq!(advised.schema.tables.len(), 5);
    assert!(advised.schema.named(None, "wanted").is_some() && advised.schema.named(None, "large").is_some());
    assert!(
        advised.advice.notes.iter().any(|note| note.contains("more than 5 tables")),
        "{:?}",
        advised.advice.notes
    );
    let reading = log
        .iter()
        .take_while(|(_, sql)| !sql.starts_with("EXPLAIN"))
        .filter(|(_, sql)| sql.starts_with("--"));
    assert!((8..16).contains(&reading.count()), "{log:?}");
}

/// So many; with `PGWEIR_TEST_BIG=1` ten thousand, as the largest schemas of applications for many tenants have.
fn tables() -> usize {
    if big() { 10_000 } else { 400 }
}

#[test]
fn a_database_of_very_many_tables_is_advised_on() {
    let Some(scene) = Scene::new(
        "create table \"Odd \"\"Name\"\"; x\" (id bigint primary key, \"Tenant's \"\"Id\"\"\" int, body text);
         insert into \"Odd \"\"Name\"\"; x\" select i, i % 5000, repeat('x', 50) from generate_series(1, 50000) i",
    ) else {
        return;
    };
    // Each transaction holds locks on what it makes, of which a server has room for some thousands.
    for from in (0..tables()).step_by(200) {
        scene.database.setup(&format!(
            "do $$ begin for i in {from}..{from} + 199 loop execute format(
                 'create table tenant_%s (id bigint primary key, owner_id int not null, state text, at timestamptz, note text)', i);
             execute format('create index on tenant_%s (owner_id)', i); end loop; end $$"
        ));
    }
    scene.database.setup("analyze \"Odd \"\"Name\"\"; x\"");
    let mut shapes = vec![statement(
        "select * from \"Odd \"\"Name\"\"; x\" where \"Tenant's \"\"Id\"\"\" = $1",
        500,
        &[&["15"]],
    )];
    let others = (0..100).map(|n| {
        let number = n * tables() / 100;
        statement(
            &format!("select id from tenant_{number} where owner_id = $1 and state = 'x'"),
            1,
            &[&["15"]],
        )
    });
    shapes.extend(others);
    let work = workload(shapes);
    let before = resident();
    let (advised, log) = scene.advise_as(APP, &work, &limits());
    let reading = log.iter().find(|(_, sql)| sql.starts_with("EXPLAIN")).map(|(at, _)| *at - log[0].0);
    eprintln!(
        "{} tables: read in {reading:?}, all in {:?}, {} kB more than before",
        tables(),
        advised.took,
        resident().saturating_sub(before)
    );
    assert_eq!(advised.schema.tables.len(), (tables() + 1).min(10_000));
    assert_eq!(indexes(&advised), ["index \"Odd \"\"Name\"\"; x\"(\"Tenant's \"\"Id\"\"\")"]);
    assert_eq!(advised.advice.verdicts.len(), 101);
    assert!(advised.took < Duration::from_secs(60), "{:?}", advised.took);
    let said = advised.advice.notes.iter().any(|note| note.contains("more than 10000 tables"));
    assert_eq!(said, tables() >= 10_000, "{:?}", advised.advice.notes);
    scene.apply(&advised.advice.fixes[0]);
}

/// Kilobytes of memory that this process has.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}
