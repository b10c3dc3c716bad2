/* SPDX-License-Identifier: Apache-2.0 */
/* Transaction ids by event. */
#include "store/txn_list.h"

MX_STMT(txn_list, "lL", "select nid, txn_id, device_nid = 0 from txn where nid = any($2::int8[]) and device_nid in ($1::int8, 0)");

apr_status_t mx_store_txn_list(mx_txn_row_t **prows, int *pn, mx_store_t *store, apr_int64_t device_nid,
                               const apr_int64_t *nids, int n, apr_pool_t *pool)
{
    mx_rows_t *rows;
    mx_txn_row_t *out;
    int i, count;
    apr_status_t rv = mx_store_run(&rows, store, pool, &txn_list, device_nid, nids, n);

    if (rv != APR_SUCCESS)
        return rv;
    count = mx_rows_count(rows);
    out = apr_pcalloc(pool, (count + 1) * sizeof(*out));
    for (i = 0; i < count; i++) {
        out[i].nid = mx_row_int(rows, i, 0);
        out[i].txn_id = mx_row_text(rows, i, 1);
        out[i].delayed = mx_row_bool(rows, i, 2);
    }
    *prows = out;
    *pn = count;
    return APR_SUCCESS;
}
