-- Short names that stay: Q7 for a shape, FIX-2 for something to do, in every report from this file.

-- Numbers of shapes, given when they are first seen. They outlive the counts of a shape, for when it comes back.
CREATE TABLE shape_number (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    fingerprint BLOB NOT NULL UNIQUE
);

INSERT INTO shape_number (fingerprint) SELECT fingerprint FROM shape ORDER BY first_seen, fingerprint;

CREATE TRIGGER shape_is_numbered AFTER INSERT ON shape BEGIN
    INSERT OR IGNORE INTO shape_number (fingerprint) VALUES (NEW.fingerprint);
    -- A flood of shapes that are never seen again is forgotten in the end; numbers are not given twice. Looked at once for every 1024 shapes.
    DELETE FROM shape_number
    WHERE (SELECT seq FROM sqlite_sequence WHERE name = 'shape_number') % 1024 = 0
        AND number <= (SELECT seq FROM sqlite_sequence WHERE name = 'shape_number') - 100000
        AND fingerprint NOT IN (SELECT fingerprint FROM shape);
END;

-- Numbers of fixes, given when a report first proposes them. The key says what a fix is, in sixteen bytes.
CREATE TABLE fix_number (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    key BLOB NOT NULL UNIQUE,
    first_proposed INTEGER NOT NULL, -- seconds since 1970
    last_proposed INTEGER NOT NULL
);
