-- (catalog, oid, kind, name) of what a read must not reach, and of all that reaches it when it is read: views, policies, functions with a body in
-- the SQL standard's form, defaults of arguments, aggregates, operators, casts, checks of domains.
-- `{start}` are rows (catalog, oid) found before; with none, it begins with what is known by itself: functions that are volatile or in a
-- language that cannot be read here, relations that replicas do not have or have otherwise (unlogged, foreign, sequences), what locks rows,
-- and what calls or reads PostgreSQL's own, of which no dependency is recorded: `{pattern}` finds these in trees.
--
-- Catalogs by their numbers, which never change: 1247 pg_type, 1255 pg_proc, 1259 pg_class, 2603 pg_amproc, 2605 pg_cast, 2606 pg_constraint,
-- 2617 pg_operator, 2618 pg_rewrite, 3256 pg_policy. What is below 16384 is PostgreSQL's own.
WITH RECURSIVE pattern AS (
    SELECT '{pattern}' AS pattern
), code(catalog, oid, tree) AS (
    SELECT 2618, oid, concat(ev_qual, ev_action) FROM pg_rewrite WHERE ev_type = '1'
    UNION ALL SELECT 3256, oid, polqual::text FROM pg_policy
    UNION ALL SELECT 2606, oid, conbin::text FROM pg_constraint WHERE contypid <> 0
    UNION ALL SELECT 1255, oid, concat(proargdefaults, {sqlbody}) FROM pg_proc WHERE oid >= 16384
), start(catalog, oid) AS (
    SELECT catalog::oid, oid::oid FROM (VALUES {start}) s(catalog, oid) WHERE oid <> 0
    UNION ALL
    SELECT 1255, p.oid FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
    WHERE {first} AND p.oid >= 16384 AND p.prokind <> 'p'
        AND (p.provolatile = 'v' OR l.lanname <> ALL ('{sql,plpgsql,c,internal}'))
    UNION ALL
    SELECT 1259, oid FROM pg_class WHERE {first} AND (relkind IN ('S', 'f') OR relpersistence = 'u')
    UNION ALL
    SELECT c.catalog, c.oid FROM code c WHERE {first} AND c.oid >= 16384 AND c.tree ~ (SELECT pattern FROM pattern)
    UNION ALL
    SELECT 2617, oid FROM pg_operator WHERE {first} AND oid >= 16384 AND oprcode::oid = ANY ('{own}')
    UNION ALL
    SELECT 2605, oid FROM pg_cast WHERE {first} AND oid >= 16384 AND castfunc = ANY ('{own}')
    UNION ALL
    SELECT 1255, aggfnoid FROM pg_aggregate WHERE {first} AND aggfnoid >= 16384
        AND (aggtransfn::oid = ANY ('{own}') OR aggfinalfn::oid = ANY ('{own}') OR aggcombinefn::oid = ANY ('{own}'))
    UNION ALL
    SELECT 2603, oid FROM pg_amproc WHERE {first} AND oid >= 16384 AND amproc::oid = ANY ('{own}')
), found(catalog, oid) AS (
    SELECT catalog, oid FROM start
    UNION
    SELECT n.catalog, n.oid FROM found f CROSS JOIN LATERAL (
        -- What is recorded. Support of types and casts in C is taken for what it should be, also where nobody said so.
        SELECT d.classid, d.objid FROM pg_depend d
        WHERE d.refclassid = f.catalog AND d.refobjid = f.oid
            AND (f.catalog = 1255 AND (d.classid IN (1255, 2606, 2617, 2618, 3256)
                    OR d.classid IN (1247, 2603, 2605) AND (SELECT prolang FROM pg_proc WHERE oid = f.oid) <> 13)
                OR f.catalog = 2617 AND d.classid IN (1255, 2606, 2618, 3256)
                OR f.catalog = 2605 AND d.classid IN (1255, 2606, 2618, 3256)
                OR f.catalog = 1247 AND (d.classid IN (1247, 1255, 1259, 2606, 2618, 3256)
                    -- That an operator is meant without being written takes a value of the type, and so something else that is mentioned.
                    OR d.classid = 2617 AND (SELECT oprname FROM pg_operator WHERE oid = d.objid) <> ALL ('{=,<>,<,<=,>,>=,~~,!~~,~~*,!~~*,~,!~}'))
                OR f.catalog = 1259 AND d.classid IN (1255, 2606, 2618, 3256, 1247))
        UNION ALL SELECT 1259::oid, r.ev_class FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class
            WHERE f.catalog = 2618 AND r.oid = f.oid AND r.ev_type = '1' AND c.relkind = 'v'
        UNION ALL SELECT 1259, polrelid FROM pg_policy WHERE f.catalog = 3256 AND oid = f.oid
        UNION ALL SELECT 1247, contypid FROM pg_constraint WHERE f.catalog = 2606 AND oid = f.oid AND contypid <> 0
        -- What casts to a type names it, or something of that type. Where nobody has to ask, something of the source's type does.
        UNION ALL SELECT 1247, casttarget FROM pg_cast WHERE f.catalog = 2605 AND oid = f.oid
            AND (casttarget >= 16384 OR castcontext = 'e' OR castsource < 16384)
        UNION ALL SELECT 1247, castsource FROM pg_cast WHERE f.catalog = 2605 AND oid = f.oid AND castcontext <> 'e' AND castsource >= 16384
        UNION ALL SELECT 1247, typarray FROM pg_type WHERE f.catalog = 1247 AND oid = f.oid AND oid >= 16384 AND typarray <> 0
        UNION ALL SELECT 1259, inhparent FROM pg_inherits WHERE f.catalog = 1259 AND inhrelid = f.oid
    ) n(catalog, oid)
    -- From types of PostgreSQL's own, nothing follows: all do.
    WHERE f.catalog <> 1247 OR f.oid >= 16384
)
SELECT f.catalog, f.oid, 'call', p.proname FROM found f JOIN pg_proc p ON p.oid = f.oid WHERE f.catalog = 1255
UNION ALL
-- t.f is f(t), where t is a row.
SELECT f.catalog, f.oid, 'attribute', p.proname FROM found f JOIN pg_proc p ON p.oid = f.oid JOIN pg_type t ON t.oid = p.proargtypes[0]
WHERE f.catalog = 1255 AND p.pronargs - p.pronargdefaults <= 1 AND t.typtype IN ('c', 'p', 'd')
UNION ALL
SELECT f.catalog, f.oid, 'word', c.relname FROM found f JOIN pg_class c ON c.oid = f.oid WHERE f.catalog = 1259
UNION ALL
SELECT f.catalog, f.oid, CASE WHEN t.oid < 16384 THEN 'always' ELSE 'word' END, t.typname
FROM found f JOIN pg_type t ON t.oid = f.oid WHERE f.catalog = 1247
UNION ALL
SELECT f.catalog, f.oid, 'operator', o.oprname FROM found f JOIN pg_operator o ON o.oid = f.oid WHERE f.catalog = 2617
UNION ALL
-- Sorting and hashing are not written down.
SELECT f.catalog, f.oid, 'always', '' FROM found f WHERE f.catalog = 2603
LIMIT 20000
