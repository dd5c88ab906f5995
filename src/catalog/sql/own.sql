-- (catalog, oid, kind, name) of PostgreSQL's own functions and views that a read must not reach: functions that are volatile, or answer for
-- the process or node that they run on, or run SQL that a string names; and the views that call them.
-- Left out of the volatile ones: what only gives another answer each time.
WITH RECURSIVE own AS (
    SELECT oid, proname, pronargs, pronargdefaults FROM pg_proc
    WHERE oid < 16384 AND (provolatile = 'v'
        AND proname !~ '^(random|random_normal|clock_timestamp|timeofday|gen_random_uuid|uuidv4|uuidv7|pg_sleep(_for|_until)?|bernoulli|system)$'
        OR provolatile <> 'i' AND proname ~ ('^(inet_|txid_current|pg_(stat_|current_|backend_pid|conf_load|config$|cursor|prepared|show_|get_replication|'
            'postmaster|listening|lock|settings|filenode|relation_file|tablespace_loc|available_ext|extension_upd|event_trigger|'
            'trigger_depth|sequence_last|replication|input_))|^(database|schema|table|query|cursor)_to_xml'))
), pattern AS (
    SELECT concat(':(funcid|opfuncid|aggfnoid|winfnoid) (', string_agg(oid::text, '|'), ') ') AS pattern FROM own
), view(oid) AS (
    SELECT r.ev_class FROM pg_rewrite r WHERE r.ev_class < 16384 AND r.ev_type = '1'
        AND concat(r.ev_qual, r.ev_action) ~ (SELECT pattern FROM pattern)
    UNION
    SELECT r.ev_class FROM view v JOIN pg_rewrite r ON r.ev_class < 16384 AND r.ev_type = '1'
        AND strpos(r.ev_action, concat(':relid ', v.oid, ' ')) > 0
)
SELECT 1255 AS catalog, oid, 'call' AS kind, proname FROM own
UNION ALL
-- (a).f is f(a).
SELECT 1255, oid, 'attribute', proname FROM own WHERE pronargs > 0 AND pronargs - pronargdefaults <= 1
UNION ALL
SELECT 1259, c.oid, 'word', c.relname FROM view v JOIN pg_class c ON c.oid = v.oid
LIMIT 20000
