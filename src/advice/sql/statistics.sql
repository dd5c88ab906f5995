-- (table, column, nulls, width, distinct, correlation, common values, their parts, bounds) of $1; values of $2 only, 100 of each kind, and no longer ones than 200 characters.
SELECT c.oid, s.attname, s.null_frac, s.avg_width, s.n_distinct, s.correlation,
    CASE WHEN c.oid = ANY ($2::oid[]) THEN (
        SELECT json_agg(json_build_array(v.value, v.part) ORDER BY v.place)
        FROM unnest(s.most_common_vals::text::text[], s.most_common_freqs) WITH ORDINALITY AS v(value, part, place)
        WHERE v.place <= 100 AND length(v.value) <= 200) END,
    CASE WHEN c.oid = ANY ($2::oid[]) THEN (
        SELECT json_agg(left(v.value, 200) ORDER BY v.place)
        FROM unnest(s.histogram_bounds::text::text[]) WITH ORDINALITY AS v(value, place)
        WHERE (v.place - 1) % greatest(1, (cardinality(s.histogram_bounds::text::text[]) - 1) / 100) = 0) END
FROM pg_stats s
    JOIN pg_namespace n ON n.nspname = s.schemaname
    JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = s.tablename
WHERE c.oid = ANY ($1::oid[]) AND s.inherited = (c.relkind = 'p')
LIMIT 400000
