-- Tells streams of changes that no row tells: of definitions, of partitions that are attached or detached, of tables that are rewritten, and
-- of materialized views that are refreshed. Each message is part of the transaction that made the change, and comes with its commit.
-- Takes a table out of the publications of pgweir in the same transaction in which it loses its replica identity: its UPDATEs would fail.
-- Needs a superuser. Shared objects (roles, databases, tablespaces) fire no event triggers; PostgreSQL 13 does not send messages.

CREATE FUNCTION pgweir.tell_definitions() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    definitions boolean := false;
    relations text;
BEGIN
    SELECT coalesce(bool_or(c.command_tag <> 'REFRESH MATERIALIZED VIEW'), false),
        string_agg(DISTINCT c.objid::text, ' ') FILTER (WHERE c.command_tag IN ('REFRESH MATERIALIZED VIEW', 'ALTER TABLE'))
    INTO definitions, relations
    FROM pg_event_trigger_ddl_commands() c
    WHERE c.schema_name IS DISTINCT FROM 'pg_temp'
        AND c.command_tag !~ 'PUBLICATION|SUBSCRIPTION|^COMMENT$|STATISTICS$';
    IF definitions THEN
        PERFORM pg_logical_emit_message(true, 'pgweir', 'definitions');
    END IF;
    IF relations IS NOT NULL THEN
        PERFORM pg_logical_emit_message(true, 'pgweir', 'relation ' || relations);
    END IF;
    IF TG_TAG ~ '^(ALTER TABLE|ALTER INDEX|DROP INDEX)$' THEN
        PERFORM pgweir.keep_updates_possible();
    END IF;
END
$$;

CREATE FUNCTION pgweir.tell_drops() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF EXISTS (
        SELECT FROM pg_event_trigger_dropped_objects() o
        WHERE NOT o.is_temporary AND o.object_type !~ 'publication|subscription|statistics'
    ) THEN
        PERFORM pg_logical_emit_message(true, 'pgweir', 'definitions');
    END IF;
END
$$;

CREATE FUNCTION pgweir.tell_rewrite() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM pg_logical_emit_message(true, 'pgweir', 'relation ' || pg_event_trigger_table_rewrite_oid());
END
$$;

CREATE FUNCTION pgweir.keep_updates_possible() RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    one record;
BEGIN
    FOR one IN
        SELECT p.pubname, n.nspname, c.relname
        FROM pg_publication p JOIN pg_publication_rel r ON r.prpubid = p.oid JOIN pg_class c ON c.oid = r.prrelid
            JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE p.pubname ~ '^pgweir_[0-9a-f]{16}$' AND obj_description(p.oid, 'pg_publication') ~ '^pgweir stream'
            AND c.relreplident <> 'f' AND NOT EXISTS (
                SELECT FROM pg_index i
                WHERE i.indrelid = c.oid AND i.indisvalid AND i.indimmediate
                    AND CASE c.relreplident WHEN 'd' THEN i.indisprimary WHEN 'i' THEN i.indisreplident ELSE false END
            )
    LOOP
        EXECUTE format('ALTER PUBLICATION %I DROP TABLE ONLY %I.%I', one.pubname, one.nspname, one.relname);
    END LOOP;
EXCEPTION WHEN OTHERS THEN
    -- Nobody's ALTER TABLE fails because of this; pgweir takes the table out itself within some seconds.
    RAISE WARNING 'pgweir: a table without a replica identity stays published: %', SQLERRM;
END
$$;

REVOKE ALL ON FUNCTION pgweir.keep_updates_possible() FROM PUBLIC;

CREATE EVENT TRIGGER pgweir_definitions ON ddl_command_end EXECUTE FUNCTION pgweir.tell_definitions();
CREATE EVENT TRIGGER pgweir_drops ON sql_drop EXECUTE FUNCTION pgweir.tell_drops();
CREATE EVENT TRIGGER pgweir_rewrites ON table_rewrite EXECUTE FUNCTION pgweir.tell_rewrite();
