-- Moments that pictures are marked with, as in `migrations/state/`.
CREATE TABLE pgweir_history.mark (
    at bigint NOT NULL, -- seconds since 1970
    kind text NOT NULL, -- deploy, index_came, index_went
    instance text NOT NULL, -- the pgweir that was told or has noticed; empty: it is of all of them
    database text NOT NULL, -- as clients name it; empty: it is of all of them
    text text NOT NULL,
    since bigint NOT NULL, -- the last moment at which it was not so yet; `at`, where that is known exactly
    PRIMARY KEY (at, kind, instance, database, text)
);

-- Tables with their indexes, as each pgweir saw them last: what it sees the next time is set beside it.
CREATE TABLE pgweir_history.seen_table (
    instance text NOT NULL,
    database text NOT NULL,
    name text NOT NULL,
    oid bigint NOT NULL, -- another table of that name has another one
    indexes text NOT NULL, -- a JSON list of [name, what it is on, without values]
    seen bigint NOT NULL, -- seconds since 1970
    PRIMARY KEY (instance, database, name)
);
