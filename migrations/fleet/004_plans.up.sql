-- Plans of shapes, as in `migrations/state/`: with the pgweir for which a database was asked, or none, where somebody asked for all.
CREATE TABLE pgweir_history.plan (
    instance text NOT NULL,
    database text NOT NULL,
    fingerprint bytea NOT NULL,
    hash bigint NOT NULL, -- of the form
    form text NOT NULL, -- for people: Limit (Sort (Seq Scan on orders))
    first_seen bigint NOT NULL, -- seconds since 1970
    last_seen bigint NOT NULL,
    table_rows bigint NOT NULL, -- of the largest table that it reads, when it was seen last
    PRIMARY KEY (instance, database, fingerprint, hash)
);
