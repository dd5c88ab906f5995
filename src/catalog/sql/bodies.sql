-- (oid, body) of every function whose body is a text.
SELECT p.oid, p.prosrc
FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_language l ON l.oid OPERATOR(pg_catalog.=) p.prolang
WHERE p.oid OPERATOR(pg_catalog.>=) 16384 AND l.lanname OPERATOR(pg_catalog.=) ANY ('{sql,plpgsql}'::pg_catalog.name[])
    AND p.prosrc OPERATOR(pg_catalog.<>) '' AND pg_catalog.octet_length(p.prosrc) OPERATOR(pg_catalog.<=) 200000
LIMIT 20000
