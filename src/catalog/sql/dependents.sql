-- From the objects in `{start}`, rows of (catalog, oid), to all that runs them: (catalog, oid, kind, name).
-- 
-- Catalogs by their numbers, which never change: 1247 pg_type, 1255 pg_proc, 1259 pg_class, 2603 pg_amproc, 2604 pg_attrdef,
-- 2605 pg_cast, 2606 pg_constraint, 2617 pg_operator, 2618 pg_rewrite, 2620 pg_trigger, 3256 pg_policy, 3466 pg_event_trigger.
-- What is below 16384 is PostgreSQL's own.
WITH RECURSIVE found(catalog, oid) AS (
    SELECT s.catalog::pg_catalog.oid, s.oid::pg_catalog.oid FROM (VALUES {start}) s(catalog, oid)
    UNION
    SELECT n.catalog, n.oid FROM found f CROSS JOIN LATERAL (
    -- What is recorded. Of what depends on a table: rules of views, code, row types; not keys, indexes, toast.
    SELECT d.classid, d.objid FROM pg_catalog.pg_depend d
    WHERE d.refclassid OPERATOR(pg_catalog.=) f.catalog AND d.refobjid OPERATOR(pg_catalog.=) f.oid
        AND (f.catalog OPERATOR(pg_catalog.<>) 1259 OR d.classid OPERATOR(pg_catalog.=) ANY ('{2618,1255,3256,1247}'::pg_catalog.oid[]))
    -- What acts on behalf of something else, and what it acts for.
    UNION ALL
    SELECT '1259'::pg_catalog.oid, x.ev_class FROM pg_catalog.pg_rewrite x
    WHERE f.catalog OPERATOR(pg_catalog.=) 2618 AND x.oid OPERATOR(pg_catalog.=) f.oid
    UNION ALL
    SELECT '1259'::pg_catalog.oid, x.tgrelid FROM pg_catalog.pg_trigger x
    WHERE f.catalog OPERATOR(pg_catalog.=) 2620 AND x.oid OPERATOR(pg_catalog.=) f.oid
    UNION ALL
    SELECT '1259'::pg_catalog.oid, x.adrelid FROM pg_catalog.pg_attrdef x
    WHERE f.catalog OPERATOR(pg_catalog.=) 2604 AND x.oid OPERATOR(pg_catalog.=) f.oid
    UNION ALL
    SELECT '1259'::pg_catalog.oid, x.polrelid FROM pg_catalog.pg_policy x
    WHERE f.catalog OPERATOR(pg_catalog.=) 3256 AND x.oid OPERATOR(pg_catalog.=) f.oid
    UNION ALL
    SELECT '1259'::pg_catalog.oid, x.conrelid FROM pg_catalog.pg_constraint x
    WHERE f.catalog OPERATOR(pg_catalog.=) 2606 AND x.oid OPERATOR(pg_catalog.=) f.oid
    UNION ALL
    SELECT '1247'::pg_catalog.oid, x.contypid FROM pg_catalog.pg_constraint x
    WHERE f.catalog OPERATOR(pg_catalog.=) 2606 AND x.oid OPERATOR(pg_catalog.=) f.oid
    UNION ALL
    SELECT '1247'::pg_catalog.oid, x.castsource FROM pg_catalog.pg_cast x
    WHERE f.catalog OPERATOR(pg_catalog.=) 2605 AND x.oid OPERATOR(pg_catalog.=) f.oid
    UNION ALL
    SELECT '1247'::pg_catalog.oid, x.casttarget FROM pg_catalog.pg_cast x
    WHERE f.catalog OPERATOR(pg_catalog.=) 2605 AND x.oid OPERATOR(pg_catalog.=) f.oid AND x.castsource OPERATOR(pg_catalog.<) 16384
    UNION ALL
    SELECT '1247'::pg_catalog.oid, x.amproclefttype FROM pg_catalog.pg_amproc x
    WHERE f.catalog OPERATOR(pg_catalog.=) 2603 AND x.oid OPERATOR(pg_catalog.=) f.oid
    UNION ALL
    SELECT '1259'::pg_catalog.oid, x.indrelid FROM pg_catalog.pg_index x
    WHERE f.catalog OPERATOR(pg_catalog.=) 1259 AND x.indexrelid OPERATOR(pg_catalog.=) f.oid
    -- A table is reached through its parents, and through those whose keys cascade to it.
    UNION ALL
    SELECT '1259'::pg_catalog.oid, x.inhparent FROM pg_catalog.pg_inherits x
    WHERE f.catalog OPERATOR(pg_catalog.=) 1259 AND x.inhrelid OPERATOR(pg_catalog.=) f.oid
    UNION ALL
    SELECT '1259'::pg_catalog.oid, x.confrelid FROM pg_catalog.pg_constraint x
    WHERE f.catalog OPERATOR(pg_catalog.=) 1259 AND x.conrelid OPERATOR(pg_catalog.=) f.oid AND x.contype OPERATOR(pg_catalog.=) 'f'
        AND (x.confdeltype OPERATOR(pg_catalog.<>) ALL ('{a,r}'::pg_catalog."char"[]) OR x.confupdtype OPERATOR(pg_catalog.<>) ALL ('{a,r}'::pg_catalog."char"[]))
    ) n(catalog, oid)
    WHERE n.oid OPERATOR(pg_catalog.<>) 0 AND (f.catalog OPERATOR(pg_catalog.<>) 1247 OR f.oid OPERATOR(pg_catalog.>=) 16384)
)
SELECT f.catalog, f.oid, 'word', x.proname FROM found f JOIN pg_catalog.pg_proc x ON x.oid OPERATOR(pg_catalog.=) f.oid WHERE f.catalog OPERATOR(pg_catalog.=) 1255
UNION ALL
SELECT f.catalog, f.oid, 'word', x.relname FROM found f JOIN pg_catalog.pg_class x ON x.oid OPERATOR(pg_catalog.=) f.oid WHERE f.catalog OPERATOR(pg_catalog.=) 1259
UNION ALL
SELECT f.catalog, f.oid, CASE WHEN x.oid OPERATOR(pg_catalog.<) 16384 THEN 'always' ELSE 'word' END, x.typname
FROM found f JOIN pg_catalog.pg_type x ON x.oid OPERATOR(pg_catalog.=) f.oid WHERE f.catalog OPERATOR(pg_catalog.=) 1247
UNION ALL
SELECT f.catalog, f.oid, 'operator', x.oprname FROM found f JOIN pg_catalog.pg_operator x ON x.oid OPERATOR(pg_catalog.=) f.oid WHERE f.catalog OPERATOR(pg_catalog.=) 2617
UNION ALL
SELECT f.catalog, f.oid, 'ddl', '' FROM found f WHERE f.catalog OPERATOR(pg_catalog.=) 3466
LIMIT 20000
