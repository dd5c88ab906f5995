-- Plans of shapes that were seen when a database was asked for advice: their forms, without values, costs and numbers of rows. What has become
-- slower is set beside them.
CREATE TABLE plan (
    database TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    hash INTEGER NOT NULL, -- of the form
    form TEXT NOT NULL, -- for people: Limit (Sort (Seq Scan on orders))
    first_seen INTEGER NOT NULL, -- seconds since 1970
    last_seen INTEGER NOT NULL,
    table_rows INTEGER NOT NULL, -- of the largest table that it reads, when it was seen last
    PRIMARY KEY (database, fingerprint, hash)
) WITHOUT ROWID;
