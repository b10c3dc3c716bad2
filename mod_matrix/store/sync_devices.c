/* SPDX-License-Identifier: Apache-2.0 */
/* What /sync reads of devices. */
#include "store/sync_devices.h"

MX_STMT(sync_devices, "lli",
        "(select t.stream, t.device_nid, d.user_nid, false from to_device t join device d on d.device_nid = t.device_nid"
        "  where t.stream > $1::int8 and t.stream <= $2::int8 order by t.stream limit $3::int4)"
        " union all"
        " (select k.stream, k.device_nid, d.user_nid, true from key_stock k join device d on d.device_nid = k.device_nid"
        "  where k.stream > $1::int8 and k.stream <= $2::int8 order by k.stream limit $3::int4)");
MX_STMT(sync_device_changes, "lli",
        "select c.stream, c.user_nid, c.viewer_nid, u.mxid, case when c.viewer_nid = 0 then array(select m.room_nid from member m"
        "   where m.user_nid = c.user_nid and m.membership = 2 and m.local) else '{}'::int8[] end"
        " from device_change c join mxid u on u.user_nid = c.user_nid"
        " where c.stream > $1::int8 and c.stream <= $2::int8 order by c.stream limit $3::int4");
MX_STMT(sync_device_state, "ll",
        "select coalesce((select jsonb_object_agg(q.algorithm, q.n) from (select algorithm, count(*) as n from one_time_key"
        "   where device_nid = $1::int8 and body is not null group by algorithm) q), '{}')::text,"
        " coalesce((select jsonb_agg(algorithm order by algorithm) from fallback_key where device_nid = $1::int8 and not used), '[]')::text,"
        " coalesce((select stream from key_stock where device_nid = $1::int8), 0),"
        " exists (select from to_device where device_nid = $1::int8 and stream <= $2::int8)");

/* Both start with what is rare: changed keys, and events of the span. The reader's rooms are asked one by one, by the primary key. */
#define SHARES(user)                                                                                                             \
    "exists (select from member me join member o on o.room_nid = me.room_nid and o.user_nid = " user " and o.membership = 2"     \
    " where me.local and me.user_nid = $1::int8 and me.membership = 2)"
/* Whose membership changed since then in rooms where the reader stayed: by an event, or because forks were resolved. */
#define MOVED_MEMBER(rooms)                                                                                                      \
    " from unnest(" rooms "::int8[]) as q(room_nid) join member m on m.room_nid = q.room_nid and m.stream > $2::int8"            \
    " join mxid u on u.user_nid = m.user_nid"
MX_STMT(sync_devices_changed, "llL",
        "select x.mxid from (select c.user_nid from device_change c where c.stream > $2::int8 and c.viewer_nid = 0"
        "   and " SHARES("c.user_nid")
        " union select c.user_nid from device_change c where c.stream > $2::int8"
        "   and (c.viewer_nid = $1::int8 or (c.viewer_nid = 0 and c.user_nid = $1::int8))"
        " union select m.user_nid from member m where m.room_nid = any($3::int8[]) and m.membership = 2 and m.user_nid <> $1::int8"
        " ) c join mxid x on x.user_nid = c.user_nid order by 1");
MX_STMT(sync_devices_joined, "llL",
        "select u.mxid, case when e.ord = m.stream then s.replaces end" MOVED_MEMBER("$3") " join event e on e.nid = m.nid"
        " join state_event s on s.nid = m.nid where m.membership = 2 and m.user_nid <> $1::int8");
MX_STMT(sync_devices_left, "llLL",
        "select x.mxid from (select m.user_nid from member m where m.room_nid = any($3::int8[]) and m.membership = 2"
        " union select m.user_nid" MOVED_MEMBER("$4") " where m.membership in (4, 5)"
        " ) c join mxid x on x.user_nid = c.user_nid where c.user_nid <> $1::int8 and not " SHARES("c.user_nid") " order by 1");

apr_status_t mx_store_sync_devices(mx_sync_device_row_t **pout, int *pn, mx_conn_t *conn, apr_int64_t after, apr_int64_t upto, int limit,
                                   apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    mx_sync_device_row_t *out;
    apr_status_t rv = mx_store_query(&rows, conn, pool, &sync_devices, after, upto, limit);

    if (rv != APR_SUCCESS) return rv;
    out = apr_palloc(pool, sizeof(*out) * (apr_size_t)(mx_rows_count(rows) + 1));
    for (int i = 0; i < mx_rows_count(rows); i++)
        out[i] = (mx_sync_device_row_t){ mx_row_int(rows, i, 0), mx_row_int(rows, i, 1), mx_row_int(rows, i, 2), mx_row_bool(rows, i, 3) };
    *pout = out;
    *pn = mx_rows_count(rows);
    return APR_SUCCESS;
}

apr_status_t mx_store_sync_device_changes(mx_sync_device_change_row_t **pout, int *pn, mx_conn_t *conn, apr_int64_t after,
                                          apr_int64_t upto, int limit, apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    mx_sync_device_change_row_t *out;
    apr_status_t rv = mx_store_query(&rows, conn, pool, &sync_device_changes, after, upto, limit);

    if (rv != APR_SUCCESS) return rv;
    out = apr_palloc(pool, sizeof(*out) * (apr_size_t)(mx_rows_count(rows) + 1));
    for (int i = 0; i < mx_rows_count(rows); i++) {
        out[i] = (mx_sync_device_change_row_t){ .stream = mx_row_int(rows, i, 0), .user_nid = mx_row_int(rows, i, 1),
                                                .viewer_nid = mx_row_int(rows, i, 2), .user_id = mx_row_text(rows, i, 3) };
        out[i].nrooms = mx_row_int_array(&out[i].rooms, rows, i, 4, pool);
    }
    *pout = out;
    *pn = mx_rows_count(rows);
    return APR_SUCCESS;
}

apr_status_t mx_store_sync_device_state(mx_sync_device_state_t *out, mx_conn_t *conn, apr_int64_t device_nid, apr_int64_t acked,
                                        apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_query(&rows, conn, pool, &sync_device_state, device_nid, acked);

    if (rv != APR_SUCCESS) return rv;
    *out = (mx_sync_device_state_t){ mx_row_text(rows, 0, 0), mx_row_text(rows, 0, 1), mx_row_int(rows, 0, 2), mx_row_bool(rows, 0, 3) };
    return APR_SUCCESS;
}

static void read_users(const char ***pout, int *pn, const mx_rows_t *rows, apr_pool_t *pool)
{
    const char **out = apr_palloc(pool, sizeof(*out) * (apr_size_t)(mx_rows_count(rows) + 1));

    for (int i = 0; i < mx_rows_count(rows); i++) out[i] = mx_row_text(rows, i, 0);
    *pout = out;
    *pn = mx_rows_count(rows);
}

apr_status_t mx_store_sync_devices_changed(const char ***pout, int *pn, mx_conn_t *conn, const mx_sync_device_span_t *span,
                                           apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_query(&rows, conn, pool, &sync_devices_changed, span->user_nid, span->after, span->entered, span->nentered);

    if (rv == APR_SUCCESS) read_users(pout, pn, rows, pool);
    return rv;
}

apr_status_t mx_store_sync_devices_joined(mx_sync_joined_row_t **pout, int *pn, mx_conn_t *conn, const mx_sync_device_span_t *span,
                                          apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_query(&rows, conn, pool, &sync_devices_joined, span->user_nid, span->after, span->stayed, span->nstayed);
    mx_sync_joined_row_t *out;

    if (rv != APR_SUCCESS) return rv;
    out = apr_palloc(pool, sizeof(*out) * (apr_size_t)(mx_rows_count(rows) + 1));
    for (int i = 0; i < mx_rows_count(rows); i++) out[i] = (mx_sync_joined_row_t){ mx_row_text(rows, i, 0), mx_row_int(rows, i, 1) };
    *pout = out;
    *pn = mx_rows_count(rows);
    return APR_SUCCESS;
}

apr_status_t mx_store_sync_devices_left(const char ***pout, int *pn, mx_conn_t *conn, const mx_sync_device_span_t *span, apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_query(&rows, conn, pool, &sync_devices_left, span->user_nid, span->after, span->left, span->nleft,
                                     span->stayed, span->nstayed);

    if (rv == APR_SUCCESS) read_users(pout, pn, rows, pool);
    return rv;
}
