/* SPDX-License-Identifier: Apache-2.0 */
/* Cross-signing keys: rows of `cross_key`, and what is signed by them. */
#include "store/cross_signing.h"

MX_STMT(cross_keys, "l", "select usage, public_key, body from cross_key where user_nid = $1::int8");
MX_STMT(cross_keys_lock, "l", "select from account where user_nid = $1::int8 for update");
MX_STMT(cross_key_unset, "lis",
        "with gone as (delete from cross_key where user_nid = $1::int8 and usage = $2::int4 and public_key is distinct from $3::text"
        " returning public_key)"
        " delete from key_signature where user_nid = $1::int8 and device_nid is null and key_id in (select public_key from gone)");
MX_STMT(cross_key_set, "lisb",
        "insert into cross_key (user_nid, usage, public_key, body) values ($1::int8, $2::int4, $3::text, $4::bytea)"
        " on conflict (user_nid, usage) do update set public_key = excluded.public_key, body = excluded.body");
MX_STMT(cross_key_is_device, "lS", "select device_id from device where user_nid = $1::int8 and device_id = any($2::text[]) limit 1");
MX_STMT(signable_keys, "SS",
        "select q.mxid, q.key_id, u.user_nid, d.device_nid, 0, k.body from unnest($1::text[], $2::text[]) as q(mxid, key_id)"
        " join mxid u on u.mxid = q.mxid join device d on d.user_nid = u.user_nid and d.device_id = q.key_id"
        " join device_key k on k.device_nid = d.device_nid"
        " union all"
        " select q.mxid, q.key_id, u.user_nid, 0, c.usage, c.body from unnest($1::text[], $2::text[]) as q(mxid, key_id)"
        " join mxid u on u.mxid = q.mxid join cross_key c on c.user_nid = u.user_nid and c.public_key = q.key_id");

apr_status_t mx_store_cross_keys(mx_cross_keys_t *out, mx_conn_t *conn, apr_int64_t user_nid, apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_query(&rows, conn, pool, &cross_keys, user_nid);

    if (rv) return rv;
    memset(out, 0, sizeof(*out));
    for (int i = 0; i < mx_rows_count(rows); i++) {
        apr_int64_t usage = mx_row_int(rows, i, 0);

        if (usage < 0 || usage >= MX_CROSS_USAGES) continue;
        out->public_keys[usage] = mx_row_text(rows, i, 1);
        out->bodies[usage] = mx_row_bytes(rows, i, 2);
    }
    return APR_SUCCESS;
}

apr_status_t mx_store_cross_keys_lock(mx_cross_keys_t *out, mx_conn_t *conn, apr_int64_t user_nid, apr_pool_t *pool)
{
    apr_status_t rv = mx_store_query(NULL, conn, pool, &cross_keys_lock, user_nid);

    return rv ? rv : mx_store_cross_keys(out, conn, user_nid, pool);
}

apr_status_t mx_store_cross_key_set(mx_conn_t *conn, apr_int64_t user_nid, mx_cross_usage_e usage, const char *public_key, mx_slice_t body,
                                    apr_pool_t *pool)
{
    apr_status_t rv = mx_store_query(NULL, conn, pool, &cross_key_unset, user_nid, (int)usage, public_key);

    return rv || !public_key ? rv : mx_store_query(NULL, conn, pool, &cross_key_set, user_nid, (int)usage, public_key, body);
}

apr_status_t mx_store_cross_key_is_device(const char **pdevice_id, mx_conn_t *conn, apr_int64_t user_nid, const char *const *texts, int n,
                                          apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_query(&rows, conn, pool, &cross_key_is_device, user_nid, texts, n);

    if (!rv) *pdevice_id = mx_rows_count(rows) ? mx_row_text(rows, 0, 0) : NULL;
    return rv;
}

apr_status_t mx_store_signable_keys(mx_signable_key_t **pout, int *pn, mx_conn_t *conn, const char *const *users,
                                    const char *const *key_ids, int n, apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    mx_signable_key_t *out;
    apr_status_t rv = mx_store_query(&rows, conn, pool, &signable_keys, users, n, key_ids, n);

    if (rv) return rv;
    out = apr_palloc(pool, sizeof(*out) * (apr_size_t)(mx_rows_count(rows) + 1));
    for (int i = 0; i < mx_rows_count(rows); i++)
        out[i] = (mx_signable_key_t){ mx_row_text(rows, i, 0), mx_row_text(rows, i, 1), mx_row_int(rows, i, 2), mx_row_int(rows, i, 3),
                                      (int)mx_row_int(rows, i, 4), mx_row_bytes(rows, i, 5) };
    *pout = out;
    *pn = mx_rows_count(rows);
    return APR_SUCCESS;
}
