-- (table, columns) of partitioned tables; an expression in the key is left out.
SELECT p.partrelid,
    (SELECT json_agg(a.attname ORDER BY u.place) FROM unnest(p.partattrs::int2[]) WITH ORDINALITY AS u(number, place)
        JOIN pg_attribute a ON a.attrelid = p.partrelid AND a.attnum = u.number AND u.number <> 0)
FROM pg_partitioned_table p
WHERE p.partrelid = ANY ($1::oid[])
