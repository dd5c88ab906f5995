-- Moments that pictures are marked with: what somebody said was deployed, and indexes that came or went, from the moment that pgweir noticed it.
CREATE TABLE mark (
    at INTEGER NOT NULL, -- seconds since 1970
    kind TEXT NOT NULL, -- deploy, index_came, index_went
    instance TEXT NOT NULL, -- the pgweir that was told or has noticed; empty: it is of all of them
    database TEXT NOT NULL, -- as clients name it; empty: it is of all of them
    text TEXT NOT NULL,
    since INTEGER NOT NULL, -- the last moment at which it was not so yet; `at`, where that is known exactly
    PRIMARY KEY (at, kind, instance, database, text)
) WITHOUT ROWID;

-- Tables with their indexes, as they were when a database was asked for advice last: what it has the next time is set beside it.
CREATE TABLE seen_table (
    instance TEXT NOT NULL,
    database TEXT NOT NULL,
    name TEXT NOT NULL,
    oid INTEGER NOT NULL, -- another table of that name has another one
    indexes TEXT NOT NULL, -- a JSON list of [name, what it is on, without values]
    seen INTEGER NOT NULL, -- seconds since 1970
    PRIMARY KEY (instance, database, name)
) WITHOUT ROWID;
