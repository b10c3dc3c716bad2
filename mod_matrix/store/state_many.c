/* SPDX-License-Identifier: Apache-2.0 */
/* States and differences of many snapshots, each kind in one query. */
#include "store/state_private.h"

#define LONG_BYTES "2000"        /* of such a delta single entries are asked for rather than all of it … */
#define FEW_BYTES "640"          /* … where what the two states do not share is not more than this */

/** The deltas of one state or part of a state, newest first, as they come. */
typedef struct pile_t {
    mx_slice_t *deltas;
    int n, max;
} pile_t;

static void pile_add(pile_t *pile, mx_slice_t delta, apr_pool_t *pool)
{
    if (pile->n == pile->max) {
        mx_slice_t *more = apr_palloc(pool, sizeof(*more) * (apr_size_t)(pile->max * 2 + 16));
        if (pile->n)
            memcpy(more, pile->deltas, sizeof(*more) * (apr_size_t)pile->n);
        pile->deltas = more;
        pile->max = pile->max * 2 + 16;
    }
    pile->deltas[pile->n++] = delta;
}

/** One list; `wanted` rows must make it. */
static apr_status_t pile_settle(mx_state_list_t *out, pile_t *pile, int wanted, apr_pool_t *pool)
{
    apr_status_t rv = pile->n == wanted ? mx_store_state_delta_merge(out, pile->deltas, pile->n, pool) : APR_EINVAL;
    if (rv == APR_SUCCESS)
        mx_store_state_delta_settle(out);
    pile->n = 0;
    return rv == APR_SUCCESS ? rv : MX_STORE_ERROR;
}

/** States that are not remembered: out[places[i]] is that of snaps[i]. Where there is no such snapshot it is left alone. */
static apr_status_t load_missing(mx_state_list_t *out, mx_store_t *store, const apr_int64_t *snaps, const int *places, int n,
                                 apr_pool_t *pool)
{
    MX_STMT(state_load, "L",
            "select w.o - 1, octet_length(t.anc) / 5 + 1, s.delta from unnest($1::int8[]) with ordinality w(snap, o)"
            " join snapshot t on t.snap_nid = w.snap"
            " join snapshot s on s.snap_nid = any(snapshot_chain(t.anc, t.snap_nid)) order by w.o, s.idx desc");
    pile_t pile = { NULL, 0, 0 };
    mx_rows_t *rows;
    int i, count;
    apr_status_t rv = mx_store_run(&rows, store, pool, &state_load, snaps, n);
    if (rv != APR_SUCCESS)
        return rv;
    count = mx_rows_count(rows);
    for (i = 0; rv == APR_SUCCESS && i < count; i++) {
        int at = (int)mx_row_int(rows, i, 0);
        pile_add(&pile, mx_row_bytes(rows, i, 2), pool);
        if (i + 1 < count && mx_row_int(rows, i + 1, 0) == at)
            continue;
        rv = pile_settle(&out[places[at]], &pile, (int)mx_row_int(rows, i, 1), pool);
        if (rv == APR_SUCCESS)
            mx_store_state_cache_set(store, snaps[at], &out[places[at]]);
    }
    return rv;
}

/** A copy of a remembered state. */
static int load_remembered(mx_state_list_t *out, mx_store_t *store, apr_int64_t snap_nid, apr_pool_t *pool)
{
    mx_cache_ref_t *ref;
    const mx_state_list_t *list = mx_store_state_cache_get(&ref, store, snap_nid);
    if (!list)
        return 0;
    out->items = apr_palloc(pool, sizeof(*out->items) * (apr_size_t)(list->n + 1));
    out->n = list->n;
    memcpy(out->items, list->items, sizeof(*out->items) * (apr_size_t)list->n);
    mx_cache_put(ref);
    return 1;
}

apr_status_t mx_store_state_load_many(mx_state_list_t *out, mx_store_t *store, const apr_int64_t *snaps, int n, apr_pool_t *pool)
{
    apr_int64_t *missing = apr_palloc(pool, sizeof(*missing) * (apr_size_t)(n + 1));
    int *places = apr_palloc(pool, sizeof(*places) * (apr_size_t)(n + 1));
    int i, nmissing = 0;
    for (i = 0; i < n; i++) {
        out[i] = (mx_state_list_t){ NULL, 0 };
        if (!snaps[i] || load_remembered(&out[i], store, snaps[i], pool))
            continue;
        missing[nmissing] = snaps[i];
        places[nmissing++] = i;
    }
    return nmissing ? load_missing(out, store, missing, places, nmissing, pool) : APR_SUCCESS;
}

enum { SIDE_BOTH, SIDE_FROM, SIDE_TO, SIDES };

/* $1, $2: pairs of snapshots. part: for each pair (o) the snapshots of their chains, by whose they are (side, as above). */
#define PARTS_OF_PAIRS                                                                                                   \
    "with pair as (select o, f, t from unnest($1::int8[], $2::int8[]) with ordinality p(f, t, o) where f <> t),"         \
    " link as (select p.o, 1 as side, u.snap from pair p join snapshot t on t.snap_nid = p.f,"                           \
    " unnest(snapshot_chain(t.anc, t.snap_nid)) u(snap)"                                                                 \
    " union all select p.o, 2, u.snap from pair p join snapshot t on t.snap_nid = p.t,"                                  \
    " unnest(snapshot_chain(t.anc, t.snap_nid)) u(snap)),"                                                               \
    " part as (select o, snap, case count(*) when 1 then min(side) else 0 end as side from link group by o, snap)"

/** The difference that the piles of one pair make; empties them. */
static apr_status_t piles_diff(mx_state_list_t *out, pile_t piles[SIDES], apr_pool_t *pool)
{
    mx_state_list_t lists[SIDES];
    int side;
    for (side = 0; side < SIDES; side++) {
        if (mx_store_state_delta_merge(&lists[side], piles[side].deltas, piles[side].n, pool) != APR_SUCCESS)
            return MX_STORE_ERROR;
        piles[side].n = 0;
    }
    mx_store_state_delta_diff(out, &lists[SIDE_FROM], &lists[SIDE_TO], &lists[SIDE_BOTH], pool);
    return APR_SUCCESS;
}

apr_status_t mx_store_state_diff_many(mx_state_list_t *out, mx_store_t *store, const apr_int64_t *from, const apr_int64_t *to, int n,
                                      apr_pool_t *pool)
{
    /* Only a key of which a part speaks that is not in both chains can differ. What the common part says of it is read
       entry by entry where the part is long and the keys are few. */
    MX_STMT(state_diff, "LL",
            PARTS_OF_PAIRS ","
            " found as materialized (select p.o, p.side, s.snap_nid, s.idx, octet_length(s.delta) as len from part p"
            " join snapshot s on s.snap_nid = p.snap),"
            " few as materialized (select o from found where side <> 0 group by o having sum(len) <= " FEW_BYTES "),"
            " asked as materialized (select distinct r.o, substr(s.delta, at, 5) as skey from found r join few using (o)"
            " join snapshot s using (snap_nid), generate_series(1, r.len, 10) at where r.side <> 0)"
            " select r.o - 1, r.side, r.idx, s.delta from found r join snapshot s using (snap_nid)"
            " where r.side <> 0 or r.len <= " LONG_BYTES " or r.o not in (select o from few)"
            " union all select r.o - 1, 0, r.idx, v.entry from found r join asked a using (o) join snapshot s using (snap_nid),"
            " lateral (select delta_entry(s.delta, a.skey, s.anc = '') as entry offset 0) v"
            " where r.side = 0 and r.len > " LONG_BYTES " and v.entry is not null"
            " order by 1, 3 desc");
    pile_t piles[SIDES] = { { NULL, 0, 0 }, { NULL, 0, 0 }, { NULL, 0, 0 } };
    mx_rows_t *rows = NULL;
    apr_status_t rv;
    int i, count;

    for (i = 0; i < n; i++) out[i] = (mx_state_list_t){ NULL, 0 };
    rv = n ? mx_store_run(&rows, store, pool, &state_diff, from, n, to, n) : APR_SUCCESS;
    count = rv == APR_SUCCESS ? mx_rows_count(rows) : 0;
    for (i = 0; rv == APR_SUCCESS && i < count; i++) {
        apr_int64_t at = mx_row_int(rows, i, 0);
        pile_add(&piles[mx_row_int(rows, i, 1)], mx_row_bytes(rows, i, 3), pool);
        if (i + 1 == count || mx_row_int(rows, i + 1, 0) != at)
            rv = piles_diff(&out[at], piles, pool);
    }
    return rv;
}

apr_status_t mx_store_state_own_many(mx_state_own_t *out, mx_store_t *store, const apr_int64_t *from, const apr_int64_t *to, int n,
                                     apr_pool_t *pool)
{
    MX_STMT(state_own, "LL",
            PARTS_OF_PAIRS
            " select p.o - 1, p.side, s.delta, exists (select from part q where q.o = p.o and q.side = 0) from part p"
            " join snapshot s on s.snap_nid = p.snap where p.side <> 0 order by p.o, p.side, s.idx desc");
    pile_t pile = { NULL, 0, 0 };
    mx_rows_t *rows = NULL;
    int i, count;
    apr_status_t rv = n ? mx_store_run(&rows, store, pool, &state_own, from, n, to, n) : APR_SUCCESS;
    memset(out, 0, sizeof(*out) * (apr_size_t)n);
    count = rv == APR_SUCCESS ? mx_rows_count(rows) : 0;
    for (i = 0; rv == APR_SUCCESS && i < count; i++) {
        apr_int64_t at = mx_row_int(rows, i, 0), side = mx_row_int(rows, i, 1);
        pile_add(&pile, mx_row_bytes(rows, i, 2), pool);
        if (i + 1 < count && mx_row_int(rows, i + 1, 0) == at && mx_row_int(rows, i + 1, 1) == side)
            continue;
        out[at].shared = mx_row_bool(rows, i, 3);
        if (mx_store_state_delta_merge(side == SIDE_FROM ? &out[at].from : &out[at].to, pile.deltas, pile.n, pool) != APR_SUCCESS)
            rv = MX_STORE_ERROR;
        pile.n = 0;
    }
    return rv;
}
