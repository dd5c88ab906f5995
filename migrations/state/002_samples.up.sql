-- What else is known of shapes: statements with their values, habits, and where callers say that they sent them from. From here on the texts of
-- shapes have $1, $2, ... in the place of values; pgweir rewrites those that are there already.

-- The key with which values are hashed that may not be kept in clear. Who has the file can try values; who has only hashes cannot.
CREATE TABLE secret (key BLOB NOT NULL);
INSERT INTO secret VALUES (randomblob(32));

-- Statements of a shape, each with its values. The text has $1, $2, ... in their place; `vals` is a JSON list of {"clear": text}, {"hash": 16
-- hexadecimal digits}, {"left_out": reason} and null (NULL), one for each.
CREATE TABLE sample (
    database TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    number INTEGER NOT NULL, -- 0 to 11
    origin TEXT NOT NULL, -- frequent, slowest, rare, newest
    text TEXT NOT NULL,
    vals TEXT NOT NULL,
    micros INTEGER NOT NULL, -- in all
    calls INTEGER NOT NULL, -- how often it was seen, as far as that is known
    seen INTEGER NOT NULL, -- when it was written, in seconds since 1970
    PRIMARY KEY (database, fingerprint, number)
) WITHOUT ROWID;

-- The callers' own words (sqlcommenter tags) for where statements are sent from, by day.
CREATE TABLE caller (
    start INTEGER NOT NULL,
    database TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    caller TEXT NOT NULL,
    calls INTEGER NOT NULL,
    PRIMARY KEY (start, database, fingerprint, caller)
) WITHOUT ROWID;

-- How statements come in transaction blocks: blocks, calls in them, the most in one, blocks with ten or more, calls in those.
ALTER TABLE bucket ADD COLUMN habits TEXT NOT NULL DEFAULT '';
