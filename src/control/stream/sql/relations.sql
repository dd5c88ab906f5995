-- One row for each relation of {oids}: what it is, and whether it is in the publication {publication}. Lists are numbers with spaces
-- between; a column is its number, type, three flags (never NULL, deterministic, generated), and its name in hexadecimal.
-- Needs the search path pg_catalog. From PostgreSQL 13 on.
WITH RECURSIVE wanted (oid) AS (SELECT c.oid FROM pg_class c WHERE c.oid IN ({oids})),
up (oid, ancestor) AS (
    SELECT i.inhrelid, i.inhparent FROM pg_inherits i JOIN wanted w ON w.oid = i.inhrelid
    UNION
    SELECT up.oid, i.inhparent FROM up JOIN pg_inherits i ON i.inhrelid = up.ancestor
),
down (oid, descendant) AS (
    SELECT i.inhparent, i.inhrelid FROM pg_inherits i JOIN wanted w ON w.oid = i.inhparent
    UNION
    SELECT down.oid, i.inhrelid FROM down JOIN pg_inherits i ON i.inhparent = down.descendant
)
SELECT c.oid, n.nspname, c.relname, c.relkind, c.relpersistence, c.relreplident,
    n.nspname IN ('pg_catalog', 'information_schema', 'pg_toast') OR c.oid < 16384,
    EXISTS (
        SELECT FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid
        WHERE r.prrelid = c.oid AND p.pubname = {publication}
    ),
    (
        SELECT string_agg(k.number::text, ' ' ORDER BY k.place)
        FROM pg_index i, unnest(i.indkey::int2[]) WITH ORDINALITY AS k (number, place)
        WHERE i.indrelid = c.oid AND i.indisvalid AND i.indimmediate AND k.place <= i.indnkeyatts
            AND CASE c.relreplident WHEN 'd' THEN i.indisprimary WHEN 'i' THEN i.indisreplident ELSE false END
    ),
    (
        SELECT string_agg(k.number::text, ' ' ORDER BY k.place)
        FROM pg_index i, unnest(i.indkey::int2[]) WITH ORDINALITY AS k (number, place)
        WHERE i.indrelid = c.oid AND i.indisvalid AND i.indisprimary AND k.place <= i.indnkeyatts
    ),
    (SELECT string_agg(DISTINCT up.ancestor::text, ' ') FROM up WHERE up.oid = c.oid),
    (SELECT string_agg(DISTINCT down.descendant::text, ' ') FROM down WHERE down.oid = c.oid),
    (
        SELECT string_agg(concat_ws(':', a.attnum, a.atttypid, concat(
                a.attnotnull::int, coalesce(l.collisdeterministic, true)::int, (a.attgenerated <> '')::int
            ), encode(convert_to(a.attname, 'UTF8'), 'hex')), ' ' ORDER BY a.attnum)
        FROM pg_attribute a LEFT JOIN pg_collation l ON l.oid = a.attcollation
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    )
FROM wanted w JOIN pg_class c ON c.oid = w.oid JOIN pg_namespace n ON n.oid = c.relnamespace
