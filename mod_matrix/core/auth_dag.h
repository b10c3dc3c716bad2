/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The auth DAG of a room as packed integers, and what is asked of it. Rooms v2: auth chain, auth difference; Rooms v12:
 * conflicted state subgraph. Pure.
 *
 * A node is the place of an event in ascending order of nids. Auth events have smaller nids than the events that name them, so a
 * walk from high places to low ones meets every event before its auth events. Auth events that are not there are left out.
 */
#ifndef MX_CORE_AUTH_DAG_H
#define MX_CORE_AUTH_DAG_H

#include <apr_pools.h>

#define MX_AUTH_DAG_NONE APR_UINT32_MAX
#define MX_AUTH_DAG_MAX_NODES (APR_UINT32_MAX / 16)

/** Once filled it is only read: by any number of threads. */
typedef struct mx_auth_dag_t {
    apr_uint32_t n, nedges;
    apr_uint32_t cap, edge_cap;
    apr_int64_t *nids;               /* ascending */
    apr_int64_t *skeys;              /* what state the event is: skey nid */
    apr_uint32_t *ends;              /* edges of node i: edges[ends[i - 1]] … edges[ends[i] - 1] */
    apr_uint32_t *edges;             /* nodes of auth events */
} mx_auth_dag_t;

/** An empty one with room for so many nodes and edges. */
mx_auth_dag_t *mx_auth_dag_create(apr_uint32_t cap, apr_uint32_t edge_cap, apr_pool_t *pool);
/** A copy with room for more. */
mx_auth_dag_t *mx_auth_dag_copy(const mx_auth_dag_t *dag, apr_uint32_t more, apr_uint32_t more_edges, apr_pool_t *pool);
/** Adds an event newer than all others; 0 if it is not newer, or if there is no room. */
int mx_auth_dag_append(mx_auth_dag_t *dag, apr_int64_t nid, apr_int64_t skey, const apr_int64_t *auth_nids, int nauth);
apr_size_t mx_auth_dag_bytes(const mx_auth_dag_t *dag);

/** Place of an event; MX_AUTH_DAG_NONE. */
apr_uint32_t mx_auth_dag_find(const mx_auth_dag_t *dag, apr_int64_t nid);
/** The auth event of that state; MX_AUTH_DAG_NONE. */
apr_uint32_t mx_auth_dag_auth_of(const mx_auth_dag_t *dag, apr_uint32_t node, apr_int64_t skey);
/** Auth events of a node: *pn of them. */
static inline const apr_uint32_t *mx_auth_dag_auth(apr_uint32_t *pn, const mx_auth_dag_t *dag, apr_uint32_t node)
{
    apr_uint32_t from = node ? dag->ends[node - 1] : 0;
    *pn = dag->ends[node] - from;
    return dag->edges + from;
}

/** Nodes, ascending, no doubles. */
typedef struct mx_auth_dag_nodes_t {
    apr_uint32_t *nodes;
    apr_uint32_t n;
} mx_auth_dag_nodes_t;

/** The auth chains of `heads` (without the heads, unless one is in the chain of another), and `also` with their chains. */
mx_auth_dag_nodes_t mx_auth_dag_chain(const mx_auth_dag_t *dag, const apr_uint32_t *heads, apr_uint32_t nheads,
                                      const apr_uint32_t *also, apr_uint32_t nalso, apr_pool_t *pool);

/** Sets that share most of their events: `base` is in all sets but those where a change takes it out. */
typedef struct mx_auth_dag_change_t {
    apr_uint32_t node;               /* dag->n: an event that is not stored yet */
    apr_uint32_t set;                /* 0 … nsets - 1 */
    int gone;                        /* 1: not in this set, though in base; 0: in this set */
} mx_auth_dag_change_t;
typedef struct mx_auth_dag_sets_t {
    const apr_uint32_t *base; apr_uint32_t nbase;
    const mx_auth_dag_change_t *changes; apr_uint32_t nchanges;
    apr_uint32_t nsets;
    const apr_uint32_t *unstored; apr_uint32_t nunstored;   /* auth events of the event that is not stored yet */
} mx_auth_dag_sets_t;

/**
 * The events in the auth chains of some but not all of the sets. One pass down for every 64 sets; memory is 8 bytes a
 * node and what the sets take, however many there are.
 */
mx_auth_dag_nodes_t mx_auth_dag_difference(const mx_auth_dag_t *dag, const mx_auth_dag_sets_t *sets, apr_pool_t *pool);

/** `nodes` and whatever lies on a path between two of them; `nodes` in any order, dag->n allowed (and left out of the result). */
mx_auth_dag_nodes_t mx_auth_dag_between(const mx_auth_dag_t *dag, const apr_uint32_t *nodes, apr_uint32_t n,
                                        const apr_uint32_t *unstored, apr_uint32_t nunstored, apr_pool_t *pool);
/** Events whose auth chain holds one of `nodes`. */
mx_auth_dag_nodes_t mx_auth_dag_descendants(const mx_auth_dag_t *dag, const mx_auth_dag_nodes_t *nodes, apr_pool_t *pool);

#endif
