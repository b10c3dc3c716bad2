/* SPDX-License-Identifier: Apache-2.0 */
/* Events that may have notified a user. */
#include "store/notified.h"

MX_STMT(notified_events, "llLi",
        "select " MX_EVENT_COLUMNS ", x.ord, x.read, r.room_id from notified_events($1::int8, $2::int8, $3::int8[], $4::int4) x"
        " left join event e on e.nid = x.nid left join state_event s on s.nid = e.nid left join room r on r.room_nid = e.room_nid"
        " order by x.ord desc, x.nid nulls last");

apr_status_t mx_store_notified_events(mx_store_notified_t **pout, int *pn, apr_int64_t *pfrom, mx_store_t *store, apr_int64_t user_nid,
                                      apr_int64_t from, const apr_int64_t *ignored, int nignored, int scan, apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_run(&rows, store, pool, &notified_events, user_nid, from, ignored, nignored, scan);
    int i, n = 0;

    if (rv != APR_SUCCESS) return rv;
    *pout = apr_palloc(pool, sizeof(**pout) * (apr_size_t)(mx_rows_count(rows) + 1));
    *pfrom = 0;
    for (i = 0; i < mx_rows_count(rows); i++) {
        mx_store_notified_t *out = &(*pout)[n];

        if (mx_row_is_null(rows, i, 0)) {      /* where the look ended */
            *pfrom = mx_row_int(rows, i, MX_EVENT_NCOLUMNS);
            continue;
        }
        mx_store_event_read(&out->event, rows, i, 0);
        out->read = mx_row_bool(rows, i, MX_EVENT_NCOLUMNS + 1);
        out->room_id = mx_row_text(rows, i, MX_EVENT_NCOLUMNS + 2);
        n++;
    }
    *pn = n;
    return APR_SUCCESS;
}
