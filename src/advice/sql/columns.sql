-- (table, name, type, type's oid, never null, collates by bytes) in their order.
SELECT a.attrelid, a.attname, format_type(a.atttypid, a.atttypmod), a.atttypid, a.attnotnull,
    CASE WHEN a.attcollation IN (0, 100) THEN NULL
        ELSE l.collname IN ('C', 'POSIX', 'ucs_basic') OR l.collcollate IN ('C', 'POSIX') END
FROM pg_attribute a LEFT JOIN pg_collation l ON l.oid = a.attcollation
WHERE a.attrelid = ANY ($1::oid[]) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attrelid, a.attnum
LIMIT 400000
