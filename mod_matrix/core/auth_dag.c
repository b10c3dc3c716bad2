/* SPDX-License-Identifier: Apache-2.0 */
/* The auth DAG in memory: making it, chains, differences. Rooms v2: state resolution, definitions. */
#include "core/auth_dag.h"

#include <stdlib.h>
#include <string.h>

#define SETS_A_PASS 64

mx_auth_dag_t *mx_auth_dag_create(apr_uint32_t cap, apr_uint32_t edge_cap, apr_pool_t *pool)
{
    mx_auth_dag_t *dag = apr_pcalloc(pool, sizeof(*dag));
    dag->cap = cap;
    dag->edge_cap = edge_cap;
    dag->nids = apr_palloc(pool, sizeof(*dag->nids) * ((apr_size_t)cap + 1));
    dag->skeys = apr_palloc(pool, sizeof(*dag->skeys) * ((apr_size_t)cap + 1));
    dag->ends = apr_palloc(pool, sizeof(*dag->ends) * ((apr_size_t)cap + 1));
    dag->edges = apr_palloc(pool, sizeof(*dag->edges) * ((apr_size_t)edge_cap + 1));
    return dag;
}

mx_auth_dag_t *mx_auth_dag_copy(const mx_auth_dag_t *dag, apr_uint32_t more, apr_uint32_t more_edges, apr_pool_t *pool)
{
    mx_auth_dag_t *copy = mx_auth_dag_create(dag->n + more, dag->nedges + more_edges, pool);
    if (!dag->n)                     /* an empty one may have no arrays at all */
        return copy;
    copy->n = dag->n;
    copy->nedges = dag->nedges;
    memcpy(copy->nids, dag->nids, sizeof(*dag->nids) * dag->n);
    memcpy(copy->skeys, dag->skeys, sizeof(*dag->skeys) * dag->n);
    memcpy(copy->ends, dag->ends, sizeof(*dag->ends) * dag->n);
    memcpy(copy->edges, dag->edges, sizeof(*dag->edges) * dag->nedges);
    return copy;
}

apr_size_t mx_auth_dag_bytes(const mx_auth_dag_t *dag)
{
    return sizeof(*dag) + dag->cap * (sizeof(*dag->nids) + sizeof(*dag->skeys) + sizeof(*dag->ends))
           + dag->edge_cap * sizeof(*dag->edges);
}

apr_uint32_t mx_auth_dag_find(const mx_auth_dag_t *dag, apr_int64_t nid)
{
    apr_uint32_t low = 0, high = dag->n;
    while (low < high) {
        apr_uint32_t mid = low + (high - low) / 2;
        if (dag->nids[mid] < nid)
            low = mid + 1;
        else
            high = mid;
    }
    return low < dag->n && dag->nids[low] == nid ? low : MX_AUTH_DAG_NONE;
}

apr_uint32_t mx_auth_dag_auth_of(const mx_auth_dag_t *dag, apr_uint32_t node, apr_int64_t skey)
{
    apr_uint32_t n, i;
    const apr_uint32_t *auth = mx_auth_dag_auth(&n, dag, node);
    for (i = 0; i < n; i++) {
        if (dag->skeys[auth[i]] == skey)
            return auth[i];
    }
    return MX_AUTH_DAG_NONE;
}

/** Looks among the auth events of the node before first: neighbours mostly share them. */
static apr_uint32_t find_near(const mx_auth_dag_t *dag, apr_int64_t nid)
{
    apr_uint32_t n, i;
    const apr_uint32_t *auth;
    if (!dag->n)
        return MX_AUTH_DAG_NONE;
    auth = mx_auth_dag_auth(&n, dag, dag->n - 1);
    for (i = 0; i < n; i++) {
        if (dag->nids[auth[i]] == nid)
            return auth[i];
    }
    return mx_auth_dag_find(dag, nid);
}

int mx_auth_dag_append(mx_auth_dag_t *dag, apr_int64_t nid, apr_int64_t skey, const apr_int64_t *auth_nids, int nauth)
{
    apr_uint32_t used = dag->nedges;
    int i;
    if (dag->n == dag->cap || (apr_uint32_t)nauth > dag->edge_cap - dag->nedges || (dag->n && nid <= dag->nids[dag->n - 1]))
        return 0;
    for (i = 0; i < nauth; i++) {
        apr_uint32_t at = find_near(dag, auth_nids[i]);
        if (at != MX_AUTH_DAG_NONE)
            dag->edges[used++] = at;
    }
    dag->nids[dag->n] = nid;
    dag->skeys[dag->n] = skey;
    dag->ends[dag->n] = used;
    dag->nedges = used;
    dag->n++;
    return 1;
}

/* ---- sets of nodes as bits ---- */

typedef apr_uint64_t *bits_t;

static bits_t bits_create(apr_uint32_t n, apr_pool_t *pool)
{
    return apr_pcalloc(pool, sizeof(apr_uint64_t) * ((apr_size_t)n / 64 + 1));
}

static inline void bit_set(bits_t bits, apr_uint32_t i)
{
    bits[i / 64] |= (apr_uint64_t)1 << (i % 64);
}

static inline int bit_get(const apr_uint64_t *bits, apr_uint32_t i)
{
    return (int)(bits[i / 64] >> (i % 64) & 1);
}

static mx_auth_dag_nodes_t bits_nodes(const apr_uint64_t *bits, apr_uint32_t n, apr_pool_t *pool)
{
    mx_auth_dag_nodes_t out = { NULL, 0 };
    apr_uint32_t words = n / 64 + 1, i, count = 0;
    for (i = 0; i < words; i++)
        count += (apr_uint32_t)__builtin_popcountll(bits[i]);
    out.nodes = apr_palloc(pool, sizeof(*out.nodes) * ((apr_size_t)count + 1));
    for (i = 0; i < words; i++) {
        apr_uint64_t word;
        for (word = bits[i]; word; word &= word - 1)
            out.nodes[out.n++] = i * 64 + (apr_uint32_t)__builtin_ctzll(word);
    }
    return out;
}

static void mark_auth(bits_t bits, const mx_auth_dag_t *dag, apr_uint32_t node)
{
    apr_uint32_t n, i;
    const apr_uint32_t *auth = mx_auth_dag_auth(&n, dag, node);
    for (i = 0; i < n; i++)
        bit_set(bits, auth[i]);
}

/** Completes marks down to node `low`. */
static void mark_down(bits_t bits, const mx_auth_dag_t *dag, apr_uint32_t low)
{
    apr_uint32_t word, floor_word = low / 64;
    for (word = dag->n / 64 + 1; word-- > floor_word;) {
        apr_uint64_t done = 0, todo;
        while ((todo = bits[word] & ~done) != 0) {         /* auth events may lie in the same word, always below */
            apr_uint32_t bit = 63 - (apr_uint32_t)__builtin_clzll(todo);
            done |= (apr_uint64_t)1 << bit;
            mark_auth(bits, dag, word * 64 + bit);
        }
    }
}

mx_auth_dag_nodes_t mx_auth_dag_chain(const mx_auth_dag_t *dag, const apr_uint32_t *heads, apr_uint32_t nheads,
                                      const apr_uint32_t *also, apr_uint32_t nalso, apr_pool_t *pool)
{
    bits_t bits = bits_create(dag->n, pool);
    apr_uint32_t i;
    for (i = 0; i < nheads; i++)
        mark_auth(bits, dag, heads[i]);
    for (i = 0; i < nalso; i++)
        bit_set(bits, also[i]);
    mark_down(bits, dag, 0);
    return bits_nodes(bits, dag->n, pool);
}

mx_auth_dag_nodes_t mx_auth_dag_descendants(const mx_auth_dag_t *dag, const mx_auth_dag_nodes_t *nodes, apr_pool_t *pool)
{
    bits_t roots = bits_create(dag->n, pool), found = bits_create(dag->n, pool);
    apr_uint32_t i, k, n;
    for (i = 0; i < nodes->n; i++)
        bit_set(roots, nodes->nodes[i]);
    for (i = nodes->n ? nodes->nodes[0] + 1 : dag->n; i < dag->n; i++) {
        const apr_uint32_t *auth = mx_auth_dag_auth(&n, dag, i);
        for (k = 0; k < n; k++) {
            if (bit_get(roots, auth[k]) || bit_get(found, auth[k])) {
                bit_set(found, i);
                break;
            }
        }
    }
    return bits_nodes(found, dag->n, pool);
}

mx_auth_dag_nodes_t mx_auth_dag_between(const mx_auth_dag_t *dag, const apr_uint32_t *nodes, apr_uint32_t n,
                                        const apr_uint32_t *unstored, apr_uint32_t nunstored, apr_pool_t *pool)
{
    bits_t ends = bits_create(dag->n, pool), below = bits_create(dag->n, pool), leads = bits_create(dag->n, pool);
    apr_uint32_t i, k, nauth, low = dag->n, words = dag->n / 64 + 1;
    for (i = 0; i < n; i++) {
        for (k = 0; nodes[i] == dag->n && k < nunstored; k++)
            bit_set(below, unstored[k]);
        if (nodes[i] == dag->n)
            continue;
        bit_set(ends, nodes[i]);
        if (nodes[i] < low)
            low = nodes[i];
    }
    for (i = 0; i < words; i++)
        below[i] |= ends[i];
    mark_down(below, dag, low);
    for (i = low; i < dag->n; i++) {
        const apr_uint32_t *auth = mx_auth_dag_auth(&nauth, dag, i);
        if (!bit_get(below, i))
            continue;
        if (bit_get(ends, i)) {
            bit_set(leads, i);
            continue;
        }
        for (k = 0; k < nauth; k++) {
            if (bit_get(leads, auth[k])) {
                bit_set(leads, i);
                break;
            }
        }
    }
    return bits_nodes(leads, dag->n, pool);
}

/* ---- differences ---- */

/** A node that sets hold: its auth events are in their chains. */
typedef struct seed_t {
    apr_uint32_t node;
    apr_uint64_t all;                /* the sets of a pass, if it is in base; else none */
    apr_uint64_t mask;               /* the sets of the pass that hold it */
} seed_t;

typedef struct difference_t {
    const mx_auth_dag_t *dag;
    const mx_auth_dag_sets_t *sets;
    seed_t *seeds;                   /* falling nodes */
    apr_uint32_t nseeds;
    apr_uint32_t *seed_of;           /* of each change: its seed */
    apr_uint64_t *masks;             /* of each node: the sets of the pass whose chains hold it */
    apr_uint32_t pending;            /* nodes not yet passed that some but not all of the pass reach */
    bits_t any, not_all;
} difference_t;

static int seed_cmp(const void *a, const void *b)
{
    const seed_t *x = a, *y = b;
    return x->node > y->node ? -1 : x->node < y->node;
}

static void seeds_unique(difference_t *d)
{
    apr_uint32_t i, used = 0;
    qsort(d->seeds, d->nseeds, sizeof(*d->seeds), seed_cmp);
    for (i = 0; i < d->nseeds; i++) {
        if (used && d->seeds[used - 1].node == d->seeds[i].node)
            d->seeds[used - 1].all |= d->seeds[i].all;
        else
            d->seeds[used++] = d->seeds[i];
    }
    d->nseeds = used;
}

static void seeds_make(difference_t *d, apr_pool_t *pool)
{
    const mx_auth_dag_sets_t *s = d->sets;
    apr_uint32_t i;
    d->seeds = apr_palloc(pool, sizeof(*d->seeds) * ((apr_size_t)s->nbase + s->nchanges + 1));
    d->seed_of = apr_palloc(pool, sizeof(*d->seed_of) * ((apr_size_t)s->nchanges + 1));
    for (i = 0; i < s->nbase; i++)
        d->seeds[d->nseeds++] = (seed_t){ s->base[i], ~(apr_uint64_t)0, 0 };
    for (i = 0; i < s->nchanges; i++)
        d->seeds[d->nseeds++] = (seed_t){ s->changes[i].node, 0, 0 };
    seeds_unique(d);
    for (i = 0; i < s->nchanges; i++) {
        seed_t key = { s->changes[i].node, 0, 0 };
        seed_t *found = bsearch(&key, d->seeds, d->nseeds, sizeof(key), seed_cmp);
        d->seed_of[i] = (apr_uint32_t)(found - d->seeds);
    }
}

/** Which of the sets first … first + 63 hold each seed. */
static void seeds_fill(difference_t *d, apr_uint32_t first, apr_uint64_t full)
{
    apr_uint32_t i;
    for (i = 0; i < d->nseeds; i++)
        d->seeds[i].mask = d->seeds[i].all & full;
    for (i = 0; i < d->sets->nchanges; i++) {
        const mx_auth_dag_change_t *change = &d->sets->changes[i];
        apr_uint64_t bit;
        if (change->set < first || change->set - first >= SETS_A_PASS)
            continue;
        bit = (apr_uint64_t)1 << (change->set - first);
        if (change->gone)
            d->seeds[d->seed_of[i]].mask &= ~bit;
        else
            d->seeds[d->seed_of[i]].mask |= bit;
    }
}

static void spread(difference_t *d, const apr_uint32_t *auth, apr_uint32_t n, apr_uint64_t mask, apr_uint64_t full)
{
    apr_uint32_t i;
    for (i = 0; i < n; i++) {
        apr_uint64_t before = d->masks[auth[i]], after = before | mask;
        d->pending += (apr_uint32_t)(after && after != full) - (apr_uint32_t)(before && before != full);
        d->masks[auth[i]] = after;
    }
}

/** One pass down. With 64 sets or fewer it ends where all chains have met: below they are the same. */
static void pass_down(difference_t *d, apr_uint64_t full, int whole)
{
    apr_uint32_t i = d->dag->n, next = 0, n;
    if (d->nseeds && d->seeds[0].node == d->dag->n) {
        spread(d, d->sets->unstored, d->sets->nunstored, d->seeds[0].mask, full);
        next++;
    }
    while (i-- > 0) {
        apr_uint64_t mask = d->masks[i], held = 0;
        const apr_uint32_t *auth;
        if (next < d->nseeds && d->seeds[next].node == i)
            held = d->seeds[next++].mask;
        else if (!whole && !d->pending && next == d->nseeds)
            return;
        if (mask) {
            bit_set(d->any, i);
            d->pending -= mask != full;
        }
        if (mask != full)
            bit_set(d->not_all, i);
        if (mask | held) {
            auth = mx_auth_dag_auth(&n, d->dag, i);
            spread(d, auth, n, mask | held, full);
        }
    }
}

mx_auth_dag_nodes_t mx_auth_dag_difference(const mx_auth_dag_t *dag, const mx_auth_dag_sets_t *sets, apr_pool_t *pool)
{
    difference_t d = { .dag = dag, .sets = sets };
    apr_uint32_t first, i, words = dag->n / 64 + 1;
    d.any = bits_create(dag->n, pool);
    d.not_all = bits_create(dag->n, pool);
    d.masks = apr_palloc(pool, sizeof(*d.masks) * ((apr_size_t)dag->n + 1));
    seeds_make(&d, pool);
    for (first = 0; first < sets->nsets; first += SETS_A_PASS) {
        apr_uint32_t count = sets->nsets - first < SETS_A_PASS ? sets->nsets - first : SETS_A_PASS;
        apr_uint64_t full = count == SETS_A_PASS ? ~(apr_uint64_t)0 : ((apr_uint64_t)1 << count) - 1;
        memset(d.masks, 0, sizeof(*d.masks) * dag->n);
        d.pending = 0;
        seeds_fill(&d, first, full);
        pass_down(&d, full, sets->nsets > SETS_A_PASS);
    }
    for (i = 0; i < words; i++)
        d.any[i] &= d.not_all[i];
    return bits_nodes(d.any, dag->n, pool);
}
