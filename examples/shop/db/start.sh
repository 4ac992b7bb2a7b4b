#!/bin/sh
# Makes the cluster in an empty volume. It is made beside and moved, so that an interrupted start leaves no half of one.
set -eu
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  new=$PGDATA/new
  rm -rf "$new"
  (umask 077 && printf '%s\n' "$POSTGRES_PASSWORD" > /tmp/password)
  initdb --auth=scram-sha-256 --pwfile=/tmp/password "$new" > /dev/null
  rm /tmp/password
  echo 'host all all all scram-sha-256' >> "$new/pg_hba.conf"
  version=$(cat "$new/PG_VERSION")
  rm "$new/PG_VERSION"
  find "$new" -mindepth 1 -maxdepth 1 -exec mv {} "$PGDATA" \;
  rmdir "$new"
  echo "$version" > "$PGDATA/PG_VERSION"
fi
unset POSTGRES_PASSWORD
exec "$@"
