/* SPDX-License-Identifier: Apache-2.0 */
/* Filter rows. */
#include "store/filter.h"

#define TRIES 5

MX_STMT(filter_put, "lbbi",
        "with known as (select filter_id from filter where user_nid = $1::int8 and hash = $2::bytea),"
        " made as (insert into filter (user_nid, filter_id, hash, body)"
        "   select $1::int8, coalesce(max(filter_id), -1) + 1, $2::bytea, $3::bytea from filter where user_nid = $1::int8"
        "   having not exists (select 1 from known) and count(*) < $4::int4 returning filter_id)"
        " select filter_id from known union all select filter_id from made");
MX_STMT(filter_get, "ll", "select body from filter where user_nid = $1::int8 and filter_id = $2::int8");

apr_status_t mx_store_filter_put(apr_int64_t *pid, mx_store_t *store, apr_int64_t user_nid, mx_slice_t hash, mx_slice_t body,
                                 int max, apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = MX_STORE_DUPLICATE;
    int i;

    /* two new filters at once draw the same number: the loser draws again */
    for (i = 0; i < TRIES && rv == MX_STORE_DUPLICATE; i++)
        rv = mx_store_run(&rows, store, pool, &filter_put, user_nid, hash, body, max);
    if (rv != APR_SUCCESS) return rv;
    if (!mx_rows_count(rows)) return MX_STORE_NONE;
    *pid = mx_row_int(rows, 0, 0);
    return APR_SUCCESS;
}

apr_status_t mx_store_filter_get(mx_slice_t *pbody, mx_store_t *store, apr_int64_t user_nid, apr_int64_t filter_id, apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_run(&rows, store, pool, &filter_get, user_nid, filter_id);

    if (rv != APR_SUCCESS) return rv;
    if (!mx_rows_count(rows)) return MX_STORE_NONE;
    *pbody = mx_row_bytes(rows, 0, 0);
    return APR_SUCCESS;
}
