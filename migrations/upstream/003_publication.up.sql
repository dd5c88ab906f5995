-- For a login of pgweir that does not own the tables: adds tables to its publications, and takes them out. Only such publications, that
-- it owns itself, and only tables that have a replica identity. Granted to nobody: GRANT USAGE ON SCHEMA pgweir and EXECUTE on both
-- functions to the login. It can then have any table streamed, as a login that may replicate can anyway.

CREATE FUNCTION pgweir.publish(publication name, relation oid) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM FROM pg_publication p
    WHERE p.pubname = publication AND p.pubname ~ '^pgweir_[0-9a-f]{16}$' AND pg_has_role(session_user, p.pubowner, 'USAGE');
    IF NOT FOUND THEN
        RAISE insufficient_privilege USING MESSAGE = format('publication "%s" is not one of pgweir''s, or not yours', publication);
    END IF;
    PERFORM FROM pg_class c
    WHERE c.oid = relation AND c.relkind = 'r' AND c.relpersistence = 'p' AND c.oid >= 16384
        AND (c.relreplident = 'f' OR EXISTS (
            SELECT FROM pg_index i
            WHERE i.indrelid = c.oid AND i.indisvalid AND i.indimmediate
                AND CASE c.relreplident WHEN 'd' THEN i.indisprimary WHEN 'i' THEN i.indisreplident ELSE false END
        ));
    IF NOT FOUND THEN
        RAISE object_not_in_prerequisite_state USING MESSAGE = format('relation %s is no table with a replica identity', relation);
    END IF;
    EXECUTE format('ALTER PUBLICATION %I ADD TABLE ONLY %s', publication, relation::regclass);
END
$$;

CREATE FUNCTION pgweir.unpublish(publication name, relation oid) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM FROM pg_publication p
    WHERE p.pubname = publication AND p.pubname ~ '^pgweir_[0-9a-f]{16}$' AND pg_has_role(session_user, p.pubowner, 'USAGE');
    IF NOT FOUND THEN
        RAISE insufficient_privilege USING MESSAGE = format('publication "%s" is not one of pgweir''s, or not yours', publication);
    END IF;
    EXECUTE format('ALTER PUBLICATION %I DROP TABLE ONLY %s', publication, relation::regclass);
END
$$;

REVOKE ALL ON FUNCTION pgweir.publish(name, oid), pgweir.unpublish(name, oid) FROM PUBLIC;
