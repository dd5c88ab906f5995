-- Where the optional objects are, and which of them are there.
CREATE SCHEMA pgweir;
COMMENT ON SCHEMA pgweir IS 'optional objects of pgweir: see "pgweir upstream status"';
CREATE TABLE pgweir.installed (
    name pg_catalog.text PRIMARY KEY,
    digest pg_catalog.text NOT NULL,
    at pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.now()
);
REVOKE ALL ON SCHEMA pgweir FROM PUBLIC;
