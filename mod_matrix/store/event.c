/* SPDX-License-Identifier: Apache-2.0 */
/* Reads events. */
#include "store/event.h"

#include "store/event_id.h"

void mx_store_event_read(mx_event_row_t *out, const mx_rows_t *rows, int i, int first_col)
{
    int c = first_col;
    out->nid = mx_row_int(rows, i, c++);
    out->room_nid = mx_row_int(rows, i, c++);
    out->ord = mx_row_int(rows, i, c++);
    out->ts = mx_row_int(rows, i, c++);
    out->snap_nid = mx_row_int(rows, i, c++);
    out->sender_nid = mx_row_int(rows, i, c++);
    out->depth = mx_row_int(rows, i, c++);
    out->type_nid = (int)mx_row_int(rows, i, c++);
    out->flags = (int)mx_row_int(rows, i, c++);
    out->redacted_by = mx_row_int(rows, i, c++);
    out->id = mx_row_bytes(rows, i, c++);
    out->pdu = mx_row_body(rows, i, c++);
    out->skey_nid = mx_row_int(rows, i, c++);
    out->replaces = mx_row_int(rows, i, c++);
    out->snap_after = mx_row_int(rows, i, c);
}

int mx_store_event_read_all(mx_event_row_t **pout, const mx_rows_t *rows, apr_pool_t *pool)
{
    int n = mx_rows_count(rows), i;
    mx_event_row_t *out = apr_palloc(pool, sizeof(*out) * (apr_size_t)(n + 1));
    for (i = 0; i < n; i++)
        mx_store_event_read(&out[i], rows, i, 0);
    *pout = out;
    return n;
}

apr_status_t mx_store_event_by_id(mx_event_row_t **pout, mx_store_t *store, const char *event_id, apr_pool_t *pool)
{
    MX_STMT(event_by_id, "b", "select " MX_EVENT_COLUMNS " from " MX_EVENT_FROM " where e.event_id = $1::bytea");
    mx_rows_t *rows;
    apr_status_t rv = mx_store_run(&rows, store, pool, &event_by_id, mx_store_event_id_pack(event_id, pool));
    if (rv != APR_SUCCESS)
        return rv;
    return mx_store_event_read_all(pout, rows, pool) ? APR_SUCCESS : MX_STORE_NONE;
}

apr_status_t mx_store_event_by_ids(mx_event_row_t **pout, int *pn, mx_store_t *store, const char *const *event_ids, int n,
                                   apr_pool_t *pool)
{
    MX_STMT(event_by_ids, "B", "select " MX_EVENT_COLUMNS " from " MX_EVENT_FROM " where e.event_id = any($1::bytea[])");
    mx_slice_t *packed = apr_palloc(pool, sizeof(*packed) * (apr_size_t)(n + 1));
    mx_rows_t *rows;
    apr_status_t rv;
    int i;
    for (i = 0; i < n; i++)
        packed[i] = mx_store_event_id_pack(event_ids[i], pool);
    rv = mx_store_run(&rows, store, pool, &event_by_ids, packed, n);
    if (rv == APR_SUCCESS)
        *pn = mx_store_event_read_all(pout, rows, pool);
    return rv;
}

apr_status_t mx_store_event_by_nids(mx_event_row_t **pout, int *pn, mx_store_t *store, const apr_int64_t *nids, int n,
                                    apr_pool_t *pool)
{
    MX_STMT(event_by_nids, "L",
            "select " MX_EVENT_COLUMNS " from unnest($1::int8[]) with ordinality w(nid, o)"
            " join (" MX_EVENT_FROM ") on e.nid = w.nid order by w.o");
    mx_rows_t *rows;
    apr_status_t rv = mx_store_run(&rows, store, pool, &event_by_nids, nids, n);
    if (rv == APR_SUCCESS)
        *pn = mx_store_event_read_all(pout, rows, pool);
    return rv;
}

#define RANGE_SQL(direction)                                                                                            \
    "select " MX_EVENT_COLUMNS " from " MX_EVENT_FROM " where e.room_nid = $1::int8 and e.ord > $2::int8"               \
    " and e.ord <= $3::int8 and e.ord <> 0 and " MX_EVENT_SHOWN("e") " order by e.ord " direction " limit $4::int8"

apr_status_t mx_store_event_range(mx_event_row_t **pout, int *pn, mx_store_t *store, apr_int64_t room_nid,
                                  apr_int64_t after_ord, apr_int64_t upto_ord, mx_dir_e dir, int limit,
                                  apr_pool_t *pool)
{
    MX_STMT(event_range_forward, "llll", RANGE_SQL("asc"));
    MX_STMT(event_range_backward, "llll", RANGE_SQL("desc"));
    mx_rows_t *rows;
    apr_status_t rv =
        mx_store_run(&rows, store, pool, dir == MX_DIR_FORWARD ? &event_range_forward : &event_range_backward, room_nid,
                     after_ord, upto_ord, (apr_int64_t)limit);
    if (rv == APR_SUCCESS)
        *pn = mx_store_event_read_all(pout, rows, pool);
    return rv;
}
