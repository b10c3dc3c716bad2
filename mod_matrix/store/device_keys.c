/* SPDX-License-Identifier: Apache-2.0 */
/* Keys of devices: rows of `device_key`, `one_time_key`, `fallback_key`, `key_stock` and `key_signature`. */
#include "store/device_keys.h"

MX_STMT(device_keys_lock, "l",
        "select (select k.body from device_key k where k.device_nid = d.device_nid) from device d"
        " where d.device_nid = $1::int8 for update");
MX_STMT(device_keys_set, "lb",
        "insert into device_key (device_nid, body) values ($1::int8, $2::bytea)"
        " on conflict (device_nid) do update set body = excluded.body");
MX_STMT(device_keys_forget, "l",
        "with otk as (delete from one_time_key where device_nid = $1::int8),"
        " sig as (delete from key_signature where device_nid = $1::int8)"
        " delete from fallback_key where device_nid = $1::int8");
MX_STMT(device_keys_sign, "lslnSS",
        "insert into key_signature (user_nid, key_id, signer_nid, device_nid, signer_key, signature)"
        " select $1::int8, $2::text, $3::int8, $4::int8, q.* from unnest($5::text[], $6::text[]) as q"
        " on conflict (user_nid, key_id, signer_nid, signer_key) do update"
        " set signature = excluded.signature, device_nid = excluded.device_nid"
        " where (key_signature.signature, key_signature.device_nid) is distinct from (excluded.signature, excluded.device_nid)");
MX_STMT(device_keys_changed, "ll", "select device_changed($1::int8, $2::int8)");
MX_STMT(one_time_keys_add, "lSSBB",
        "insert into one_time_key (device_nid, algorithm, key_id, digest, body)"
        " select $1::int8, q.* from unnest($2::text[], $3::text[], $4::bytea[], $5::bytea[]) as q"
        " on conflict (device_nid, algorithm, key_id) do nothing");
MX_STMT(one_time_keys_other, "lSSB",
        "select q.algorithm || ':' || q.key_id from unnest($2::text[], $3::text[], $4::bytea[]) as q(algorithm, key_id, digest)"
        " join one_time_key k on k.device_nid = $1::int8 and k.algorithm = q.algorithm and k.key_id = q.key_id"
        " where k.digest <> q.digest limit 1");
MX_STMT(fallback_keys_set, "lSSB",
        "insert into fallback_key (device_nid, algorithm, key_id, body)"
        " select $1::int8, q.* from unnest($2::text[], $3::text[], $4::bytea[]) as q"
        " on conflict (device_nid, algorithm) do update set key_id = excluded.key_id, body = excluded.body, used = false"
        " where (fallback_key.key_id, fallback_key.body) is distinct from (excluded.key_id, excluded.body)");
MX_STMT(key_stock_moved, "l",
        "insert into key_stock (device_nid, stream) values ($1::int8, stream_next())"
        " on conflict (device_nid) do update set stream = greatest(key_stock.stream, excluded.stream)");
MX_STMT(key_stock, "l",
        "select algorithm, count(*), false from one_time_key where device_nid = $1::int8 and body is not null group by algorithm"
        " union all select algorithm, 0, true from fallback_key where device_nid = $1::int8 and not used order by 1");

apr_status_t mx_store_device_keys_lock(mx_slice_t *pbody, mx_conn_t *conn, apr_int64_t device_nid, apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_query(&rows, conn, pool, &device_keys_lock, device_nid);

    if (rv) return rv;
    if (!mx_rows_count(rows)) return MX_STORE_NONE;
    *pbody = mx_row_is_null(rows, 0, 0) ? MX_SLICE_NONE : mx_row_bytes(rows, 0, 0);
    return APR_SUCCESS;
}

apr_status_t mx_store_device_keys_set(mx_conn_t *conn, apr_int64_t device_nid, mx_slice_t body, int forget, apr_pool_t *pool)
{
    apr_status_t rv = forget ? mx_store_query(NULL, conn, pool, &device_keys_forget, device_nid) : APR_SUCCESS;

    return rv ? rv : mx_store_query(NULL, conn, pool, &device_keys_set, device_nid, body);
}

apr_status_t mx_store_device_keys_sign(int *padded, mx_conn_t *conn, apr_int64_t user_nid, apr_int64_t signer_nid,
                                       const mx_key_signatures_t *list, apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv;

    *padded = 0;
    if (!list->n) return APR_SUCCESS;
    rv = mx_store_query(&rows, conn, pool, &device_keys_sign, user_nid, list->key_id, signer_nid,
                        list->device_nid ? &list->device_nid : NULL, list->signer_keys, list->n, list->signatures, list->n);
    if (!rv) *padded = mx_rows_affected(rows);
    return rv;
}

apr_status_t mx_store_device_keys_changed(mx_conn_t *conn, apr_int64_t user_nid, apr_int64_t viewer_nid, apr_pool_t *pool)
{
    return mx_store_query(NULL, conn, pool, &device_keys_changed, user_nid, viewer_nid);
}

apr_status_t mx_store_one_time_keys_add(int *padded, const char **pother, mx_conn_t *conn, apr_int64_t device_nid,
                                        const mx_key_list_t *list, apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv;

    *padded = 0;
    *pother = NULL;
    if (!list->n) return APR_SUCCESS;
    rv = mx_store_query(&rows, conn, pool, &one_time_keys_add, device_nid, list->algorithms, list->n, list->key_ids, list->n,
                        list->digests, list->n, list->bodies, list->n);
    if (rv) return rv;
    *padded = mx_rows_affected(rows);
    if (*padded == list->n) return APR_SUCCESS;
    rv = mx_store_query(&rows, conn, pool, &one_time_keys_other, device_nid, list->algorithms, list->n, list->key_ids, list->n,
                        list->digests, list->n);
    if (!rv && mx_rows_count(rows)) *pother = mx_row_text(rows, 0, 0);
    return rv;
}

apr_status_t mx_store_fallback_keys_set(int *pset, mx_conn_t *conn, apr_int64_t device_nid, const mx_key_list_t *list, apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv;

    *pset = 0;
    if (!list->n) return APR_SUCCESS;
    rv = mx_store_query(&rows, conn, pool, &fallback_keys_set, device_nid, list->algorithms, list->n, list->key_ids, list->n,
                        list->bodies, list->n);
    if (!rv) *pset = mx_rows_affected(rows);
    return rv;
}

apr_status_t mx_store_key_stock_moved(mx_conn_t *conn, apr_int64_t device_nid, apr_pool_t *pool)
{
    return mx_store_query(NULL, conn, pool, &key_stock_moved, device_nid);
}

apr_status_t mx_store_key_stock(mx_key_stock_t *out, mx_conn_t *conn, apr_int64_t device_nid, apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_query(&rows, conn, pool, &key_stock, device_nid);
    int n = mx_rows_count(rows);

    if (rv) return rv;
    *out = (mx_key_stock_t){ apr_palloc(pool, sizeof(char *) * (apr_size_t)(n + 1)), apr_palloc(pool, sizeof(char *) * (apr_size_t)(n + 1)),
                             apr_palloc(pool, sizeof(apr_int64_t) * (apr_size_t)(n + 1)), 0, 0 };
    for (int i = 0; i < n; i++) {
        if (mx_row_bool(rows, i, 2)) {
            out->unused[out->nunused++] = mx_row_text(rows, i, 0);
            continue;
        }
        out->algorithms[out->n] = mx_row_text(rows, i, 0);
        out->counts[out->n++] = mx_row_int(rows, i, 1);
    }
    return APR_SUCCESS;
}
