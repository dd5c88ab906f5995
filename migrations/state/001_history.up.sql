-- What statements cost, by shape: the history of pgweir. No literal of a statement is in here, and no parameter.

-- A shape: the text of statements without their literals.
CREATE TABLE shape (
    fingerprint BLOB NOT NULL PRIMARY KEY, -- 16 bytes
    text TEXT NOT NULL,
    first_seen INTEGER NOT NULL, -- seconds since 1970
    last_seen INTEGER NOT NULL
) WITHOUT ROWID;

-- Who sent statements, and through which pgweir.
CREATE TABLE origin (
    id INTEGER PRIMARY KEY,
    instance TEXT NOT NULL,
    database TEXT NOT NULL,
    user TEXT NOT NULL,
    application TEXT NOT NULL,
    UNIQUE (instance, database, user, application)
);

-- What was counted of a shape in a minute, an hour or a day. Sixteen zero bytes in place of a fingerprint: all shapes that have no row of
-- their own. Times are in microseconds, and run for the `timed` of the calls; their steps are pairs of a step and a count, as varints.
CREATE TABLE bucket (
    span INTEGER NOT NULL, -- 60, 3600 or 86400 seconds
    start INTEGER NOT NULL, -- seconds since 1970
    origin INTEGER NOT NULL REFERENCES origin,
    fingerprint BLOB NOT NULL,
    calls INTEGER NOT NULL,
    timed INTEGER NOT NULL,
    row_count INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    served TEXT NOT NULL, -- by primary, replica, cache, pgweir
    micros TEXT NOT NULL, -- wait, first, stream, drain, total
    longest INTEGER NOT NULL,
    errors TEXT NOT NULL, -- class=count, with blanks between
    steps BLOB NOT NULL, -- of the five clocks, each behind its length
    PRIMARY KEY (span, start, origin, fingerprint)
) WITHOUT ROWID;

-- What is missing, by hour: statements that were counted and could not be written.
CREATE TABLE missing (
    instance TEXT NOT NULL,
    start INTEGER NOT NULL,
    statements INTEGER NOT NULL,
    PRIMARY KEY (instance, start)
) WITHOUT ROWID;
