/* SPDX-License-Identifier: Apache-2.0 */
/* A user's push rules as account data. */
#include "store/push_rules.h"

MX_STMT(push_rules_load, "l",
        "select content, stream from account_data where user_nid = $1::int8 and room_nid = 0 and type = 'm.push_rules'");
MX_STMT(push_rules_insert, "lb",
        "insert into account_data (user_nid, room_nid, type, content, stream)"
        " values ($1::int8, 0, 'm.push_rules', $2::bytea, stream_next()) on conflict do nothing");
MX_STMT(push_rules_update, "lbl",
        "update account_data set content = $2::bytea, stream = stream_next()"
        " where user_nid = $1::int8 and room_nid = 0 and type = 'm.push_rules' and stream = $3::int8");

apr_status_t mx_store_push_rules_load(mx_slice_t *pdoc, apr_int64_t *pstream, mx_store_t *store, apr_int64_t user_nid, apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_run(&rows, store, pool, &push_rules_load, user_nid);

    if (rv) return rv;
    *pdoc = mx_rows_count(rows) ? mx_row_bytes(rows, 0, 0) : MX_SLICE_NONE;
    *pstream = mx_rows_count(rows) ? mx_row_int(rows, 0, 1) : 0;
    return APR_SUCCESS;
}

apr_status_t mx_store_push_rules_save(mx_store_t *store, apr_int64_t user_nid, mx_slice_t doc, apr_int64_t seen, apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = seen ? mx_store_run(&rows, store, pool, &push_rules_update, user_nid, doc, seen)
                           : mx_store_run(&rows, store, pool, &push_rules_insert, user_nid, doc);

    if (rv) return rv;
    return mx_rows_affected(rows) ? APR_SUCCESS : MX_STORE_RETRY;
}
