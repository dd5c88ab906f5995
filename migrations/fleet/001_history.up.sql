-- The history of a fleet: the tables of `migrations/state/`, in the schema pgweir_history of a PostgreSQL. Every count, sample and caller says of which
-- pgweir it is; shapes and the numbers of shapes and fixes are of all of them, so that Q7 is the same statement everywhere. No literal of a
-- statement is in here, and no parameter, but those that `history.clear_values` allows.

CREATE TABLE pgweir_history.migration (
    number integer PRIMARY KEY,
    name text NOT NULL,
    applied timestamptz NOT NULL DEFAULT now()
);

-- A shape: the text of statements with $1, $2, ... in the place of their values.
CREATE TABLE pgweir_history.shape (
    fingerprint bytea PRIMARY KEY, -- 16 bytes
    text text NOT NULL,
    first_seen bigint NOT NULL -- seconds since 1970
);

-- Who sent statements, and through which pgweir.
CREATE TABLE pgweir_history.origin (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    instance text NOT NULL,
    database text NOT NULL,
    "user" text NOT NULL,
    application text NOT NULL,
    UNIQUE (instance, database, "user", application)
);

-- What was counted of a shape in a minute, an hour or a day; columns as in `migrations/state/`. Sixteen zero bytes in place of a fingerprint: all
-- shapes that have no row of their own. Rows of the minute are added to in place, for which pages keep room; what is deleted is taken up soon.
CREATE TABLE pgweir_history.bucket (
    span integer NOT NULL, -- 60, 3600 or 86400 seconds
    start bigint NOT NULL, -- seconds since 1970
    origin bigint NOT NULL,
    fingerprint bytea NOT NULL,
    calls bigint NOT NULL,
    timed bigint NOT NULL,
    row_count bigint NOT NULL,
    bytes bigint NOT NULL,
    served text NOT NULL, -- by primary, replica, cache, pgweir
    micros text NOT NULL, -- wait, first, stream, drain, total
    longest bigint NOT NULL,
    errors text NOT NULL, -- class=count, with blanks between
    steps bytea NOT NULL, -- of the five clocks, each behind its length
    habits text NOT NULL, -- blocks, calls in them, the most in one, blocks with ten or more, calls in those; then pauses and whole blocks (`Habits`)
    PRIMARY KEY (span, start, origin, fingerprint)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);

-- What is missing, by hour: statements that were counted and could not be written.
CREATE TABLE pgweir_history.missing (
    instance text NOT NULL,
    start bigint NOT NULL,
    statements bigint NOT NULL,
    PRIMARY KEY (instance, start)
);

-- The last batch of each process of a pgweir: one whose COMMIT was not answered is not written twice.
CREATE TABLE pgweir_history.writer (
    instance text NOT NULL,
    process bigint NOT NULL, -- at random, for as long as it runs
    batch bigint NOT NULL,
    at bigint NOT NULL, -- seconds since 1970
    PRIMARY KEY (instance, process)
);

-- The key with which values are hashed that may not be kept in clear. Who has this table can try values; who has only hashes cannot.
CREATE TABLE pgweir_history.secret (key bytea NOT NULL);
INSERT INTO pgweir_history.secret
    SELECT decode(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 'hex');

-- Statements of a shape, each with its values, as one pgweir saw them last.
CREATE TABLE pgweir_history.sample (
    instance text NOT NULL,
    database text NOT NULL,
    fingerprint bytea NOT NULL,
    number integer NOT NULL, -- 0 to 11
    origin text NOT NULL, -- frequent, slowest, rare, newest
    text text NOT NULL,
    vals text NOT NULL, -- a JSON list, as in `migrations/state/`
    micros bigint NOT NULL,
    calls bigint NOT NULL,
    seen bigint NOT NULL, -- when it was written, in seconds since 1970
    PRIMARY KEY (instance, database, fingerprint, number)
);

-- The callers' own words (sqlcommenter tags) for where statements are sent from, by day.
CREATE TABLE pgweir_history.caller (
    start bigint NOT NULL,
    instance text NOT NULL,
    database text NOT NULL,
    fingerprint bytea NOT NULL,
    caller text NOT NULL,
    calls bigint NOT NULL,
    PRIMARY KEY (start, instance, database, fingerprint, caller)
);

-- Numbers of shapes, given when they are first seen. They outlive the counts of a shape, for when it comes back.
CREATE TABLE pgweir_history.shape_number (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    fingerprint bytea NOT NULL UNIQUE
);

-- Numbers of fixes, given when a report first proposes them. The key says what a fix is, in sixteen bytes.
CREATE TABLE pgweir_history.fix_number (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key bytea NOT NULL UNIQUE,
    first_proposed bigint NOT NULL, -- seconds since 1970
    last_proposed bigint NOT NULL
);
