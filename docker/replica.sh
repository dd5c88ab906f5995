#!/bin/bash
# Becomes a replica of `primary`: a base backup into an empty data folder, then PostgreSQL in standby mode.
set -euo pipefail

if [ ! -s "$PGDATA/PG_VERSION" ]; then
    until pg_basebackup -h primary -U replicator -D "$PGDATA" -X stream --checkpoint=fast --write-recovery-conf; do
        # What an interrupted backup left; the next one wants an empty folder.
        find "$PGDATA" -mindepth 1 -delete
        sleep 1
    done
    chmod 700 "$PGDATA"
fi
exec postgres
