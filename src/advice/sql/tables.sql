-- (oid, schema, name, kind, parent, rows, pages, may be read) of tables (a partitioned one has no pages: they are told as -1); those of $1 first, then the largest; $2 of them.
SELECT c.oid, n.nspname, c.relname, c.relkind,
    CASE WHEN c.relispartition THEN (SELECT i.inhparent FROM pg_inherits i WHERE i.inhrelid = c.oid LIMIT 1) END,
    c.reltuples, greatest(c.relpages, 0), has_any_column_privilege(c.oid, 'SELECT')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'm') AND c.relpersistence <> 't' AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
ORDER BY c.relname = ANY ($1::name[]) DESC, c.relpages DESC, c.oid
LIMIT $2
