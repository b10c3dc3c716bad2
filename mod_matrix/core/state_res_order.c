/* SPDX-License-Identifier: Apache-2.0 */
/* The two orderings and the iterative auth checks of state resolution. Rooms v2: state resolution, definitions. */
#include "core/state_res_private.h"

#include <stdlib.h>

static const mx_event_t *own_auth_event(mx_res_t *r, const mx_event_t *event, const char *type, const char *state_key)
{
    int i;
    for (i = 0; i < event->nauth; i++) {
        mx_res_node_t *node = mx_res_node(r, event->auth_events[i]);
        if (node && mx_event_is(node->event, type, state_key))
            return node->event;
    }
    return NULL;
}

static const mx_event_t *own_create(mx_res_t *r, const mx_event_t *event)
{
    const mx_event_t *create = NULL;
    if (event->version->room_id_is_create_hash) {
        mx_res_node_t *node = mx_res_node(r, apr_pstrcat(r->pool, "$", event->room_id + 1, NULL));
        create = node ? node->event : NULL;
    } else
        create = own_auth_event(r, event, "m.room.create", "");
    return create ? create : r->create;
}

/** The sender's level by the event's own auth events. */
static apr_int64_t sender_power(mx_res_t *r, const mx_event_t *event)
{
    const mx_event_t *create = own_create(r, event);
    return create ? mx_power_user(mx_power_create(create, own_auth_event(r, event, "m.room.power_levels", ""), r->pool), event->sender)
                  : 0;
}

/** Power levels, join rules, and what removes another user. */
static int is_power_event(const mx_event_t *event)
{
    const char *membership;
    if (mx_event_is(event, "m.room.power_levels", "") || mx_event_is(event, "m.room.join_rules", ""))
        return 1;
    if (!event->state_key || strcmp(event->type, "m.room.member") != 0 || strcmp(event->state_key, event->sender) == 0)
        return 0;
    membership = mx_json_get_str(mx_event_content(event), "membership");
    return mx_str_eq(membership, "leave") || mx_str_eq(membership, "ban");
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

/** Puts the node and what of its auth chain is in question into `picked`. */
static void pick(mx_res_t *r, mx_res_node_t *root, apr_array_header_t *picked, apr_array_header_t *stack)
{
    APR_ARRAY_PUSH(stack, mx_res_node_t *) = root;
    while (stack->nelts) {
        mx_res_node_t *node = *(mx_res_node_t **)apr_array_pop(stack);
        int i;
        if (node->power)
            continue;
        node->power = 1;
        node->sender_power = sender_power(r, node->event);
        APR_ARRAY_PUSH(picked, mx_res_node_t *) = node;
        for (i = 0; i < node->event->nauth; i++) {
            mx_res_node_t *auth = mx_res_node(r, node->event->auth_events[i]);
            if (auth && auth->full)
                APR_ARRAY_PUSH(stack, mx_res_node_t *) = auth;
        }
    }
}

/** An event waits for those of its auth events that are sorted with it. */
static void add_edges(mx_res_t *r, mx_res_node_t *node)
{
    int i;
    for (i = 0; i < node->event->nauth; i++) {
        mx_res_node_t *auth = mx_res_node(r, node->event->auth_events[i]);
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
    apr_array_header_t *work = apr_array_make(r->pool, r->full->nelts + 1, sizeof(mx_res_node_t *));
    int i;
    for (i = 0; i < r->full->nelts; i++) {
        mx_res_node_t *node = APR_ARRAY_IDX(r->full, i, mx_res_node_t *);
        if (is_power_event(node->event))
            pick(r, node, picked, work);
    }
    for (i = 0; i < picked->nelts; i++)
        add_edges(r, APR_ARRAY_IDX(picked, i, mx_res_node_t *));
    for (i = 0; i < picked->nelts; i++) {
        mx_res_node_t *node = APR_ARRAY_IDX(picked, i, mx_res_node_t *);
        if (!node->waits_for)
            heap_push(work, node);
    }
    while (work->nelts) {
        mx_res_node_t *node = heap_pop(work);
        mx_res_edge_t *edge;
        APR_ARRAY_PUSH(sorted, mx_res_node_t *) = node;
        for (edge = node->followers; edge; edge = edge->next) {
            if (--edge->to->waits_for == 0)
                heap_push(work, edge->to);
        }
    }
    return sorted;
}

/** Position on the mainline of the first event of e1, e2… that is on it. */
static apr_int64_t mainline_of(mx_res_t *r, apr_hash_t *positions, const mx_event_t *event, apr_hash_t *visited)
{
    const mx_event_t *ev = own_auth_event(r, event, "m.room.power_levels", "");
    apr_hash_clear(visited);
    while (ev && !apr_hash_get(visited, ev->event_id, APR_HASH_KEY_STRING)) {
        apr_int64_t *position = apr_hash_get(positions, ev->event_id, APR_HASH_KEY_STRING);
        if (position)
            return *position;
        apr_hash_set(visited, ev->event_id, APR_HASH_KEY_STRING, ev);
        ev = own_auth_event(r, ev, "m.room.power_levels", "");
    }
    return APR_INT64_MAX;
}

static apr_hash_t *mainline_positions(mx_res_t *r)
{
    apr_hash_t *positions = apr_hash_make(r->pool);
    const mx_event_t *ev = mx_res_state_get(r, "m.room.power_levels", "");
    apr_int64_t n = 0;
    while (ev && !apr_hash_get(positions, ev->event_id, APR_HASH_KEY_STRING)) {
        apr_int64_t *position = apr_palloc(r->pool, sizeof(*position));
        *position = n++;
        apr_hash_set(positions, ev->event_id, APR_HASH_KEY_STRING, position);
        ev = own_auth_event(r, ev, "m.room.power_levels", "");
    }
    return positions;
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
    apr_hash_t *positions = mainline_positions(r), *visited = apr_hash_make(r->pool);
    int i;
    for (i = 0; i < r->full->nelts; i++) {
        mx_res_node_t *node = APR_ARRAY_IDX(r->full, i, mx_res_node_t *);
        if (node->power)
            continue;
        node->mainline = mainline_of(r, positions, node->event, visited);
        APR_ARRAY_PUSH(rest, mx_res_node_t *) = node;
    }
    qsort(rest->elts, (size_t)rest->nelts, sizeof(mx_res_node_t *), mainline_cmp);
    return rest;
}

typedef struct checked_t {
    mx_res_t *r;
    const mx_event_t *event;
    int with_own;
} checked_t;

static const mx_event_t *checked_get(void *baton, const char *type, const char *state_key)
{
    checked_t *c = baton;
    const mx_event_t *found = mx_res_state_get(c->r, type, state_key);
    if (!found && c->with_own)
        found = strcmp(type, "m.room.create") == 0 && !*state_key ? own_create(c->r, c->event)
                                                                   : own_auth_event(c->r, c->event, type, state_key);
    return found;
}

int mx_res_allowed(mx_res_t *r, const mx_event_t *event, int with_own)
{
    checked_t baton = { r, event, with_own };
    mx_auth_state_t state = { checked_get, &baton, NULL };
    int allowed = mx_auth_check(event, &state, r->scratch) == NULL;
    apr_pool_clear(r->scratch);
    return allowed;
}

void mx_res_auth_checks(mx_res_t *r, const apr_array_header_t *events)
{
    int i;
    for (i = 0; i < events->nelts; i++) {
        const mx_event_t *event = APR_ARRAY_IDX(events, i, mx_res_node_t *)->event;
        if (event->state_key && mx_res_allowed(r, event, 1))
            mx_res_state_set(r, event);
    }
}
