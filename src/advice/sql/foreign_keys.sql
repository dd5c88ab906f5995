-- (table, name, columns, to, action) of foreign keys that somebody wrote, not those that partitions have of their parents.
SELECT k.conrelid, k.conname,
    (SELECT json_agg(a.attname ORDER BY u.place) FROM unnest(k.conkey) WITH ORDINALITY AS u(number, place)
        JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.number),
    k.confrelid, k.confdeltype
FROM pg_constraint k
WHERE k.contype = 'f' AND k.conparentid = 0 AND k.conrelid = ANY ($1::oid[])
ORDER BY k.conrelid, k.conname
LIMIT 200000
