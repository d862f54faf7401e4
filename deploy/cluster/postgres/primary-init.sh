#!/bin/sh
# Run once by the image, on the empty primary: a role and a slot for each replica, and the line that lets the role in.
set -eu

psql -v ON_ERROR_STOP=1 -v password="$REPLICATION_PASSWORD" -U "$POSTGRES_USER" -d "$POSTGRES_DB" <<'SQL'
CREATE ROLE replicator LOGIN REPLICATION PASSWORD :'password';
SELECT pg_create_physical_replication_slot(name) FROM unnest(ARRAY['replica1', 'replica2']) AS name;
SQL

# `all` in the second column of pg_hba.conf does not stand for replication (PostgreSQL manual, "The pg_hba.conf File").
echo 'host replication replicator all scram-sha-256' >>"$PGDATA/pg_hba.conf"
