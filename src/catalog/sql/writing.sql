-- (catalog, oid, kind, name) of PostgreSQL's own functions that may change rows of tables: those that run SQL given as a text, or begin
-- something that does.
SELECT 1255 AS catalog, oid, 'call' AS kind, proname FROM pg_proc
WHERE oid < 16384 AND prokind <> 'p'
    AND proname ~ '^(query_to_xml|cursor_to_xml|table_to_xml|schema_to_xml|database_to_xml|ts_stat$|ts_rewrite$|pg_import_system_collations|binary_upgrade_)'
LIMIT 20000
