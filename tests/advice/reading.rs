//! A database is read exactly, and in bounds.

use pgweir::advice::index::quoted;

use super::*;
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
