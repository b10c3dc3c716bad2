/* SPDX-License-Identifier: Apache-2.0 */
/* What state resolution reads and remembers. */
#include "store/resolve.h"

#include "base/crypto.h"

#include <endian.h>

/** Raise it with every change of what resolution gives: what was remembered before no longer counts. */
#define MEMO_REVISION 1
#define MEMO_KEY_BYTES 16

/** Snapshots never change and their numbers are never used again, so the numbers name the states. */
static mx_slice_t memo_key(const apr_int64_t *snaps, int n, apr_pool_t *pool)
{
    apr_size_t len = sizeof(apr_uint64_t) * (apr_size_t)(n + 1);
    apr_uint64_t *words = apr_palloc(pool, len);
    unsigned char *digest = apr_palloc(pool, MX_SHA256_BYTES);
    int i;
    words[0] = htobe64(MEMO_REVISION);
    for (i = 0; i < n; i++)
        words[i + 1] = htobe64((apr_uint64_t)snaps[i]);
    mx_sha256(digest, words, len);
    return mx_slice((const char *)digest, MEMO_KEY_BYTES);
}

apr_status_t mx_store_resolve_recall(apr_int64_t *psnap, mx_store_t *store, apr_int64_t room_nid,
                                     const apr_int64_t *snaps, int n, apr_pool_t *pool)
{
    MX_STMT(resolve_recall, "lb",
            "select m.result from stres_memo m join snapshot s on s.snap_nid = m.result and s.room_nid = m.room_nid"
            " where m.room_nid = $1::int8 and m.key = $2::bytea");
    mx_rows_t *rows;
    apr_status_t rv = mx_store_run(&rows, store, pool, &resolve_recall, room_nid, memo_key(snaps, n, pool));
    if (rv != APR_SUCCESS)
        return rv;
    if (!mx_rows_count(rows))
        return MX_STORE_NONE;
    *psnap = mx_row_int(rows, 0, 0);
    return APR_SUCCESS;
}

apr_status_t mx_store_resolve_remember(mx_store_t *store, apr_int64_t room_nid, const apr_int64_t *snaps, int n,
                                       apr_int64_t result, apr_pool_t *pool)
{
    MX_STMT(resolve_remember, "lbl",
            "insert into stres_memo (room_nid, key, result) values ($1::int8, $2::bytea, $3::int8)"
            " on conflict (room_nid, key) do update set result = excluded.result");
    return mx_store_run(NULL, store, pool, &resolve_remember, room_nid, memo_key(snaps, n, pool), result);
}
