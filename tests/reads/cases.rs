//! Every way to write behind a SELECT that is known to us.

use super::{barriers, reason};
use crate::harness::cluster::{Cluster, since};

const OBJECTS: &str = "
    create schema s;
    create table log (at timestamptz, what text);
    create table t (i int, name text, status int);
    insert into t values (1, 'one', 7), (2, 'two', 7);
    create unlogged table scratch (i int);
    create sequence ids;

    create function touch() returns int language plpgsql as $$ begin insert into public.log values (now(), 'x'); return 1; end $$;
    create function status() returns int language sql as 'select touch()';
    create function audit(t) returns int language sql as 'select touch()';
    create function total(int) returns bigint stable language sql as 'select sum(i) + $1 from t';
    -- It only promises to be stable.
    create function liar() returns int stable language sql as 'select 1 + touch()';
    create function s.liars_friend(int) returns int immutable language plpgsql as $$ begin return $1 + liar(); end $$;
    create function built(text) returns int stable language plpgsql as $$ declare r int; begin execute $1 into r; return r; end $$;
    create function takes(i int default touch()) returns int stable language sql as 'select $1';
    create function \"Quoted\"\"Name\"() returns int language sql as 'select touch()';
    create aggregate touches(int) (sfunc = touch_step, stype = int, initcond = '0');
    create operator @#@ (leftarg = int, rightarg = int, function = touch_both);
    create domain picky as int check (touch_check(value));
    create type pair as (a picky, b int);
    create type celsius as (degrees float);
    create type kelvin as (degrees float);
    create function warm(celsius) returns kelvin language plpgsql as $$ begin perform touch(); return row(($1).degrees)::kelvin; end $$;
    create cast (celsius as kelvin) with function warm(celsius);

    create type coin as (i int);
    create function worth(coin) returns int language plpgsql as $$ begin perform touch(); return 1; end $$;
    create cast (coin as int) with function worth(coin) as implicit;
    create function coins() returns coin stable language sql as 'select row(1)::public.coin';
    create table purse (c coin);
    create view purses as select * from purse;

    create view quiet as select i, name from t where i > 0;
    create view busy as select i, touch() as j from t;
    create view onward as select i from busy;
    create view counted as select i, nextval('ids') as n from t;
    create view locked as select i from t for update;
    create view activity as select pid from pg_stat_activity;
    create view at_scratch as select * from scratch;
    create materialized view kept as select touch() as j;
    create table guarded (i int);
    create policy p on guarded using (touch() = 1);
    alter table guarded enable row level security;
    create table written (i int default touch() check (touch_check(i)));
    create function on_write() returns trigger language plpgsql as $$ begin perform touch(); return new; end $$;
    create trigger written before insert on written for each row execute function on_write();
    create rule r as on insert to written do also insert into public.log values (now(), 'rule');
    create table parent (i int);
    create unlogged table child () inherits (parent);
";

/// These use others before they are made.
const BEFORE: &str = "
    create function touch_step(int, int) returns int language sql as 'select 1';
    create function touch_both(int, int) returns int language sql as 'select 1';
    create function touch_check(int) returns boolean language sql as 'select true';
";

const READS: &[&str] = &[
    "select * from t",
    "select status, t.status from t where name like 'o%' order by 1 limit 2",
    "select count(*), max(t.i) filter (where i > 1) from quiet q join t using (i) group by q.name",
    "select total(1), lower(name), i::text || 'x', cast(i as numeric(5, 2)) from t",
    "with a as (select * from t) select * from a where exists (select 1 from quiet where quiet.i = a.i)",
    "select now(), current_timestamp, random() < 2, clock_timestamp() > now(), gen_random_uuid() is not null",
    "select i, row_number() over (partition by name order by i) from t",
    "table quiet",
    "values (1, 'nextval(''ids'')'), (2, $$touch()$$)",
    "select * from generate_series(1, 3) g(i) where i in (1, 2) and i between 1 and 2",
    "select j from kept",
    "select i from written",
    "select c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace where pg_table_is_visible(c.oid)",
    "select table_name, column_name from information_schema.columns where table_schema = 'public'",
    "select pg_get_viewdef('quiet'::regclass), format_type(23, -1), pg_typeof(1), obj_description(1, 'pg_class')",
    "select jsonb_build_object('a', 1) -> 'a', array[1, 2] @> array[1], '{\"a\": 1}'::jsonb #>> '{a}'",
    "select coalesce(sum(i), 0), extract(year from now()), substring(name from 1 for 2) from t group by name",
    "select row(1.5)::celsius",
];

const NOT_READS: &[&str] = &[
    "select touch()",
    "select * from touch()",
    "select status ( ) from t",
    "select t.audit from t",
    "select (t).audit from t",
    "select (select t from t limit 1).audit",
    "select audit(t) from t",
    "select liar()",
    "select s . liars_friend (1)",
    "select \"s\".\"liars_friend\"(i) from t",
    "select built('select touch()')",
    "select takes()",
    "select \"Quoted\"\"Name\"()",
    "select touches(i) from t",
    "select touches(i) over () from t",
    "select 1 @#@ 2",
    "select 1 operator(public.@#@) 2",
    "select 1::picky",
    "select cast(i as picky) from t",
    "select row(1, 2)::pair",
    "select '{1}'::picky[]",
    "select '{1}'::_picky",
    "select json_populate_record(null::pair, '{\"a\": 1}')",
    "select row(1)::celsius::kelvin",
    "select coins() + 1",
    "select c + 1 from purse",
    "select c + 1 from purses",
    "select * from busy",
    "select * from \"busy\"",
    "table onward",
    "select * from counted",
    "select * from locked",
    "select * from activity",
    "select count(*) from pg_stat_activity",
    "select * from guarded",
    "select * from scratch",
    "select * from at_scratch",
    "select * from parent",
    "select last_value from ids",
    "select nextval('ids')",
    "select pg_catalog.setval('ids', 7)",
    "select pg_notify('a', 'b')",
    "select lo_create(0)",
    "select txid_current()",
    "select pg_current_xact_id()",
    "select pg_advisory_xact_lock(1)",
    "select pg_is_in_recovery()",
    "select pg_backend_pid()",
    "select inet_server_port()",
    "select query_to_xml('select touch()', true, true, '')",
    "select table_to_xml('busy', true, true, '')",
    "select pg_terminate_backend(0)",
];

#[test]
fn what_writes_behind_a_select() {
    let cluster = Cluster::shared();
    let database = cluster.database();
    let mut server = cluster.superuser(&database.name);
    server.run(BEFORE);
    server.run(OBJECTS);
    let standard = "create function standard() returns int stable return (select touch() from t limit 1);
        create view by_standard as select standard() as s;
        create function own_by_standard() returns bigint stable return nextval('ids');";
    let since_14: &[&str] =
        &["select standard()", "select * from by_standard", "select own_by_standard() from t"];
    if since(14) {
        server.run(standard);
    }
    let since_16: &[&str] =
        &["select pg_input_is_valid('1', 'picky')", "select * from pg_input_error_info('1', 'picky')"];
    let barriers = barriers(&mut cluster.superuser(&database.name));
    let later = since_14.iter().filter(|_| since(14)).chain(since_16.iter().filter(|_| since(16)));
    for text in NOT_READS.iter().chain(later) {
        assert!(reason(text, &barriers).is_some(), "judged to be a read: {text}");
        let answer = server.simple(&format!("begin; {text}; rollback"));
        let failed = answer.iter().find(|message| message.tag == b'E').map(ToString::to_string);
        assert_eq!(failed.filter(|error| !error.contains("terminate")), None, "{text}");
        server.simple("rollback");
    }
    for text in READS {
        assert_eq!(reason(text, &barriers), None, "{text}");
        let answer = server.simple(&format!("begin read only; {text}"));
        let failed = answer.iter().find(|message| message.tag == b'E').map(ToString::to_string);
        assert_eq!(failed, None, "{text}");
        assert_eq!(server.value("select pg_current_xact_id_if_assigned() is null"), "t", "{text}");
        server.run("rollback");
    }
}

/// What an index or a cast does is not written where it is used.
#[test]
fn what_is_not_mentioned_at_all() {
    for objects in [
        "create function less(text, text) returns boolean language sql as 'select true';
         create operator <= (leftarg = text, rightarg = text, function = less)",
        "create function mine(text, text) returns int language plpgsql as $$ begin return 1; end $$;
         create operator class odd for type text using btree as function 1 mine(text, text)",
        "create function odd(text) returns money language plpgsql as $$ begin return 1; end $$;
         create cast (text as money) with function odd(text) as implicit",
        "create type small as (i int);
         create function narrow(small) returns int language plpgsql as $$ begin return 1; end $$;
         create cast (small as int) with function narrow(small)",
    ] {
        let cluster = Cluster::shared();
        let database = cluster.database();
        let mut server = cluster.superuser(&database.name);
        assert_eq!(reason("select 1", &barriers(&mut cluster.superuser(&database.name))), None);
        server.run(objects);
        let barriers = barriers(&mut cluster.superuser(&database.name));
        assert!(reason("select 1", &barriers).is_some(), "{objects}");
    }
}
