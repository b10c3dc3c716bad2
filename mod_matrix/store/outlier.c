/* SPDX-License-Identifier: Apache-2.0 */
/* Stores outliers: columns for the functions of sql/0012_outliers.sql. */
#include "store/outlier.h"

#include "core/ident.h"
#include "store/pg_private.h"

#define ARRAY(pool, type, n) apr_palloc((pool), sizeof(type) * (apr_size_t)((n) + 1))

/** Users and their servers, types, and the (type, state_key) pairs. */
static apr_status_t intern(mx_store_t *store, const char *our_server, const mx_store_outlier_t *events, int n, apr_pool_t *pool)
{
    MX_STMT(intern_all, "SSsSSS",
            "select intern_all($1::text[], $2::text[], $3::text, $4::text[], $5::text[], $6::text[])");
    const char **users = ARRAY(pool, char *, 2 * n), **servers = ARRAY(pool, char *, 2 * n), **types = ARRAY(pool, char *, n);
    const char **skey_types = ARRAY(pool, char *, n), **skeys = ARRAY(pool, char *, n);
    int i, nusers = 0, nskeys = 0;
    for (i = 0; i < n; i++) {
        const mx_store_outlier_t *ev = &events[i];
        users[nusers] = ev->sender;
        servers[nusers++] = mx_ident_server(ev->sender);
        types[i] = ev->type;
        if (!ev->state_key)
            continue;
        skey_types[nskeys] = ev->type;
        skeys[nskeys++] = ev->state_key;
        if (strcmp(ev->type, "m.room.member") != 0 || !mx_ident_is_user_id(ev->state_key))
            continue;
        users[nusers] = ev->state_key;
        servers[nusers++] = mx_ident_server(ev->state_key);
    }
    return mx_store_run(NULL, store, pool, &intern_all, users, nusers, servers, nusers, our_server, types, n, skey_types, nskeys, skeys,
                        nskeys);
}

/** Columns of the events. */
typedef struct columns_t {
    mx_slice_t *id, *pdu, *auth;
    apr_int64_t *ts, *depth;
    const char **sender, **type, **state_key;
    int *flags, *auth_end, nauth;
} columns_t;

static void make_columns(columns_t *c, mx_store_t *store, const mx_store_outlier_t *events, int n, apr_pool_t *pool)
{
    int i, k, nauth = 0;
    for (i = 0; i < n; i++)
        nauth += events[i].nauth;
    *c = (columns_t){ ARRAY(pool, mx_slice_t, n), ARRAY(pool, mx_slice_t, n), ARRAY(pool, mx_slice_t, nauth), ARRAY(pool, apr_int64_t, n),
                      ARRAY(pool, apr_int64_t, n), ARRAY(pool, char *, n), ARRAY(pool, char *, n), ARRAY(pool, char *, n),
                      ARRAY(pool, int, n), ARRAY(pool, int, n), 0 };
    for (i = 0; i < n; i++) {
        const mx_store_outlier_t *ev = &events[i];
        c->id[i] = ev->id;
        c->pdu[i] = mx_store_body_pack(store->body, ev->pdu, pool);
        c->ts[i] = ev->ts;
        c->depth[i] = ev->depth;
        c->sender[i] = ev->sender;
        c->type[i] = ev->type;
        c->state_key[i] = ev->state_key;
        c->flags[i] = ev->flags;
        for (k = 0; k < ev->nauth; k++)
            c->auth[c->nauth++] = ev->auth[k];
        c->auth_end[i] = c->nauth;
    }
}

apr_status_t mx_store_outlier_add(int *padded, mx_store_t *store, apr_int64_t room_nid, const char *our_server,
                                  const mx_store_outlier_t *events, int n, apr_pool_t *pool)
{
    MX_STMT(outliers_add, "lBBLLSSSIBI",
            "select outliers_add($1::int8, $2::bytea[], $3::bytea[], $4::int8[], $5::int8[], $6::text[], $7::text[], $8::text[],"
            " $9::int4[], $10::bytea[], $11::int4[])");
    mx_rows_t *rows;
    columns_t c;
    apr_status_t rv = intern(store, our_server, events, n, pool);
    if (rv != APR_SUCCESS)
        return rv;
    make_columns(&c, store, events, n, pool);
    rv = mx_store_run(&rows, store, pool, &outliers_add, room_nid, c.id, n, c.pdu, n, c.ts, n, c.depth, n, c.sender, n, c.type, n,
                      c.state_key, n, c.flags, n, c.auth, c.nauth, c.auth_end, n);
    if (rv == APR_SUCCESS)
        *padded = (int)mx_row_int(rows, 0, 0);
    return rv;
}

apr_status_t mx_store_outlier_find(mx_store_outlier_row_t **pout, int *pn, mx_store_t *store, const mx_slice_t *ids, int n,
                                   apr_pool_t *pool)
{
    MX_STMT(outlier_find, "B",
            "select e.nid, e.room_nid, s.skey_nid, e.flags, e.event_id from event e left join state_event s on s.nid = e.nid"
            " where e.event_id = any($1::bytea[])");
    mx_store_outlier_row_t *out;
    mx_rows_t *rows;
    int i;
    apr_status_t rv = mx_store_run(&rows, store, pool, &outlier_find, ids, n);
    if (rv != APR_SUCCESS)
        return rv;
    *pn = mx_rows_count(rows);
    out = ARRAY(pool, mx_store_outlier_row_t, *pn);
    for (i = 0; i < *pn; i++)
        out[i] = (mx_store_outlier_row_t){ mx_row_int(rows, i, 0), mx_row_int(rows, i, 1), mx_row_int(rows, i, 2),
                                           (int)mx_row_int(rows, i, 3), mx_row_bytes(rows, i, 4) };
    *pout = out;
    return APR_SUCCESS;
}

apr_status_t mx_store_outlier_members(mx_store_outlier_member_t **pout, int *pn, mx_store_t *store, const apr_int64_t *nids, int n,
                                      apr_pool_t *pool)
{
    MX_STMT(outlier_members, "L",
            "select e.nid, x.user_nid, e.pdu from event e join state_event s on s.nid = e.nid join skey k on k.skey_nid = s.skey_nid"
            " join mxid x on x.mxid = k.state_key where e.nid = any($1::int8[])"
            " and e.type_nid = (select type_nid from ev_type where type = 'm.room.member')");
    mx_store_outlier_member_t *out;
    mx_rows_t *rows;
    int i;
    apr_status_t rv = mx_store_run(&rows, store, pool, &outlier_members, nids, n);
    if (rv != APR_SUCCESS)
        return rv;
    *pn = mx_rows_count(rows);
    out = ARRAY(pool, mx_store_outlier_member_t, *pn);
    for (i = 0; i < *pn; i++)
        out[i] = (mx_store_outlier_member_t){ mx_row_int(rows, i, 0), mx_row_int(rows, i, 1), mx_row_body(rows, i, 2) };
    *pout = out;
    return APR_SUCCESS;
}

apr_status_t mx_store_outlier_ground(mx_store_t *store, const mx_store_ground_t *ground, apr_pool_t *pool)
{
    MX_STMT(outlier_ground, "llilll", "select outlier_ground($1::int8, $2::int8, $3::int4, $4::int8, $5::int8, $6::int8)");
    mx_rows_t *rows;
    apr_status_t rv = mx_store_run(&rows, store, pool, &outlier_ground, ground->room_nid, ground->nid, ground->flags, ground->before,
                                   ground->after, ground->replaces);
    return rv == APR_SUCCESS && !mx_row_bool(rows, 0, 0) ? MX_STORE_NONE : rv;
}

apr_status_t mx_store_outlier_room(apr_int64_t *pnid, mx_store_t *store, const char *room_id, int version, apr_pool_t *pool)
{
    MX_STMT(room_expect, "si", "select room_expect($1::text, $2::int4)");
    mx_rows_t *rows;
    apr_status_t rv = mx_store_run(&rows, store, pool, &room_expect, room_id, version);
    if (rv == APR_SUCCESS)
        *pnid = mx_row_int(rows, 0, 0);
    return rv;
}

apr_status_t mx_store_outlier_min_depth(apr_int64_t *pdepth, mx_store_t *store, apr_int64_t room_nid, apr_pool_t *pool)
{
    MX_STMT(outlier_min_depth, "l", "select depth from event where room_nid = $1::int8 and ord > 0 order by ord limit 1");
    mx_rows_t *rows;
    apr_status_t rv = mx_store_run(&rows, store, pool, &outlier_min_depth, room_nid);
    if (rv == APR_SUCCESS)
        *pdepth = mx_rows_count(rows) ? mx_row_int(rows, 0, 0) : 0;
    return rv;
}

apr_status_t mx_store_outlier_gap(mx_conn_t *conn, const apr_int64_t *nids, int n, apr_pool_t *pool)
{
    MX_STMT(gap_add, "L", "insert into gap (room_nid, ord) select room_nid, ord from event where nid = any($1::int8[]) on conflict do nothing");
    return mx_store_query(NULL, conn, pool, &gap_add, nids, n);
}
