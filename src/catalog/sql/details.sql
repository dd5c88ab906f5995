-- What only the cache asks of relations: (oid, persistence, row security, replica identity, columns, primary key, columns of the replica
-- identity's index, events of triggers, rules for changes, deleted rows are followed, columns whose change is followed, referring tables,
-- types that the catalog gives a name to).
--
-- Columns are lines of number, kind and name, the kind being that of the type: 2, 4, 8 for integers of so many bytes, o oid, b boolean, u uuid,
-- d date, y bytea, t text or varchar whose collation compares bytes; `.` for others that are no text, `-` for the rest. Of these, generated
-- ones are not in a stream. What has a line break in its name is left without one.
WITH object AS (
    SELECT oid FROM pg_type
    WHERE ARRAY[oid, typelem, typbasetype] && '{24, 2202, 2203, 2204, 2205, 2206, 3734, 3769, 4089, 4096, 4191}'
), attribute AS (
    SELECT a.attrelid, string_agg(concat(a.attnum, ' ', CASE
            WHEN a.attgenerated <> '' THEN '-'
            WHEN a.atttypid = 21 THEN '2' WHEN a.atttypid = 23 THEN '4' WHEN a.atttypid = 20 THEN '8' WHEN a.atttypid = 26 THEN 'o'
            WHEN a.atttypid = 16 THEN 'b' WHEN a.atttypid = 2950 THEN 'u' WHEN a.atttypid = 1082 THEN 'd' WHEN a.atttypid = 17 THEN 'y'
            WHEN a.atttypid IN (25, 1043) AND l.collisdeterministic THEN 't'
            WHEN a.atttypid IN (700, 701, 790, 1700, 1083, 1114, 1184, 1186, 1266) THEN '.'
            ELSE '-' END,
        ' ', CASE WHEN strpos(a.attname, chr(10)) = 0 THEN a.attname END), chr(10) ORDER BY a.attnum) AS columns,
        bool_or(o.oid IS NOT NULL) AS named
    FROM pg_attribute a LEFT JOIN pg_collation l ON l.oid = a.attcollation
        LEFT JOIN object o ON o.oid = a.atttypid
    WHERE a.attrelid >= 16384 AND a.attnum > 0 AND NOT a.attisdropped
    GROUP BY a.attrelid
), events AS (
    -- Those of keys are internal and call functions of PostgreSQL's own; copies of a parent's triggers may be internal and do not.
    SELECT tgrelid, bit_or(tgtype::int) AS events FROM pg_trigger
    WHERE tgenabled <> 'D' AND (NOT tgisinternal OR tgfoid >= 16384)
    GROUP BY tgrelid
), followed AS (
    SELECT confrelid, bool_or(confdeltype NOT IN ('a', 'r')) AS deleted,
        string_agg(array_to_string(confkey, ' '), ' ') FILTER (WHERE confupdtype NOT IN ('a', 'r')) AS updated,
        string_agg(conrelid::text, ' ') AS referring
    FROM pg_constraint WHERE contype = 'f' GROUP BY confrelid
)
SELECT c.oid, c.relpersistence, c.relrowsecurity, c.relreplident, a.columns,
    (SELECT array_to_string(i.indkey[0:i.indnkeyatts - 1], ' ') FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary AND i.indisvalid),
    (SELECT array_to_string(i.indkey[0:i.indnkeyatts - 1], ' ') FROM pg_index i WHERE i.indrelid = c.oid AND i.indisreplident AND i.indisvalid),
    e.events, EXISTS (SELECT FROM pg_rewrite w WHERE w.ev_class = c.oid AND w.ev_type <> '1'),
    f.deleted, f.updated, f.referring, a.named
FROM pg_class c
    LEFT JOIN attribute a ON a.attrelid = c.oid LEFT JOIN events e ON e.tgrelid = c.oid LEFT JOIN followed f ON f.confrelid = c.oid
WHERE c.oid >= 16384 AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relnamespace <> 'pg_toast'::regnamespace
LIMIT 20000
