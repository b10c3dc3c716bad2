# SPDX-License-Identifier: Apache-2.0
# A PostgreSQL cluster of its own: Unix socket only, who may come in is known by the kernel.
# Sourced by conf/quickstart, whose variables it uses.

pg_bin() {
    local found
    found=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1) || true
    if [ -z "$found" ]; then found=$(dirname "$(command -v initdb || true)"); fi
    [ -x "$found/initdb" ] || die "PostgreSQL's initdb was not found"
    printf '%s' "$found"
}
as_pg() { if is_root; then (cd / && exec runuser -u postgres -- "$@"); else "$@"; fi; }
pg_admin() { as_pg "$PGBIN/psql" -X -q -v ON_ERROR_STOP=1 -h "$SOCKET_DIR" -U postgres "$@"; }
pg_running() { [ -d "$PG_STATE/pg" ] && as_pg "$PGBIN/pg_ctl" status -D "$PG_STATE/pg" >/dev/null 2>&1; }

db_connections() {   # of one child and one homeserver
    local n=$((64 / opt[children]))
    [ "$n" -le 16 ] || n=16
    [ "$n" -ge 4 ] || n=4
    printf '%s' "$n"
}

make_cluster() {
    local user users='postgres matrix' me
    [ ! -s "$PG_STATE/pg/PG_VERSION" ] || return 0
    say "Making a PostgreSQL cluster ..."
    rm -rf "$PG_STATE/pg"
    if is_root; then install -d -o postgres -g postgres -m 0700 "$PG_STATE/pg"; fi
    as_pg "$PGBIN/initdb" -D "$PG_STATE/pg" -U postgres -A peer -E UTF8 --locale=C.UTF-8 >"$DIR/log/initdb.log" 2>&1 \
        || { cat "$DIR/log/initdb.log" >&2; die "initdb failed"; }
    # Who may come in: the users that httpd, its children and this script run as, known by the kernel; no password.
    me=$(id -un)
    for user in "$me" postgres www-data; do
        for db_user in $users; do printf 'mx %s %s\n' "$user" "$db_user"; done
    done | sort -u | grep -v 'www-data postgres' | as_pg tee "$PG_STATE/pg/pg_ident.conf" >/dev/null
    printf 'local all all peer map=mx\n' | as_pg tee "$PG_STATE/pg/pg_hba.conf" >/dev/null
    printf "include 'quickstart.conf'\n" | as_pg tee -a "$PG_STATE/pg/postgresql.conf" >/dev/null
}

write_pg_conf() {
    # as many for the old children of a graceful restart, and for a second instance on the database
    local n=$(( (1 + ${#extra_vhosts[@]}) * opt[children] * ($(db_connections) + 4) * 3 + 20 ))
    [ "$n" -ge 100 ] || n=100
    as_pg tee "$PG_STATE/pg/quickstart.conf" >/dev/null <<CONF
# Written by conf/quickstart at every start.
listen_addresses = ''
unix_socket_directories = '$SOCKET_DIR'
max_connections = $n
shared_buffers = 128MB
max_wal_size = 1GB
shared_preload_libraries = 'pg_stat_statements'
jit = off
recovery_init_sync_method = syncfs
cluster_name = 'mod_matrix'
CONF
}

start_pg() {
    if [ "$HOME_DIR" != "$DIR" ]; then
        pg_running || die "the PostgreSQL of $HOME_DIR does not run; conf/quickstart up --dir $HOME_DIR starts it"
        return 0
    fi
    make_cluster
    ! pg_running || return 0
    write_pg_conf
    (exec 9>&-; as_pg setsid "$PGBIN/pg_ctl" start -w -t 60 -s -D "$PG_STATE/pg" -l "$PG_STATE/pg/server.log") </dev/null >&2 \
        || { as_pg tail -n 20 "$PG_STATE/pg/server.log" >&2; die "PostgreSQL did not start"; }
}

make_database() {
    [ "$(pg_admin -d postgres -At -c "SELECT 1 FROM pg_database WHERE datname = '$V_DB'")" != 1 ] || return 0
    pg_admin -d postgres -c "DO \$\$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'matrix') THEN
        CREATE ROLE matrix LOGIN; GRANT pg_monitor, pg_checkpoint TO matrix; END IF; END \$\$" \
        -c "CREATE DATABASE \"$V_DB\" OWNER matrix"
    pg_admin -d "$V_DB" -c 'CREATE EXTENSION pg_stat_statements' \
        -c 'GRANT EXECUTE ON FUNCTION pg_stat_statements_reset TO matrix'
}

stop_pg() {   # not that of another server
    [ "$HOME_DIR" = "$DIR" ] || return 0
    ! pg_running || as_pg "$PGBIN/pg_ctl" stop -w -s -m fast -D "$PG_STATE/pg" >&2 || die "PostgreSQL did not stop"
}
