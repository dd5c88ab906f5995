-- (oid, bytes now) of tables and of their indexes. Waits for whoever holds one of them for himself.
SELECT c.oid, pg_relation_size(c.oid)
FROM pg_class c
WHERE c.oid = ANY ($1::oid[]) AND c.relkind IN ('r', 'm')
UNION ALL
SELECT c.oid, pg_relation_size(c.oid)
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
WHERE i.indrelid = ANY ($1::oid[]) AND c.relkind = 'i'
