/* SPDX-License-Identifier: Apache-2.0 */
/* Which events are in question. Rooms v2: auth difference, full conflicted set; Rooms v12: conflicted state subgraph. */
#include "core/state_res_private.h"

#define STACK_FIRST 64

static void push_auth_events(mx_res_t *r, apr_array_header_t *stack, const mx_event_t *event)
{
    int i;
    for (i = 0; i < event->nauth; i++) {
        mx_res_node_t *node = mx_res_node(r, event->auth_events[i]);
        if (node)
            APR_ARRAY_PUSH(stack, mx_res_node_t *) = node;
    }
}

/** Marks the auth chains of the unconflicted state: they are in the chain of every set. */
static void mark_common(mx_res_t *r, apr_array_header_t *stack)
{
    int i;
    for (i = 0; i < r->order->nelts; i++) {
        mx_res_slot_t *slot = APR_ARRAY_IDX(r->order, i, mx_res_slot_t *);
        mx_res_node_t *node = mx_res_slot_is_unconflicted(r, slot) ? mx_res_node(r, slot->event_id) : NULL;
        if (node)
            push_auth_events(r, stack, node->event);
    }
    while (stack->nelts) {
        mx_res_node_t *node = *(mx_res_node_t **)apr_array_pop(stack);
        if (node->common)
            continue;
        node->common = 1;
        push_auth_events(r, stack, node->event);
    }
}

static void add_full(mx_res_t *r, mx_res_node_t *node)
{
    if (node->full)
        return;
    node->full = 1;
    APR_ARRAY_PUSH(r->full, mx_res_node_t *) = node;
}

/** Counts set i on every event of its auth chain that is not common; such events go to `seen`. */
static void mark_set(mx_res_t *r, int i, apr_array_header_t *stack, apr_array_header_t *seen)
{
    int k;
    for (k = 0; k < r->sets[i].nentries; k++) {
        mx_res_node_t *node = apr_hash_get(r->nodes, r->sets[i].entries[k].event_id, APR_HASH_KEY_STRING);
        if (node && node->conflicted)
            push_auth_events(r, stack, node->event);
    }
    while (stack->nelts) {
        mx_res_node_t *node = *(mx_res_node_t **)apr_array_pop(stack);
        if (node->common || node->last_set == i)
            continue;
        if (!node->nsets)
            APR_ARRAY_PUSH(seen, mx_res_node_t *) = node;
        node->last_set = i;
        node->nsets++;
        push_auth_events(r, stack, node->event);
    }
}

static void add_auth_difference(mx_res_t *r, apr_array_header_t *stack)
{
    apr_array_header_t *seen = apr_array_make(r->pool, STACK_FIRST, sizeof(mx_res_node_t *));
    int i;
    mark_common(r, stack);
    for (i = 0; i < r->nsets; i++)
        mark_set(r, i, stack, seen);
    for (i = 0; i < seen->nelts; i++) {
        mx_res_node_t *node = APR_ARRAY_IDX(seen, i, mx_res_node_t *);
        if (node->nsets < r->nsets)
            add_full(r, node);
    }
}

/** The difference that the caller worked out. */
static void add_given_difference(mx_res_t *r)
{
    int i;
    for (i = 0; i < r->ndifference; i++) {
        mx_res_node_t *node = mx_res_node(r, r->difference[i]);
        if (node)
            add_full(r, node);
    }
}

static void add_conflicted(mx_res_t *r, const char *event_id)
{
    mx_res_node_t *node = mx_res_node(r, event_id);
    if (node) {
        node->conflicted = 1;
        add_full(r, node);
    }
}

static void add_conflicted_state(mx_res_t *r)
{
    int i, k;
    for (i = 0; i < r->order->nelts; i++) {
        mx_res_slot_t *slot = APR_ARRAY_IDX(r->order, i, mx_res_slot_t *);
        if (mx_res_slot_is_unconflicted(r, slot))
            continue;
        add_conflicted(r, slot->event_id);
        for (k = 0; slot->others && k < slot->others->nelts; k++)
            add_conflicted(r, APR_ARRAY_IDX(slot->others, k, const char *));
    }
}

typedef struct frame_t {
    mx_res_node_t *node;
    int next;                         /* auth event to follow */
} frame_t;

static void push_frame(apr_array_header_t *stack, mx_res_node_t *node)
{
    node->walked = 1;
    node->leads = node->conflicted;
    APR_ARRAY_PUSH(stack, frame_t) = (frame_t){ node, 0 };
}

/** Depth first from one conflicted event: on the way back each event learns whether it leads to a conflicted one. */
static void walk_subgraph(mx_res_t *r, mx_res_node_t *root, apr_array_header_t *stack)
{
    push_frame(stack, root);
    while (stack->nelts) {
        frame_t *top = &APR_ARRAY_IDX(stack, stack->nelts - 1, frame_t);
        mx_res_node_t *node = top->node, *child;
        if (top->next < node->event->nauth) {
            child = mx_res_node(r, node->event->auth_events[top->next++]);
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

static void add_conflicted_subgraph(mx_res_t *r)
{
    apr_array_header_t *stack = apr_array_make(r->pool, STACK_FIRST, sizeof(frame_t));
    int i, n = r->full->nelts;        /* at this point the conflicted state set */
    for (i = 0; i < n; i++) {
        mx_res_node_t *node = APR_ARRAY_IDX(r->full, i, mx_res_node_t *);
        if (!node->walked)
            walk_subgraph(r, node, stack);
    }
}

void mx_res_full_conflicted_set(mx_res_t *r)
{
    apr_array_header_t *stack = apr_array_make(r->pool, STACK_FIRST, sizeof(mx_res_node_t *));
    r->full = apr_array_make(r->pool, STACK_FIRST, sizeof(mx_res_node_t *));
    add_conflicted_state(r);
    if (r->version->state_res == MX_STATE_RES_2_1)
        add_conflicted_subgraph(r);
    if (r->difference)
        add_given_difference(r);
    else
        add_auth_difference(r, stack);
}
