-- (index, scans) since counters run, on the node that is asked.
SELECT i.indexrelid, pg_stat_get_numscans(i.indexrelid)
FROM pg_index i
WHERE i.indrelid = ANY ($1::oid[])
