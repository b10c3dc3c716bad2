/* SPDX-License-Identifier: Apache-2.0 */
/* States and differences of many snapshots, each kind in one query. */
#include "store/state_private.h"

/* Adds the delta of one row to the state under construction. */
static void add_delta(mx_state_list_t *list, const mx_rows_t *rows, int row, int col, apr_pool_t *pool)
{
    apr_int64_t *delta;
    int len = mx_row_int_array(&delta, rows, row, col, pool) / 2;
    mx_state_item_t *next = apr_palloc(pool, sizeof(*next) * (apr_size_t)(list->n + len + 1));

    list->n = mx_store_state_overlay(next, list->items, list->n, delta, len);
    list->items = next;
}

apr_status_t mx_store_state_load_many(mx_state_list_t *out, mx_store_t *store, const apr_int64_t *snaps, int n, apr_pool_t *pool)
{
    MX_STMT(state_load_many, "L",
            "select w.o - 1, s.delta from unnest($1::int8[]) with ordinality w(snap, o) join snapshot t on t.snap_nid = w.snap"
            " join snapshot s on s.snap_nid = any(t.anc || t.snap_nid) order by w.o, s.idx");
    mx_rows_t *rows = NULL;
    apr_status_t rv;
    int i;

    for (i = 0; i < n; i++) out[i] = (mx_state_list_t){ NULL, 0 };
    rv = n ? mx_store_run(&rows, store, pool, &state_load_many, snaps, n) : APR_SUCCESS;
    for (i = 0; rv == APR_SUCCESS && i < mx_rows_count(rows); i++) add_delta(&out[mx_row_int(rows, i, 0)], rows, i, 1, pool);
    return rv;
}

apr_status_t mx_store_state_diff_many(mx_state_list_t *out, mx_store_t *store, const apr_int64_t *from, const apr_int64_t *to, int n,
                                      apr_pool_t *pool)
{
    /* As state_diff of state.c, for several pairs: what both chains begin with is common to both states. */
    MX_STMT(state_diff_many, "LL",
            "with pair as (select o, f, t from unnest($1::int8[], $2::int8[]) with ordinality p(f, t, o) where f <> t),"
            " link as (select p.o, 1 as side, u.snap from pair p join snapshot t on t.snap_nid = p.f, unnest(t.anc || t.snap_nid) u(snap)"
            " union all"
            " select p.o, 2, u.snap from pair p join snapshot t on t.snap_nid = p.t, unnest(t.anc || t.snap_nid) u(snap)),"
            " part as (select o, snap, case count(*) when 1 then min(side) else 0 end as side from link group by o, snap),"
            " said as (select p.o, p.side, s.idx, u.skey, u.nid from part p join snapshot s on s.snap_nid = p.snap,"
            " unnest(s.delta[:cardinality(s.delta) / 2], s.delta[cardinality(s.delta) / 2 + 1:]) u(skey, nid)),"
            " own as (select distinct on (o, side, skey) o, side, skey, nid from said where side <> 0 order by o, side, skey, idx desc),"
            " base as (select distinct on (o, skey) o, skey, nid from said where side = 0 and (o, skey) in (select o, skey from own)"
            " order by o, skey, idx desc),"
            " both_sides as (select k.o, k.skey, coalesce(f.nid, b.nid, 0) as nid_from, coalesce(t.nid, b.nid, 0) as nid_to"
            " from (select distinct o, skey from own) k left join base b on b.o = k.o and b.skey = k.skey"
            " left join own f on f.o = k.o and f.side = 1 and f.skey = k.skey"
            " left join own t on t.o = k.o and t.side = 2 and t.skey = k.skey)"
            " select o - 1, skey, nid_to from both_sides where nid_from <> nid_to order by o, skey");
    mx_rows_t *rows = NULL;
    mx_state_item_t *items;
    apr_status_t rv;
    int i;

    for (i = 0; i < n; i++) out[i] = (mx_state_list_t){ NULL, 0 };
    rv = n ? mx_store_run(&rows, store, pool, &state_diff_many, from, n, to, n) : APR_SUCCESS;
    if (rv != APR_SUCCESS) return rv;
    items = apr_palloc(pool, sizeof(*items) * (apr_size_t)(mx_rows_count(rows) + 1));
    for (i = 0; i < mx_rows_count(rows); i++) {
        mx_state_list_t *list = &out[mx_row_int(rows, i, 0)];

        items[i] = (mx_state_item_t){ mx_row_int(rows, i, 1), mx_row_int(rows, i, 2) };
        if (!list->n++) list->items = &items[i];
    }
    return APR_SUCCESS;
}
