-- (oid, name, language, code, path) of every function whose code may change a session; wider than the judgement.
-- `path` is there when the function runs under a search path with the temporary schema.
-- A body in the SQL standard's form comes with its head, but for CREATE OR REPLACE, which it does not do.
-- For `internal`: the names that PostgreSQL itself has for the same code. Of C: what is known to run SQL that it is given.
SELECT p.oid, p.proname, l.lanname,
    CASE
        WHEN l.lanname OPERATOR(pg_catalog.=) 'internal' THEN (
            SELECT pg_catalog.string_agg(pg_catalog.concat(b.proname, '()'), ' ') FROM pg_catalog.pg_proc b
            WHERE b.oid OPERATOR(pg_catalog.<) 16384 AND b.prolang OPERATOR(pg_catalog.=) p.prolang AND b.prosrc OPERATOR(pg_catalog.=) p.prosrc)
        WHEN pg_catalog.octet_length(p.prosrc) OPERATOR(pg_catalog.>) 200000 THEN 'execute'
        WHEN p.prosrc OPERATOR(pg_catalog.=) '' THEN pg_catalog.substr(pg_catalog.pg_get_functiondef(p.oid), 19)
        ELSE p.prosrc
    END,
    CASE WHEN p.proconfig::pg_catalog.text OPERATOR(pg_catalog.~*) 'pg_temp' THEN 'pg_temp' END
FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_language l ON l.oid OPERATOR(pg_catalog.=) p.prolang
WHERE p.oid OPERATOR(pg_catalog.>=) 16384 AND p.prokind OPERATOR(pg_catalog.<>) 'a'
    AND CASE
        WHEN l.lanname OPERATOR(pg_catalog.=) 'c' THEN p.prosrc OPERATOR(pg_catalog.~) '^(crosstab|connectby|xpath_table|dbms_sql|set_limit)'
        WHEN l.lanname OPERATOR(pg_catalog.=) ANY ('{sql,plpgsql}'::pg_catalog.name[]) THEN p.prosrc OPERATOR(pg_catalog.=) '' OR p.prosrc OPERATOR(pg_catalog.~*)
            '(set|advisory|temp|listen|hold|load|discard|execute|prepare|currval|lastval|xml|ts_|dblink|replication|backup|u&|create|alter|into)'
        ELSE true
    END
LIMIT 20000
