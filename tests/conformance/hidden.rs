//! Section E, what no text shows: code that a statement reaches without naming a setting, and that changes the session.
//!
//! Every case is two sessions on one server. What the first one's statement did must stay with it.

use super::prelude::*;
use crate::harness::cluster::{Database, since};
use crate::harness::message::Message;
use crate::harness::proxy::{Proxy, ProxyOptions};
use crate::harness::raw::Client;
use crate::harness::{big, direct_only, eventually};

/// A function that leaves a setting behind; what is found by its name is another test's matter.
const LEAVE: &str = "create function leave_it(v text default '77kB') returns boolean language plpgsql as \
    $$ begin perform set_config('work_mem', v, false); return true; end $$;";

/// Runs `setup` as the superuser in a database of its own, then each statement in both forms as a session of its own.
#[track_caller]
fn check(setup: &str, statements: &[&str]) {
    if direct_only() {
        return;
    }
    let cluster = Cluster::shared();
    let database = cluster.database();
    cluster.superuser(&database.name).run(&format!("grant create on schema public to app; {setup}"));
    cluster.superuser(&database.name).run("grant all on all tables in schema public to app");
    let proxy = Proxy::start(&cluster.url(APP, &database.name, "pool_size=1"));
    for statement in statements {
        for extended in [false, true] {
            stays_with_its_session(&proxy, &database, statement, extended);
        }
    }
}

#[track_caller]
fn stays_with_its_session(proxy: &Proxy, database: &Database<'_>, statement: &str, extended: bool) {
    let client = || Client::connect(&proxy.endpoint(), &database.login());
    let (mut a, mut b) = (client(), client());
    no_error(statement, &send(&mut a, statement, extended));
    assert_eq!(b.value("show work_mem"), "4MB", "of another session, extended: {extended}: {statement}");
    assert_eq!(a.value("show work_mem"), "77kB", "of its own session, extended: {extended}: {statement}");
}

fn send(client: &mut Client, sql: &str, extended: bool) -> Vec<Message> {
    if !extended {
        return client.simple(sql);
    }
    client.send(&[msg::unnamed(sql, &[]), msg::sync()].concat());
    client.until_ready()
}

#[track_caller]
fn no_error(statement: &str, messages: &[Message]) {
    assert!(messages.iter().all(|message| message.tag != b'E'), "{statement}: {messages:?}");
}

#[test]
fn functions_with_a_standard_body() {
    if !since(14) {
        return;
    }
    check(
        "create function by_return() returns text return set_config('work_mem', '77kB', false);
         create function atomic() returns text begin atomic select 1; select set_config('work_mem', '77kB', false); end;
         create procedure atomically() begin atomic select by_return(); end",
        &["select by_return()", "select * from atomic()", "call atomically()"],
    );
}

#[test]
fn functions_of_other_languages() {
    check(
        "create function other_name(text, text, boolean) returns text language internal as 'set_config_by_name';
         create language another handler plpgsql_call_handler;
         create function foreign_code() returns void language another as $$ begin perform set_config('work_mem', '77kB', false); end $$;
         create extension tablefunc;
         create function my_crosstab(text, text) returns setof record language c as '$libdir/tablefunc', 'crosstab_hash'",
        &[
            "select other_name('work_mem', '77kB', false)",
            "select foreign_code()",
            "select * from crosstab('select set_config(''work_'' || ''mem'', ''77kB'', false), ''a'', ''b''') as t(a text, b text)",
            "select * from my_crosstab('select set_config(''work_'' || ''mem'', ''77kB'', false), ''a'', ''b''', 'select ''a''') as t(a text, b text)",
        ],
    );
}

#[test]
fn functions_that_run_a_text() {
    check(
        "create table words (a text)",
        &[
            "select ts_rewrite('a'::tsquery, 'select to_tsquery(''a''), to_tsquery(set_config(''work_'' || ''mem'', ''77kB'', false))')",
            "select * from ts_stat('select to_tsvector(set_config(''work_'' || ''mem'', ''77kB'', false))')",
            "select query_to_xml('select set_config(''work_'' || ''mem'', ''77kB'', false)', true, true, '')",
        ],
    );
}

#[test]
fn functions_called_by_functions() {
    check(
        &format!(
            "{LEAVE}
             create function second() returns boolean language plpgsql as $$ begin return public.Leave_It(); end $$;
             create function \"Third\"() returns boolean language sql as $$ select second() $$;
             create function fourth() returns boolean language sql as $$ select \"Third\"() $$"
        ),
        &["select second()", "select \"Third\"()", "select fourth()"],
    );
}

#[test]
fn attribute_notation() {
    check(
        "create table t1 (i int); insert into t1 values (1);
         create function f(t1) returns text language sql as $$ select set_config('work_mem', '77kB', false) $$",
        &["select t1.f from t1", "select (x).\"f\" from t1 x", "select /* c */ (x) . F from t1 x"],
    );
}

#[test]
fn views_and_rules() {
    check(
        &format!(
            "{LEAVE}
             create table t (i int); insert into t values (1);
             create view v as select leave_it() from t;
             create view v2 as select * from v;
             create view direct as select set_config('work_mem', '77kB', false);
             create function reads_it() returns boolean language plpgsql as $$ begin return (select true from v2); end $$;
             create table ruled (i int);
             create rule r as on insert to ruled do also select leave_it();
             create view updatable as select * from ruled"
        ),
        &[
            "select * from v",
            "table v2",
            "select * from direct",
            "select reads_it()",
            "insert into ruled values (1)",
            "insert into updatable values (1)",
        ],
    );
}

#[test]
fn triggers() {
    check(
        &format!(
            "{LEAVE}
             create function fire() returns trigger language plpgsql as $$ begin perform leave_it(); return coalesce(new, old); end $$;
             create table t (i int);
             create trigger tr before insert on t for each row execute function fire();
             create view v as select * from t;
             create function writes() returns void language sql as $$ insert into t values (9) $$"
        ),
        &["insert into t values (1)", "insert into v values (1)", "select writes()"],
    );
}

#[test]
fn triggers_reached_through_other_tables() {
    check(
        &format!(
            "{LEAVE}
             create function fire() returns trigger language plpgsql as $$ begin perform leave_it(); return coalesce(new, old); end $$;
             create table parted (i int) partition by list (i);
             create table part partition of parted default;
             create trigger tr before insert on part for each row execute function fire();
             create function writes() returns void language sql as $$ insert into part values (9) $$;
             create table parent (i int); insert into parent values (1);
             create table child () inherits (parent); insert into child values (1), (2);
             create trigger tr before update on child for each row execute function fire();
             create table pk (i int primary key); insert into pk values (1), (2), (3), (4);
             create table fk (i int references pk on delete cascade on update cascade); insert into fk values (1), (2), (3), (4);
             create trigger tr after delete or update on fk for each row execute function fire()"
        ),
        &[
            "insert into parted values (1)",
            "select writes()",
            "update parent set i = i + 1",
            "delete from pk where i = (select min(i) from pk)",
            "update pk set i = i + 10 where i = (select min(i) from pk)",
        ],
    );
}

#[test]
fn defaults_and_constraints() {
    check(
        &format!(
            "{LEAVE}
             create function pure(int) returns int immutable language plpgsql as $$ begin perform leave_it(); return $1; end $$;
             create table defaulted (i int, b boolean default leave_it());
             create table direct (i int, b text default set_config('work_mem', '77kB', false));
             create table checked (i int check (pure(i) > 0));
             create table generated (i int, j int generated always as (pure(i)) stored);
             create table indexed (i int); create index on indexed (pure(i));
             create domain guarded as int check (pure(value) > 0);
             create table of_domain (i guarded);
             create function takes(guarded) returns int language plpgsql as $$ begin return 1; end $$;
             create table secret (i int); insert into secret values (1);
             alter table secret enable row level security;
             create policy p on secret using (leave_it());
             create function with_default(text default set_config('work_mem', '77kB', false)) returns int language plpgsql as $$ begin return 1; end $$"
        ),
        &[
            "insert into defaulted values (1)",
            "insert into direct values (1)",
            "insert into checked values (1)",
            "insert into generated values (1)",
            "insert into indexed values (1)",
            "select 1::guarded",
            "insert into of_domain values (1)",
            "select takes(1)",
            "select * from secret",
            "select with_default()",
        ],
    );
}

#[test]
fn operators_casts_and_aggregates() {
    check(
        &format!(
            "{LEAVE}
             create function op(int, int) returns boolean language plpgsql as $$ begin return leave_it(); end $$;
             create operator @#@ (function = op, leftarg = int, rightarg = int);
             create view by_operator as select 1 @#@ 2;
             create type pair as (a int, b int);
             create function to_int(pair) returns int language plpgsql as $$ begin perform leave_it(); return 1; end $$;
             create cast (pair as int) with function to_int(pair) as implicit;
             create table of_pair (p pair); insert into of_pair values ((1, 2));
             create table ints (i int);
             create function step(int, int) returns int language plpgsql as $$ begin perform leave_it(); return 1; end $$;
             create aggregate agg (int) (sfunc = step, stype = int, initcond = '0')"
        ),
        &[
            "select 1 @#@ 2",
            "select * from by_operator",
            "select ((1, 2)::pair)::int",
            "insert into ints select p from of_pair",
            "select agg(1)",
            "select agg(i) over () from generate_series(1, 2) i",
        ],
    );
}

#[test]
fn event_triggers() {
    check(
        &format!(
            "{LEAVE}
             create function on_ddl() returns event_trigger language plpgsql as $$ begin perform leave_it(); end $$;
             create event trigger et on ddl_command_end execute function on_ddl()"
        ),
        &["create table if not exists t (i int)", "comment on table t is 'x'", "alter table t add if not exists j int"],
    );
}

#[test]
fn statements_prepared_by_sql() {
    if direct_only() {
        return;
    }
    let cluster = Cluster::shared();
    let database = cluster.database();
    database.setup(&format!("{LEAVE} create view v as select leave_it()"));
    let proxy = Proxy::start(&cluster.url(APP, &database.name, "pool_size=1"));
    for (text, extended) in
        [("select leave_it()", false), ("table v", false), ("select leave_it()", true), ("table v", true)]
    {
        let client = || Client::connect(&proxy.endpoint(), &database.login());
        let (mut a, mut b) = (client(), client());
        a.run(&format!("prepare p as {text}"));
        no_error(text, &send(&mut a, "execute p", extended));
        assert_eq!(b.value("show work_mem"), "4MB", "{text}, extended: {extended}");
        assert_eq!(a.value("show work_mem"), "77kB", "{text}, extended: {extended}");
    }
}

#[test]
fn functions_called_by_number() {
    if direct_only() {
        return;
    }
    let cluster = Cluster::shared();
    let database = cluster.database();
    let proxy = Proxy::start(&cluster.url(APP, &database.name, "pool_size=1"));
    let client = || Client::connect(&proxy.endpoint(), &database.login());
    let (mut a, mut b) = (client(), client());
    const SET_CONFIG: u32 = 2078;
    a.send(&msg::function_call(SET_CONFIG, 0, &[Some(b"work_mem"), Some(b"77kB"), Some(b"f")], 0));
    no_error("a call by number", &a.until_ready());
    assert_eq!(b.value("show work_mem"), "4MB");
    assert_eq!(a.value("show work_mem"), "77kB");
}

#[test]
fn a_role_taken_in_a_view() {
    if direct_only() {
        return;
    }
    let cluster = Cluster::start("", &[]);
    cluster.superuser("postgres").run("create role staff; grant staff to app");
    let database = cluster.database();
    database.setup("create view become as select set_config('role', 'staff', false) as r");
    let proxy = Proxy::start(&cluster.url(APP, &database.name, "pool_size=1"));
    let client = || Client::connect(&proxy.endpoint(), &database.login());
    let (mut a, mut b) = (client(), client());
    a.run("select * from become");
    assert_eq!(b.value("select current_user"), "app");
    assert_eq!(a.value("select current_user"), "staff");
}

#[test]
fn custom_settings_that_only_the_function_names() {
    if direct_only() {
        return;
    }
    let cluster = Cluster::shared();
    let database = cluster.database();
    database.setup(
        "create function tenant(t text) returns void language plpgsql as $$ begin perform set_config('app.tenant', t, false); end $$",
    );
    let proxy = Proxy::start(&cluster.url(APP, &database.name, "pool_size=1"));
    let client = || Client::connect(&proxy.endpoint(), &database.login());
    let (mut a, mut b) = (client(), client());
    a.run("select tenant('a')");
    assert_eq!(b.value("select coalesce(current_setting('app.tenant', true), '')"), "");
    assert_eq!(a.value("select current_setting('app.tenant', true)"), "a");
}

/// Sessions of the pool's only server, on `workers` threads, and the database behind it.
#[track_caller]
fn with_sessions(workers: usize, pool_size: usize, case: impl Fn(&mut dyn FnMut() -> Client)) {
    if direct_only() {
        return;
    }
    let cluster = Cluster::shared();
    let database = cluster.database();
    let options = ProxyOptions::url(&cluster.url(APP, &database.name, &format!("pool_size={pool_size}")));
    let proxy = Proxy::start_with(&options.config(&format!("workers = {workers}\n")));
    case(&mut || Client::connect(&proxy.endpoint(), &database.login()));
}

fn create(name: &str) -> String {
    format!(
        "create function {name}() returns boolean language plpgsql as \
         $$ begin perform set_config('work_mem', '77kB', false); return true; end $$"
    )
}

#[test]
fn called_right_behind_its_creation() {
    with_sessions(1, 1, |client| {
        for extended in [false, true] {
            let (mut a, mut b) = (client(), client());
            let name = format!("f{}", u8::from(extended));
            let call = format!("select {name}()");
            let behind = match extended {
                false => msg::query(&call),
                true => [msg::unnamed(&call, &[]), msg::sync()].concat(),
            };
            a.send(&[msg::query(&create(&name)), behind].concat());
            no_error(&call, &a.until_ready());
            no_error(&call, &a.until_ready());
            assert_eq!(b.value("show work_mem"), "4MB", "extended: {extended}");
            assert_eq!(a.value("show work_mem"), "77kB", "extended: {extended}");
        }
    });
}

#[test]
fn called_at_once_by_another_session() {
    for workers in [1, 2] {
        with_sessions(workers, 2, |client| {
            let mut sessions: Vec<Client> = (0..6).map(|_| client()).collect();
            for round in 0..12 {
                let name = format!("f{round}");
                sessions[round % 6].run(&create(&name));
                sessions[(round + 1) % 6].run(&format!("select {name}()"));
                sessions[(round + 1) % 6].run("reset work_mem");
                sessions[(round + 2) % 6].run(&format!("select {name}()"));
                for other in [0, 1, 3, 4, 5] {
                    let seen = sessions[(round + other) % 6].value("show work_mem");
                    assert_eq!(seen, "4MB", "workers: {workers}, round: {round}, session: {other}");
                }
                sessions[(round + 2) % 6].run("reset work_mem");
            }
        });
    }
}

#[test]
fn created_in_a_block_or_by_a_session_that_leaves() {
    with_sessions(2, 2, |client| {
        let (mut a, mut b, mut c) = (client(), client(), client());
        a.run("begin");
        a.run(&create("f"));
        a.run("select f()");
        a.run("commit");
        assert_eq!([b.value("show work_mem"), c.value("show work_mem")], ["4MB", "4MB"]);
        assert_eq!(a.value("show work_mem"), "77kB");
        let mut leaving = client();
        leaving.run(&format!("do $do$ begin execute $e${}$e$; end $do$", create("g")));
        drop(leaving);
        b.run("select g()");
        assert_eq!(c.value("show work_mem"), "4MB");
        assert_eq!(c.value("show work_mem"), "4MB");
        assert_eq!(b.value("show work_mem"), "77kB");
    });
}

#[test]
fn created_by_a_function() {
    with_sessions(2, 2, |client| {
        let (mut a, mut b, mut c) = (client(), client(), client());
        a.run("create function make(n text) returns void language plpgsql as $m$ begin execute 'create function ' || n || '() returns text language sql as $$ select set_config(''work_mem'', ''77kB'', false) $$'; end $m$");
        std::thread::sleep(std::time::Duration::from_millis(500));
        a.run("select make('made')");
        b.run("select made()");
        assert_eq!(c.value("show work_mem"), "4MB");
        assert_eq!(a.value("show work_mem"), "4MB");
        assert_eq!(b.value("show work_mem"), "77kB");
    });
}

#[test]
fn views_made_anew_over_what_is_known() {
    with_sessions(2, 2, |client| {
        let (mut a, mut b, mut c) = (client(), client(), client());
        a.run(&create("f"));
        std::thread::sleep(std::time::Duration::from_millis(500));
        a.run("create view v as select f()");
        b.run("select * from v");
        assert_eq!(c.value("show work_mem"), "4MB");
        assert_eq!(a.value("show work_mem"), "4MB");
        assert_eq!(b.value("show work_mem"), "77kB");
        std::thread::sleep(std::time::Duration::from_millis(500));
        b.run("reset work_mem");
        b.run("select * from v");
        assert_eq!(c.value("show work_mem"), "4MB");
        assert_eq!(a.value("show work_mem"), "4MB");
    });
}

/// Connections that the cluster has logged.
fn connections(cluster: &Cluster) -> usize {
    cluster.log().matches("connection authorized").count()
}

#[test]
fn only_what_defines_code_is_read_again() {
    if direct_only() {
        return;
    }
    let cluster = Cluster::start("log_connections = on\n", &[]);
    let database = cluster.database();
    let proxy = Proxy::start(&cluster.url(APP, &database.name, "pool_size=1&share_servers=off"));
    let mut client = Client::connect(&proxy.endpoint(), &database.login());
    client.run("create table t (i int)");
    let before = connections(&cluster);
    for _ in 0..10 {
        client.run("create temp table of_session (i int); insert into of_session values (1)");
        client.run("begin");
        client.run("create table u (i int); create index on u (i)");
        client.run("truncate t; drop table u");
        client.run("commit");
        client.run("drop table of_session");
    }
    assert_eq!(connections(&cluster), before);
    // What is sent while they are read may be read behind once more.
    let settled = |count: usize| {
        let mut known = count;
        eventually("nothing is read any more", || {
            std::thread::sleep(std::time::Duration::from_millis(200));
            std::mem::replace(&mut known, connections(&cluster)) == known
        });
        known
    };
    client.run(&create("f"));
    eventually("the names are read again", || connections(&cluster) > before);
    let before = settled(before);
    client.run("create temp table of_session (i int); drop table of_session");
    client.run("create view v as select 1");
    client.run("select f()");
    client.run("reset work_mem");
    assert_eq!(client.value("select count(*) from v"), "1");
    assert_eq!(settled(before), before);
    client.run("create view w as select f()");
    eventually("they are again", || connections(&cluster) > before);
    if !since(14) {
        return;
    }
    let before = settled(before);
    client.run("create function harmless() returns int return 1");
    eventually("and again", || connections(&cluster) > before);
    let before = settled(before);
    client.run("select harmless()");
    client.run("table w");
    assert_eq!(settled(before), before);
}

/// It takes half a minute.
#[test]
fn defined_by_others_is_known_soon() {
    if direct_only() || !big() {
        return;
    }
    let cluster = Cluster::shared();
    let database = cluster.database();
    let proxy = Proxy::start(&cluster.url(APP, &database.name, "pool_size=1"));
    let client = || Client::connect(&proxy.endpoint(), &database.login());
    let (mut a, mut b) = (client(), client());
    database.setup(&create("f"));
    for _ in 0..32 {
        a.run("select 1");
        std::thread::sleep(std::time::Duration::from_secs(1));
    }
    a.run("select f()");
    assert_eq!(b.value("show work_mem"), "4MB");
    assert_eq!(a.value("show work_mem"), "77kB");
}
