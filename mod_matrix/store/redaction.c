/* SPDX-License-Identifier: Apache-2.0 */
/* Redactions that wait for what they redact. */
#include "store/redaction.h"

apr_status_t mx_store_redaction_waiting(mx_event_row_t **pout, int *pn, mx_store_t *store, apr_int64_t room_nid, mx_slice_t target,
                                        apr_pool_t *pool)
{
    MX_STMT(redaction_waiting, "lbi",
            "select " MX_EVENT_COLUMNS " from redaction_wait w join (" MX_EVENT_FROM ") on e.nid = w.nid"
            " where w.target = $2::bytea and w.room_nid = $1::int8 order by w.nid limit $3::int4");
    mx_rows_t *rows;
    apr_status_t rv = mx_store_run(&rows, store, pool, &redaction_waiting, room_nid, target, MX_STORE_REDACTION_WAITS_MAX);
    if (rv == APR_SUCCESS)
        *pn = mx_store_event_read_all(pout, rows, pool);
    return rv;
}

apr_status_t mx_store_redaction_wait(mx_conn_t *conn, apr_int64_t room_nid, mx_slice_t target, apr_int64_t nid, apr_pool_t *pool)
{
    MX_STMT(redaction_wait, "bll", "insert into redaction_wait (target, nid, room_nid) values ($1::bytea, $2::int8, $3::int8)");
    return mx_store_query(NULL, conn, pool, &redaction_wait, target, nid, room_nid);
}

apr_status_t mx_store_redaction_end(mx_conn_t *conn, mx_slice_t target, apr_int64_t nid, apr_int64_t by, apr_pool_t *pool)
{
    MX_STMT(redaction_end, "b", "delete from redaction_wait where target = $1::bytea");
    MX_STMT(redaction_by, "ll", "update event set redacted_by = $2::int8 where nid = $1::int8");
    apr_status_t rv = mx_store_query(NULL, conn, pool, &redaction_end, target);
    if (rv == APR_SUCCESS && by)
        rv = mx_store_query(NULL, conn, pool, &redaction_by, nid, by);
    return rv;
}
