-- (catalog, oid) of what calls functions of PostgreSQL's own that change sessions, or that run SQL given as a text,
-- without a function of somebody else's in between: dependencies on PostgreSQL's own are not recorded.
WITH own AS (
    SELECT p.oid FROM pg_catalog.pg_proc p WHERE p.oid OPERATOR(pg_catalog.<) 16384 AND p.proname::pg_catalog.text OPERATOR(pg_catalog.~)
        '^(set_config|pg_(try_)?advisory_lock(_shared)?|query_to_xml.*|ts_stat|ts_rewrite)$'
), mention AS (
    SELECT pg_catalog.concat(':funcid (', (SELECT pg_catalog.string_agg(o.oid::pg_catalog.text, '|') FROM own o), ') |:relid ',
        'pg_catalog.pg_settings'::pg_catalog.regclass::pg_catalog.oid, ' ') AS pattern
), code(catalog, oid, tree) AS (
    SELECT '2618'::pg_catalog.oid, oid, pg_catalog.concat(ev_qual, ev_action) FROM pg_catalog.pg_rewrite
    UNION ALL SELECT '2604'::pg_catalog.oid, oid, adbin::pg_catalog.text FROM pg_catalog.pg_attrdef
    UNION ALL SELECT '2606'::pg_catalog.oid, oid, conbin::pg_catalog.text FROM pg_catalog.pg_constraint
    UNION ALL SELECT '3256'::pg_catalog.oid, oid, pg_catalog.concat(polqual, polwithcheck) FROM pg_catalog.pg_policy
    UNION ALL SELECT '2620'::pg_catalog.oid, oid, tgqual::pg_catalog.text FROM pg_catalog.pg_trigger
    UNION ALL SELECT '1259'::pg_catalog.oid, indexrelid, pg_catalog.concat(indexprs, indpred) FROM pg_catalog.pg_index
    UNION ALL SELECT '1259'::pg_catalog.oid, partrelid, partexprs::pg_catalog.text FROM pg_catalog.pg_partitioned_table
    UNION ALL SELECT '1247'::pg_catalog.oid, oid, typdefaultbin::pg_catalog.text FROM pg_catalog.pg_type
    UNION ALL SELECT '1255'::pg_catalog.oid, oid, proargdefaults::pg_catalog.text FROM pg_catalog.pg_proc
)
SELECT c.catalog, c.oid FROM code c
WHERE c.oid OPERATOR(pg_catalog.>=) 16384 AND c.tree OPERATOR(pg_catalog.~) (SELECT m.pattern FROM mention m)
UNION ALL
SELECT '2617'::pg_catalog.oid, o.oid FROM pg_catalog.pg_operator o WHERE o.oprcode::pg_catalog.oid OPERATOR(pg_catalog.=) ANY (ARRAY(SELECT oid FROM own))
UNION ALL
SELECT '2605'::pg_catalog.oid, t.oid FROM pg_catalog.pg_cast t WHERE t.castfunc OPERATOR(pg_catalog.=) ANY (ARRAY(SELECT oid FROM own))
UNION ALL
SELECT '1255'::pg_catalog.oid, a.aggfnoid::pg_catalog.oid FROM pg_catalog.pg_aggregate a
WHERE a.aggtransfn::pg_catalog.oid OPERATOR(pg_catalog.=) ANY (ARRAY(SELECT oid FROM own)) OR a.aggfinalfn::pg_catalog.oid OPERATOR(pg_catalog.=) ANY (ARRAY(SELECT oid FROM own))
LIMIT 20000
