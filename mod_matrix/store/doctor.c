/* SPDX-License-Identifier: Apache-2.0 */
/* What matrix-doctor reads. All but one view of the database comes from pinning one connection. */
#include "store/doctor.h"

#include "store/pg_private.h"

apr_status_t mx_store_doctor_begin(mx_conn_t **pconn, mx_store_t *store, mx_doctor_mode_e mode, apr_pool_t *pool)
{
    MX_STMT(doctor_one_view, "", "set transaction isolation level repeatable read, read only");
    MX_STMT(doctor_patience, "", "set local statement_timeout = '10min'");
    mx_conn_t *conn;
    apr_status_t rv = mx_store_borrow(&conn, store, pool);
    if (rv != APR_SUCCESS)
        return rv;
    rv = mx_store_begin(conn);
    if (rv == APR_SUCCESS && mode == MX_DOCTOR_READ)
        rv = mx_store_query(NULL, conn, pool, &doctor_one_view);
    if (rv == APR_SUCCESS)
        rv = mx_store_query(NULL, conn, pool, &doctor_patience);
    if (rv != APR_SUCCESS) {
        mx_store_return(conn);
        return rv;
    }
    store->pinned = conn;
    *pconn = conn;
    return APR_SUCCESS;
}

apr_status_t mx_store_doctor_commit(mx_conn_t *conn)
{
    return mx_store_commit(conn);
}

void mx_store_doctor_end(mx_conn_t *conn)
{
    if (!conn)
        return;
    conn->store->pinned = NULL;
    mx_store_return(conn);
}

static apr_status_t read_ints(apr_int64_t **pout, int *pn, apr_status_t rv, const mx_rows_t *rows, apr_pool_t *pool)
{
    int i, n;
    if (rv != APR_SUCCESS)
        return rv;
    n = mx_rows_count(rows);
    *pout = apr_palloc(pool, sizeof(**pout) * (apr_size_t)(n + 1));
    for (i = 0; i < n; i++)
        (*pout)[i] = mx_row_int(rows, i, 0);
    *pn = n;
    return APR_SUCCESS;
}

apr_status_t mx_store_doctor_rooms(apr_int64_t **pnids, int *pn, mx_store_t *store, apr_int64_t after, int limit, apr_pool_t *pool)
{
    MX_STMT(doctor_rooms, "li", "select room_nid from room where room_nid > $1::int8 order by room_nid limit $2::int4");
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_run(&rows, store, pool, &doctor_rooms, after, limit);
    return read_ints(pnids, pn, rv, rows, pool);
}

apr_status_t mx_store_doctor_room_find(apr_int64_t *pnid, mx_store_t *store, const char *id_or_alias, apr_pool_t *pool)
{
    MX_STMT(doctor_room_find, "s",
            "select room_nid from room where room_id = $1::text union all select room_nid from room_alias where alias = $1::text");
    mx_rows_t *rows;
    apr_status_t rv = mx_store_run(&rows, store, pool, &doctor_room_find, id_or_alias);
    if (rv != APR_SUCCESS)
        return rv;
    if (!mx_rows_count(rows))
        return MX_STORE_NONE;
    *pnid = mx_row_int(rows, 0, 0);
    return APR_SUCCESS;
}

/* ---- rows one by one, so that a large result is held once and packed ---- */

typedef struct ints_t {
    mx_buf_t *buf;
    int ncols;
} ints_t;

static apr_status_t add_ints(void *baton, const mx_rows_t *row)
{
    ints_t *ints = baton;
    int c;
    for (c = 0; c < ints->ncols; c++) {
        apr_int64_t value = mx_row_int(row, 0, c);
        mx_buf_append(ints->buf, (const char *)&value, sizeof(value));
    }
    return APR_SUCCESS;
}

/** All rows of a statement whose parameter is a room, as rows of `ncols` integers. */
static apr_status_t each_int(apr_int64_t **pout, int *pn, mx_store_t *store, mx_stmt_t *stmt, int ncols, apr_int64_t room_nid,
                             apr_pool_t *pool)
{
    ints_t ints = { mx_buf_create(pool), ncols };
    apr_status_t rv = mx_store_each(store, pool, add_ints, &ints, stmt, room_nid);
    if (rv != APR_SUCCESS)
        return rv;
    mx_buf_reserve(ints.buf, 1);
    *pout = (apr_int64_t *)(void *)ints.buf->p;
    *pn = (int)(ints.buf->len / sizeof(apr_int64_t)) / ncols;
    return APR_SUCCESS;
}

apr_status_t mx_store_doctor_event_nids(apr_int64_t **pnids, int *pn, mx_store_t *store, apr_int64_t room_nid, apr_pool_t *pool)
{
    MX_STMT(doctor_event_nids, "l", "select nid from event where room_nid = $1::int8 order by nid");
    return each_int(pnids, pn, store, &doctor_event_nids, 1, room_nid, pool);
}

static apr_status_t each_item(mx_state_item_t **pitems, int *pn, mx_store_t *store, mx_stmt_t *stmt, apr_int64_t room_nid, apr_pool_t *pool)
{
    apr_int64_t *pairs;
    int i;
    apr_status_t rv = each_int(&pairs, pn, store, stmt, 2, room_nid, pool);
    if (rv != APR_SUCCESS)
        return rv;
    *pitems = apr_palloc(pool, sizeof(**pitems) * (apr_size_t)(*pn + 1));
    for (i = 0; i < *pn; i++)
        (*pitems)[i] = (mx_state_item_t){ pairs[2 * i], pairs[2 * i + 1] };
    return APR_SUCCESS;
}

apr_status_t mx_store_doctor_current(mx_state_item_t **pitems, int *pn, mx_store_t *store, apr_int64_t room_nid, apr_pool_t *pool)
{
    MX_STMT(doctor_current, "l", "select skey_nid, nid from cur_state where room_nid = $1::int8 order by skey_nid");
    return each_item(pitems, pn, store, &doctor_current, room_nid, pool);
}

apr_status_t mx_store_doctor_servers(mx_state_item_t **pitems, int *pn, mx_store_t *store, apr_int64_t room_nid, apr_pool_t *pool)
{
    MX_STMT(doctor_servers, "l", "select server_nid, joined from room_server where room_nid = $1::int8 order by server_nid");
    return each_item(pitems, pn, store, &doctor_servers, room_nid, pool);
}

apr_status_t mx_store_doctor_members(mx_doctor_member_t **prows, int *pn, mx_store_t *store, apr_int64_t room_nid, apr_pool_t *pool)
{
    MX_STMT(doctor_members, "l",
            "select m.user_nid, m.nid, m.stream, m.membership, m.local::int4, x.server_nid from member m"
            " left join mxid x on x.user_nid = m.user_nid where m.room_nid = $1::int8 order by m.user_nid");
    apr_int64_t *ints;
    int i;
    apr_status_t rv = each_int(&ints, pn, store, &doctor_members, 6, room_nid, pool);
    if (rv != APR_SUCCESS)
        return rv;
    *prows = apr_palloc(pool, sizeof(**prows) * (apr_size_t)(*pn + 1));
    for (i = 0; i < *pn; i++, ints += 6)
        (*prows)[i] = (mx_doctor_member_t){ ints[0], ints[1], ints[2], (int)ints[3], (int)ints[4], ints[5] };
    return APR_SUCCESS;
}

/* ---- events ---- */

static void read_row(mx_doctor_row_t *out, const mx_rows_t *rows, int i, apr_pool_t *pool)
{
    int c = MX_EVENT_NCOLUMNS;
    mx_store_event_read(&out->event, rows, i, 0);
    out->has_ord = mx_row_bool(rows, i, c++);
    out->has_state = mx_row_bool(rows, i, c++);
    out->state_room_nid = mx_row_int(rows, i, c++);
    out->sender = mx_row_text(rows, i, c++);
    out->type = mx_row_text(rows, i, c++);
    out->state_type = mx_row_text(rows, i, c++);
    out->state_key = mx_row_text(rows, i, c++);
    out->nauth = mx_row_int_array(&out->auth_nids, rows, i, c++, pool);
    out->redacted_by_id = mx_row_bytes(rows, i, c);
}

apr_status_t mx_store_doctor_events(mx_doctor_row_t **prows, int *pn, mx_store_t *store, const apr_int64_t *nids, int n, apr_pool_t *pool)
{
    MX_STMT(doctor_events, "L",
            "select " MX_EVENT_COLUMNS ", e.ord is not null, s.nid is not null, s.room_nid, x.mxid, t.type, kt.type, k.state_key,"
            " s.auth_nids, r.event_id"
            " from unnest($1::int8[]) with ordinality w(nid, o) join (" MX_EVENT_FROM ") on e.nid = w.nid"
            " left join mxid x on x.user_nid = e.sender_nid left join ev_type t on t.type_nid = e.type_nid"
            " left join skey k on k.skey_nid = s.skey_nid left join ev_type kt on kt.type_nid = k.type_nid"
            " left join event r on r.nid = e.redacted_by order by w.o");
    mx_rows_t *rows;
    int i;
    apr_status_t rv = mx_store_run(&rows, store, pool, &doctor_events, nids, n);
    if (rv != APR_SUCCESS)
        return rv;
    *pn = mx_rows_count(rows);
    *prows = apr_pcalloc(pool, sizeof(**prows) * (apr_size_t)(*pn + 1));
    for (i = 0; i < *pn; i++)
        read_row(&(*prows)[i], rows, i, pool);
    return APR_SUCCESS;
}

apr_status_t mx_store_doctor_by_ids(mx_event_row_t **prows, int *pn, mx_store_t *store, const mx_slice_t *ids, int n, apr_pool_t *pool)
{
    MX_STMT(doctor_by_ids, "B", "select " MX_EVENT_COLUMNS " from " MX_EVENT_FROM " where e.event_id = any($1::bytea[])");
    mx_rows_t *rows;
    apr_status_t rv = mx_store_run(&rows, store, pool, &doctor_by_ids, ids, n);
    if (rv == APR_SUCCESS)
        *pn = mx_store_event_read_all(prows, rows, pool);
    return rv;
}

apr_status_t mx_store_doctor_ids(mx_resolve_event_t **prows, int *pn, mx_store_t *store, const apr_int64_t *nids, int n, apr_pool_t *pool)
{
    MX_STMT(doctor_ids, "L",
            "select e.nid, e.event_id from unnest($1::int8[]) with ordinality w(nid, o) join event e on e.nid = w.nid order by w.o");
    mx_rows_t *rows;
    int i;
    apr_status_t rv = mx_store_run(&rows, store, pool, &doctor_ids, nids, n);
    if (rv != APR_SUCCESS)
        return rv;
    *pn = mx_rows_count(rows);
    *prows = apr_pcalloc(pool, sizeof(**prows) * (apr_size_t)(*pn + 1));
    for (i = 0; i < *pn; i++)
        (*prows)[i] = (mx_resolve_event_t){ .nid = mx_row_int(rows, i, 0), .id = mx_row_bytes(rows, i, 1) };
    return APR_SUCCESS;
}

/* ---- snapshots, keys ---- */

/** Puts what row i says at its place in `out`: its first column is that of the number asked for. */
typedef void read_at_fn(void *out, const mx_rows_t *rows, int i);

/** n items of `size` bytes: zeroed, then read where there is a row. */
static apr_status_t read_at(read_at_fn *read, void *out, apr_size_t size, mx_store_t *store, mx_stmt_t *stmt, const apr_int64_t *nids,
                            int n, apr_pool_t *pool)
{
    mx_rows_t *rows;
    int i;
    apr_status_t rv = mx_store_run(&rows, store, pool, stmt, nids, n);
    if (rv != APR_SUCCESS)
        return rv;
    memset(out, 0, size * (apr_size_t)n);
    for (i = 0; i < mx_rows_count(rows); i++)
        read(out, rows, i);
    return APR_SUCCESS;
}

static void read_snap(void *out, const mx_rows_t *rows, int i)
{
    mx_doctor_snap_t *snap = (mx_doctor_snap_t *)out + mx_row_int(rows, i, 0);
    mx_slice_t hash = mx_row_bytes(rows, i, 3);
    snap->room_nid = mx_row_int(rows, i, 1);
    snap->size = (int)mx_row_int(rows, i, 2);
    if (hash.len == sizeof(snap->hash.bytes))
        memcpy(snap->hash.bytes, hash.p, hash.len);
    snap->ancestors_missing = (int)mx_row_int(rows, i, 4);
}

apr_status_t mx_store_doctor_snaps(mx_doctor_snap_t *out, mx_store_t *store, const apr_int64_t *snaps, int n, apr_pool_t *pool)
{
    MX_STMT(doctor_snaps, "L",
            "select w.o - 1, s.room_nid, s.size, s.hash, (select count(*) from unnest(snapshot_chain(s.anc, s.snap_nid)) c(snap)"
            " where not exists (select from snapshot a where a.snap_nid = c.snap and a.room_nid = s.room_nid))"
            " from unnest($1::int8[]) with ordinality w(snap, o) join snapshot s on s.snap_nid = w.snap");
    int i;
    apr_status_t rv = read_at(read_snap, out, sizeof(*out), store, &doctor_snaps, snaps, n, pool);
    for (i = 0; rv == APR_SUCCESS && i < n; i++)
        out[i].snap_nid = snaps[i];
    return rv;
}

static void read_skey(void *out, const mx_rows_t *rows, int i)
{
    mx_doctor_skey_t *skey = (mx_doctor_skey_t *)out + mx_row_int(rows, i, 0);
    skey->type = mx_row_text(rows, i, 1);
    skey->state_key = mx_row_text(rows, i, 2);
    skey->user_nid = mx_row_int(rows, i, 3);
    skey->server_nid = mx_row_int(rows, i, 4);
    skey->local = mx_row_bool(rows, i, 5);
}

apr_status_t mx_store_doctor_skeys(mx_doctor_skey_t *out, mx_store_t *store, const apr_int64_t *skeys, int n, apr_pool_t *pool)
{
    MX_STMT(doctor_skeys, "L",
            "select w.o - 1, t.type, k.state_key, x.user_nid, x.server_nid, x.local from unnest($1::int8[]) with ordinality w(skey, o)"
            " join skey k on k.skey_nid = w.skey join ev_type t on t.type_nid = k.type_nid"
            " left join mxid x on x.mxid = k.state_key and t.type = 'm.room.member'");
    int i;
    apr_status_t rv = read_at(read_skey, out, sizeof(*out), store, &doctor_skeys, skeys, n, pool);
    for (i = 0; rv == APR_SUCCESS && i < n; i++)
        out[i].skey_nid = skeys[i];
    return rv;
}

apr_status_t mx_store_doctor_log(mx_doctor_log_t *out, mx_store_t *store, apr_int64_t room_nid, apr_pool_t *pool)
{
    MX_STMT(doctor_log, "l",
            "select (select count(*) from room_state_log l where l.room_nid = $1::int8"
            " and not exists (select from snapshot s where s.snap_nid = l.snap_nid and s.room_nid = l.room_nid)),"
            " last.stream, last.snap_nid"
            " from (select 1) one left join lateral (select stream, snap_nid from room_state_log where room_nid = $1::int8"
            " order by stream desc limit 1) last on true");
    mx_rows_t *rows;
    apr_status_t rv = mx_store_run(&rows, store, pool, &doctor_log, room_nid);
    if (rv != APR_SUCCESS)
        return rv;
    *out = (mx_doctor_log_t){ mx_row_int(rows, 0, 1), mx_row_int(rows, 0, 2), (int)mx_row_int(rows, 0, 0) };
    return APR_SUCCESS;
}

/* ---- repair ---- */

apr_status_t mx_store_doctor_lock(apr_int64_t *psnap_nid, mx_store_t *store, apr_int64_t room_nid, apr_pool_t *pool)
{
    MX_STMT(doctor_lock, "l", "select snap_nid from room where room_nid = $1::int8 for no key update");
    mx_rows_t *rows;
    apr_status_t rv = mx_store_run(&rows, store, pool, &doctor_lock, room_nid);
    if (rv != APR_SUCCESS)
        return rv;
    if (!mx_rows_count(rows))
        return MX_STORE_NONE;
    *psnap_nid = mx_row_int(rows, 0, 0);
    return APR_SUCCESS;
}

static void split_items(apr_int64_t **pa, apr_int64_t **pb, const mx_state_item_t *items, int n, apr_pool_t *pool)
{
    int i;
    *pa = apr_palloc(pool, sizeof(**pa) * (apr_size_t)(n + 1));
    *pb = apr_palloc(pool, sizeof(**pb) * (apr_size_t)(n + 1));
    for (i = 0; i < n; i++) {
        (*pa)[i] = items[i].skey_nid;
        (*pb)[i] = items[i].nid;
    }
}

/** A statement on a mirror of pairs: `which` deletes the strangers, `put` writes what is missing or different. */
static apr_status_t rebuild_pairs(int *pwritten, mx_store_t *store, apr_int64_t room_nid, mx_stmt_t *strangers, mx_stmt_t *put,
                                  const mx_state_item_t *items, int n, apr_pool_t *pool)
{
    apr_int64_t *keys, *values;
    mx_rows_t *rows;
    apr_status_t rv;
    split_items(&keys, &values, items, n, pool);
    rv = mx_store_run(&rows, store, pool, strangers, room_nid, keys, n);
    if (rv != APR_SUCCESS)
        return rv;
    *pwritten = mx_rows_affected(rows);
    rv = mx_store_run(&rows, store, pool, put, room_nid, keys, n, values, n);
    if (rv == APR_SUCCESS)
        *pwritten += mx_rows_affected(rows);
    return rv;
}

static apr_status_t rebuild_current(int *pwritten, mx_store_t *store, apr_int64_t room_nid, const mx_doctor_mirrors_t *must,
                                    apr_pool_t *pool)
{
    MX_STMT(doctor_current_strangers, "lL",
            "delete from cur_state c where c.room_nid = $1::int8"
            " and not exists (select from unnest($2::int8[]) u(skey) where u.skey = c.skey_nid)");
    MX_STMT(doctor_current_put, "lLL",
            "insert into cur_state (room_nid, skey_nid, nid)"
            " select $1::int8, u.skey, u.nid from unnest($2::int8[], $3::int8[]) u(skey, nid)"
            " on conflict (room_nid, skey_nid) do update set nid = excluded.nid where cur_state.nid <> excluded.nid");
    return rebuild_pairs(pwritten, store, room_nid, &doctor_current_strangers, &doctor_current_put, must->current, must->ncurrent, pool);
}

static apr_status_t rebuild_servers(int *pwritten, mx_store_t *store, apr_int64_t room_nid, const mx_doctor_mirrors_t *must,
                                    apr_pool_t *pool)
{
    MX_STMT(doctor_servers_strangers, "lL",
            "delete from room_server c where c.room_nid = $1::int8"
            " and not exists (select from unnest($2::int8[]) u(server) where u.server = c.server_nid)");
    MX_STMT(doctor_servers_put, "lLL",
            "insert into room_server (server_nid, room_nid, joined)"
            " select u.server::int4, $1::int8, u.joined::int4 from unnest($2::int8[], $3::int8[]) u(server, joined)"
            " on conflict (server_nid, room_nid) do update set joined = excluded.joined where room_server.joined <> excluded.joined");
    return rebuild_pairs(pwritten, store, room_nid, &doctor_servers_strangers, &doctor_servers_put, must->servers, must->nservers, pool);
}

/** A member row keeps since when it holds, unless it was wrong. */
static apr_status_t rebuild_members(int *pwritten, mx_store_t *store, apr_int64_t room_nid, const mx_doctor_mirrors_t *must,
                                    apr_pool_t *pool)
{
    MX_STMT(doctor_members_strangers, "lL",
            "delete from member m where m.room_nid = $1::int8 and m.membership <> 4"
            " and not exists (select from unnest($2::int8[]) u(user_nid) where u.user_nid = m.user_nid)");
    MX_STMT(doctor_members_put, "lLLI",
            "insert into member (room_nid, user_nid, membership, nid, stream, local)"
            " select $1::int8, u.user_nid, u.membership, u.nid, u.nid, x.local"
            " from unnest($2::int8[], $3::int8[], $4::int4[]) u(user_nid, nid, membership) join mxid x on x.user_nid = u.user_nid"
            " on conflict (room_nid, user_nid) do update set membership = excluded.membership, nid = excluded.nid,"
            " stream = case when member.nid = excluded.nid then greatest(member.stream, excluded.stream) else excluded.stream end,"
            " local = excluded.local, forgotten = member.forgotten and excluded.membership not in (1, 2, 3)"
            " where (member.membership, member.nid, member.local) is distinct from (excluded.membership, excluded.nid, excluded.local)"
            " or member.stream < excluded.nid");
    apr_size_t room = (apr_size_t)must->nmembers + 1;
    apr_int64_t *users = apr_palloc(pool, sizeof(*users) * room), *nids = apr_palloc(pool, sizeof(*nids) * room);
    int *memberships = apr_palloc(pool, sizeof(*memberships) * room), i, n = must->nmembers;
    mx_rows_t *rows;
    apr_status_t rv;
    for (i = 0; i < n; i++) {
        users[i] = must->members[i].user_nid;
        nids[i] = must->members[i].nid;
        memberships[i] = must->members[i].membership;
    }
    rv = mx_store_run(&rows, store, pool, &doctor_members_strangers, room_nid, users, n);
    if (rv != APR_SUCCESS)
        return rv;
    *pwritten = mx_rows_affected(rows);
    rv = mx_store_run(&rows, store, pool, &doctor_members_put, room_nid, users, n, nids, n, memberships, n);
    if (rv == APR_SUCCESS)
        *pwritten += mx_rows_affected(rows);
    return rv;
}

/** What children have cached of the state may come from wrong rows: the mark of worn state makes them read it anew. */
static apr_status_t rebuild_counters(int *pwritten, mx_store_t *store, apr_int64_t room_nid, const mx_doctor_mirrors_t *must,
                                    apr_pool_t *pool)
{
    MX_STMT(doctor_counters, "liii",
            "update room set joined = $2::int4, invited = $3::int4, local_joined = $4::int4 where room_nid = $1::int8"
            " and (joined, invited, local_joined) is distinct from ($2::int4, $3::int4, $4::int4)");
    MX_STMT(doctor_refresh, "l", "update room set ver = ver + 1, state_redacted = stream_next() where room_nid = $1::int8");
    mx_rows_t *rows;
    apr_status_t rv = mx_store_run(&rows, store, pool, &doctor_counters, room_nid, must->joined, must->invited, must->local_joined);
    if (rv != APR_SUCCESS)
        return rv;
    *pwritten = mx_rows_affected(rows);
    return mx_store_run(NULL, store, pool, &doctor_refresh, room_nid);
}

apr_status_t mx_store_doctor_rebuild(mx_doctor_written_t *out, mx_store_t *store, apr_int64_t room_nid, const mx_doctor_mirrors_t *must,
                                     apr_pool_t *pool)
{
    apr_status_t rv = rebuild_current(&out->current, store, room_nid, must, pool);
    if (rv == APR_SUCCESS)
        rv = rebuild_members(&out->members, store, room_nid, must, pool);
    if (rv == APR_SUCCESS)
        rv = rebuild_servers(&out->servers, store, room_nid, must, pool);
    return rv == APR_SUCCESS ? rebuild_counters(&out->counters, store, room_nid, must, pool) : rv;
}
