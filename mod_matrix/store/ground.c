/* SPDX-License-Identifier: Apache-2.0 */
/* Reads what events of other servers stand on. */
#include "store/ground.h"

apr_status_t mx_store_ground_read(mx_ground_row_t **pout, int *pn, mx_store_t *store, const mx_slice_t *ids, int n, apr_pool_t *pool)
{
    MX_STMT(ground_read, "B",
            "select w.id, f.nid is not null, w.awaited, f.* from"
            " (select u.id, exists (select from redaction_wait r where r.target = u.id) as awaited from unnest($1::bytea[]) u(id)) w"
            " left join lateral (select " MX_EVENT_COLUMNS " from " MX_EVENT_FROM " where e.event_id = w.id) f on true"
            " where f.nid is not null or w.awaited");
    mx_ground_row_t *out;
    mx_rows_t *rows;
    int i;
    apr_status_t rv = mx_store_run(&rows, store, pool, &ground_read, ids, n);
    if (rv != APR_SUCCESS)
        return rv;
    *pn = mx_rows_count(rows);
    out = apr_pcalloc(pool, sizeof(*out) * (apr_size_t)(*pn + 1));
    for (i = 0; i < *pn; i++) {
        out[i].known = mx_row_bool(rows, i, 1);
        out[i].awaited = mx_row_bool(rows, i, 2);
        if (out[i].known)
            mx_store_event_read(&out[i].event, rows, i, 3);
        out[i].event.id = mx_row_bytes(rows, i, 0);
    }
    *pout = out;
    return APR_SUCCESS;
}
