-- (oid, schema, name, kind, parent, rows, pages then, pages now, may be read) of tables; those of $1 first, then the largest; $2 of them.
SELECT c.oid, n.nspname, c.relname, c.relkind,
    CASE WHEN c.relispartition THEN (SELECT i.inhparent FROM pg_inherits i WHERE i.inhrelid = c.oid LIMIT 1) END,
    c.reltuples, c.relpages, c.relpages, has_any_column_privilege(c.oid, 'SELECT')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'm') AND c.relpersistence <> 't' AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
ORDER BY c.relname = ANY ($1::name[]) DESC, c.relpages DESC, c.oid
LIMIT $2
