-- Ways to write behind a statement that looks like a read, and statements near them: what attackers of the judgement tried.
--
-- Each section (`== title`) gets a database of its own with `log`, `t`, `ids`, `touch()` and `touch(int)`, and makes its objects. A line with `! ` is a
-- statement that must not be judged a read; one with `= ` must be, and a replica must answer it as the primary does.

== attribute on scalars
create type coin as (i int); create table purse (c coin); insert into purse values (row(1));
create function co(coin) returns bigint immutable language sql as 'select ($1).i::bigint';
create cast (coin as bigint) with function co(coin) as implicit;
create function vt(variadic t[]) returns int language sql as 'select touch()';
! select x.touch from generate_series(1,2) x
! select (5).touch
! select (5::bigint).pg_try_advisory_xact_lock
! select x.nextval from to_regclass('ids') x
! select x.pg_advisory_xact_lock from generate_series(1::bigint,2) x
! select ('ids'::regclass).nextval
! select ('transaction_read_only'::text).current_setting
! select x.current_setting from cast('transaction_read_only' as text) x
! select (c).touch from purse
! select (c).pg_try_advisory_xact_lock from purse
! select t.vt from t
== current_setting in code
create view v as select current_setting('transaction_read_only') as s;
create function f() returns text stable language sql as $$ select current_setting('in_hot_standby') $$;
create function g() returns text stable language plpgsql as $$ begin return current_setting('transaction_read_only'); end $$;
create function h() returns text stable return current_setting('transaction_read_only');
create table pt (i int); insert into pt values (1); alter table pt enable row level security;
create role nobody1; grant select on pt to nobody1;
create policy pp on pt using (current_setting('transaction_read_only') = 'off');
create view pv as select * from pt; alter view pv owner to nobody1;
! select * from v
! select f()
! select g()
! select h()
! select * from pv
== inlined sql functions
create function lk() returns setof t stable language sql as 'select * from t for update';
create function ins() returns setof t stable language sql as 'with x as (insert into t values (9, ''nine'') returning *) select * from x';
create function lk1() returns int stable language sql as 'select i from t limit 1 for update';
create function lk2() returns int stable language plpgsql as 'begin perform i from t for update; return 1; end';
create function ins2() returns int stable language sql as 'insert into t values (10) returning i';
create function ins3() returns int stable language plpgsql as 'begin insert into t values (10); return 1; end';
create function lkc() returns int stable language plpgsql as 'declare c cursor for select i from t for update; begin open c; return 1; end';
create function stmp() returns int stable language sql as 'create temp table x (i int); select 1';
create function sset() returns int stable language plpgsql as 'begin set work_mem = 100; return 1; end';
create function notif() returns int stable language plpgsql as 'begin notify x; return 1; end';
! select * from lk()
! select lk()
! select * from ins()
! select lk1()
! select lk2()
! select ins2()
! select ins3()
! select lkc()
= select sset()
= select notif()
== inlined standard body
create function lk() returns setof t stable language sql begin atomic select * from t for update; end;
create function ins() returns setof t stable language sql begin atomic with x as (insert into t values (9, 'nine') returning *) select * from x; end;
! select * from lk()
! select * from ins()
== tablefunc
create extension tablefunc;
! select * from crosstab('select 1, touch(), 2') as c(a int, b int)
! select * from crosstab('select 1, nextval(''ids''), 2') as c(a int, b int)
! select * from connectby('(select touch() as k, 5 as p) x', 'k', 'p', '5', 0) as c(k int, p int, l int)
== xml2
create extension xml2;
! select * from xpath_table('i', 'name', 't', '/x', 'touch() = 1') as x(i int, y text)
== isn
create extension isn;
! select isn_weak(true), isn_weak()
! select isn_weak()
== hash eq operator
create function kteq(kt anyelement) returns int immutable language sql as 'select 1';
create type k as enum ('a', 'b'); create table kt (c k); insert into kt values ('a'), ('a'), ('b'), ('a');
create domain nothing as int;
create function eqk(k, k) returns boolean immutable language plpgsql as 'begin perform touch(); return $1::text = $2::text; end';
create function hk(k) returns int immutable language sql as 'select 1';
create operator === (leftarg = k, rightarg = k, function = eqk, hashes, merges);
create operator class kops default for type k using hash as operator 1 ===, function 1 hk(k);
! select c from kt group by c
! select distinct c from kt
! select array_agg(c) = array_agg(c) from kt
== hash eq operator composite
create type k as (a int, b int); create table kt (c k); insert into kt values (row(1,2)), (row(1,2)), (row(2,3)), (row(1,2));
create function eqk(k, k) returns boolean immutable language plpgsql as 'begin perform touch(); return $1::text = $2::text; end';
create function hk(k) returns int immutable language sql as 'select 1';
create operator === (leftarg = k, rightarg = k, function = eqk, hashes, merges);
create operator class kops default for type k using hash as operator 1 ===, function 1 hk(k);
! select c from kt group by c
! select distinct c from kt
! select array[c] = array[c] from kt
== negator
create function pos(int, int) returns boolean immutable language sql as 'select $1 > $2';
create function neg(int, int) returns boolean immutable language plpgsql as 'begin perform touch(); return false; end';
create operator @@@ (leftarg = int, rightarg = int, function = pos, negator = !@@@);
create operator !@@@ (leftarg = int, rightarg = int, function = neg, negator = @@@);
! select * from t where not (i @@@ 5)
! select * from t where not (i operator(public.@@@) 5)
== commutator
create table big as select i from generate_series(1,20000) i; 
create function lt(int, int) returns boolean immutable language plpgsql as 'begin return $1 < $2; end';
create function gt(int, int) returns boolean immutable language plpgsql as 'begin perform touch(); return $1 > $2; end';
create function co(int, int) returns int immutable language plpgsql as 'begin return btint4cmp($1,$2); end';
create operator <| (leftarg = int, rightarg = int, function = lt, commutator = |>);
create operator |> (leftarg = int, rightarg = int, function = gt, commutator = <|);
create operator class ops2 for type int using btree as operator 1 <|, operator 2 <=, operator 3 =, operator 4 >=, operator 5 |>, function 1 co(int,int);
create index on big (i ops2); analyze big;
! select * from big where 19999 <| i
== moving aggregate
create function bb(bigint) returns boolean immutable language sql as 'select true';
create function minv(bigint, bigint) returns bigint immutable strict language sql as 'select $1 - $2';
create aggregate ag(bigint) (sfunc = int8pl, stype = bigint, finalfunc = bb, initcond = '0', msfunc = int8pl, minvfunc = int8mi, mstype = bigint, mfinalfunc = pg_try_advisory_xact_lock, minitcond = '0');
! select ag(i::bigint) over (order by i rows between 1 preceding and current row) from t
! select ag(i::bigint) over (order by i rows between current row and unbounded following) from t
== planner evaluates: index and constraint
create function imm(int) returns int immutable language plpgsql as 'begin perform touch(); return $1; end';
create table ix (i int); create index on ix ((i + imm(1)));
create table iy (i int); create index on iy (i) where i > imm(1);
create table par (i int); create table chi (check (i < imm(1))) inherits (par);
create table st (i int, j int); create statistics sst on (i + imm(1)), (j + 1) from st; 
create table pk (i int) partition by range ((i + imm(1))); create table pk1 partition of pk for values from (1) to (10);
insert into ix values (1); insert into iy values (5); insert into st values (1, 2);
! select * from ix where i = 1
! select * from iy where i = 5
! select * from par where i = 5
! select * from st where i = 1
! select * from pk where i = 5
== std strings off
create function sneaky() returns int stable language plpgsql set standard_conforming_strings = off set escape_string_warning=off as $$ declare x text := '\''; r int; begin execute 'select tou' || 'ch()' into r; return r; end $$;
! select sneaky()
== std strings off 2
create function sneaky() returns int stable language plpgsql set standard_conforming_strings = off set escape_string_warning=off as $$ declare x text := '\''; r int; y text; begin execute 'select tou' || 'ch()' into r; y := '\''; return r; end $$;
! select sneaky()
== big body
do $x$ begin execute format('create function large() returns int stable language plpgsql as %L', 'begin return touch(); end -- ' || repeat('x', 200001)); end $x$;
do $x$ begin execute format('create function large2() returns int stable language sql as %L', 'select touch() -- ' || repeat('x', 200001)); end $x$;
! select large()
! select large2()
== long names
do $x$ begin execute format('create function %s() returns int language sql as %L', repeat('x', 62), 'select touch()'); end $x$;
! select xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxé()
! select xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx()
== internal language
create function fake(regclass) returns bigint language internal strict stable as 'nextval_oid';
create function fake2() returns int language internal strict immutable as 'pg_backend_pid';
create function fake3() returns bool language internal strict stable as 'pg_is_in_recovery';
! select fake('ids')
! select fake2()
! select fake3()
== proconfig
create function cf() returns int stable language sql set transaction_read_only = off as 'select 1';
create function cg() returns int stable language plpgsql set default_transaction_isolation = serializable as 'begin return 1; end';
create function ch() returns int stable language plpgsql set session_replication_role = replica as 'begin return 1; end';
! select cf()
! select cg()
= select ch()
== pg_catalog functions
create type coin as (i int); create table purse (c coin); insert into purse values (row(1));
create function pg_catalog.timezone(text, coin) returns int language sql as 'select public.touch()';
create function pg_catalog.btrim(coin) returns int language sql as 'select public.touch()';
create function pg_catalog.like_escape(coin, coin) returns text language sql as 'select public.touch()::text';
! select c at time zone 'utc' from purse
! select trim(c) from purse
! select trim(both from c) from purse
== eq operator, truly default
create type k as (a int, b int); create table kt (c k); insert into kt values (row(1,2)), (row(1,2)), (row(2,3)), (row(1,2));
create function eqk(k, k) returns boolean immutable language plpgsql as 'begin perform touch(); return $1::text = $2::text; end';
create function ltk(k, k) returns boolean immutable language plpgsql as 'begin perform touch(); return $1::text < $2::text; end';
create function cmpk(k, k) returns int immutable language sql as 'select bttextcmp($1::text, $2::text)';
create function hk(k) returns int immutable language sql as 'select 1';
create operator === (leftarg = k, rightarg = k, function = eqk, hashes, merges);
create operator <<< (leftarg = k, rightarg = k, function = ltk);
create operator >>> (leftarg = k, rightarg = k, function = ltk);
create operator class kops default for type k using hash as operator 1 ===, function 1 hk(k);
create operator class kopsb default for type k using btree as operator 1 <<<, operator 3 ===, operator 5 >>>, function 1 cmpk(k,k);
! select c from kt group by c
! select distinct c from kt
! select count(distinct c) from kt
! select c, row_number() over (partition by c) from kt
! select c from kt union select c from kt
! select rank() over (order by c) from kt
== eq operator base type
create type k; create function kin(cstring) returns k language internal immutable strict as 'int4in'; create function kout(k) returns cstring language internal immutable strict as 'int4out';
create type k (input = kin, output = kout, internallength = 4, passedbyvalue, alignment = int4); create table kt (c k); insert into kt values ('1'), ('1'), ('2');
create cast (k as int) without function; 
create function eqk(k, k) returns boolean immutable language plpgsql as 'begin perform touch(); return $1::text = $2::text; end';
create function hk(k) returns int immutable language sql as 'select 1';
create operator === (leftarg = k, rightarg = k, function = eqk, hashes, merges);
create operator class kops default for type k using hash as operator 1 ===, function 1 hk(k);
! select c from kt group by c
! select distinct c from kt
! select array[c] = array[c] from kt
! select count(*) from kt group by array[c]
== negator on plpgsql
create function pos(int, int) returns boolean immutable language plpgsql as 'begin return $1 > $2; end';
create function neg(int, int) returns boolean immutable language plpgsql as 'begin perform touch(); return false; end';
create operator @@@ (leftarg = int, rightarg = int, function = pos);
create operator !@@@ (leftarg = int, rightarg = int, function = neg, negator = @@@);
create table cc (a bool); insert into cc values (true);
! select * from t where not (i @@@ 5)
! select * from t where not (i @@@ 5 or i @@@ 6)
! select * from t where (i @@@ 5) = false
== views over bodies
create view v1 as select * from t tablesample bernoulli (50) repeatable (1);
create function setlk() returns setof int stable language sql as 'select i from t for share';
create view v2 as select * from setlk();
create function agepl() returns int stable language sql as 'select 1';
! select * from v2
= select count(*) from v1
! select i from setlk() g(i) where i = 1
== node state
create extension pg_stat_statements; create extension dblink; create extension postgres_fdw; create extension sslinfo; create extension pg_trgm;
= select * from pg_timezone_names limit 1
= select version()
= select pg_get_keywords()
! select * from pg_hba_file_rules
= select * from pg_user_mappings
= select * from pg_stats
= select pg_my_temp_schema()
! select ssl_is_used()
! select dblink_get_connections()
= select show_limit()
= select * from pg_roles
= select * from pg_publication_tables
! select * from pg_sequences
= select * from information_schema.sequences
= select pg_sequence_parameters('ids'::regclass)
= select * from pg_sequence
! select 'ids'::regclass, (select last_value from pg_sequences)
! select pg_relation_filenode('t')
= select relfilenode, relpages, reltuples from pg_class where relname = 't'
= select to_char(now(), 'TZ'), current_date is null
= select statement_timestamp() is null
! select * from pg_config
= select mxid_age('5'::xid), age('100'::xid)
! select age(datfrozenxid), mxid_age(datminmxid) from pg_database where datname = current_database()
= select * from pg_largeobject_metadata
= select * from pg_shdepend where false
! select pg_tablespace_location(1663)
= select * from pg_timezone_abbrevs limit 1
! select * from pg_ident_file_mappings
! select * from pg_backend_memory_contexts limit 1
! select * from pg_available_extension_versions limit 1
! select pg_size_pretty(pg_relation_size('t'))
! select lo_get(1)
= select * from pg_seclabels
! select * from pg_prepared_xacts
! select pg_extension_update_paths('dblink')
= select convert_from('abc', 'utf8')
= select pg_client_encoding(), getdatabaseencoding()
= select pg_encoding_to_char(encoding) from pg_database limit 1
! select cmin, xmax, ctid, tableoid from t
! select pg_snapshot_xmax(pg_current_snapshot())
= select * from pg_replication_origin
= select has_database_privilege('postgres', 'create')
= select has_table_privilege('t', 'insert')
= select row_security_active('t')
= select pg_is_other_temp_schema(1)
! select pg_indexes_size('t')
! select * from t for update
= select * from generate_series(1, 2) with ordinality
= select pg_column_compression(name) from t
= select uuid_generate_v4()
= select pg_get_replica_identity_index('t')
! select * from pg_get_replication_slots()
! select pg_last_wal_replay_lsn()
! select pg_current_wal_lsn()
= select system_user
= select user, current_catalog, session_user
! select pg_collation_actual_version(100)
! select pg_partition_tree('t')
! select * from rows from (generate_series(1,2), touch())
= select pg_char_to_encoding('utf8')
= select ts_lexize('english_stem', 'stars')
= select * from ts_debug('english', 'a fat')
! select pg_xact_commit_timestamp(xmin) from t
= select pg_indexam_has_property(403, 'can_order')
! select * from pg_statio_user_tables
= select json_agg(t) from t
! select currtid2('t', '(0,1)')
== ORMs and tools
create schema s; create table users (id bigserial primary key, email varchar(100) not null, created_at timestamp default now(), data jsonb); create unlogged table cache (key text primary key, value text);
create index on users (email); create view active_users as select * from users; create extension citext; create extension hstore; create extension pgcrypto; create extension pg_trgm; create extension "uuid-ossp";
create function set_updated_at() returns trigger language plpgsql as 'begin return new; end';
create trigger a before update on users for each row execute function set_updated_at();
create function slugify(text) returns text language sql as 'select lower($1)';
create type mood as enum ('sad', 'ok');
= SELECT a.attname, format_type(a.atttypid, a.atttypmod), pg_get_expr(d.adbin, d.adrelid), a.attnotnull, a.atttypid, a.atttypmod, c.collname, col_description(a.attrelid, a.attnum) AS comment, attidentity AS identity, attgenerated as attgenerated FROM pg_attribute a LEFT JOIN pg_attrdef d ON a.attrelid = d.adrelid AND a.attnum = d.adnum LEFT JOIN pg_type t ON a.atttypid = t.oid LEFT JOIN pg_collation c ON a.attcollation = c.oid AND a.attcollation <> t.typcollation WHERE a.attrelid = '"users"'::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
= SELECT t.oid, t.typname, t.typelem, t.typdelim, t.typinput, r.rngsubtype, t.typtype, t.typbasetype FROM pg_type as t LEFT JOIN pg_range as r ON oid = rngtypid WHERE t.typname IN ('int2', 'int4') OR t.typtype IN ('r','e','d') OR t.typinput = 'array_in(cstring,oid,integer)'::regprocedure OR t.typelem != 0
= SELECT c.relname FROM pg_class c LEFT JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = ANY (current_schemas(false)) AND c.relkind IN ('r','v','m','p','f')
= SELECT c.relname, CASE WHEN c.relispartition THEN 'p' WHEN c.relkind IN ('m', 'v') THEN 'v' ELSE 't' END, obj_description(c.oid, 'pg_class') FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('f', 'm', 'p', 'r', 'v') AND n.nspname NOT IN ('pg_catalog', 'pg_toast') AND pg_catalog.pg_table_is_visible(c.oid)
= select current_schema()
= select pg_catalog.version()
= SELECT current_database()
! SHOW server_version
! show transaction isolation level
= SELECT "users"."id", "users"."email" FROM "users" WHERE "users"."email" = $1 LIMIT $2
= SELECT users.id AS users_id, count(*) AS count_1 FROM users WHERE users.data ->> 'k' = 'x' GROUP BY users.id
= select u1_0.id,u1_0.email from users u1_0 where u1_0.email like ? escape '' offset ? rows fetch first ? rows only
= SELECT "public"."users"."id" FROM "public"."users" WHERE 1=1 OFFSET $1
= SELECT 1 AS one FROM "users" WHERE "users"."key" = 'a' LIMIT 1
! SELECT "users"."value", "cache" FROM users
= SELECT id, key FROM users
! SELECT nextval('users_id_seq')
! SELECT users.ids from users
= SELECT log FROM users
= SELECT updated_at, value FROM users WHERE email IN ('a') AND created_at > now() - interval '1 day'
! SELECT "users".* FROM "users" WHERE (deleted_at IS NULL) AND update IS NULL
= SELECT t.delete FROM users t
= SELECT u.insert, count(*) AS update FROM users u
! SELECT "update", can_update, delete FROM permissions
! select slugify(email) from users
! SELECT current_setting('server_version_num')
! SELECT current_setting('search_path')
= SELECT current_setting('app.tenant', true)
! SELECT pg_table_size('users')
! SELECT setting FROM pg_settings WHERE name = 'max_index_keys'
= SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_.*' AND nspname NOT IN ('information_schema') ORDER by nspname
= SELECT table_schema, table_name FROM information_schema.tables
= SELECT * FROM information_schema.columns c JOIN information_schema.key_column_usage USING (table_name)
= SELECT * FROM information_schema.table_privileges
= select * from pg_matviews
= select * from pg_indexes
! select n.nspname, c.relname, s.n_live_tup from pg_class c join pg_namespace n on n.oid = c.relnamespace left join pg_stat_user_tables s on s.relid = c.oid
= SELECT extname FROM pg_extension
! SELECT name FROM pg_available_extensions
= SELECT pg_encoding_to_char(d.encoding) FROM pg_database d
! select gen_random_bytes(3)
! select uuid_generate_v4() from users
= SELECT email FROM users ORDER BY similarity(email, 'x') DESC
= SELECT * FROM users WHERE email % 'x'
= SELECT * FROM users TABLESAMPLE system (1)
! SELECT lastval()
= SELECT pg_sleep(0)
= select x.* from users x, lateral (select 1) y
= select * from users where id = 1 /* update */
= with recursive a as (select 1 as n union all select n + 1 from a where n < 3) select * from a
= (select 1) union (select 2)
= select exists(select 1 from users)
= select 'x' as "into"
= SELECT "into", "for" FROM users
= SELECT key.value FROM jsonb_each('{"a":1}') key
= SELECT * FROM users CROSS JOIN LATERAL jsonb_each(data) AS e(key, value)
= SELECT string_agg(email, ',') FROM users WHERE id::text ILIKE '%x%'
= SELECT e::mood FROM unnest(enum_range(null::mood)) e
= SELECT id, pg_size_pretty(10::bigint) FROM users
= SELECT date_trunc('day', created_at AT TIME ZONE 'UTC') FROM users GROUP BY 1
= SELECT pg_get_serial_sequence('users', 'id')
! SELECT s.sequencename, s.last_value FROM pg_sequences s
= select conname, pg_get_constraintdef(oid) from pg_constraint
= select tgname, pg_get_triggerdef(oid) from pg_trigger
= select proname, pg_get_functiondef(oid) from pg_proc where proname = 'slugify'
== xid without wal
begin; select pg_current_xact_id(); rollback;
! select age(datfrozenxid) from pg_database where datname = current_database()
= select age('100'::xid)
== in_range etc plan-time operators
create table big as select i from generate_series(1,20000) i; 
create function lt(int, int) returns boolean immutable language plpgsql as 'begin perform touch(); return $1 < $2; end';
create function gt(int, int) returns boolean immutable language plpgsql as 'begin perform touch(); return $1 > $2; end';
create function le(int, int) returns boolean immutable language plpgsql as 'begin perform touch(); return $1 <= $2; end';
create function ge(int, int) returns boolean immutable language plpgsql as 'begin perform touch(); return $1 >= $2; end';
create function co(int, int) returns int immutable language plpgsql as 'begin return btint4cmp($1,$2); end';
create operator <| (leftarg = int, rightarg = int, function = lt, commutator = |>, restrict = scalarltsel);
create operator |> (leftarg = int, rightarg = int, function = gt, commutator = <|, restrict = scalargtsel);
create operator <=| (leftarg = int, rightarg = int, function = le, restrict = scalarlesel);
create operator |>= (leftarg = int, rightarg = int, function = ge, restrict = scalargesel);
create operator class ops2 for type int using btree as operator 1 <|, operator 2 <=|, operator 3 =, operator 4 |>=, operator 5 |>, function 1 co(int,int);
create index on big (i ops2); analyze big;
! select count(*) from big a join big b using (i)
! select count(*) from big a, big b where a.i = b.i and a.i = 7
! select max(i) from big
! select * from big where i = 5
== canonical replaced
create type fr; create function canon(fr) returns fr language internal immutable strict as 'int4range_canonical';
create type fr as range (subtype = int, canonical = canon);
create or replace function canon(fr) returns fr language plpgsql immutable strict as 'begin perform touch(); return $1; end';
create table frt (f fr); 
! select '[1,2]'::fr
! select fr(1, 2)
! select frt.f from frt
! select fr_multirange('{[1,2]}')
! select '{[1,2]}'::fr_multirange
== subtype diff and range of domain
create function sd(int, int) returns float8 immutable language plpgsql as 'begin perform touch(); return 1; end';
create type r2 as range (subtype = int, subtype_diff = sd);
create table r2t (r r2); insert into r2t select r2(i, i+1) from generate_series(1,10) i; create index on r2t using gist (r);
create domain busyd as int check (touch(value) = 1);
create type r3 as range (subtype = busyd);
create domain busya as int[] check (touch() = 1);
create domain busyc as t check (touch() = 1);
create type deep as (a busyd[]); create table deept (d deep[]); create view deepv as select d from deept;
create function fd(x deep) returns int stable language sql as 'select 1';
! select r from r2t where r && r2(1, 2)
! select r3(1, 2)
! select '[1,2]'::r3
! select '{1}'::busya
! select '(1,x)'::busyc
! select json_populate_record(null::deept, '{"d":[{"a":[1]}]}')
! select d from deept
! select json_populate_record(x, '{"d":[{"a":[1]}]}') from deepv x
! select fd('("{1}")')
! select * from json_to_record('{"a":1}') as (a busyd)
! select * from xmltable('/a' passing '<a>1</a>' columns x busyd path '.')
! select * from xmltable('/a' passing '<a>1</a>' columns x int path '.' default touch())
== casts in body
create type coin as (i int);
create type gold as (i int);
create function cg(coin) returns gold language plpgsql as 'begin perform touch(); return row(1)::gold; end';
create cast (coin as gold) with function cg(coin) as assignment;
create table ct (c coin, g gold); insert into ct values (row(1), row(1));
create function assign() returns int stable language plpgsql as $$ declare r ct%rowtype; begin select * into r from ct; r.g := r.c; return 1; end $$;
create function assign2() returns int stable language plpgsql as $$ declare r ct; begin for r in select c, c from ct loop end loop; return 1; end $$;
create function retg() returns gold stable language sql as 'select c from ct';
! select assign()
! select assign2()
! select retg()
! select g from ct union all select null
== body with functional notation
create function hid() returns int stable language plpgsql as $$ begin return (5).touch; end $$;
create function hid2() returns int stable language sql as 'select x.touch from generate_series(1,2) x';
create view hidv as select (i).touch from t;
create function hid3() returns int stable language sql as 'select "touch" (1)';
create function hid4() returns int stable language sql as $$ select U&"touc\0068"(1) $$;
create function hid5() returns int stable language plpgsql as $$ begin return touch -- (
 (1); end $$;
create function hid6() returns int stable language plpgsql as $$ #variable_conflict use_column
 <<a>> declare c cursor (k int) for select touch(k); r record; begin open c(1); fetch c into r; return 1; end $$;
create function hid7() returns int stable language plpgsql as $$ declare c refcursor; r record; begin open c for execute 'select tou' || 'ch()'; fetch c into r; return 1; end $$;
create function hid8(refcursor) returns int stable language plpgsql as $$ declare r record; begin fetch $1 into r; return 1; end $$;
! select hid()
! select hid2()
! select * from hidv
! select hid3()
! select hid4()
! select hid5()
! select hid6()
! select hid7()
== cursor names
create function curs() returns refcursor stable language plpgsql as $$ declare c refcursor := 'cc'; begin open c for select 1; return c; end $$;
= select curs()
== partitions
create table pr (i int) partition by list (i); create unlogged table pr1 partition of pr for values in (1); create table pr2 partition of pr for values in (2);
create view prv as select * from pr; create view prv2 as table prv;
create extension file_fdw; create server fs foreign data wrapper file_fdw; create table pf (a text) partition by list (a); create foreign table pf1 partition of pf for values in ('x') server fs options (filename '/etc/hostname');
create materialized view mv as select * from pr;
create table lpart (i int) partition by hash (i);
! select * from pr
! select * from prv2
! select * from pf
= select * from mv
= select i from pr2
== large objects and dictionary
select lo_from_bytea(4711, 'abc');
= select data from pg_largeobject where loid = 4711
! select pg_catalog.lo_get(4711)
== security
create role r1; create table sec (i int); insert into sec values (1); alter table sec enable row level security; create policy x on sec using (exists (select 1 from pg_stat_activity)); create view secv with (security_barrier) as select * from sec;
create table sec2 (i int); alter table sec2 enable row level security; create policy x on sec2 using (exists (select 1 from secv));
create table sec3 (i int); alter table sec3 enable row level security; create policy x on sec3 for update using (touch() = 1);
! select * from secv
! select * from sec2
! select * from sec3
== merge/search
= with recursive s as (select 1 as n union all select n+1 from s where n < 2) search depth first by n set o select * from s
= with recursive s as (select 1 as n union all select n+1 from s where n < 2) cycle n set c using p select * from s
= with x as (select 1) select t.update from t
= select * from t for  read only
! select * from t where exists (select 1 from t for key share)
! select * from (select * from t for update of t) x
! select 1 as update from t for/**/share
== xid in progress
begin; select pg_current_xact_id();
! select age(datfrozenxid) from pg_database where datname = current_database()
== composite types
create function chk(int) returns boolean immutable language plpgsql as 'begin perform touch(); return true; end';
create domain picky as int check (chk(value));
create type pair as (a picky, b int);
create type outerp as (p pair); create table tp (p pair, q int);
create function fp(pair) returns int stable language sql as 'select ($1).b';
create domain dp as pair;
create view vtp as select p from tp;
! select '(1,2)'::pair
! select '{"(1,2)"}'::_pair
! select '{"(1,2)"}'::pair[]
! select fp('(1,2)')
! select fp((1,2))
! select json_populate_record(null::tp, '{"p":{"a":1}}')
! select json_populate_record(null::outerp, '{"p":{"a":1}}')
! select json_populate_record(v, '{"p":{"a":1}}') from (select tp.* from tp right join (select 1) x on true) v
! select '(1,2)'::dp
! select '("(1,2)")'::outerp
! select * from tp where p = '(1,2)'
! select p from tp union select '(1,2)'
== composite cast
create type coin as (i int); create type gold as (i int);
create function cg(coin) returns int language plpgsql as 'begin perform touch(); return 1; end';
create cast (coin as int) with function cg(coin) as implicit;
create function mk() returns coin[] stable language sql as $$ select array[row(1)::coin] $$;
create type wr as (c coin); create table wt (w wr); insert into wt values (row(row(1)));
create view wv as select (w).c as c from wt;
! select (w).c + 1 from wt
! select c + 1 from wv
! select (mk())[1] + 1
== quoted names
create function "select"() returns int language sql as 'select touch()'; create function public."overlay"(int) returns int language sql as 'select touch()';
create function "extract"(text, int) returns int language sql as 'select touch()';
create function "left"(int) returns int language sql as 'select touch()'; create function "coalesce"(int) returns int language sql as 'select touch()';
create function "CamelCase"() returns int language sql as 'select touch()';
! select "select"()
! select public."left"(1)
! select public.coalesce(1)
! select public."CamelCase"()
! select "CamelCase"/*(*/()
! select t.* from t where "left"(i) = 1
! select extract(year from now())
== all extensions A
create extension citext; create extension hstore; create extension ltree; create extension intarray; create extension btree_gist; create extension btree_gin; create extension cube; create extension earthdistance; create extension isn; create extension seg; create extension lo; create extension pg_trgm; create extension unaccent; create extension tablefunc; create extension xml2; create extension fuzzystrmatch; create extension dict_int; create extension tsm_system_rows; create extension tsm_system_time; create extension pgcrypto; create extension intagg; create extension bloom;
create table e (c citext, h hstore, l ltree, a int[], q cube, o lo, i isbn);
= select 1
= select c from e where c = 'x' and c like 'x%' group by c order by c
= select h -> 'a', h ? 'b', (h).* from e
= select h->'a' from e where h @> 'a=>1'
= select * from each('a=>1'::hstore)
= select * from e where l ~ '*.a' and a && array[1] and l @> 'a.b'
= select earth_distance(ll_to_earth(1,1), ll_to_earth(2,2))
= select unaccent('é')
= select levenshtein('a', 'b'), soundex('a'), similarity('a', 'b')
! select * from t tablesample system_rows(1)
= select digest('a', 'sha256'), crypt('a', 'b')
= select o from e
= select i from e where i = '9780393040029'
! select connectby('t', 'i', 'i', '1', 0)
= select xpath_nodeset('<a/>', '/a')
! select crosstab3('select 1,2,3')
= select populate_record(null::e, 'a=>1')
! select int_array_aggregate(i) from t
== isn two
create extension isn;
! select isn_weak(true) where false or set_config('a.b','c', true) is null
== typical app functions without volatility
create function current_tenant() returns int language sql as $$ select current_setting('app.tenant', true)::int $$;
create table ten (id int, tenant int); alter table ten enable row level security; create policy p on ten using (tenant = current_tenant());
create function full_name(t) returns text language sql as 'select $1.name';
create function valid_email(text) returns boolean language sql as $$ select $1 like '%@%' $$;
create domain email as text check (valid_email(value));
create table people (id int, email email, full_name text);
create table others (id int, email text, full_name text);
create function count_rows(text) returns bigint stable language plpgsql as $$ declare r bigint; begin execute format('select count(*) from %I', $1) into r; return r; end $$;
create function format_name(text) returns text language plpgsql as $$ begin return upper($1); end $$;
create view people_v as select id, format_name(full_name) as n from others;
create table log_entries (id int, log text); create unlogged table sessions (id int, data text); create unlogged table users_cache (users int);
create sequence position_seq; create sequence orders_id;
! select * from ten
! select id from people where email = 'a@b'
! select email from others where id = 1
! select o.full_name from others o
= select full_name from others
! select * from people_v
! select s.data from other_sessions sessions s
! select sessions from stats
! select stats.sessions from stats
! select count(*) as sessions from t
! select orders_id from order_lines
! select a.orders_id from order_lines a
