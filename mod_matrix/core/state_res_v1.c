/* SPDX-License-Identifier: Apache-2.0 */
/* State resolution of room version 1. Rooms v1: state resolution. */
#include "core/state_res_private.h"

#include <stdlib.h>

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

static void add_candidate(mx_res_t *r, apr_array_header_t *list, const char *event_id)
{
    mx_res_node_t *node = mx_res_node(r, event_id);
    candidate_t *c;
    if (!node)
        return;
    c = &APR_ARRAY_PUSH(list, candidate_t);
    c->event = node->event;
    mx_sha1(c->sha1, event_id, strlen(event_id));
}

static apr_array_header_t *candidates(mx_res_t *r, const mx_res_slot_t *slot)
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
static void resolve_auth_slot(mx_res_t *r, const mx_res_slot_t *slot)
{
    apr_array_header_t *list = candidates(r, slot);
    int i;
    for (i = 0; i < list->nelts; i++) {
        const mx_event_t *event = APR_ARRAY_IDX(list, i, candidate_t).event;
        if (i && !mx_res_allowed(r, event, 0))
            return;
        mx_res_state_set(r, event);
    }
}

/** Other types: the deepest that is allowed, of equal ones that with the lowest sha1. */
static void resolve_plain_slot(mx_res_t *r, const mx_res_slot_t *slot)
{
    apr_array_header_t *list = candidates(r, slot);
    int i;
    for (i = list->nelts - 1; i >= 0; i--) {
        const mx_event_t *event = APR_ARRAY_IDX(list, i, candidate_t).event;
        if (mx_res_allowed(r, event, 0)) {
            mx_res_state_set(r, event);
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

void mx_res_resolve_v1(mx_res_t *r)
{
    int pass, i;
    for (pass = 0; pass <= NAUTH_TYPES; pass++) {
        for (i = 0; i < r->order->nelts; i++) {
            mx_res_slot_t *slot = APR_ARRAY_IDX(r->order, i, mx_res_slot_t *);
            if (mx_res_slot_is_unconflicted(r, slot) || pass_of(slot->type) != pass)
                continue;
            if (pass < NAUTH_TYPES)
                resolve_auth_slot(r, slot);
            else
                resolve_plain_slot(r, slot);
        }
    }
}
