#!/usr/bin/env bash
# A PostgreSQL of its own for tests: data in a folder, no system service, works as root (then the server runs as user postgres).
#
#   postgres.sh start DIR   initdb once, start on 127.0.0.1:PGPORT, print nothing
#   postgres.sh stop DIR    clean stop, data stays
#   postgres.sh kill DIR    immediate stop, as after a crash
#   postgres.sh status DIR  exit code 0 while it runs
#
# PGPORT       port, 15432 by default
# PG_DURABLE=1 sync to disk as in production; by default the server never does, which is faster
set -euo pipefail

fail() {
  echo "postgres.sh: $*" >&2
  exit 1
}

command=${1:-} dir=${2:-}
[[ -n $dir ]] || fail "usage: $0 start|stop|kill|status DIR"
dir=$(realpath -m "$dir")
bin=$(find /usr/lib/postgresql -mindepth 2 -maxdepth 2 -name bin 2>/dev/null | sort -V | tail -1)
[[ -n $bin ]] || bin=$(dirname "$(command -v initdb || true)")
[[ -x $bin/initdb ]] || fail 'no initdb: install PostgreSQL'

# initdb refuses root. setpriv needs no login shell and no PAM.
as_server() {
  if [[ $(id -u) == 0 ]]; then
    setpriv --reuid=postgres --regid=postgres --init-groups -- env -i PATH="$PATH" HOME="$dir" LANG=C.UTF-8 "$@"
  else
    "$@"
  fi
}

case $command in
  start)
    mkdir -p "$dir"
    chmod 700 "$dir"
    [[ $(id -u) != 0 ]] || chown postgres:postgres "$dir"
    cd / # the server's user may not be able to enter the caller's folder
    if [[ ! -f $dir/data/PG_VERSION ]]; then
      as_server "$bin/initdb" -D "$dir/data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 --no-sync --no-instructions >"$dir/initdb.log" 2>&1 ||
        fail "initdb failed: $(tail -3 "$dir/initdb.log")"
    fi
    options="-p ${PGPORT:-15432} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c max_connections=200"
    [[ ${PG_DURABLE:-} == 1 ]] || options+=' -c fsync=off -c synchronous_commit=off -c full_page_writes=off'
    as_server "$bin/pg_ctl" -D "$dir/data" -l "$dir/log" -w -t 60 -o "$options" start >/dev/null || fail "no start: $(tail -3 "$dir/log")"
    ;;
  stop) cd / && as_server "$bin/pg_ctl" -D "$dir/data" -m fast -w stop >/dev/null ;;
  kill) cd / && as_server "$bin/pg_ctl" -D "$dir/data" -m immediate -w stop >/dev/null ;;
  status) cd / && as_server "$bin/pg_ctl" -D "$dir/data" status >/dev/null ;;
  *) fail "no such command: $command" ;;
esac
