/* SPDX-License-Identifier: Apache-2.0 */
/* Devices of local accounts: rows of `device`. */
#include "store/device.h"

MX_STMT(device_list, "ls",
        "select device_id, display_name, last_seen_ip, last_seen_ts from device"
        " where user_nid = $1::int8 and ($2::text is null or device_id = $2::text) order by device_id");
/* The name of a device with keys stands beside them: who asks for keys is told of a new one. */
MX_STMT(device_rename, "lss",
        "with old as materialized (select d.device_nid, d.display_name is distinct from coalesce($3::text, d.display_name)"
        "   and exists (select from device_key k where k.device_nid = d.device_nid) as told"
        "   from device d where d.user_nid = $1::int8 and d.device_id = $2::text for update)"
        " update device d set display_name = coalesce($3::text, d.display_name) from old where d.device_nid = old.device_nid"
        " returning case when old.told then device_changed($1::int8, 0) end");
MX_STMT(device_seen, "llls",
        "update device set last_seen_ts = $2::int8, last_seen_ip = $4::text"
        " where device_nid = $1::int8 and coalesce(last_seen_ts, 0) <= $2::int8 - $3::int8");
/* Keys and messages go with the device (on delete cascade); if it had keys, those who share rooms are told. */
#define GONE_TOLD                                                                                                  \
    " told as materialized (select device_changed($1::int8, 0) where exists (select from gone join device_key using (device_nid)))"
MX_STMT(
    device_delete, "lS",
    "with gone as (delete from device where user_nid = $1::int8 and device_id = any($2::text[]) returning device_nid)," GONE_TOLD
    " update token_epoch set epoch = epoch + 1 where shard = ($1::int8 & 63)::int2 and exists (select from gone)"
    " and (select count(*) from told) >= 0 returning epoch");
MX_STMT(
    device_delete_all, "ll",
    "with gone as (delete from device where user_nid = $1::int8 and device_nid <> $2::int8 returning device_nid)," GONE_TOLD
    " update token_epoch set epoch = epoch + 1 where shard = ($1::int8 & 63)::int2 and exists (select from gone)"
    " and (select count(*) from told) >= 0 returning epoch");

apr_status_t mx_store_device_list(mx_device_row_t **pout, int *pn, mx_store_t *store, apr_int64_t user_nid,
                                  const char *device_id, apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    mx_device_row_t *out;
    apr_status_t rv = mx_store_run(&rows, store, pool, &device_list, user_nid, device_id);
    int n = mx_rows_count(rows);

    if (rv) return rv;
    out = apr_pcalloc(pool, sizeof(*out) * (apr_size_t)(n ? n : 1));
    for (int i = 0; i < n; i++) {
        out[i].device_id = mx_row_text(rows, i, 0);
        out[i].display_name = mx_row_text(rows, i, 1);
        out[i].last_seen_ip = mx_row_text(rows, i, 2);
        out[i].last_seen_ts = mx_row_int(rows, i, 3);
    }
    *pout = out;
    *pn = n;
    return APR_SUCCESS;
}

apr_status_t mx_store_device_rename(int *ptold, mx_store_t *store, apr_int64_t user_nid, const char *device_id,
                                    const char *display_name, apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_run(&rows, store, pool, &device_rename, user_nid, device_id, display_name);

    if (rv) return rv;
    if (!mx_rows_count(rows)) return MX_STORE_NONE;
    *ptold = !mx_row_is_null(rows, 0, 0);
    return APR_SUCCESS;
}

apr_status_t mx_store_device_seen(mx_store_t *store, apr_int64_t device_nid, apr_int64_t now_ms,
                                  apr_int64_t interval_ms, const char *ip, apr_pool_t *pool)
{
    return mx_store_run(NULL, store, pool, &device_seen, device_nid, now_ms, interval_ms, ip);
}

apr_status_t mx_store_device_delete(apr_int64_t *pepoch, mx_conn_t *conn, apr_int64_t user_nid,
                                    const char *const *device_ids, int n, apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_query(&rows, conn, pool, &device_delete, user_nid, device_ids, n);

    if (!rv) *pepoch = mx_rows_count(rows) ? mx_row_int(rows, 0, 0) : 0;
    return rv;
}

apr_status_t mx_store_device_delete_all(apr_int64_t *pepoch, mx_conn_t *conn, apr_int64_t user_nid,
                                        apr_int64_t except_nid, apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_query(&rows, conn, pool, &device_delete_all, user_nid, except_nid);

    if (!rv) *pepoch = mx_rows_count(rows) ? mx_row_int(rows, 0, 0) : 0;
    return rv;
}
