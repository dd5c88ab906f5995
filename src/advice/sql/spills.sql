-- (statement, calls, blocks written, bytes that each sort or hash may take here) of what wrote temporary files since the counters of
-- pg_stat_statements run.
SELECT s.query, sum(s.calls)::pg_catalog.int8, sum(s.temp_blks_written)::pg_catalog.int8,
    pg_catalog.pg_size_bytes(pg_catalog.current_setting('work_mem'))
FROM SCHEMA.pg_stat_statements s
WHERE s.dbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
    AND s.temp_blks_written > 0
GROUP BY s.query
ORDER BY 3 DESC
LIMIT 500
