//! What a statement reads and changes with the tables that it names, as a real database has them.

use pgweir::catalog::{EDGES, RELATIONS, Reached, Relations};
use pgweir::sql::facts::Access;
use pgweir::sql::{facts, shape};

use super::ask;
use crate::harness::cluster::Cluster;

const OBJECTS: &str = "
    create schema s;
    create table t (i int primary key, n text);
    create table s.t (i int);
    create table s.u (i int);
    create view v as select i from t;
    create view vv as select v.i from v join s.u using (i);
    create materialized view m as select * from t;
    create table parent (i int);
    create table child () inherits (parent);
    create table grandchild () inherits (child);
    create table p (i int) partition by range (i);
    create table p1 partition of p for values from (0) to (9) partition by range (i);
    create table p11 partition of p1 for values from (0) to (5);
    create view over_p as table p;
    create table follows (i int references t on delete cascade);
    create table refers (i int references t);
    create table log (i int);
    create rule logs as on insert to s.u do also insert into log values (new.i);
    create view written as select 1 as i;
    create rule writes as on update to written do instead update s.t set i = new.i;
    create recursive view r (i) as select 1 union all select i + 1 from r where i < 9;
    create view \"Quoted\" as select * from t where exists (select 1 from s.u);
    create sequence ids";

#[test]
fn relations_are_expanded() {
    let cluster = Cluster::shared();
    let database = cluster.database();
    database.setup(OBJECTS);
    let mut server = cluster.superuser(&database.name);
    // Whatever the path is.
    server.run("set search_path = s");
    let relations =
        Relations::new(&ask(&mut server, RELATIONS), &ask(&mut server, EDGES)).expect("there are few");
    let check_in = |path: &[&str], text: &str, expected: &str| {
        let facts = facts(text.as_bytes(), true, &shape(text.as_bytes(), true));
        assert!(facts.understood, "{text}");
        let mut said = match relations.expand(&facts.tables, path) {
            Ok(reached) => reached.iter().map(shown).collect(),
            Err(unknown) => vec![unknown.to_string()],
        };
        said.sort();
        let said = said.join(" ");
        assert_eq!(said, expected, "{text}");
    };
    let check = |text: &str, expected: &str| check_in(&["public"], text, expected);
    check("select * from t", "t");
    check("select * from v", "t v");
    check("select * from vv", "s.u t v vv");
    check("select * from \"Quoted\"", "Quoted s.u t");
    check("select * from m", "m");
    check("select * from r", "r");
    check("select * from parent", "child grandchild parent");
    check("select * from child", "child grandchild");
    check("select * from over_p", "over_p p p1 p11");
    check("update p set i = 1", "p! p1! p11!");
    check("delete from t", "follows! t!");
    check("update v set i = 1", "follows! t! v!");
    check("select * from refers", "refers");
    check("insert into s.u select * from v", "log! s.u! t v");
    check("update written set i = 1", "s.t! written!");
    check("select * from written", "written");
    check("select last_value from ids", "ids");
    check("select * from pg_class", "pg_catalog.pg_class");
    check("select * from nowhere", "no relation `nowhere` is known");
    check("select * from u", "no relation `u` is known");
    check_in(&["s", "public"], "select * from t, v where t.i = v.i", "s.t t v");
    check_in(&["public", "s"], "select * from t, u where t.i = u.i", "s.u t");
}

/// Without the schema `public`, and `!` behind what is changed.
fn shown(reached: &Reached) -> String {
    let name = reached.name.to_string();
    let mark = if reached.access == Access::Write { "!" } else { "" };
    format!("{}{mark}", name.strip_prefix("public.").unwrap_or(&name))
}
