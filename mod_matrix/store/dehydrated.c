/* SPDX-License-Identifier: Apache-2.0 */
/* Dehydrated devices: rows of `dehydrated_device`. They end with their device (store/device.h). */
#include "store/dehydrated.h"

MX_STMT(dehydrated_get, "l",
        "select h.device_nid, d.device_id, h.device_data from dehydrated_device h join device d on d.device_nid = h.device_nid"
        " where h.user_nid = $1::int8");
/* The account's row first: two uploads at once come one after the other. */
MX_STMT(dehydrated_lock, "l", "select from account where user_nid = $1::int8 for update");
MX_STMT(dehydrated_unset, "l",
        "delete from device where device_nid = (select device_nid from dehydrated_device where user_nid = $1::int8)");
MX_STMT(dehydrated_set, "lsslb",
        "with dev as (insert into device (user_nid, device_id, display_name, created_ts) values ($1::int8, $2::text, $3::text, $4::int8)"
        "   returning device_nid)"
        " insert into dehydrated_device (user_nid, device_nid, device_data) select $1::int8, device_nid, $5::bytea from dev"
        " returning device_nid");

apr_status_t mx_store_dehydrated_get(mx_dehydrated_t *out, mx_store_t *store, apr_int64_t user_nid, apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_run(&rows, store, pool, &dehydrated_get, user_nid);

    if (rv) return rv;
    if (!mx_rows_count(rows)) return MX_STORE_NONE;
    *out = (mx_dehydrated_t){ mx_row_int(rows, 0, 0), mx_row_text(rows, 0, 1), mx_row_bytes(rows, 0, 2) };
    return APR_SUCCESS;
}

apr_status_t mx_store_dehydrated_set(apr_int64_t *pdevice_nid, mx_conn_t *conn, apr_int64_t user_nid, const char *device_id,
                                     const char *display_name, mx_slice_t data, apr_int64_t now_ms, apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_query(NULL, conn, pool, &dehydrated_lock, user_nid);

    if (!rv) rv = mx_store_query(NULL, conn, pool, &dehydrated_unset, user_nid);
    if (!rv) rv = mx_store_query(&rows, conn, pool, &dehydrated_set, user_nid, device_id, display_name, now_ms, data);
    if (!rv) *pdevice_nid = mx_row_int(rows, 0, 0);
    return rv;
}
