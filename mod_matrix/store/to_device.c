/* SPDX-License-Identifier: Apache-2.0 */
/* To-device messages: rows of `to_device` and `to_device_txn`. */
#include "store/to_device.h"

/* One position for all messages of a request: no device gets two of them. A device that is named gets its own, not that of `*`. */
MX_STMT(to_device_send, "llssSSB",
        "with txn as (insert into to_device_txn (device_nid, txn_id, type) values ($2::int8, $4::text, $3::text)"
        "   on conflict do nothing returning 1),"
        " target as materialized (select distinct on (d.device_nid) d.device_nid, q.content"
        "   from unnest($5::text[], $6::text[], $7::bytea[]) as q(mxid, device_id, content) join mxid u on u.mxid = q.mxid"
        "   join device d on d.user_nid = u.user_nid and (q.device_id = '" MX_TO_DEVICE_ALL "' or d.device_id = q.device_id)"
        "   where exists (select from txn) order by d.device_nid, q.device_id = '" MX_TO_DEVICE_ALL "'),"
        " place as materialized (select stream_next() as stream where exists (select from target))"
        " insert into to_device (device_nid, stream, sender_nid, type, content)"
        " select t.device_nid, p.stream, $1::int8, $3::text, t.content from target t cross join place p");
MX_STMT(to_device_read, "llli",
        "select t.stream, u.mxid, t.type, t.content from to_device t join mxid u on u.user_nid = t.sender_nid"
        " where t.device_nid = $1::int8 and t.stream > $2::int8 and t.stream <= $3::int8 order by t.stream limit $4::int4");
MX_STMT(to_device_ack, "ll", "delete from to_device where device_nid = $1::int8 and stream <= $2::int8");

apr_status_t mx_store_to_device_send(int *psent, mx_store_t *store, const mx_to_device_send_t *send, apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_run(&rows, store, pool, &to_device_send, send->sender_nid, send->sender_device_nid, send->type, send->txn_id,
                                   send->users, send->n, send->devices, send->n, send->contents, send->n);

    if (!rv) *psent = mx_rows_affected(rows);
    return rv;
}

apr_status_t mx_store_to_device_read(mx_to_device_row_t **pout, int *pn, mx_conn_t *conn, apr_int64_t device_nid, apr_int64_t after,
                                     apr_int64_t upto, int limit, apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    mx_to_device_row_t *out;
    apr_status_t rv = mx_store_query(&rows, conn, pool, &to_device_read, device_nid, after, upto, limit);

    if (rv) return rv;
    out = apr_palloc(pool, sizeof(*out) * (apr_size_t)(mx_rows_count(rows) + 1));
    for (int i = 0; i < mx_rows_count(rows); i++)
        out[i] = (mx_to_device_row_t){ mx_row_int(rows, i, 0), mx_row_text(rows, i, 1), mx_row_text(rows, i, 2), mx_row_bytes(rows, i, 3) };
    *pout = out;
    *pn = mx_rows_count(rows);
    return APR_SUCCESS;
}

apr_status_t mx_store_to_device_ack(mx_store_t *store, apr_int64_t device_nid, apr_int64_t upto, apr_pool_t *pool)
{
    return mx_store_run(NULL, store, pool, &to_device_ack, device_nid, upto);
}
