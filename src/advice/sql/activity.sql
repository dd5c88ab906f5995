-- (table, inserted, updated, hot, deleted, dead, stale, scans, analyzed, vacuumed) since counters run.
SELECT c.oid, pg_stat_get_tuples_inserted(c.oid), pg_stat_get_tuples_updated(c.oid), pg_stat_get_tuples_hot_updated(c.oid),
    pg_stat_get_tuples_deleted(c.oid), pg_stat_get_dead_tuples(c.oid), pg_stat_get_mod_since_analyze(c.oid), pg_stat_get_numscans(c.oid),
    date_part('epoch', greatest(pg_stat_get_last_analyze_time(c.oid), pg_stat_get_last_autoanalyze_time(c.oid)))::int8,
    date_part('epoch', greatest(pg_stat_get_last_vacuum_time(c.oid), pg_stat_get_last_autovacuum_time(c.oid)))::int8
FROM pg_class c
WHERE c.oid = ANY ($1::oid[])
