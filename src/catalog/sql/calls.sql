-- (relation, function, volatility, language) of functions of somebody's own that a change of the relation's rows runs without a trigger: in
-- defaults, checks, generated columns, indexes and policies; the relation is 0 for checks of domains. An operator stands for its function.
-- For relation 1: an `=` for types of PostgreSQL's own that is not its own, so that nobody knows what is equal.
WITH holder(catalog, oid, relation) AS (
    SELECT 2604, oid, adrelid FROM pg_attrdef
    UNION ALL SELECT 2606, oid, conrelid FROM pg_constraint WHERE contype = 'c'
    UNION ALL SELECT 1259, indexrelid, indrelid FROM pg_index WHERE indexrelid >= 16384
    UNION ALL SELECT 3256, oid, polrelid FROM pg_policy
), called(relation, function) AS (
    SELECT h.relation, coalesce(o.oprcode::oid, d.refobjid)
    FROM holder h JOIN pg_depend d ON d.classid = h.catalog AND d.objid = h.oid AND d.refclassid IN (1255, 2617) AND d.refobjid >= 16384
        LEFT JOIN pg_operator o ON d.refclassid = 2617 AND o.oid = d.refobjid
)
SELECT DISTINCT c.relation, p.proname, p.provolatile, l.lanname
FROM called c JOIN pg_proc p ON p.oid = c.function JOIN pg_language l ON l.oid = p.prolang
UNION ALL
SELECT 1, '=', 'i', 'sql' WHERE EXISTS (SELECT FROM pg_operator
    WHERE oid >= 16384 AND oprname = '=' AND oprleft < 16384 AND oprright < 16384)
LIMIT 20000
