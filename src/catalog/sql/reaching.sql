-- (catalog, oid, kind, name) of what a read must not reach, and of all that reaches it when it is read: views, policies, functions with a body in
-- the SQL standard's form, defaults of arguments, aggregates, operators, casts, checks of domains.
-- `{start}` are rows (catalog, oid) found before; with none, it begins with what is known by itself: functions that are volatile or in a
-- language that cannot be read here, relations that replicas do not have or have otherwise (unlogged, foreign, sequences), what locks rows,
-- and what calls or reads PostgreSQL's own, of which no dependency is recorded: `{pattern}` finds these in trees.
--
-- Catalogs by their numbers, which never change: 1247 pg_type, 1255 pg_proc, 1259 pg_class, 2602 pg_amop, 2603 pg_amproc, 2605 pg_cast,
-- 2606 pg_constraint, 2617 pg_operator, 2618 pg_rewrite, 3256 pg_policy, 3381 pg_statistic_ext. What is below 16384 is PostgreSQL's own.
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
        AND ({functions} OR l.lanname <> ALL ('{sql,plpgsql,c,internal}') OR octet_length(p.prosrc) > 200000
            OR p.proconfig::text ~* 'transaction_'
            -- Of C: what is known to run SQL that it is given, or to keep something in the session.
            OR l.lanname = 'c' AND p.prosrc ~ '^(crosstab|connectby|xpath_table|accept_weak_input|weak_input_status)'
            OR l.lanname = 'internal' AND p.prosrc IN (SELECT prosrc FROM pg_proc WHERE oid = ANY ('{own}')))
    UNION ALL
    SELECT 1259, oid FROM pg_class WHERE {first} AND ({relations})
    UNION ALL
    SELECT c.catalog, c.oid FROM code c WHERE {first} AND c.oid >= 16384 AND (c.tree ~ (SELECT pattern FROM pattern)
        -- current_setting (2077, 3294) of anything but a constant with a dot in it (46).
        OR c.tree ~ ':funcid (2077|3294) ' AND (SELECT count(*) FROM regexp_matches(c.tree, ':funcid (2077|3294) ', 'g'))
            > (SELECT count(*) FROM regexp_matches(c.tree,
                ':funcid (2077|3294) [^{]*:args [(][{]CONST [^}]*:constvalue [0-9]+ [[][^]]* 46 ', 'g')))
    UNION ALL
    SELECT 2617, oid FROM pg_operator WHERE {first} AND oid >= 16384 AND oprcode::oid = ANY ('{own}')
    UNION ALL
    SELECT 2605, oid FROM pg_cast WHERE {first} AND oid >= 16384 AND castfunc = ANY ('{own}')
    UNION ALL
    SELECT 1255, aggfnoid FROM pg_aggregate WHERE {first} AND aggfnoid >= 16384
        AND ARRAY[aggtransfn, aggfinalfn, aggcombinefn, aggserialfn, aggdeserialfn, aggmtransfn, aggminvtransfn, aggmfinalfn]::oid[] && '{own}'
    UNION ALL
    SELECT 2603, oid FROM pg_amproc WHERE {first} AND oid >= 16384 AND amproc::oid = ANY ('{own}')
), found(catalog, oid) AS (
    SELECT catalog, oid FROM start
    UNION
    SELECT n.catalog, n.oid FROM found f CROSS JOIN LATERAL (
        -- What is recorded. Support of types and casts in C is taken for what it should be, also where nobody said so.
        SELECT d.classid, d.objid FROM pg_depend d
        WHERE d.refclassid = f.catalog AND d.refobjid = f.oid
            AND (f.catalog = 1255 AND (d.classid IN (1255, 2617, 2618, 3256)
                    OR d.classid = 2606 AND EXISTS (SELECT FROM pg_constraint WHERE oid = d.objid AND contypid <> 0)
                    OR d.classid IN (1247, 2603, 2605) AND (SELECT prolang FROM pg_proc WHERE oid = f.oid) <> 13
                    -- Of indexes, partitions, statistics and checks of tables, the planner runs what promises to be immutable.
                    OR d.classid IN (1259, 2606, 3381) AND (SELECT provolatile FROM pg_proc WHERE oid = f.oid) = 'i')
                OR f.catalog = 2617 AND d.classid IN (1259, 2606, 3381)
                    AND (SELECT p.provolatile FROM pg_operator o JOIN pg_proc p ON p.oid = o.oprcode WHERE o.oid = f.oid) = 'i'
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
        UNION ALL SELECT 1259, conrelid FROM pg_constraint WHERE f.catalog = 2606 AND oid = f.oid AND conrelid <> 0
        UNION ALL SELECT 1259, indrelid FROM pg_index WHERE f.catalog = 1259 AND indexrelid = f.oid
        UNION ALL SELECT 1259, stxrelid FROM pg_statistic_ext WHERE f.catalog = 3381 AND oid = f.oid
        UNION ALL SELECT 1247, reltype FROM pg_class WHERE f.catalog = 1259 AND oid = f.oid AND reltype <> 0
        -- The planner puts one operator in the place of another.
        UNION ALL SELECT 2617, o.other FROM (SELECT oid, oprcom FROM pg_operator UNION ALL SELECT oid, oprnegate FROM pg_operator) o(oid, other)
            WHERE f.catalog = 2617 AND o.oid = f.oid AND o.other <> 0
        UNION ALL SELECT 2602, a.oid FROM pg_operator o JOIN pg_amop a ON a.amopopr = o.oid
            WHERE f.catalog = 1255 AND o.oprcode = f.oid AND (SELECT prolang FROM pg_proc WHERE oid = f.oid) <> 13
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
-- (a).f is f(a).
SELECT f.catalog, f.oid, 'attribute', p.proname FROM found f JOIN pg_proc p ON p.oid = f.oid
WHERE f.catalog = 1255 AND p.pronargs > 0 AND p.pronargs - p.pronargdefaults - (p.provariadic <> 0)::int <= 1
UNION ALL
-- Functions that syntax means (AT TIME ZONE, TRIM, ...), if somebody added to them.
SELECT f.catalog, f.oid, 'always', '' FROM found f JOIN pg_proc p ON p.oid = f.oid
WHERE f.catalog = 1255 AND p.oid >= 16384 AND p.pronamespace = 'pg_catalog'::regnamespace
UNION ALL
SELECT f.catalog, f.oid, 'word', c.relname FROM found f JOIN pg_class c ON c.oid = f.oid WHERE f.catalog = 1259
UNION ALL
SELECT f.catalog, f.oid, CASE WHEN t.oid < 16384 THEN 'always' ELSE 'word' END, t.typname
FROM found f JOIN pg_type t ON t.oid = f.oid WHERE f.catalog = 1247
UNION ALL
SELECT f.catalog, f.oid, 'operator', o.oprname FROM found f JOIN pg_operator o ON o.oid = f.oid WHERE f.catalog = 2617
UNION ALL
-- Sorting and hashing are not written down.
SELECT f.catalog, f.oid, 'always', '' FROM found f WHERE f.catalog IN (2602, 2603)
LIMIT 20000
