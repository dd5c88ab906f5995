-- From relations to those that are read or changed with them: (oid, oid, how).
--
-- Catalogs by their numbers, which never change: 1259 pg_class, 2618 pg_rewrite. What PostgreSQL itself comes with is not recorded
-- in pg_depend, so that its own views have no rows here.
SELECT r.ev_class, d.refobjid, CASE WHEN r.ev_type OPERATOR(pg_catalog.=) '1' THEN 'view' ELSE 'rule' END
FROM pg_catalog.pg_rewrite r JOIN pg_catalog.pg_depend d ON d.objid OPERATOR(pg_catalog.=) r.oid
WHERE d.classid OPERATOR(pg_catalog.=) 2618 AND d.refclassid OPERATOR(pg_catalog.=) 1259
    AND d.refobjid OPERATOR(pg_catalog.<>) r.ev_class
UNION
SELECT i.inhparent, i.inhrelid, 'child' FROM pg_catalog.pg_inherits i
UNION
-- The end of a parent's row, or a change of its key, changes the rows that refer to it.
SELECT k.confrelid, k.conrelid, 'deleted' FROM pg_catalog.pg_constraint k
WHERE k.contype OPERATOR(pg_catalog.=) 'f' AND k.confdeltype OPERATOR(pg_catalog.<>) ALL ('{a,r}'::pg_catalog."char"[])
UNION
SELECT k.confrelid, k.conrelid, 'updated' FROM pg_catalog.pg_constraint k
WHERE k.contype OPERATOR(pg_catalog.=) 'f' AND k.confupdtype OPERATOR(pg_catalog.<>) ALL ('{a,r}'::pg_catalog."char"[])
LIMIT 20000
