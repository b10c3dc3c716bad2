/* SPDX-License-Identifier: Apache-2.0 */
/* State resolution of room version 1. Rooms v1: state resolution. */
#include "core/state_res_private.h"

#include <stdlib.h>

typedef struct candidate_t {
    mx_res_node_t *node;
    int pass;
    unsigned char sha1[MX_SHA1_BYTES];
} candidate_t;

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

static int slot_cmp(const mx_res_slot_t *x, const mx_res_slot_t *y)
{
    return x->skey < y->skey ? -1 : x->skey > y->skey;
}

/** By pass, by key, then by rising depth and falling sha1 of the id. */
static int candidate_cmp(const void *a, const void *b)
{
    const candidate_t *x = a, *y = b;
    if (x->pass != y->pass)
        return x->pass - y->pass;
    if (x->node->slot != y->node->slot)
        return slot_cmp(x->node->slot, y->node->slot);
    if (x->node->event->depth != y->node->event->depth)
        return x->node->event->depth < y->node->event->depth ? -1 : 1;
    return memcmp(y->sha1, x->sha1, sizeof(x->sha1));
}

/** Types that authorise others: the first stands, each next one replaces it while the one before allows it. */
static void resolve_auth_slot(mx_res_t *r, const candidate_t *list, int n)
{
    int i;
    for (i = 0; i < n; i++) {
        if (i && !mx_res_allowed(r, list[i].node, 0))
            return;
        list[i].node->slot->now = list[i].node;
    }
}

/** Other types: the deepest that is allowed, of equal ones that with the lowest sha1. */
static void resolve_plain_slot(mx_res_t *r, const candidate_t *list, int n)
{
    while (n-- > 0) {
        if (!mx_res_allowed(r, list[n].node, 0))
            continue;
        list[n].node->slot->now = list[n].node;
        return;
    }
}

static candidate_t *candidates(mx_res_t *r)
{
    candidate_t *list = apr_palloc(r->pool, sizeof(*list) * (apr_size_t)(r->full->nelts + 1));
    int i;
    for (i = 0; i < r->full->nelts; i++) {
        mx_res_node_t *node = APR_ARRAY_IDX(r->full, i, mx_res_node_t *);
        list[i].node = node;
        list[i].pass = pass_of(node->slot->type);
        mx_sha1(list[i].sha1, node->event->event_id, strlen(node->event->event_id));
    }
    qsort(list, (size_t)r->full->nelts, sizeof(*list), candidate_cmp);
    return list;
}

/** One past the last candidate of the same key. */
static int end_of_slot(const candidate_t *list, int i, int n)
{
    const mx_res_slot_t *slot = list[i].node->slot;
    while (i < n && list[i].node->slot == slot)
        i++;
    return i;
}

/** Resolves the key of candidates i … end - 1. What comes out is not yet seen by the other keys of the pass: they have no order. */
static mx_res_node_t *resolve_slot(mx_res_t *r, const candidate_t *list, int n)
{
    mx_res_slot_t *slot = list->node->slot;
    mx_res_node_t *chosen;
    if (list->pass < NAUTH_TYPES)
        resolve_auth_slot(r, list, n);
    else
        resolve_plain_slot(r, list, n);
    chosen = slot->now;
    slot->now = NULL;
    return chosen;
}

/** One pass, from candidate i on; the results then hold all at once. */
static int resolve_pass(mx_res_t *r, const candidate_t *list, int i, int n)
{
    int pass = list[i].pass, end, k;
    apr_array_header_t *chosen = apr_array_make(r->pool, 16, sizeof(mx_res_node_t *));
    for (; i < n && list[i].pass == pass; i = end) {
        mx_res_node_t *node = NULL;
        end = end_of_slot(list, i, n);
        if (end - i > 1)
            node = resolve_slot(r, list + i, end - i);
        if (node)
            APR_ARRAY_PUSH(chosen, mx_res_node_t *) = node;
    }
    for (k = 0; k < chosen->nelts; k++)
        APR_ARRAY_IDX(chosen, k, mx_res_node_t *)->slot->now = APR_ARRAY_IDX(chosen, k, mx_res_node_t *);
    return i;
}

void mx_res_resolve_v1(mx_res_t *r)
{
    candidate_t *list = candidates(r);
    int i, end, n = r->full->nelts;
    /* Conflicting are different events of one key; one that some states merely lack is in the union. */
    for (i = 0; i < n; i = end) {
        end = end_of_slot(list, i, n);
        if (end - i == 1)
            list[i].node->slot->now = list[i].node;
    }
    for (i = 0; i < n && !r->err;)
        i = resolve_pass(r, list, i, n);
}
