#!/bin/sh
# A replica's entrypoint: copies the primary once, then starts as the image does.
#
# PRIMARY is its host, SLOT the slot that keeps the log for this replica, REPLICATION_PASSWORD the role's password. A copy that was broken off
# lies beside PGDATA and is begun anew. What runs as root here is given to `postgres` by the image's entrypoint, before the server starts.
set -eu

if [ ! -s "$PGDATA/PG_VERSION" ]; then
    copy=$(dirname "$PGDATA")/copy
    rm -rf "$copy"
    mkdir -p "$(dirname "$PGDATA")"
    # --write-recovery-conf writes standby.signal and primary_conninfo with this password, which pg_basebackup reads from PGPASSWORD.
    PGPASSWORD=$REPLICATION_PASSWORD pg_basebackup --pgdata="$copy" --write-recovery-conf --wal-method=stream --checkpoint=fast \
        --slot="$SLOT" --dbname="host=$PRIMARY user=replicator application_name=$SLOT"
    rm -rf "$PGDATA"
    mv "$copy" "$PGDATA"
fi

exec docker-entrypoint.sh "$@"
