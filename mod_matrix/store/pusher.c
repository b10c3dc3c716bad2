/* SPDX-License-Identifier: Apache-2.0 */
/* Pushers as users make them. */
#include "store/pusher.h"

MX_STMT(pusher_set, "llsssbloi",
        "select pusher_set($1::int8, $2::int8, $3::text, $4::text, $5::text, $6::bytea, $7::int8, $8::bool, $9::int4)");
MX_STMT(pusher_delete, "lss", "delete from pusher where user_nid = $1::int8 and app_id = $2::text and pushkey = $3::text");
MX_STMT(pusher_list, "l", "select body from pusher where user_nid = $1::int8 order by pusher_nid");

apr_status_t mx_store_pusher_set(mx_store_t *store, const mx_store_pusher_t *p, int max, apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_run(&rows, store, pool, &pusher_set, p->user_nid, p->device_nid, p->app_id, p->pushkey, p->url, p->body,
                                   p->now_ms, p->append, max);

    if (rv != APR_SUCCESS) return rv;
    return mx_row_bool(rows, 0, 0) ? APR_SUCCESS : MX_STORE_NONE;
}

apr_status_t mx_store_pusher_delete(mx_store_t *store, apr_int64_t user_nid, const char *app_id, const char *pushkey, apr_pool_t *pool)
{
    return mx_store_run(NULL, store, pool, &pusher_delete, user_nid, app_id, pushkey);
}

apr_status_t mx_store_pusher_list(mx_slice_t **pbodies, int *pn, mx_store_t *store, apr_int64_t user_nid, apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_run(&rows, store, pool, &pusher_list, user_nid);
    int i;

    if (rv != APR_SUCCESS) return rv;
    *pn = mx_rows_count(rows);
    *pbodies = apr_palloc(pool, sizeof(**pbodies) * (apr_size_t)(*pn + 1));
    for (i = 0; i < *pn; i++) (*pbodies)[i] = mx_row_bytes(rows, i, 0);
    return APR_SUCCESS;
}
