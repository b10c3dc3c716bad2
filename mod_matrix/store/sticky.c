/* SPDX-License-Identifier: Apache-2.0 */
/* Sticky events. */
#include "store/sticky.h"

MX_STMT(sticky_put, "lLL",
        "insert into sticky (nid, room_nid, until_ts, failed) select u.nid, $1::int8, u.until_ts, e.flags & 2 <> 0"
        " from unnest($2::int8[], $3::int8[]) u(nid, until_ts) join event e on e.nid = u.nid"
        " on conflict (nid) do update set until_ts = excluded.until_ts, failed = excluded.failed");
MX_STMT(sticky_failed, "li",
        "select " MX_EVENT_COLUMNS " from (select nid from sticky where failed and until_ts > $1::int8 order by nid limit $2::int4) k"
        " join event e on e.nid = k.nid left join state_event s on s.nid = e.nid where s.nid is null order by e.nid");
MX_STMT(sticky_restore, "lll", "select sticky_restore($1::int8, $2::int8, $3::int8)");
MX_STMT(sticky_read, "LLlliiL",
        "select t.* from unnest($1::int8[], $2::int8[]) q(room_nid, after) cross join lateral (select " MX_EVENT_COLUMNS
        "   from sticky k join event e on e.nid = k.nid left join state_event s on s.nid = e.nid"
        "   where k.room_nid = q.room_nid and k.until_ts > $4::int8 and e.ord > q.after and e.ord <= $3::int8"
        "   and " MX_EVENT_SHOWN("e") " and e.redacted_by is null and not e.sender_nid = any($7::int8[])"
        "   order by e.ord desc limit $5::int4) t"
        " order by t.ord limit $6::int4");

apr_status_t mx_store_sticky_put(mx_conn_t *conn, apr_int64_t room_nid, const apr_int64_t *nids, const apr_int64_t *until_ms, int n,
                                 apr_pool_t *pool)
{
    return mx_store_query(NULL, conn, pool, &sticky_put, room_nid, nids, n, until_ms, n);
}

apr_status_t mx_store_sticky_read(mx_event_row_t **prows, int *pn, mx_conn_t *conn, const mx_sticky_ask_t *ask, apr_pool_t *pool)
{
    apr_int64_t *nids = apr_palloc(pool, sizeof(*nids) * (apr_size_t)(ask->nrooms + 1));
    apr_int64_t *after = apr_palloc(pool, sizeof(*after) * (apr_size_t)(ask->nrooms + 1));
    mx_rows_t *rows = NULL;
    apr_status_t rv;
    int i;

    for (i = 0; i < ask->nrooms; i++) {
        nids[i] = ask->rooms[i].room_nid;
        after[i] = ask->rooms[i].since;
    }
    rv = mx_store_query(&rows, conn, pool, &sticky_read, nids, ask->nrooms, after, ask->nrooms, ask->upto, ask->now_ms, ask->per_room,
                        ask->limit, ask->ignored, ask->nignored);
    if (rv == APR_SUCCESS) *pn = mx_store_event_read_all(prows, rows, pool);
    return rv;
}

apr_status_t mx_store_sticky_failed(mx_event_row_t **prows, int *pn, mx_store_t *store, apr_int64_t now_ms, int limit, apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_run(&rows, store, pool, &sticky_failed, now_ms, limit);

    if (rv == APR_SUCCESS) *pn = mx_store_event_read_all(prows, rows, pool);
    return rv;
}

apr_status_t mx_store_sticky_restore(int *prestored, mx_store_t *store, apr_int64_t nid, apr_int64_t room_nid, apr_int64_t ver,
                                     apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_run(&rows, store, pool, &sticky_restore, nid, room_nid, ver);

    if (rv == APR_SUCCESS) *prestored = mx_row_bool(rows, 0, 0);
    return rv;
}
