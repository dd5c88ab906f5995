#!/bin/bash
# The image's own rules do not let replicas in.
echo 'host replication replicator all scram-sha-256' >>"$PGDATA/pg_hba.conf"
