/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the public keys of users. */
#include "store/key_query.h"

MX_STMT(key_query_devices, "SS",
        "select u.mxid, d.device_id, d.display_name, k.body from unnest($1::text[], $2::text[]) as q(mxid, device_id)"
        " join mxid u on u.mxid = q.mxid join device d on d.user_nid = u.user_nid and (q.device_id is null or d.device_id = q.device_id)"
        " join device_key k on k.device_nid = d.device_nid order by 1, 2");
MX_STMT(key_query_cross, "Sl",
        "select u.mxid, c.public_key, c.usage, c.body from mxid u join cross_key c on c.user_nid = u.user_nid"
        " where u.mxid = any($1::text[]) and (c.usage < 2 or c.user_nid = $2::int8) order by 1, 3");
MX_STMT(key_query_signatures, "Sl",
        "select u.mxid, s.key_id, g.mxid, s.signer_key, s.signature from mxid u join key_signature s on s.user_nid = u.user_nid"
        " join mxid g on g.user_nid = s.signer_nid"
        " where u.mxid = any($1::text[]) and s.signer_nid in (s.user_nid, $2::int8) order by 1, 2, 3, 4");

static int read_keys(mx_queried_key_t **pout, const mx_rows_t *rows, int cross, apr_pool_t *pool)
{
    int n = mx_rows_count(rows);
    mx_queried_key_t *out = apr_palloc(pool, sizeof(*out) * (apr_size_t)(n + 1));

    for (int i = 0; i < n; i++)
        out[i] = (mx_queried_key_t){ mx_row_text(rows, i, 0), mx_row_text(rows, i, 1), cross ? NULL : mx_row_text(rows, i, 2),
                                     cross ? (int)mx_row_int(rows, i, 2) : 0, mx_row_bytes(rows, i, 3) };
    *pout = out;
    return n;
}

apr_status_t mx_store_key_query_devices(mx_queried_key_t **pout, int *pn, mx_conn_t *conn, const char *const *users,
                                        const char *const *devices, int n, apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_query(&rows, conn, pool, &key_query_devices, users, n, devices, n);

    if (!rv) *pn = read_keys(pout, rows, 0, pool);
    return rv;
}

apr_status_t mx_store_key_query_cross(mx_queried_key_t **pout, int *pn, mx_conn_t *conn, const char *const *users, int n,
                                      apr_int64_t viewer_nid, apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_query(&rows, conn, pool, &key_query_cross, users, n, viewer_nid);

    if (!rv) *pn = read_keys(pout, rows, 1, pool);
    return rv;
}

apr_status_t mx_store_key_query_signatures(mx_queried_signature_t **pout, int *pn, mx_conn_t *conn, const char *const *users, int n,
                                           apr_int64_t viewer_nid, apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    mx_queried_signature_t *out;
    apr_status_t rv = mx_store_query(&rows, conn, pool, &key_query_signatures, users, n, viewer_nid);

    if (rv) return rv;
    out = apr_palloc(pool, sizeof(*out) * (apr_size_t)(mx_rows_count(rows) + 1));
    for (int i = 0; i < mx_rows_count(rows); i++)
        out[i] = (mx_queried_signature_t){ mx_row_text(rows, i, 0), mx_row_text(rows, i, 1), mx_row_text(rows, i, 2),
                                           mx_row_text(rows, i, 3), mx_row_text(rows, i, 4) };
    *pout = out;
    *pn = mx_rows_count(rows);
    return APR_SUCCESS;
}
