/* SPDX-License-Identifier: Apache-2.0 */
/* Takes away snapshots that nothing needs, by snapshot_collect() of sql/0007_snapshots.sql, which says why that is safe. */
#include "store/state.h"

apr_status_t mx_store_state_collect(int *pdone, int *premoved, mx_store_t *store, apr_int64_t room_nid, int limit, apr_pool_t *pool)
{
    MX_STMT(state_collect, "li", "select c.done, c.removed from snapshot_collect($1::int8, $2::int4) c");
    mx_rows_t *rows;
    apr_status_t rv = mx_store_run(&rows, store, pool, &state_collect, room_nid, limit);
    if (rv != APR_SUCCESS)
        return rv;
    *pdone = mx_row_bool(rows, 0, 0);
    *premoved = (int)mx_row_int(rows, 0, 1);
    return APR_SUCCESS;
}

apr_status_t mx_store_state_collect_next(apr_int64_t *proom_nid, int *premoved, mx_store_t *store, int limit, apr_pool_t *pool)
{
    MX_STMT(state_collect_next, "i", "select c.room, c.removed from snapshot_collect_next($1::int4) c");
    mx_rows_t *rows;
    apr_status_t rv = mx_store_run(&rows, store, pool, &state_collect_next, limit);
    if (rv == MX_STORE_DUPLICATE)    /* another has begun the same room just now */
        rv = MX_STORE_RETRY;
    if (rv != APR_SUCCESS)
        return rv;
    *proom_nid = mx_row_int(rows, 0, 0);
    *premoved = (int)mx_row_int(rows, 0, 1);
    return APR_SUCCESS;
}
