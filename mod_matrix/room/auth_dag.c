/* SPDX-License-Identifier: Apache-2.0 */
/* Auth DAGs: read once, then extended by what is new. */
#include "room/auth_dag.h"

#include "room/resolve_private.h"
#include "store/auth_dag.h"

#define ROWS_A_QUERY 4096
#define EDGES_GUESS 4                 /* auth events of a state event, mostly */

typedef struct held_t {
    apr_pool_t *pool;                 /* holds this and the DAG */
    mx_auth_dag_t *dag;
} held_t;

void mx_room_auth_dag_destroy(void *value)
{
    apr_pool_destroy(((held_t *)value)->pool);
}

/** What is being read: each time it grows it moves to a pool of its own, so that no outgrown copy stays. */
typedef struct reading_t {
    apr_pool_t *pool;
    mx_auth_dag_t *dag;
} reading_t;

static void reading_grow(reading_t *r, const mx_auth_dag_t *from, apr_uint32_t more, apr_uint32_t more_edges)
{
    apr_pool_t *pool = mx_room_known_pool("mx_auth_dag");
    r->dag = mx_auth_dag_copy(from, more, more_edges, pool);
    if (r->pool)
        apr_pool_destroy(r->pool);
    r->pool = pool;
}

static apr_uint32_t count_edges(const mx_store_auth_row_t *rows, int n)
{
    apr_uint32_t edges = 0;
    int i;
    for (i = 0; i < n; i++)
        edges += (apr_uint32_t)rows[i].nauth;
    return edges;
}

/** Makes room for the rows: exactly for a few new ones, twice as much as there is while a room is read for the first time. */
static void reading_add(reading_t *r, const mx_auth_dag_t *from, const mx_store_auth_row_t *rows, int n, int more_follow)
{
    apr_uint32_t more = (apr_uint32_t)n, edges = count_edges(rows, n);
    const mx_auth_dag_t *now = r->dag ? r->dag : from;
    int i;
    if (!r->dag || now->cap - now->n < more || now->edge_cap - now->nedges < edges)
        reading_grow(r, now, more_follow ? more + now->n : more, more_follow ? edges + now->nedges : edges);
    for (i = 0; i < n; i++)
        mx_auth_dag_append(r->dag, rows[i].nid, rows[i].skey_nid, rows[i].auth_nids, rows[i].nauth);
}

/** Reads what is newer than `from` has; r->dag stays NULL if there is nothing. */
static apr_status_t read_newer(reading_t *r, mx_server_t *server, apr_int64_t room_nid, const mx_auth_dag_t *from, apr_pool_t *pool)
{
    apr_pool_t *chunk;
    apr_status_t rv;
    int n = 0;
    apr_pool_create(&chunk, pool);
    apr_pool_tag(chunk, "mx_auth_dag_chunk");
    do {
        const mx_auth_dag_t *now = r->dag ? r->dag : from;
        mx_store_auth_row_t *rows;
        apr_pool_clear(chunk);
        rv = mx_store_auth_dag_read(&rows, &n, server->store, room_nid, now->n ? now->nids[now->n - 1] : APR_INT64_MIN, ROWS_A_QUERY,
                                    chunk);
        if (rv == APR_SUCCESS && n && now->n <= MX_AUTH_DAG_MAX_NODES)
            reading_add(r, from, rows, n, n == ROWS_A_QUERY);
    } while (rv == APR_SUCCESS && n == ROWS_A_QUERY);
    apr_pool_destroy(chunk);
    if (rv != APR_SUCCESS && r->pool)
        apr_pool_destroy(r->pool);
    else if (r->dag && (r->dag->cap - r->dag->n > r->dag->n / 4 || r->dag->edge_cap - r->dag->nedges > r->dag->nedges / 4))
        reading_grow(r, r->dag, 0, 0);
    return rv;
}

static apr_status_t put_ref(void *ref)
{
    mx_cache_put(ref);
    return APR_SUCCESS;
}

const mx_error_t *mx_room_auth_dag_get(const mx_auth_dag_t **pdag, mx_server_t *server, apr_int64_t room_nid, apr_pool_t *pool)
{
    mx_cache_t *cache = server->room->resolver->dags;
    static const mx_auth_dag_t empty;
    reading_t reading = { NULL, NULL };
    mx_cache_ref_t *ref = NULL;
    held_t *held = mx_cache_get(&ref, cache, &room_nid, sizeof(room_nid));
    apr_status_t rv;
    if (held)
        apr_pool_cleanup_register(pool, ref, put_ref, apr_pool_cleanup_null);
    rv = read_newer(&reading, server, room_nid, held ? held->dag : &empty, pool);
    if (rv != APR_SUCCESS)
        return mx_server_store_error(rv, "reading the auth events of a room", pool);
    if (!reading.dag) {
        *pdag = held ? held->dag : mx_auth_dag_create(0, 0, pool);
        return NULL;
    }
    held = apr_palloc(reading.pool, sizeof(*held));
    held->pool = reading.pool;
    held->dag = reading.dag;
    mx_cache_set(&ref, cache, &room_nid, sizeof(room_nid), held, mx_auth_dag_bytes(held->dag), 0);
    apr_pool_cleanup_register(pool, ref, put_ref, apr_pool_cleanup_null);
    *pdag = held->dag;
    return NULL;
}

/* ---- for federation ---- */

static apr_uint32_t *places(apr_uint32_t *pn, const mx_auth_dag_t *dag, const apr_int64_t *nids, int n, apr_pool_t *pool)
{
    apr_uint32_t *out = apr_palloc(pool, sizeof(*out) * (apr_size_t)(n + 1));
    int i;
    *pn = 0;
    for (i = 0; i < n; i++) {
        out[*pn] = mx_auth_dag_find(dag, nids[i]);
        *pn += out[*pn] != MX_AUTH_DAG_NONE;
    }
    return out;
}

static void to_nids(apr_int64_t **pnids, int *pn, const mx_auth_dag_t *dag, const mx_auth_dag_nodes_t *nodes, apr_pool_t *pool)
{
    apr_uint32_t i;
    *pnids = apr_palloc(pool, sizeof(**pnids) * ((apr_size_t)nodes->n + 1));
    for (i = 0; i < nodes->n; i++)
        (*pnids)[i] = dag->nids[nodes->nodes[i]];
    *pn = (int)nodes->n;
}

static mx_auth_dag_nodes_t chain_of(const mx_auth_dag_t *dag, const mx_room_auth_set_t *set, apr_pool_t *pool)
{
    apr_uint32_t nheads, nalso;
    apr_uint32_t *heads = places(&nheads, dag, set->events, set->nevents, pool), *also = places(&nalso, dag, set->auth, set->nauth, pool);
    return mx_auth_dag_chain(dag, heads, nheads, also, nalso, pool);
}

const mx_error_t *mx_room_auth_dag_chain(apr_int64_t **pnids, int *pn, mx_server_t *server, apr_int64_t room_nid,
                                         const mx_room_auth_set_t *set, apr_pool_t *pool)
{
    const mx_auth_dag_t *dag;
    const mx_error_t *err = mx_room_auth_dag_get(&dag, server, room_nid, pool);
    mx_auth_dag_nodes_t chain;
    if (err)
        return err;
    chain = chain_of(dag, set, pool);
    to_nids(pnids, pn, dag, &chain, pool);
    return NULL;
}

/** How many of the chains hold each node: memory stays that of one chain, whatever the number of sets. */
static void count_chains(apr_uint32_t *counts, const mx_auth_dag_t *dag, const mx_room_auth_set_t *sets, int nsets, apr_pool_t *pool)
{
    apr_pool_t *one;
    apr_uint32_t k;
    int i;
    apr_pool_create(&one, pool);
    apr_pool_tag(one, "mx_auth_dag_chain");
    for (i = 0; i < nsets; i++) {
        mx_auth_dag_nodes_t chain;
        apr_pool_clear(one);
        chain = chain_of(dag, &sets[i], one);
        for (k = 0; k < chain.n; k++)
            counts[chain.nodes[k]]++;
    }
    apr_pool_destroy(one);
}

const mx_error_t *mx_room_auth_dag_difference(apr_int64_t **pnids, int *pn, mx_server_t *server, apr_int64_t room_nid,
                                              const mx_room_auth_set_t *sets, int nsets, apr_pool_t *pool)
{
    const mx_auth_dag_t *dag;
    const mx_error_t *err = mx_room_auth_dag_get(&dag, server, room_nid, pool);
    mx_auth_dag_nodes_t found = { NULL, 0 };
    apr_uint32_t *counts, i;
    if (err)
        return err;
    counts = apr_pcalloc(pool, sizeof(*counts) * ((apr_size_t)dag->n + 1));
    found.nodes = apr_palloc(pool, sizeof(*found.nodes) * ((apr_size_t)dag->n + 1));
    count_chains(counts, dag, sets, nsets, pool);
    for (i = 0; i < dag->n; i++) {
        if (counts[i] && counts[i] < (apr_uint32_t)nsets)
            found.nodes[found.n++] = i;
    }
    to_nids(pnids, pn, dag, &found, pool);
    return NULL;
}
