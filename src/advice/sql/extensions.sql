-- (name, schema or null) of extensions that are there or could be.
SELECT a.name, n.nspname
FROM pg_available_extensions a
    LEFT JOIN pg_extension e ON e.extname = a.name
    LEFT JOIN pg_namespace n ON n.oid = e.extnamespace
ORDER BY e.oid IS NULL, a.name
LIMIT 1000
