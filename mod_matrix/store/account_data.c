/* SPDX-License-Identifier: Apache-2.0 */
/* Account data rows. */
#include "store/account_data.h"

MX_STMT(account_data_get, "lls",
        "select content, stream from account_data where user_nid = $1::int8 and room_nid = $2::int8 and type = $3::text");
MX_STMT(account_data_get_many, "lS",
        "select q.i, a.content from unnest($2::text[]) with ordinality q(type, i) join account_data a on a.user_nid = $1::int8"
        " and a.room_nid = 0 and a.type = q.type");
MX_STMT(account_data_put, "llsb",
        "insert into account_data (user_nid, room_nid, type, content, stream)"
        " values ($1::int8, $2::int8, $3::text, $4::bytea, stream_next())"
        " on conflict (user_nid, room_nid, type) do update set content = excluded.content, stream = excluded.stream");
MX_STMT(account_data_swap, "llsbl",
        "insert into account_data (user_nid, room_nid, type, content, stream)"
        " values ($1::int8, $2::int8, $3::text, $4::bytea, stream_next())"
        " on conflict (user_nid, room_nid, type) do update set content = excluded.content, stream = excluded.stream"
        " where account_data.stream = $5::int8");

apr_status_t mx_store_account_data_get(mx_slice_t *pcontent, apr_int64_t *pstream, mx_store_t *store, apr_int64_t user_nid,
                                       apr_int64_t room_nid, const char *type, apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_run(&rows, store, pool, &account_data_get, user_nid, room_nid, type);

    if (rv != APR_SUCCESS) return rv;
    if (!mx_rows_count(rows)) return MX_STORE_NONE;
    *pcontent = mx_row_bytes(rows, 0, 0);
    *pstream = mx_row_int(rows, 0, 1);
    return APR_SUCCESS;
}

apr_status_t mx_store_account_data_get_many(mx_slice_t *out, mx_store_t *store, apr_int64_t user_nid, const char *const *types, int n,
                                            apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_run(&rows, store, pool, &account_data_get_many, user_nid, types, n);
    int i;

    if (rv != APR_SUCCESS) return rv;
    for (i = 0; i < n; i++) out[i] = MX_SLICE_NONE;
    for (i = 0; i < mx_rows_count(rows); i++) out[mx_row_int(rows, i, 0) - 1] = mx_row_bytes(rows, i, 1);
    return APR_SUCCESS;
}

apr_status_t mx_store_account_data_put(mx_store_t *store, apr_int64_t user_nid, apr_int64_t room_nid, const char *type,
                                       mx_slice_t content, apr_pool_t *pool)
{
    return mx_store_run(NULL, store, pool, &account_data_put, user_nid, room_nid, type, content);
}

apr_status_t mx_store_account_data_swap(mx_store_t *store, apr_int64_t user_nid, apr_int64_t room_nid, const char *type,
                                        mx_slice_t content, apr_int64_t seen, apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_run(&rows, store, pool, &account_data_swap, user_nid, room_nid, type, content, seen);

    if (rv != APR_SUCCESS) return rv;
    return mx_rows_affected(rows) ? APR_SUCCESS : MX_STORE_RETRY;
}
