/* SPDX-License-Identifier: Apache-2.0 */
/* Connections of sliding sync, and what its room lists are filtered by: one query each for all rooms. */
#include "store/sliding.h"

MX_STMT(sliding_put, "lsllblili",
        "select sliding_put($1::int8, $2::text, $3::int8, $4::int8, $5::bytea, $6::int8, $7::int4, $8::int8, $9::int4)");
MX_STMT(sliding_get, "lsl", "select state from sliding_state where device_nid = $1::int8 and conn_id = $2::text and version = $3::int8");
#define ENTRY_COLUMNS "select c.room_nid, c.skey_nid, k.state_key, e.pdu from cur_state c join skey k on k.skey_nid = c.skey_nid" \
                      " join event e on e.nid = c.nid where c.room_nid = any($1::int8[])"
MX_STMT(sliding_entries, "LL", ENTRY_COLUMNS " and c.skey_nid = any($2::int8[])");
MX_STMT(sliding_of_type, "Li", ENTRY_COLUMNS " and k.type_nid = $2::int4");
MX_STMT(sliding_data, "lo",
        "select room_nid, content from account_data where user_nid = $1::int8"
        " and ((room_nid = 0 and type = 'm.direct') or ($2::bool and room_nid <> 0 and type = 'm.tag')) order by room_nid");
MX_STMT(sliding_bumps, "LlIi",
        "select coalesce((select x.ord from (select e.ord, e.type_nid, e.flags from event e where e.room_nid = q.room_nid"
        "     and e.ord > 0 and e.ord <= $2::int8 order by e.ord desc limit $4::int4) x"
        "   where x.type_nid = any($3::int4[]) and " MX_EVENT_SHOWN("x") " order by x.ord desc limit 1),"
        "  (select min(x.ord) from (select e.ord from event e where e.room_nid = q.room_nid and e.ord > 0 and e.ord <= $2::int8"
        "     order by e.ord desc limit $4::int4) x), 0)"
        " from unnest($1::int8[]) with ordinality as q(room_nid, i) order by q.i");
MX_STMT(sliding_reads, "Ll",
        "select coalesce((select max(c.stream) from receipt c where c.room_nid = q.room_nid and c.user_nid = $2::int8), 0)"
        " from unnest($1::int8[]) with ordinality as q(room_nid, i) order by q.i");

apr_status_t mx_store_sliding_put(mx_store_t *store, const mx_sliding_row_t *row, int max, apr_int64_t now_ms, apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_run(&rows, store, pool, &sliding_put, row->device_nid, row->conn_id, row->base, row->version, row->state,
                                   now_ms, max, row->began_ms, MX_SLIDING_ANSWERS_MAX);

    return rv == APR_SUCCESS && !mx_row_bool(rows, 0, 0) ? MX_STORE_NONE : rv;
}

apr_status_t mx_store_sliding_get(mx_slice_t *pstate, mx_store_t *store, apr_int64_t device_nid, const char *conn_id, apr_int64_t version,
                                  apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_run(&rows, store, pool, &sliding_get, device_nid, conn_id, version);

    if (rv != APR_SUCCESS) return rv;
    if (!mx_rows_count(rows)) return MX_STORE_NONE;
    *pstate = mx_row_bytes(rows, 0, 0);
    return APR_SUCCESS;
}

static int read_entries(mx_sliding_entry_row_t **pout, const mx_rows_t *rows, apr_pool_t *pool)
{
    int i, n = mx_rows_count(rows);
    mx_sliding_entry_row_t *out = apr_palloc(pool, sizeof(*out) * (apr_size_t)(n + 1));

    for (i = 0; i < n; i++)
        out[i] = (mx_sliding_entry_row_t){ mx_row_int(rows, i, 0), mx_row_int(rows, i, 1), mx_row_text(rows, i, 2),
                                           mx_row_body(rows, i, 3) };
    *pout = out;
    return n;
}

apr_status_t mx_store_sliding_entries(mx_sliding_entry_row_t **pout, int *pn, mx_store_t *store, const apr_int64_t *rooms, int nrooms,
                                      const apr_int64_t *skeys, int nskeys, apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_run(&rows, store, pool, &sliding_entries, rooms, nrooms, skeys, nskeys);

    if (rv == APR_SUCCESS) *pn = read_entries(pout, rows, pool);
    return rv;
}

apr_status_t mx_store_sliding_of_type(mx_sliding_entry_row_t **pout, int *pn, mx_store_t *store, const apr_int64_t *rooms, int nrooms,
                                      int type_nid, apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_run(&rows, store, pool, &sliding_of_type, rooms, nrooms, type_nid);

    if (rv == APR_SUCCESS) *pn = read_entries(pout, rows, pool);
    return rv;
}

apr_status_t mx_store_sliding_data(mx_sliding_data_row_t **pout, int *pn, mx_store_t *store, apr_int64_t user_nid, int tags,
                                   apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_run(&rows, store, pool, &sliding_data, user_nid, tags);
    mx_sliding_data_row_t *out;
    int i;

    if (rv != APR_SUCCESS) return rv;
    out = apr_palloc(pool, sizeof(*out) * (apr_size_t)(mx_rows_count(rows) + 1));
    for (i = 0; i < mx_rows_count(rows); i++) out[i] = (mx_sliding_data_row_t){ mx_row_int(rows, i, 0), mx_row_bytes(rows, i, 1) };
    *pout = out;
    *pn = mx_rows_count(rows);
    return APR_SUCCESS;
}

apr_status_t mx_store_sliding_bumps(apr_int64_t *out, mx_store_t *store, const apr_int64_t *rooms, int n, apr_int64_t upto,
                                    const int *types, int ntypes, int scan, apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_run(&rows, store, pool, &sliding_bumps, rooms, n, upto, types, ntypes, scan);
    int i;

    for (i = 0; rv == APR_SUCCESS && i < n; i++) out[i] = mx_row_int(rows, i, 0);
    return rv;
}

apr_status_t mx_store_sliding_reads(apr_int64_t *out, mx_store_t *store, const apr_int64_t *rooms, int n, apr_int64_t user_nid,
                                    apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_run(&rows, store, pool, &sliding_reads, rooms, n, user_nid);
    int i;

    for (i = 0; rv == APR_SUCCESS && i < n; i++) out[i] = mx_row_int(rows, i, 0);
    return rv;
}
