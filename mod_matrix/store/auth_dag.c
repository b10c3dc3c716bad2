/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the edges of auth DAGs. */
#include "store/auth_dag.h"

#include "store/event.h"

apr_status_t mx_store_auth_dag_read(mx_store_auth_row_t **prows, int *pn, mx_store_t *store, apr_int64_t room_nid, apr_int64_t after,
                                    int limit, apr_pool_t *pool)
{
    /* A rejected event has no state after it; outliers have none either, so only then are the flags looked up. */
    MX_STMT(auth_dag_read, "llii",
            "select s.nid, s.skey_nid, s.auth_nids from state_event s where s.room_nid = $1::int8 and s.nid > $2::int8"
            " and (s.snap_after is not null"
            " or not exists (select from event e where e.nid = s.nid and e.flags & $4::int4 <> 0))"
            " order by s.nid limit $3::int4");
    mx_store_auth_row_t *out;
    mx_rows_t *rows;
    int i, n;
    apr_status_t rv = mx_store_run(&rows, store, pool, &auth_dag_read, room_nid, after, limit, MX_EVENT_FLAG_REJECTED);
    if (rv != APR_SUCCESS)
        return rv;
    n = mx_rows_count(rows);
    out = apr_palloc(pool, sizeof(*out) * (apr_size_t)(n + 1));
    for (i = 0; i < n; i++) {
        out[i].nid = mx_row_int(rows, i, 0);
        out[i].skey_nid = mx_row_int(rows, i, 1);
        out[i].nauth = mx_row_int_array(&out[i].auth_nids, rows, i, 2, pool);
    }
    *prows = out;
    *pn = n;
    return APR_SUCCESS;
}
