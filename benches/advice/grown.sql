-- What happens after statistics were gathered, in each copy of the database, so that its counters have seen it.

INSERT INTO imports
SELECT i, 2 + i / 30000, CASE WHEN i % 400 = 0 THEN 'failed' ELSE 'done' END, 'line ' || md5(i::text) FROM generate_series(2001, 60000) AS i;

DELETE FROM drafts WHERE id % 10 > 0;
