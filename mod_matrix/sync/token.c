/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens of the stream. The first letter is the version of the form. */
#include "store/stream.h"
#include "sync/sync_private.h"

const char *mx_sync_token_format(apr_int64_t position, apr_pool_t *pool)
{
    return apr_psprintf(pool, "s%" APR_INT64_T_FMT, position);
}

int mx_sync_token_read(apr_int64_t *pposition, const char *token)
{
    /* one form for one position: no sign, no leading zero */
    if (!token || token[0] != 's' || token[1] == '-' || (token[1] == '0' && token[2])) return 0;
    return mx_str_to_int64(pposition, token + 1, 0, APR_INT64_MAX) == APR_SUCCESS;
}

/* The watermark, and the last position given. */
static const mx_error_t *read_position(apr_int64_t *pposition, apr_int64_t *plast, mx_server_t *server, apr_pool_t *pool)
{
    mx_conn_t *conn = NULL;
    apr_status_t rv = mx_store_borrow(&conn, server->store, pool);

    if (rv == APR_SUCCESS) rv = mx_store_stream_watermark(pposition, plast, conn, pool);
    mx_store_return(conn);
    return rv == APR_SUCCESS ? NULL : mx_server_store_error(rv, "read the stream's position", pool);
}

const mx_error_t *mx_sync_position(apr_int64_t *pposition, mx_server_t *server, apr_pool_t *pool)
{
    return read_position(pposition, NULL, server, pool);
}

const mx_error_t *mx_sync_token_parse(apr_int64_t *pposition, mx_server_t *server, const char *token, apr_pool_t *pool)
{
    apr_int64_t position, watermark = 0, last = 0;
    const mx_error_t *err;

    if (!mx_sync_token_read(&position, token)) return mx_error_make(pool, MX_E_INVALID_PARAM, "This is no token of this server.");
    if (position > __atomic_load_n(&server->sync->last_seen, __ATOMIC_RELAXED)) {
        err = read_position(&watermark, &last, server, pool);
        if (err) return err;
        if (position > last) return mx_error_make(pool, MX_E_INVALID_PARAM, "The token lies in the future; it is none of this server.");
        __atomic_store_n(&server->sync->last_seen, last, __ATOMIC_RELAXED);
    }
    *pposition = position;
    return NULL;
}
