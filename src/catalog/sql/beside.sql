-- Two columns: one text that is another one when something has changed on which answers depend beside rows and a session's own settings, which is definitions, rights, and
-- settings of roles and the database; and when the server has last read its configuration, as far as this session has noticed. Under Reach::SETTINGS.
--
-- What is temporary is left out: it is its session's own, and comes and goes all the time. Of relations and roles not by who has written their rows last: TRUNCATE, CLUSTER
-- and VACUUM have, and a password is no right.
WITH temporary AS MATERIALIZED (
    SELECT oid FROM pg_namespace WHERE nspname ~ '^pg_(toast_)?temp_'
), own AS MATERIALIZED (
    SELECT oid FROM pg_class WHERE relpersistence = 't'
)
SELECT concat_ws(' ',
    (SELECT concat(count(*), '/', sum(xmin::text::int8)) FROM pg_proc WHERE pronamespace NOT IN (TABLE temporary)),
    (SELECT concat(count(*), '/', sum(xmin::text::int8)) FROM pg_type WHERE typnamespace NOT IN (TABLE temporary)),
    (SELECT concat(count(*), '/', sum(xmin::text::int8)) FROM pg_rewrite WHERE ev_class NOT IN (TABLE own)),
    (SELECT concat(count(*), '/', sum(xmin::text::int8)) FROM pg_trigger WHERE tgrelid NOT IN (TABLE own)),
    (SELECT concat(count(*), '/', sum(xmin::text::int8)) FROM pg_attrdef WHERE adrelid NOT IN (TABLE own)),
    (SELECT concat(count(*), '/', sum(xmin::text::int8)) FROM pg_constraint WHERE conrelid NOT IN (TABLE own)),
    (SELECT concat(count(*), '/', sum(xmin::text::int8)) FROM pg_inherits WHERE inhrelid NOT IN (TABLE own)),
    (SELECT concat(count(*), '/', sum(xmin::text::int8)) FROM pg_attribute WHERE attrelid NOT IN (TABLE own)),
    (SELECT concat(count(*), '/', sum(xmin::text::int8)) FROM pg_index WHERE indrelid NOT IN (TABLE own)),
    (SELECT concat(count(*), '/', sum(xmin::text::int8)) FROM pg_namespace WHERE oid NOT IN (TABLE temporary)),
    (SELECT concat(count(*), '/', sum(xmin::text::int8)) FROM pg_event_trigger),
    (SELECT concat(count(*), '/', sum(xmin::text::int8)) FROM pg_policy),
    (SELECT concat(count(*), '/', sum(xmin::text::int8)) FROM pg_operator),
    (SELECT concat(count(*), '/', sum(xmin::text::int8)) FROM pg_opclass),
    (SELECT concat(count(*), '/', sum(xmin::text::int8)) FROM pg_amop),
    (SELECT concat(count(*), '/', sum(xmin::text::int8)) FROM pg_amproc),
    (SELECT concat(count(*), '/', sum(xmin::text::int8)) FROM pg_aggregate),
    (SELECT concat(count(*), '/', sum(xmin::text::int8)) FROM pg_cast),
    (SELECT concat(count(*), '/', sum(xmin::text::int8)) FROM pg_enum),
    (SELECT concat(count(*), '/', sum(xmin::text::int8)) FROM pg_range),
    (SELECT concat(count(*), '/', sum(xmin::text::int8)) FROM pg_collation),
    (SELECT concat(count(*), '/', sum(xmin::text::int8)) FROM pg_conversion),
    (SELECT concat(count(*), '/', sum(xmin::text::int8)) FROM pg_language),
    (SELECT concat(count(*), '/', sum(xmin::text::int8)) FROM pg_ts_config),
    (SELECT concat(count(*), '/', sum(xmin::text::int8)) FROM pg_ts_config_map),
    (SELECT concat(count(*), '/', sum(xmin::text::int8)) FROM pg_ts_dict),
    (SELECT concat(count(*), '/', sum(xmin::text::int8)) FROM pg_auth_members),
    (SELECT concat(count(*), '/', sum(xmin::text::int8)) FROM pg_db_role_setting
        WHERE setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))),
    (SELECT concat(count(*), '/', sum(xmin::text::int8)) FROM pg_database WHERE datname = current_database()),
    (SELECT concat(count(*), '/', sum(hashtextextended(concat_ws('/', oid, rolname, rolsuper, rolinherit, rolbypassrls), 0))) FROM pg_roles),
    (SELECT concat(count(*), '/', sum(hashtextextended(concat_ws('/', oid, relname, relnamespace,
            reltype, reloftype, relowner, relnatts, relchecks, relkind, relpersistence, relhasrules, relhastriggers, relhassubclass, relrowsecurity,
            relforcerowsecurity, relispopulated, relreplident, relispartition, relacl, reloptions), 0))) FROM pg_class
        WHERE relpersistence <> 't' AND relkind IN ('r', 'p', 'v', 'm', 'f', 'c'))),
    extract(epoch FROM pg_conf_load_time())
