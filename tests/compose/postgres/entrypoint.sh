#!/bin/sh
# The public image's entrypoint in short: as root it makes the folder postgres's own, and becomes postgres; on an empty
# folder it makes the cluster, the user and the database.
set -eu

if [ "$(id -u)" = 0 ]; then
  mkdir -p "$PGDATA"
  chown -R postgres:postgres "$PGDATA" /run/postgresql
  chmod 700 "$PGDATA"
  PGPASSWORD_ONCE=$(cat "$POSTGRES_PASSWORD_FILE") exec setpriv --reuid postgres --regid postgres --init-groups "$0" "$@"
fi

if [ ! -s "$PGDATA/PG_VERSION" ]; then
  password=$(mktemp /tmp/password.XXXXXX)
  printf '%s\n' "$PGPASSWORD_ONCE" >"$password"
  # shellcheck disable=SC2086 - arguments, as in the public image
  initdb --locale C.UTF-8 --username "$POSTGRES_USER" --pwfile "$password" ${POSTGRES_INITDB_ARGS:-}
  rm -f "$password"
  printf 'host all all all scram-sha-256\n' >>"$PGDATA/pg_hba.conf"
  pg_ctl -w -o "-c listen_addresses='' -c unix_socket_directories=/tmp" start
  psql --host /tmp --username "$POSTGRES_USER" --dbname postgres --command "CREATE DATABASE \"$POSTGRES_DB\""
  pg_ctl -m fast -w stop
fi
unset PGPASSWORD_ONCE
exec "$@" -c "listen_addresses=*"
