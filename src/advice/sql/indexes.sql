-- (oid, table, name, method, unique, primary, valid, needed, parent, bytes then, options, predicate, definition, keys) of indexes.
-- A key: its column or null, its expression, whether it is a key and no passenger, its class, its collation, its options: 1 descending, 2 nulls first.
SELECT i.indexrelid, i.indrelid, c.relname, m.amname, i.indisunique, i.indisprimary, i.indisvalid AND i.indisready,
    i.indisreplident OR EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid),
    (SELECT h.inhparent FROM pg_inherits h WHERE h.inhrelid = i.indexrelid LIMIT 1),
    c.relpages::int8 * current_setting('block_size')::int8, to_json(c.reloptions), pg_get_expr(i.indpred, i.indrelid),
    pg_get_indexdef(i.indexrelid),
    (SELECT json_agg(json_build_array(a.attname,
            CASE WHEN a.attname IS NULL THEN pg_get_indexdef(i.indexrelid, k.place, false) END,
            k.place <= i.indnkeyatts,
            CASE WHEN k.place <= i.indnkeyatts AND (NOT o.opcdefault OR x.attoptions IS NOT NULL) THEN
                CASE WHEN pg_opclass_is_visible(o.oid) THEN '' ELSE (SELECT quote_ident(n.nspname) || '.' FROM pg_namespace n WHERE n.oid = o.opcnamespace) END
                || quote_ident(o.opcname) || coalesce(' (' || array_to_string(x.attoptions, ', ') || ')', '') END,
            CASE WHEN k.place <= i.indnkeyatts AND i.indcollation[k.place - 1] <> 0
                    AND i.indcollation[k.place - 1] <> coalesce(a.attcollation, 100)
                    AND (a.attname IS NOT NULL OR NOT EXISTS (SELECT FROM pg_attribute z WHERE z.attrelid = i.indrelid AND z.attcollation = i.indcollation[k.place - 1]))
                THEN l.collname END,
            CASE WHEN k.place <= i.indnkeyatts THEN i.indoption[k.place - 1] ELSE 0 END) ORDER BY k.place)
        FROM generate_series(1, i.indnatts::int4) AS k(place)
            LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[k.place - 1] AND i.indkey[k.place - 1] <> 0
            LEFT JOIN pg_attribute x ON x.attrelid = i.indexrelid AND x.attnum = k.place
            LEFT JOIN pg_opclass o ON k.place <= i.indnkeyatts AND o.oid = i.indclass[k.place - 1]
            LEFT JOIN pg_collation l ON k.place <= i.indnkeyatts AND l.oid = i.indcollation[k.place - 1])
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am m ON m.oid = c.relam
WHERE i.indrelid = ANY ($1::oid[])
ORDER BY i.indrelid, i.indexrelid
LIMIT 200000
