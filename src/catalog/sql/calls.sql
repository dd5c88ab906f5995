-- (relation, function, volatility, language) of functions of somebody's own that a change of the relation's rows runs without a trigger: in
-- defaults, checks, generated columns, indexes and policies; the relation is 0 for checks of domains.
SELECT DISTINCT o.relation, p.proname, p.provolatile, l.lanname
FROM (
    SELECT 2604::oid AS catalog, oid, adrelid AS relation FROM pg_attrdef
    UNION ALL SELECT 2606, oid, conrelid FROM pg_constraint WHERE contype = 'c'
    UNION ALL SELECT 1259, indexrelid, indrelid FROM pg_index
    UNION ALL SELECT 3256, oid, polrelid FROM pg_policy
) o
    JOIN pg_depend d ON d.classid = o.catalog AND d.objid = o.oid AND d.refclassid = 1255 AND d.refobjid >= 16384
    JOIN pg_proc p ON p.oid = d.refobjid JOIN pg_language l ON l.oid = p.prolang
UNION
-- An operator of somebody's own stands for its function.
SELECT DISTINCT o.relation, p.proname, p.provolatile, l.lanname
FROM (
    SELECT 2604::oid AS catalog, oid, adrelid AS relation FROM pg_attrdef
    UNION ALL SELECT 2606, oid, conrelid FROM pg_constraint WHERE contype = 'c'
    UNION ALL SELECT 1259, indexrelid, indrelid FROM pg_index
    UNION ALL SELECT 3256, oid, polrelid FROM pg_policy
) o
    JOIN pg_depend d ON d.classid = o.catalog AND d.objid = o.oid AND d.refclassid = 2617 AND d.refobjid >= 16384
    JOIN pg_operator q ON q.oid = d.refobjid JOIN pg_proc p ON p.oid = q.oprcode JOIN pg_language l ON l.oid = p.prolang
UNION
-- Policies that read tables run functions that nothing here leads to.
SELECT DISTINCT polrelid, 'a policy', 'v', 'sql' FROM pg_policy WHERE concat(polqual, polwithcheck) ~ 'SUBLINK'
UNION
-- An `=` between types of PostgreSQL's own that is not its own: nobody knows what is equal.
SELECT DISTINCT 1::oid, o.oprname, 'v', 'sql' FROM pg_operator o
WHERE o.oid >= 16384 AND o.oprname = '=' AND (o.oprleft < 16384 OR o.oprright < 16384)
LIMIT 20000
