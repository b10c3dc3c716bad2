/* SPDX-License-Identifier: Apache-2.0 */
/* State resolution: which events are in question, the version's algorithm, the result. Rooms v1, v2, v12. */
#include "core/state_res_private.h"

#include <stdlib.h>

/* ---- the full conflicted set ---- */

/** Places in the DAG of disputed events, for the walks. */
typedef struct places_t {
    apr_uint32_t *base;
    apr_uint32_t nbase;
    mx_auth_dag_change_t *changes;
    apr_uint32_t nchanges;
    apr_int64_t *nids;                /* of all disputed events, doubles too */
    int nnids;
} places_t;

static apr_uint32_t place_of(const mx_res_t *r, apr_int64_t nid)
{
    return nid == MX_STATE_RES_EXTRA ? r->dag->n : mx_auth_dag_find(r->dag, nid);
}

static int item_cmp(const void *a, const void *b)
{
    const mx_state_res_item_t *x = a, *y = b;
    return x->skey < y->skey ? -1 : x->skey > y->skey;
}

static void add_change(const mx_res_t *r, places_t *p, apr_uint32_t set, apr_int64_t nid, int gone)
{
    apr_uint32_t at = nid ? place_of(r, nid) : MX_AUTH_DAG_NONE;
    if (at != MX_AUTH_DAG_NONE)
        p->changes[p->nchanges++] = (mx_auth_dag_change_t){ at, set, gone };
    if (nid && !gone)
        p->nids[p->nnids++] = nid;
}

static void find_places(places_t *p, mx_res_t *r)
{
    const mx_state_res_input_t *in = r->in;
    apr_size_t max = (apr_size_t)in->nbase + (apr_size_t)in->nchanges + 1;
    mx_state_res_item_t *base = apr_pmemdup(r->pool, in->base, sizeof(*base) * (apr_size_t)in->nbase);
    int i;
    p->base = apr_palloc(r->pool, sizeof(*p->base) * max);
    p->changes = apr_palloc(r->pool, sizeof(*p->changes) * 2 * max);
    p->nids = apr_palloc(r->pool, sizeof(*p->nids) * max);
    qsort(base, (size_t)in->nbase, sizeof(*base), item_cmp);
    for (i = 0; i < in->nbase; i++) {
        apr_uint32_t at = base[i].nid ? place_of(r, base[i].nid) : MX_AUTH_DAG_NONE;
        mx_res_slot_disputed(r, base[i].skey);
        if (base[i].nid)
            p->nids[p->nnids++] = base[i].nid;
        if (at != MX_AUTH_DAG_NONE)
            p->base[p->nbase++] = at;
    }
    for (i = 0; i < in->nchanges; i++) {
        const mx_state_res_change_t *change = &in->changes[i];
        mx_state_res_item_t key = { change->skey, 0 };
        const mx_state_res_item_t *was = bsearch(&key, base, (size_t)in->nbase, sizeof(key), item_cmp);
        add_change(r, p, change->set, was ? was->nid : 0, 1);
        add_change(r, p, change->set, change->nid, 0);
    }
}

/** Takes out what is in the auth chain of an undisputed entry: that chain is in every set's. */
static const mx_error_t *without_common(mx_auth_dag_nodes_t *nodes, mx_res_t *r)
{
    mx_auth_dag_nodes_t later = mx_auth_dag_descendants(r->dag, nodes, r->pool), chain;
    apr_int64_t *skeys = apr_palloc(r->pool, sizeof(*skeys) * ((apr_size_t)later.n + 1));
    apr_int64_t *entries = apr_pcalloc(r->pool, sizeof(*entries) * ((apr_size_t)later.n + 1));
    apr_uint32_t *asked = apr_palloc(r->pool, sizeof(*asked) * ((apr_size_t)later.n + 1));
    apr_uint32_t i, k, kept = 0, n = 0;
    const mx_error_t *err;
    for (i = 0; i < later.n; i++) {
        const mx_res_slot_t *slot = mx_nid_map_get(&r->by_skey, r->dag->skeys[later.nodes[i]]);
        if (slot && slot->disputed)
            continue;
        asked[n] = later.nodes[i];
        skeys[n++] = r->dag->skeys[later.nodes[i]];
    }
    if (!n)
        return NULL;
    err = r->source->entries(r->source->baton, entries, skeys, (int)n);
    if (err)
        return err;
    for (i = 0; i < n; i++) {
        if (entries[i] == r->dag->nids[asked[i]])
            asked[kept++] = asked[i];
    }
    chain = mx_auth_dag_chain(r->dag, asked, kept, NULL, 0, r->pool);
    for (i = k = n = 0; i < nodes->n; i++) {
        while (k < chain.n && chain.nodes[k] < nodes->nodes[i])
            k++;
        if (k == chain.n || chain.nodes[k] != nodes->nodes[i])
            nodes->nodes[n++] = nodes->nodes[i];
    }
    nodes->n = n;
    return NULL;
}

static void add_nodes(const mx_res_t *r, apr_array_header_t *nids, const mx_auth_dag_nodes_t *nodes)
{
    apr_uint32_t i;
    for (i = 0; i < nodes->n; i++)
        APR_ARRAY_PUSH(nids, apr_int64_t) = r->dag->nids[nodes->nodes[i]];
}

static void add_difference(mx_res_t *r, const places_t *p, apr_array_header_t *nids)
{
    mx_auth_dag_sets_t sets = { p->base, p->nbase, p->changes, p->nchanges, r->in->nsets, r->unstored, r->nunstored };
    mx_auth_dag_nodes_t found;
    int i;
    if (r->in->difference) {
        for (i = 0; i < r->in->ndifference; i++)
            APR_ARRAY_PUSH(nids, apr_int64_t) = r->in->difference[i];
        return;
    }
    found = mx_auth_dag_difference(r->dag, &sets, r->pool);
    if (found.n)
        r->err = without_common(&found, r);
    add_nodes(r, nids, &found);
}

/** Rooms v12: conflicted state subgraph. */
static void add_subgraph(mx_res_t *r, const places_t *p, apr_array_header_t *nids)
{
    apr_uint32_t *ends = apr_palloc(r->pool, sizeof(*ends) * (apr_size_t)(p->nnids + 1)), n = 0;
    mx_auth_dag_nodes_t found;
    int i;
    for (i = 0; i < p->nnids; i++) {
        apr_uint32_t at = place_of(r, p->nids[i]);
        if (at != MX_AUTH_DAG_NONE)
            ends[n++] = at;
    }
    found = mx_auth_dag_between(r->dag, ends, n, r->unstored, r->nunstored, r->pool);
    add_nodes(r, nids, &found);
}

/** Loads what is in question, in one round, into r->full. */
static void load_full(mx_res_t *r)
{
    places_t p = { .nbase = 0 };
    apr_array_header_t *nids;
    int i;
    find_places(&p, r);
    nids = apr_array_make(r->pool, p.nnids + 64, sizeof(apr_int64_t));
    for (i = 0; i < p.nnids; i++)
        APR_ARRAY_PUSH(nids, apr_int64_t) = p.nids[i];
    if (r->in->version->state_res == MX_STATE_RES_2_1)
        add_subgraph(r, &p, nids);
    if (r->in->version->state_res != MX_STATE_RES_1)
        add_difference(r, &p, nids);
    mx_res_load(r, (apr_int64_t *)nids->elts, nids->nelts);
    for (i = 0; i < nids->nelts && !r->err; i++) {
        mx_res_node_t *node = mx_res_node(r, APR_ARRAY_IDX(nids, i, apr_int64_t));
        if (!node || node->full || !node->slot)
            continue;
        node->full = 1;
        APR_ARRAY_PUSH(r->full, mx_res_node_t *) = node;
    }
}

/* ---- frame ---- */

static void run(mx_res_t *r)
{
    load_full(r);
    if (!r->err)
        mx_res_prepare(r);
    if (r->err)
        return;
    if (r->in->version->state_res == MX_STATE_RES_1) {
        mx_res_resolve_v1(r);
        return;
    }
    mx_res_auth_checks(r, mx_res_sort_power(r));
    if (!r->err)
        mx_res_auth_checks(r, mx_res_sort_mainline(r));
}

static void write_result(mx_state_res_item_t **pitems, int *pn, mx_res_t *r)
{
    mx_state_res_item_t *items = apr_palloc(r->pool, sizeof(*items) * (apr_size_t)(r->in->nbase + r->slots->nelts + 1));
    int i, n = 0;
    for (i = 0; i < r->in->nbase; i++) {
        const mx_res_slot_t *slot = mx_nid_map_get(&r->by_skey, r->in->base[i].skey);
        items[n++] = (mx_state_res_item_t){ r->in->base[i].skey, slot->now ? slot->now->nid : 0 };
    }
    for (i = 0; i < r->slots->nelts; i++) {
        const mx_res_slot_t *slot = APR_ARRAY_IDX(r->slots, i, mx_res_slot_t *);
        if (!slot->disputed && slot->now && !slot->has_entry)
            items[n++] = (mx_state_res_item_t){ slot->skey, slot->now->nid };
    }
    *pitems = items;
    *pn = n;
}

static void read_extra(mx_res_t *r)
{
    int i;
    if (!r->in->extra)
        return;
    r->unstored = apr_palloc(r->pool, sizeof(*r->unstored) * (apr_size_t)(r->in->nextra_auth + 1));
    for (i = 0; i < r->in->nextra_auth; i++) {
        apr_uint32_t at = mx_auth_dag_find(r->dag, r->in->extra_auth[i]);
        if (at != MX_AUTH_DAG_NONE)
            r->unstored[r->nunstored++] = at;
    }
}

const mx_error_t *mx_state_res_run(mx_state_res_item_t **pitems, int *pn, const mx_state_res_input_t *input,
                                   const mx_state_res_source_t *source, apr_pool_t *pool)
{
    mx_res_t r = { .in = input, .source = source, .dag = input->dag, .pool = pool };
    r.slots = apr_array_make(pool, 64, sizeof(mx_res_slot_t *));
    r.full = apr_array_make(pool, 64, sizeof(mx_res_node_t *));
    r.undisputed_counts = input->version->state_res != MX_STATE_RES_2_1;
    apr_pool_create(&r.scratch, pool);
    apr_pool_tag(r.scratch, "mx_state_res");
    read_extra(&r);
    run(&r);
    if (!r.err)
        write_result(pitems, pn, &r);
    mx_nid_map_free(&r.nodes);
    mx_nid_map_free(&r.by_skey);
    apr_pool_destroy(r.scratch);
    return r.err;
}
