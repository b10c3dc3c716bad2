/* SPDX-License-Identifier: Apache-2.0 */
/* The watermark: how far the stream can be read with nothing left behind. */
#include "store/stream.h"

/* A sequence that has given nothing yet says 1: as far as it has come is 0. */
MX_STMT(stream_last, "", "select case when is_called then last_value else last_value - 1 end from stream_seq");

/*
 * Namespace 77 of stream_next(): the upper 16 bits of the key, which pg_locks shows as the upper half of classid. Locks
 * of other databases of the cluster are in the same view.
 */
MX_STMT(stream_oldest_writer, "",
        "select min(objid::int8 + ((classid::int8 & 65535) << 32)) from pg_locks"
        " where locktype = 'advisory' and objsubid = 1 and (classid::int8 >> 16) = 77 and granted"
        " and database = (select oid from pg_database where datname = current_database())");

/*
 * The order matters. A writer locks the value that the sequence has, then draws. Is its lock not there yet when we
 * look, then it draws later than that, and so beyond the value that we read before we looked.
 */
static apr_status_t read_watermark(apr_int64_t *pwatermark, apr_int64_t *plast, mx_conn_t *conn, apr_int64_t since, apr_pool_t *pool)
{
    mx_rows_t *rows;
    apr_int64_t last, oldest;
    apr_status_t rv = mx_store_query(&rows, conn, pool, &stream_last);
    if (rv != APR_SUCCESS)
        return rv;
    last = oldest = mx_row_int(rows, 0, 0);
    if (last > since) {
        rv = mx_store_query(&rows, conn, pool, &stream_oldest_writer);
        if (rv != APR_SUCCESS)
            return rv;
        if (!mx_row_is_null(rows, 0, 0)) oldest = mx_row_int(rows, 0, 0);
    }
    *pwatermark = oldest < last ? oldest : last;
    if (plast)
        *plast = last;
    return APR_SUCCESS;
}

apr_status_t mx_store_stream_watermark(apr_int64_t *pwatermark, apr_int64_t *plast, mx_conn_t *conn, apr_pool_t *pool)
{
    return read_watermark(pwatermark, plast, conn, -1, pool);
}

apr_status_t mx_store_stream_watermark_after(apr_int64_t *pwatermark, apr_int64_t since, mx_conn_t *conn, apr_pool_t *pool)
{
    apr_status_t rv = read_watermark(pwatermark, NULL, conn, since, pool);

    if (rv == APR_SUCCESS && *pwatermark < since) *pwatermark = since;
    return rv;
}
