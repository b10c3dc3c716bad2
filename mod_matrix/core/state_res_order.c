/* SPDX-License-Identifier: Apache-2.0 */
/* The two orderings of state resolution. Rooms v2: state resolution, definitions. */
#include "core/state_res_private.h"

#include <stdlib.h>

/** The sender's level by the event's own auth events. */
static apr_int64_t sender_power(mx_res_t *r, const mx_res_node_t *node)
{
    const mx_event_t *create = mx_res_own_create(r, node);
    const mx_res_node_t *levels = mx_res_own(r, node, r->levels_slot);
    if (!create)
        return 0;
    return mx_power_user(mx_power_create(create, levels ? levels->event : NULL, r->pool), node->event->sender);
}

/** Power levels, join rules, and what removes another user. */
static int is_power_event(const mx_event_t *event)
{
    if (event->type_id == MX_TYPE_POWER_LEVELS || event->type_id == MX_TYPE_JOIN_RULES)
        return mx_str_eq(event->state_key, "");
    if (event->type_id != MX_TYPE_MEMBER || mx_str_eq(event->state_key, event->sender))
        return 0;
    return event->member == MX_MEMBERSHIP_LEAVE || event->member == MX_MEMBERSHIP_BAN;
}

static int by_time_and_id(const mx_event_t *x, const mx_event_t *y)
{
    if (x->origin_server_ts != y->origin_server_ts)
        return x->origin_server_ts < y->origin_server_ts ? -1 : 1;
    return strcmp(x->event_id, y->event_id);
}

static int power_cmp(const mx_res_node_t *x, const mx_res_node_t *y)
{
    if (x->sender_power != y->sender_power)
        return x->sender_power > y->sender_power ? -1 : 1;
    return by_time_and_id(x->event, y->event);
}

/* A heap of candidates, the smallest first. */
static void heap_push(apr_array_header_t *heap, mx_res_node_t *node)
{
    int i = heap->nelts;
    mx_res_node_t **at;
    APR_ARRAY_PUSH(heap, mx_res_node_t *) = node;
    at = (mx_res_node_t **)heap->elts;
    while (i && power_cmp(at[i], at[(i - 1) / 2]) < 0) {
        mx_res_node_t *swap = at[i];
        at[i] = at[(i - 1) / 2];
        at[(i - 1) / 2] = swap;
        i = (i - 1) / 2;
    }
}

static mx_res_node_t *heap_pop(apr_array_header_t *heap)
{
    mx_res_node_t **at = (mx_res_node_t **)heap->elts, *top = at[0];
    int i = 0, n;
    at[0] = *(mx_res_node_t **)apr_array_pop(heap);
    n = heap->nelts;
    for (;;) {
        int least = i, child;
        mx_res_node_t *swap;
        for (child = 2 * i + 1; child <= 2 * i + 2; child++) {
            if (child < n && power_cmp(at[child], at[least]) < 0)
                least = child;
        }
        if (least == i)
            return top;
        swap = at[i];
        at[i] = at[least];
        at[least] = swap;
        i = least;
    }
}

/** Place of auth event i of a node; 0 past the last. */
static int auth_at(apr_uint32_t *pat, const mx_res_t *r, const mx_res_node_t *node, apr_uint32_t i)
{
    const apr_uint32_t *auth = r->unstored;
    apr_uint32_t n = r->nunstored;
    if (node->at == MX_AUTH_DAG_NONE)
        return 0;
    if (node->at != r->dag->n)
        auth = mx_auth_dag_auth(&n, r->dag, node->at);
    if (i >= n)
        return 0;
    *pat = auth[i];
    return 1;
}

/** Auth event i of a node, if it is in question. */
static mx_res_node_t *full_auth(mx_res_t *r, apr_uint32_t at)
{
    mx_res_node_t *auth = mx_res_node(r, r->dag->nids[at]);
    return auth && auth->full ? auth : NULL;
}

/**
 * Puts the node and what of its auth chain is in question into `picked`. Paths are followed through events in question only,
 * as all servers do; a path that leaves them can return to a disputed event alone, in versions 2 to 11.
 */
static void pick(mx_res_t *r, mx_res_node_t *root, apr_array_header_t *picked, apr_array_header_t *stack)
{
    APR_ARRAY_PUSH(stack, mx_res_node_t *) = root;
    while (stack->nelts) {
        mx_res_node_t *node = *(mx_res_node_t **)apr_array_pop(stack);
        apr_uint32_t i, at;
        if (node->power)
            continue;
        node->power = 1;
        node->sender_power = sender_power(r, node);
        APR_ARRAY_PUSH(picked, mx_res_node_t *) = node;
        for (i = 0; auth_at(&at, r, node, i); i++) {
            mx_res_node_t *auth = full_auth(r, at);
            if (auth)
                APR_ARRAY_PUSH(stack, mx_res_node_t *) = auth;
        }
    }
}

/** An event waits for those of its auth events that are sorted with it. */
static void add_edges(mx_res_t *r, mx_res_node_t *node)
{
    apr_uint32_t i, at;
    for (i = 0; auth_at(&at, r, node, i); i++) {
        mx_res_node_t *auth = full_auth(r, at);
        mx_res_edge_t *edge;
        if (!auth || !auth->power)
            continue;
        edge = apr_palloc(r->pool, sizeof(*edge));
        edge->to = node;
        edge->next = auth->followers;
        auth->followers = edge;
        node->waits_for++;
    }
}

apr_array_header_t *mx_res_sort_power(mx_res_t *r)
{
    apr_array_header_t *picked = apr_array_make(r->pool, r->full->nelts + 1, sizeof(mx_res_node_t *));
    apr_array_header_t *sorted = apr_array_make(r->pool, r->full->nelts + 1, sizeof(mx_res_node_t *));
    apr_array_header_t *heap = apr_array_make(r->pool, r->full->nelts + 1, sizeof(mx_res_node_t *));
    int i;
    for (i = 0; i < r->full->nelts; i++) {
        mx_res_node_t *node = APR_ARRAY_IDX(r->full, i, mx_res_node_t *);
        if (is_power_event(node->event))
            pick(r, node, picked, heap);
    }
    for (i = 0; i < picked->nelts; i++)
        add_edges(r, APR_ARRAY_IDX(picked, i, mx_res_node_t *));
    for (i = 0; i < picked->nelts; i++) {
        mx_res_node_t *node = APR_ARRAY_IDX(picked, i, mx_res_node_t *);
        if (!node->waits_for)
            heap_push(heap, node);
    }
    while (heap->nelts) {
        mx_res_node_t *node = heap_pop(heap);
        mx_res_edge_t *edge;
        APR_ARRAY_PUSH(sorted, mx_res_node_t *) = node;
        for (edge = node->followers; edge; edge = edge->next) {
            if (--edge->to->waits_for == 0)
                heap_push(heap, edge->to);
        }
    }
    return sorted;
}

/* ---- mainline ---- */

#define POSITION_NONE APR_INT64_MAX

typedef struct mainline_t {
    mx_res_t *r;
    mx_nid_map_t seen;                /* place + 1 in the DAG of power levels: their position + 1 (never freed singly) */
    apr_array_header_t *path;
    apr_int64_t *positions;           /* what `seen` points to */
} mainline_t;

static apr_int64_t *position_of(mainline_t *m, apr_uint32_t at)
{
    return mx_nid_map_get(&m->seen, (apr_int64_t)at + 1);
}

static void position_set(mainline_t *m, apr_uint32_t at, apr_int64_t position)
{
    apr_int64_t *value = apr_palloc(m->r->pool, sizeof(*value));
    *value = position;
    mx_nid_map_set(&m->seen, (apr_int64_t)at + 1, value);
}

/** The power levels that an event names; MX_AUTH_DAG_NONE. */
static apr_uint32_t levels_of(mainline_t *m, apr_uint32_t at)
{
    return mx_res_own_at(m->r, at, m->r->levels_slot->skey);
}

/** P0, P1 … of the state so far. */
static void mainline_make(mainline_t *m)
{
    mx_res_node_t *levels = mx_res_state(m->r, m->r->levels_slot);
    apr_uint32_t at = levels ? levels->at : MX_AUTH_DAG_NONE;
    apr_int64_t n = 0;
    for (; at != MX_AUTH_DAG_NONE; at = levels_of(m, at))
        position_set(m, at, n++);
}

/** Position of the first of the levels e1, e2 … that is on the mainline; every chain of levels is walked once. */
static apr_int64_t mainline_of(mainline_t *m, const mx_res_node_t *node)
{
    apr_uint32_t at = levels_of(m, node->at);
    apr_int64_t position = POSITION_NONE;
    int i;
    m->path->nelts = 0;
    for (; at != MX_AUTH_DAG_NONE; at = levels_of(m, at)) {
        apr_int64_t *known = position_of(m, at);
        if (known) {
            position = *known;
            break;
        }
        APR_ARRAY_PUSH(m->path, apr_uint32_t) = at;
    }
    for (i = 0; i < m->path->nelts; i++)
        position_set(m, APR_ARRAY_IDX(m->path, i, apr_uint32_t), position);
    return position;
}

static int mainline_cmp(const void *a, const void *b)
{
    const mx_res_node_t *x = *(mx_res_node_t *const *)a, *y = *(mx_res_node_t *const *)b;
    if (x->mainline != y->mainline)
        return x->mainline > y->mainline ? -1 : 1;
    return by_time_and_id(x->event, y->event);
}

apr_array_header_t *mx_res_sort_mainline(mx_res_t *r)
{
    apr_array_header_t *rest = apr_array_make(r->pool, r->full->nelts + 1, sizeof(mx_res_node_t *));
    mainline_t m = { .r = r };
    int i;
    m.path = apr_array_make(r->pool, 16, sizeof(apr_uint32_t));
    mainline_make(&m);
    for (i = 0; i < r->full->nelts; i++) {
        mx_res_node_t *node = APR_ARRAY_IDX(r->full, i, mx_res_node_t *);
        if (node->power)
            continue;
        node->mainline = mainline_of(&m, node);
        APR_ARRAY_PUSH(rest, mx_res_node_t *) = node;
    }
    mx_nid_map_free(&m.seen);
    qsort(rest->elts, (size_t)rest->nelts, sizeof(mx_res_node_t *), mainline_cmp);
    return rest;
}
