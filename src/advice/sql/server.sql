-- (version, page, schemas looked up, collates by bytes, statistics reset, now) of the server and the database.
SELECT pg_catalog.current_setting('server_version_num'), pg_catalog.current_setting('block_size'),
    pg_catalog.to_json(pg_catalog.current_schemas(false)),
    CASE d.row OPERATOR(pg_catalog.->>) 'datlocprovider'
        WHEN 'i' THEN false
        WHEN 'b' THEN true
        ELSE (d.row OPERATOR(pg_catalog.->>) 'datcollate') OPERATOR(pg_catalog.=) ANY ('{C,POSIX}'::pg_catalog.text[])
    END,
    pg_catalog.date_part('epoch', pg_catalog.pg_stat_get_db_stat_reset_time(d.oid))::pg_catalog.int8,
    pg_catalog.date_part('epoch', pg_catalog.now())::pg_catalog.int8
FROM (SELECT oid, pg_catalog.to_jsonb(b) AS row FROM pg_catalog.pg_database b
    WHERE datname OPERATOR(pg_catalog.=) pg_catalog.current_database()) d
