/* SPDX-License-Identifier: Apache-2.0 */
/*
 * State resolution as the specification words it, on whole states and event ids: what core/state_res.c was before it counted. Slow, and
 * the measure of what must come out.
 */
#ifndef MX_TESTS_NAIVE_STATE_RES_H
#define MX_TESTS_NAIVE_STATE_RES_H

#include "core/state_res.h"

#include <apr_hash.h>
#include <apr_tables.h>
#include <stdlib.h>

typedef struct naive_node_t {
    const mx_event_t *event;
    int last_set, nsets;              /* which set's auth chain reached it last, and how many did */
    unsigned common : 1;              /* in the auth chain of the unconflicted state: in every chain */
    unsigned conflicted : 1;          /* in the conflicted state set */
    unsigned full : 1;                /* in the full conflicted set */
    unsigned power : 1;               /* picked in step 1 */
    unsigned walked : 1, leads : 1;   /* subgraph: looked at; a path leads on to a conflicted event */
    int waits_for;                    /* topological sort: auth events not yet placed */
    struct naive_edge_t *followers;  /* events of the sort that name this one */
    apr_int64_t sender_power;
    apr_int64_t mainline;             /* position; APR_INT64_MAX: none */
} naive_node_t;

typedef struct naive_edge_t {
    naive_node_t *to;
    struct naive_edge_t *next;
} naive_edge_t;

/** One key of the states that are resolved. */
typedef struct naive_slot_t {
    const char *type, *state_key;
    const char *event_id;             /* of the first set that has the key */
    int nsets;                        /* sets with that very id */
    apr_array_header_t *others;       /* const char *: different ids; NULL: none */
} naive_slot_t;

typedef struct naive_t {
    const mx_room_version_t *version;
    const mx_state_set_t *sets;
    int nsets;
    mx_state_res_event_fn *get_event;
    void *baton;
    apr_hash_t *nodes;                /* event id -> naive_node_t */
    apr_hash_t *slots;                /* "type\0state_key" -> naive_slot_t */
    apr_array_header_t *order;        /* naive_slot_t *, as met */
    apr_array_header_t *full;         /* naive_node_t *: the full conflicted set */
    apr_hash_t *state;                /* "type\0state_key" -> mx_event_t *: what is resolved so far */
    int undisputed_counts;            /* the checks start from the unconflicted state map (not in 2.1) */
    const mx_event_t *create;         /* of the room, if it could be found */
    apr_pool_t *pool, *scratch;       /* scratch is cleared between auth checks */
} naive_t;

/** The node of an event; NULL if the event is unknown or rejected. */
static naive_node_t *naive_node(naive_t *r, const char *event_id);
/** "type\0state_key"; its length in *plen. */
static char *naive_key(apr_size_t *plen, const char *type, const char *state_key, apr_pool_t *pool);
/** 1 if every set has the slot's first id. */
static int naive_slot_is_unconflicted(const naive_t *r, const naive_slot_t *slot);

/** Fills r->full: conflicted state set, auth difference and, for 2.1, the conflicted state subgraph. */
static void naive_full_conflicted_set(naive_t *r);
/** Step 1: power events and their conflicted auth chains in reverse topological power ordering. */
static apr_array_header_t *naive_sort_power(naive_t *r);
/** Step 3: the rest of the full conflicted set in mainline ordering. */
static apr_array_header_t *naive_sort_mainline(naive_t *r);
/** Steps 2 and 4: puts each event that is allowed into r->state. */
static void naive_auth_checks(naive_t *r, const apr_array_header_t *events);

/** Version 1's algorithm over slots that are read; fills r->state. */
static void naive_resolve_v1(naive_t *r);
/** 1 if the event is allowed by r->state, completed by its own auth events if `with_own`. */
static int naive_allowed(naive_t *r, const mx_event_t *event, int with_own);
static void naive_state_set(naive_t *r, const mx_event_t *event);
/** What is resolved so far, or undisputed where that counts; NULL if there is none. */
static const mx_event_t *naive_state_get(naive_t *r, const char *type, const char *state_key);

#define STACK_FIRST 64

static void push_auth_events(naive_t *r, apr_array_header_t *stack, const mx_event_t *event)
{
    int i;
    for (i = 0; i < event->nauth; i++) {
        naive_node_t *node = naive_node(r, event->auth_events[i]);
        if (node)
            APR_ARRAY_PUSH(stack, naive_node_t *) = node;
    }
}

/** Marks the auth chains of the unconflicted state: they are in the chain of every set. */
static void mark_common(naive_t *r, apr_array_header_t *stack)
{
    int i;
    for (i = 0; i < r->order->nelts; i++) {
        naive_slot_t *slot = APR_ARRAY_IDX(r->order, i, naive_slot_t *);
        naive_node_t *node = naive_slot_is_unconflicted(r, slot) ? naive_node(r, slot->event_id) : NULL;
        if (node)
            push_auth_events(r, stack, node->event);
    }
    while (stack->nelts) {
        naive_node_t *node = *(naive_node_t **)apr_array_pop(stack);
        if (node->common)
            continue;
        node->common = 1;
        push_auth_events(r, stack, node->event);
    }
}

static void add_full(naive_t *r, naive_node_t *node)
{
    if (node->full)
        return;
    node->full = 1;
    APR_ARRAY_PUSH(r->full, naive_node_t *) = node;
}

/** Counts set i on every event of its auth chain that is not common; such events go to `seen`. */
static void mark_set(naive_t *r, int i, apr_array_header_t *stack, apr_array_header_t *seen)
{
    int k;
    for (k = 0; k < r->sets[i].nentries; k++) {
        naive_node_t *node = apr_hash_get(r->nodes, r->sets[i].entries[k].event_id, APR_HASH_KEY_STRING);
        if (node && node->conflicted)
            push_auth_events(r, stack, node->event);
    }
    while (stack->nelts) {
        naive_node_t *node = *(naive_node_t **)apr_array_pop(stack);
        if (node->common || node->last_set == i)
            continue;
        if (!node->nsets)
            APR_ARRAY_PUSH(seen, naive_node_t *) = node;
        node->last_set = i;
        node->nsets++;
        push_auth_events(r, stack, node->event);
    }
}

static void add_auth_difference(naive_t *r, apr_array_header_t *stack)
{
    apr_array_header_t *seen = apr_array_make(r->pool, STACK_FIRST, sizeof(naive_node_t *));
    int i;
    mark_common(r, stack);
    for (i = 0; i < r->nsets; i++)
        mark_set(r, i, stack, seen);
    for (i = 0; i < seen->nelts; i++) {
        naive_node_t *node = APR_ARRAY_IDX(seen, i, naive_node_t *);
        if (node->nsets < r->nsets)
            add_full(r, node);
    }
}

static void add_conflicted(naive_t *r, const char *event_id)
{
    naive_node_t *node = naive_node(r, event_id);
    if (node) {
        node->conflicted = 1;
        add_full(r, node);
    }
}

static void add_conflicted_state(naive_t *r)
{
    int i, k;
    for (i = 0; i < r->order->nelts; i++) {
        naive_slot_t *slot = APR_ARRAY_IDX(r->order, i, naive_slot_t *);
        if (naive_slot_is_unconflicted(r, slot))
            continue;
        add_conflicted(r, slot->event_id);
        for (k = 0; slot->others && k < slot->others->nelts; k++)
            add_conflicted(r, APR_ARRAY_IDX(slot->others, k, const char *));
    }
}

typedef struct frame_t {
    naive_node_t *node;
    int next;                         /* auth event to follow */
} frame_t;

static void push_frame(apr_array_header_t *stack, naive_node_t *node)
{
    node->walked = 1;
    node->leads = node->conflicted;
    APR_ARRAY_PUSH(stack, frame_t) = (frame_t){ node, 0 };
}

/** Depth first from one conflicted event: on the way back each event learns whether it leads to a conflicted one. */
static void walk_subgraph(naive_t *r, naive_node_t *root, apr_array_header_t *stack)
{
    push_frame(stack, root);
    while (stack->nelts) {
        frame_t *top = &APR_ARRAY_IDX(stack, stack->nelts - 1, frame_t);
        naive_node_t *node = top->node, *child;
        if (top->next < node->event->nauth) {
            child = naive_node(r, node->event->auth_events[top->next++]);
            if (child && !child->walked)
                push_frame(stack, child);
            else if (child && child->leads)
                node->leads = 1;
            continue;
        }
        apr_array_pop(stack);
        if (!node->leads)
            continue;
        add_full(r, node);
        if (stack->nelts)
            APR_ARRAY_IDX(stack, stack->nelts - 1, frame_t).node->leads = 1;
    }
}

static void add_conflicted_subgraph(naive_t *r)
{
    apr_array_header_t *stack = apr_array_make(r->pool, STACK_FIRST, sizeof(frame_t));
    int i, n = r->full->nelts;        /* at this point the conflicted state set */
    for (i = 0; i < n; i++) {
        naive_node_t *node = APR_ARRAY_IDX(r->full, i, naive_node_t *);
        if (!node->walked)
            walk_subgraph(r, node, stack);
    }
}

static void naive_full_conflicted_set(naive_t *r)
{
    apr_array_header_t *stack = apr_array_make(r->pool, STACK_FIRST, sizeof(naive_node_t *));
    r->full = apr_array_make(r->pool, STACK_FIRST, sizeof(naive_node_t *));
    add_conflicted_state(r);
    if (r->version->state_res == MX_STATE_RES_2_1)
        add_conflicted_subgraph(r);
    add_auth_difference(r, stack);
}

static const mx_event_t *own_auth_event(naive_t *r, const mx_event_t *event, const char *type, const char *state_key)
{
    int i;
    for (i = 0; i < event->nauth; i++) {
        naive_node_t *node = naive_node(r, event->auth_events[i]);
        if (node && mx_event_is(node->event, type, state_key))
            return node->event;
    }
    return NULL;
}

static const mx_event_t *own_create(naive_t *r, const mx_event_t *event)
{
    const mx_event_t *create = NULL;
    if (event->version->room_id_is_create_hash) {
        naive_node_t *node = naive_node(r, apr_pstrcat(r->pool, "$", event->room_id + 1, NULL));
        create = node ? node->event : NULL;
    } else
        create = own_auth_event(r, event, "m.room.create", "");
    return create ? create : r->create;
}

/** The sender's level by the event's own auth events. */
static apr_int64_t sender_power(naive_t *r, const mx_event_t *event)
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

static int power_cmp(const naive_node_t *x, const naive_node_t *y)
{
    if (x->sender_power != y->sender_power)
        return x->sender_power > y->sender_power ? -1 : 1;
    return by_time_and_id(x->event, y->event);
}

/* A heap of candidates, the smallest first. */
static void heap_push(apr_array_header_t *heap, naive_node_t *node)
{
    int i = heap->nelts;
    naive_node_t **at;
    APR_ARRAY_PUSH(heap, naive_node_t *) = node;
    at = (naive_node_t **)heap->elts;
    while (i && power_cmp(at[i], at[(i - 1) / 2]) < 0) {
        naive_node_t *swap = at[i];
        at[i] = at[(i - 1) / 2];
        at[(i - 1) / 2] = swap;
        i = (i - 1) / 2;
    }
}

static naive_node_t *heap_pop(apr_array_header_t *heap)
{
    naive_node_t **at = (naive_node_t **)heap->elts, *top = at[0];
    int i = 0, n;
    at[0] = *(naive_node_t **)apr_array_pop(heap);
    n = heap->nelts;
    for (;;) {
        int least = i, child;
        naive_node_t *swap;
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
static void pick(naive_t *r, naive_node_t *root, apr_array_header_t *picked, apr_array_header_t *stack)
{
    APR_ARRAY_PUSH(stack, naive_node_t *) = root;
    while (stack->nelts) {
        naive_node_t *node = *(naive_node_t **)apr_array_pop(stack);
        int i;
        if (node->power)
            continue;
        node->power = 1;
        node->sender_power = sender_power(r, node->event);
        APR_ARRAY_PUSH(picked, naive_node_t *) = node;
        for (i = 0; i < node->event->nauth; i++) {
            naive_node_t *auth = naive_node(r, node->event->auth_events[i]);
            if (auth && auth->full)
                APR_ARRAY_PUSH(stack, naive_node_t *) = auth;
        }
    }
}

/** An event waits for those of its auth events that are sorted with it. */
static void add_edges(naive_t *r, naive_node_t *node)
{
    int i;
    for (i = 0; i < node->event->nauth; i++) {
        naive_node_t *auth = naive_node(r, node->event->auth_events[i]);
        naive_edge_t *edge;
        if (!auth || !auth->power)
            continue;
        edge = apr_palloc(r->pool, sizeof(*edge));
        edge->to = node;
        edge->next = auth->followers;
        auth->followers = edge;
        node->waits_for++;
    }
}

static apr_array_header_t *naive_sort_power(naive_t *r)
{
    apr_array_header_t *picked = apr_array_make(r->pool, r->full->nelts + 1, sizeof(naive_node_t *));
    apr_array_header_t *sorted = apr_array_make(r->pool, r->full->nelts + 1, sizeof(naive_node_t *));
    apr_array_header_t *work = apr_array_make(r->pool, r->full->nelts + 1, sizeof(naive_node_t *));
    int i;
    for (i = 0; i < r->full->nelts; i++) {
        naive_node_t *node = APR_ARRAY_IDX(r->full, i, naive_node_t *);
        if (is_power_event(node->event))
            pick(r, node, picked, work);
    }
    for (i = 0; i < picked->nelts; i++)
        add_edges(r, APR_ARRAY_IDX(picked, i, naive_node_t *));
    for (i = 0; i < picked->nelts; i++) {
        naive_node_t *node = APR_ARRAY_IDX(picked, i, naive_node_t *);
        if (!node->waits_for)
            heap_push(work, node);
    }
    while (work->nelts) {
        naive_node_t *node = heap_pop(work);
        naive_edge_t *edge;
        APR_ARRAY_PUSH(sorted, naive_node_t *) = node;
        for (edge = node->followers; edge; edge = edge->next) {
            if (--edge->to->waits_for == 0)
                heap_push(work, edge->to);
        }
    }
    return sorted;
}

/** Position on the mainline of the first event of e1, e2… that is on it. */
static apr_int64_t mainline_of(naive_t *r, apr_hash_t *positions, const mx_event_t *event, apr_hash_t *visited)
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

static apr_hash_t *mainline_positions(naive_t *r)
{
    apr_hash_t *positions = apr_hash_make(r->pool);
    const mx_event_t *ev = naive_state_get(r, "m.room.power_levels", "");
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
    const naive_node_t *x = *(naive_node_t *const *)a, *y = *(naive_node_t *const *)b;
    if (x->mainline != y->mainline)
        return x->mainline > y->mainline ? -1 : 1;
    return by_time_and_id(x->event, y->event);
}

static apr_array_header_t *naive_sort_mainline(naive_t *r)
{
    apr_array_header_t *rest = apr_array_make(r->pool, r->full->nelts + 1, sizeof(naive_node_t *));
    apr_hash_t *positions = mainline_positions(r), *visited = apr_hash_make(r->pool);
    int i;
    for (i = 0; i < r->full->nelts; i++) {
        naive_node_t *node = APR_ARRAY_IDX(r->full, i, naive_node_t *);
        if (node->power)
            continue;
        node->mainline = mainline_of(r, positions, node->event, visited);
        APR_ARRAY_PUSH(rest, naive_node_t *) = node;
    }
    qsort(rest->elts, (size_t)rest->nelts, sizeof(naive_node_t *), mainline_cmp);
    return rest;
}

typedef struct checked_t {
    naive_t *r;
    const mx_event_t *event;
    int with_own;
} checked_t;

static const mx_event_t *checked_get(void *baton, const char *type, const char *state_key)
{
    checked_t *c = baton;
    const mx_event_t *found = naive_state_get(c->r, type, state_key);
    if (!found && c->with_own)
        found = strcmp(type, "m.room.create") == 0 && !*state_key ? own_create(c->r, c->event)
                                                                   : own_auth_event(c->r, c->event, type, state_key);
    return found;
}

static int naive_allowed(naive_t *r, const mx_event_t *event, int with_own)
{
    checked_t baton = { r, event, with_own };
    mx_auth_state_t state = { checked_get, &baton, NULL };
    int allowed = mx_auth_check(event, &state, r->scratch) == NULL;
    apr_pool_clear(r->scratch);
    return allowed;
}

static void naive_auth_checks(naive_t *r, const apr_array_header_t *events)
{
    int i;
    for (i = 0; i < events->nelts; i++) {
        const mx_event_t *event = APR_ARRAY_IDX(events, i, naive_node_t *)->event;
        if (event->state_key && naive_allowed(r, event, 1))
            naive_state_set(r, event);
    }
}

typedef struct candidate_t {
    const mx_event_t *event;
    unsigned char sha1[MX_SHA1_BYTES];
} candidate_t;

/** By rising depth, then by falling sha1 of the id. */
static int candidate_cmp(const void *a, const void *b)
{
    const candidate_t *x = a, *y = b;
    if (x->event->depth != y->event->depth)
        return x->event->depth < y->event->depth ? -1 : 1;
    return memcmp(y->sha1, x->sha1, sizeof(x->sha1));
}

static void add_candidate(naive_t *r, apr_array_header_t *list, const char *event_id)
{
    naive_node_t *node = naive_node(r, event_id);
    candidate_t *c;
    if (!node)
        return;
    c = &APR_ARRAY_PUSH(list, candidate_t);
    c->event = node->event;
    mx_sha1(c->sha1, event_id, strlen(event_id));
}

static apr_array_header_t *candidates(naive_t *r, const naive_slot_t *slot)
{
    apr_array_header_t *list = apr_array_make(r->pool, 4, sizeof(candidate_t));
    int i;
    add_candidate(r, list, slot->event_id);
    for (i = 0; slot->others && i < slot->others->nelts; i++)
        add_candidate(r, list, APR_ARRAY_IDX(slot->others, i, const char *));
    qsort(list->elts, (size_t)list->nelts, sizeof(candidate_t), candidate_cmp);
    return list;
}

/** Types that authorise others: the first stands, each next one replaces it while the one before allows it. */
static void resolve_auth_slot(naive_t *r, const naive_slot_t *slot)
{
    apr_array_header_t *list = candidates(r, slot);
    int i;
    for (i = 0; i < list->nelts; i++) {
        const mx_event_t *event = APR_ARRAY_IDX(list, i, candidate_t).event;
        if (i && !naive_allowed(r, event, 0))
            return;
        naive_state_set(r, event);
    }
}

/** Other types: the deepest that is allowed, of equal ones that with the lowest sha1. */
static void resolve_plain_slot(naive_t *r, const naive_slot_t *slot)
{
    apr_array_header_t *list = candidates(r, slot);
    int i;
    for (i = list->nelts - 1; i >= 0; i--) {
        const mx_event_t *event = APR_ARRAY_IDX(list, i, candidate_t).event;
        if (naive_allowed(r, event, 0)) {
            naive_state_set(r, event);
            return;
        }
    }
}

static const char *const auth_types[] = { "m.room.power_levels", "m.room.join_rules", "m.room.member" };
#define NAUTH_TYPES ((int)(sizeof(auth_types) / sizeof(auth_types[0])))

/** Place among auth_types, NAUTH_TYPES for any other type. */
static int pass_of(const char *type)
{
    int i;
    for (i = 0; i < NAUTH_TYPES && strcmp(auth_types[i], type) != 0; i++)
        ;
    return i;
}

static void naive_resolve_v1(naive_t *r)
{
    int pass, i;
    for (i = 0; i < r->order->nelts; i++) {        /* what some states merely lack is in their union */
        naive_slot_t *slot = APR_ARRAY_IDX(r->order, i, naive_slot_t *);
        apr_array_header_t *list = candidates(r, slot);
        if (list->nelts == 1 && !naive_slot_is_unconflicted(r, slot))
            naive_state_set(r, APR_ARRAY_IDX(list, 0, candidate_t).event);
    }
    for (pass = 0; pass <= NAUTH_TYPES; pass++) {
        apr_array_header_t *chosen = apr_array_make(r->pool, 16, sizeof(const mx_event_t *));
        for (i = 0; i < r->order->nelts; i++) {
            naive_slot_t *slot = APR_ARRAY_IDX(r->order, i, naive_slot_t *);
            apr_size_t len;
            char *key = naive_key(&len, slot->type, slot->state_key, r->pool);
            if (candidates(r, slot)->nelts < 2 || pass_of(slot->type) != pass)
                continue;
            if (pass < NAUTH_TYPES)
                resolve_auth_slot(r, slot);
            else
                resolve_plain_slot(r, slot);
            /* the keys of a pass have no order: none sees what became of another */
            APR_ARRAY_PUSH(chosen, const mx_event_t *) = apr_hash_get(r->state, key, (apr_ssize_t)len);
            apr_hash_set(r->state, key, (apr_ssize_t)len, NULL);
        }
        for (i = 0; i < chosen->nelts; i++) {
            if (APR_ARRAY_IDX(chosen, i, const mx_event_t *))
                naive_state_set(r, APR_ARRAY_IDX(chosen, i, const mx_event_t *));
        }
    }
}

static naive_node_t *naive_node(naive_t *r, const char *event_id)
{
    naive_node_t *node = apr_hash_get(r->nodes, event_id, APR_HASH_KEY_STRING);
    const mx_event_t *event;
    if (node)
        return node;
    event = r->get_event(r->baton, event_id);
    if (!event)
        return NULL;
    node = apr_pcalloc(r->pool, sizeof(*node));
    node->event = event;
    node->last_set = -1;
    apr_hash_set(r->nodes, event->event_id, APR_HASH_KEY_STRING, node);
    return node;
}

static char *naive_key(apr_size_t *plen, const char *type, const char *state_key, apr_pool_t *in)
{
    apr_size_t ntype = strlen(type) + 1, nkey = strlen(state_key);
    char *key = apr_palloc(in, ntype + nkey);
    memcpy(key, type, ntype);
    memcpy(key + ntype, state_key, nkey);
    *plen = ntype + nkey;
    return key;
}

static int naive_slot_is_unconflicted(const naive_t *r, const naive_slot_t *slot)
{
    return slot->nsets == r->nsets;
}

static void slot_add(naive_t *r, naive_slot_t *slot, const char *event_id)
{
    int i;
    if (strcmp(slot->event_id, event_id) == 0) {
        slot->nsets++;
        return;
    }
    if (!slot->others)
        slot->others = apr_array_make(r->pool, 2, sizeof(const char *));
    for (i = 0; i < slot->others->nelts; i++) {
        if (strcmp(APR_ARRAY_IDX(slot->others, i, const char *), event_id) == 0)
            return;
    }
    APR_ARRAY_PUSH(slot->others, const char *) = event_id;
}

static void read_entry(naive_t *r, const mx_state_entry_t *entry)
{
    apr_size_t len;
    char *key = naive_key(&len, entry->type, entry->state_key, r->pool);
    naive_slot_t *slot = apr_hash_get(r->slots, key, (apr_ssize_t)len);
    if (slot) {
        slot_add(r, slot, entry->event_id);
        return;
    }
    slot = apr_pcalloc(r->pool, sizeof(*slot));
    slot->type = entry->type;
    slot->state_key = entry->state_key;
    slot->event_id = entry->event_id;
    slot->nsets = 1;
    apr_hash_set(r->slots, key, (apr_ssize_t)len, slot);
    APR_ARRAY_PUSH(r->order, naive_slot_t *) = slot;
}

static int read_sets(naive_t *r)
{
    int i, k, conflicts = 0;
    for (i = 0; i < r->nsets; i++) {
        for (k = 0; k < r->sets[i].nentries; k++)
            read_entry(r, &r->sets[i].entries[k]);
    }
    for (i = 0; i < r->order->nelts; i++)
        conflicts += !naive_slot_is_unconflicted(r, APR_ARRAY_IDX(r->order, i, naive_slot_t *));
    return conflicts;
}

static void naive_state_set(naive_t *r, const mx_event_t *event)
{
    apr_size_t len;
    char *key = naive_key(&len, event->type, event->state_key, r->pool);
    apr_hash_set(r->state, key, (apr_ssize_t)len, event);
}

/** The undisputed event of the key, loaded when it is first asked for: rooms are large, disputes small. */
static const mx_event_t *undisputed(naive_t *r, const char *key, apr_size_t len)
{
    naive_slot_t *slot = apr_hash_get(r->slots, key, (apr_ssize_t)len);
    naive_node_t *node = slot && naive_slot_is_unconflicted(r, slot) ? naive_node(r, slot->event_id) : NULL;
    return node ? node->event : NULL;
}

static const mx_event_t *naive_state_get(naive_t *r, const char *type, const char *state_key)
{
    apr_size_t len;
    char *key = naive_key(&len, type, state_key, r->scratch);
    const mx_event_t *event = apr_hash_get(r->state, key, (apr_ssize_t)len);
    return event || !r->undisputed_counts ? event : undisputed(r, key, len);
}

/** From version 12 on the room's id names it; before, the states do. */
static const mx_event_t *find_create(naive_t *r)
{
    apr_size_t len;
    char *key = naive_key(&len, "m.room.create", "", r->pool);
    naive_slot_t *slot = apr_hash_get(r->slots, key, (apr_ssize_t)len);
    naive_node_t *node = slot ? naive_node(r, slot->event_id) : NULL;
    return node ? node->event : NULL;
}

static void resolve_v2(naive_t *r)
{
    naive_full_conflicted_set(r);
    naive_auth_checks(r, naive_sort_power(r));
    naive_auth_checks(r, naive_sort_mainline(r));
}

/** The result in the order in which the keys were met: unconflicted entries as they are, the others from r->state. */
static void write_result(mx_state_set_t *out, naive_t *r)
{
    apr_array_header_t *entries = apr_array_make(r->pool, r->order->nelts + 1, sizeof(mx_state_entry_t));
    apr_hash_index_t *hi;
    int i;
    for (i = 0; i < r->order->nelts; i++) {
        naive_slot_t *slot = APR_ARRAY_IDX(r->order, i, naive_slot_t *);
        if (naive_slot_is_unconflicted(r, slot)) {
            apr_size_t len;
            char *key = naive_key(&len, slot->type, slot->state_key, r->pool);
            apr_hash_set(r->state, key, (apr_ssize_t)len, NULL);
            APR_ARRAY_PUSH(entries, mx_state_entry_t) = (mx_state_entry_t){ slot->type, slot->state_key, slot->event_id };
        }
    }
    for (hi = apr_hash_first(r->pool, r->state); hi; hi = apr_hash_next(hi)) {
        const mx_event_t *event = apr_hash_this_val(hi);
        APR_ARRAY_PUSH(entries, mx_state_entry_t) = (mx_state_entry_t){ event->type, event->state_key, event->event_id };
    }
    out->entries = (const mx_state_entry_t *)entries->elts;
    out->nentries = entries->nelts;
}

static void naive_run(mx_state_set_t *out, naive_t *r)
{
    r->nodes = apr_hash_make(r->pool);
    r->slots = apr_hash_make(r->pool);
    r->state = apr_hash_make(r->pool);
    r->order = apr_array_make(r->pool, 64, sizeof(naive_slot_t *));
    r->undisputed_counts = r->version->state_res != MX_STATE_RES_2_1;
    if (read_sets(r)) {
        apr_pool_create(&r->scratch, r->pool);
        apr_pool_tag(r->scratch, "mx_state_res");
        r->create = find_create(r);
        if (r->version->state_res == MX_STATE_RES_1)
            naive_resolve_v1(r);
        else
            resolve_v2(r);
        apr_pool_destroy(r->scratch);
    }
    write_result(out, r);
}

static const mx_error_t *naive_resolve(mx_state_set_t *out, const mx_room_version_t *version, const mx_state_set_t *sets, int nsets,
                                   mx_state_res_event_fn *get_event, void *baton, apr_pool_t *in)
{
    naive_t r = { .version = version, .sets = sets, .nsets = nsets, .get_event = get_event, .baton = baton, .pool = in };
    naive_run(out, &r);
    return NULL;
}

#endif
