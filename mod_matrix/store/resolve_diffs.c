/* SPDX-License-Identifier: Apache-2.0 */
/* Differences of one snapshot to many. How snapshots are made: snapshot_add() in sql/0007_snapshots.sql. */
#include "base/nid_map.h"
#include "store/resolve.h"
#include "store/state_delta.h"

#include <apr_tables.h>
#include <stdlib.h>

/** Ancestors of a snapshot and itself, root first. */
typedef struct chain_t {
    apr_int64_t *snaps;
    int n;
    int common;                      /* how many the base's chain begins with, too */
} chain_t;

typedef struct diffs_t {
    mx_store_t *store;
    chain_t base, *chains;
    int n;
    mx_nid_map_t deltas;             /* snapshot: mx_state_list_t, sorted; those that are not common to all */
    apr_pool_t *pool;
} diffs_t;

static apr_status_t read_chains(diffs_t *d, apr_int64_t base, const apr_int64_t *snaps)
{
    MX_STMT(resolve_chains, "L",
            "select w.o - 1, snapshot_chain(t.anc, t.snap_nid) from unnest($1::int8[]) with ordinality w(snap, o)"
            " join snapshot t on t.snap_nid = w.snap");
    apr_int64_t *all = apr_palloc(d->pool, sizeof(*all) * (apr_size_t)(d->n + 1));
    mx_rows_t *rows;
    apr_status_t rv;
    int i;
    memcpy(all, snaps, sizeof(*all) * (apr_size_t)d->n);
    all[d->n] = base;
    rv = mx_store_run(&rows, d->store, d->pool, &resolve_chains, all, d->n + 1);
    for (i = 0; rv == APR_SUCCESS && i < mx_rows_count(rows); i++) {
        int at = (int)mx_row_int(rows, i, 0);
        chain_t *chain = at == d->n ? &d->base : &d->chains[at];
        chain->n = mx_row_int_array(&chain->snaps, rows, i, 1, d->pool);
    }
    for (i = 0; rv == APR_SUCCESS && i < d->n; i++) {
        chain_t *chain = &d->chains[i];
        while (chain->common < chain->n && chain->common < d->base.n && chain->snaps[chain->common] == d->base.snaps[chain->common])
            chain->common++;
    }
    return rv;
}

static void want(diffs_t *d, apr_array_header_t *wanted, const chain_t *chain, int from)
{
    static mx_state_list_t none;
    for (; from < chain->n; from++) {
        if (mx_nid_map_get(&d->deltas, chain->snaps[from]))
            continue;
        mx_nid_map_set(&d->deltas, chain->snaps[from], &none);
        APR_ARRAY_PUSH(wanted, apr_int64_t) = chain->snaps[from];
    }
}

static apr_status_t read_deltas(diffs_t *d)
{
    MX_STMT(resolve_deltas, "L", "select snap_nid, delta from snapshot where snap_nid = any($1::int8[])");
    apr_array_header_t *wanted = apr_array_make(d->pool, 64, sizeof(apr_int64_t));
    mx_rows_t *rows;
    apr_status_t rv;
    int i;
    for (i = 0; i < d->n; i++) {
        want(d, wanted, &d->chains[i], d->chains[i].common);
        want(d, wanted, &d->base, d->chains[i].common);
    }
    rv = mx_store_run(&rows, d->store, d->pool, &resolve_deltas, (apr_int64_t *)wanted->elts, wanted->nelts);
    for (i = 0; rv == APR_SUCCESS && i < mx_rows_count(rows); i++) {
        mx_state_list_t *delta = apr_palloc(d->pool, sizeof(*delta));
        mx_slice_t packed = mx_row_bytes(rows, i, 1);
        if (mx_store_state_delta_merge(delta, &packed, 1, d->pool) != APR_SUCCESS)
            return MX_STORE_ERROR;
        mx_nid_map_set(&d->deltas, mx_row_int(rows, i, 0), delta);
    }
    return rv;
}

/** Newest word of the chain past its common part on a key: 1 if there is one. */
static int said(apr_int64_t *pnid, const diffs_t *d, const chain_t *chain, int from, apr_int64_t skey_nid)
{
    int i;
    for (i = chain->n; i-- > from;) {
        const mx_state_list_t *delta = mx_nid_map_get(&d->deltas, chain->snaps[i]);
        const mx_state_item_t *found =
            delta->n ? bsearch(&skey_nid, delta->items, (size_t)delta->n, sizeof(*found), mx_nid_cmp) : NULL;
        if (found) {
            *pnid = found->nid;
            return 1;
        }
    }
    return 0;
}

/** Every key that either side speaks of past the common part, sorted, each once. */
static apr_array_header_t *spoken(const diffs_t *d, const chain_t *chain, apr_pool_t *pool)
{
    apr_array_header_t *keys = apr_array_make(pool, 64, sizeof(apr_int64_t));
    const chain_t *sides[] = { chain, &d->base };
    int side, i, k, used = 0;
    for (side = 0; side < 2; side++) {
        for (i = chain->common; i < sides[side]->n; i++) {
            const mx_state_list_t *delta = mx_nid_map_get(&d->deltas, sides[side]->snaps[i]);
            for (k = 0; k < delta->n; k++)
                APR_ARRAY_PUSH(keys, apr_int64_t) = delta->items[k].skey_nid;
        }
    }
    qsort(keys->elts, (size_t)keys->nelts, sizeof(apr_int64_t), mx_nid_cmp);
    for (i = 0; i < keys->nelts; i++) {
        if (!used || APR_ARRAY_IDX(keys, used - 1, apr_int64_t) != APR_ARRAY_IDX(keys, i, apr_int64_t))
            APR_ARRAY_IDX(keys, used++, apr_int64_t) = APR_ARRAY_IDX(keys, i, apr_int64_t);
    }
    keys->nelts = used;
    return keys;
}

/** What the common ancestors say of keys that only one side speaks of: one query for all snapshots that part at the same place. */
static apr_status_t read_common(mx_nid_map_t *common, diffs_t *d, int place)
{
    apr_array_header_t *keys = apr_array_make(d->pool, 64, sizeof(apr_int64_t));
    apr_int64_t *nids, nid;
    apr_pool_t *one;
    apr_status_t rv;
    int i, k;
    apr_pool_create(&one, d->pool);
    for (i = 0; i < d->n; i++) {
        const chain_t *chain = &d->chains[i];
        apr_array_header_t *own;
        apr_pool_clear(one);
        if (chain->common != place)
            continue;
        own = spoken(d, chain, one);
        for (k = 0; k < own->nelts; k++) {
            apr_int64_t key = APR_ARRAY_IDX(own, k, apr_int64_t);
            if (said(&nid, d, chain, place, key) && said(&nid, d, &d->base, place, key))
                continue;
            if (mx_nid_map_get(common, key))
                continue;
            mx_nid_map_set(common, key, &nid);
            APR_ARRAY_PUSH(keys, apr_int64_t) = key;
        }
    }
    apr_pool_destroy(one);
    nids = apr_pcalloc(d->pool, sizeof(*nids) * (apr_size_t)(keys->nelts + 1));
    rv = mx_store_resolve_entries(nids, d->store, place ? d->base.snaps[place - 1] : 0, (apr_int64_t *)keys->elts, keys->nelts, d->pool);
    for (i = 0; i < keys->nelts; i++)
        mx_nid_map_set(common, APR_ARRAY_IDX(keys, i, apr_int64_t), &nids[i]);
    return rv;
}

static void write_diff(mx_state_list_t *out, const diffs_t *d, const mx_nid_map_t *common, const chain_t *chain)
{
    apr_array_header_t *keys = spoken(d, chain, d->pool);
    int i;
    out->items = apr_palloc(d->pool, sizeof(*out->items) * (apr_size_t)(keys->nelts + 1));
    out->n = 0;
    for (i = 0; i < keys->nelts; i++) {
        apr_int64_t key = APR_ARRAY_IDX(keys, i, apr_int64_t), before, after;
        if (!said(&before, d, &d->base, chain->common, key))
            before = *(apr_int64_t *)mx_nid_map_get(common, key);
        if (!said(&after, d, chain, chain->common, key))
            after = *(apr_int64_t *)mx_nid_map_get(common, key);
        if (before != after)
            out->items[out->n++] = (mx_state_item_t){ key, after };
    }
}

/** All snapshots that part from the base after its first `place` ancestors. */
static apr_status_t diffs_at(mx_state_list_t *out, diffs_t *d, int place)
{
    mx_nid_map_t common = { NULL, 0, 0 };
    apr_status_t rv = read_common(&common, d, place);
    int i;
    for (i = 0; i < d->n && rv == APR_SUCCESS; i++) {
        if (d->chains[i].common == place)
            write_diff(&out[i], d, &common, &d->chains[i]);
    }
    mx_nid_map_free(&common);
    return rv;
}

apr_status_t mx_store_resolve_diffs(mx_state_list_t *out, mx_store_t *store, apr_int64_t base, const apr_int64_t *snaps, int n,
                                    apr_pool_t *pool)
{
    diffs_t d = { .store = store, .n = n, .pool = pool };
    apr_status_t rv;
    int place, i, here;
    d.chains = apr_pcalloc(pool, sizeof(*d.chains) * (apr_size_t)(n + 1));
    rv = read_chains(&d, base, snaps);
    if (rv == APR_SUCCESS)
        rv = read_deltas(&d);
    for (place = 0; place <= d.base.n && rv == APR_SUCCESS; place++) {
        for (i = here = 0; i < n; i++)
            here += d.chains[i].common == place;
        if (here)
            rv = diffs_at(out, &d, place);
    }
    mx_nid_map_free(&d.deltas);
    return rv;
}
