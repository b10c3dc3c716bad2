/* SPDX-License-Identifier: Apache-2.0 */
/* The order of events that come in any: auth events before what they authorise. A walk without recursion, however deep a chain is. */
#include "room/outlier_private.h"

#include "store/event_id.h"

#define TEXTS_A_SCRATCH 100           /* read between two clearings of the scratch pool */

static mx_slice_t keep(mx_slice_t packed, apr_pool_t *pool)
{
    return mx_slice(mx_slice_dup(packed, pool), packed.len);
}

static mx_room_outlier_node_t *node_of(const mx_room_outlier_order_t *o, mx_slice_t id)
{
    return apr_hash_get(o->by_id, id.p, (apr_ssize_t)id.len);
}

static void drop(mx_room_outlier_order_t *o, const mx_error_t *why, apr_pool_t *pool)
{
    o->dropped++;
    if (why && !o->why)
        o->why = mx_error_make_status(pool, why->code, why->status, "%s", why->message);
}

/** Returns the event's packed id. */
static mx_slice_t add(mx_room_outlier_order_t *o, const mx_room_version_t *version, mx_slice_t text, apr_pool_t *pool, apr_pool_t *scratch)
{
    mx_room_outlier_node_t *node = &o->nodes[o->n], *twin;
    mx_event_t *event;
    mx_slice_t id;
    int i;
    const mx_error_t *err = mx_event_parse_foreign(&event, version, text, scratch);
    if (err) {
        drop(o, err, pool);
        return mx_slice("", 0);
    }
    id = mx_store_event_id_pack(event->event_id, scratch);
    twin = node_of(o, id);
    if (twin)                        /* a second copy: the first one tells */
        return twin->id;
    *node = (mx_room_outlier_node_t){ .text = text, .id = keep(id, pool), .nauth = event->nauth };
    node->auth = apr_palloc(pool, sizeof(*node->auth) * (apr_size_t)(event->nauth + 1));
    for (i = 0; i < event->nauth; i++) {
        mx_slice_t auth = mx_store_event_id_pack(event->auth_events[i], scratch);
        mx_room_outlier_node_t *there = node_of(o, auth);
        node->auth[i] = there ? there->id : keep(auth, pool);
    }
    apr_hash_set(o->by_id, node->id.p, (apr_ssize_t)node->id.len, node);
    o->n++;
    return node->id;
}

/** Puts the node behind those it is authorised by. `stack` has room for all nodes. */
static void walk(mx_room_outlier_order_t *o, int *pdone, mx_room_outlier_node_t *from, mx_room_outlier_node_t **stack)
{
    int depth = 0;
    stack[depth++] = from;
    while (depth) {
        mx_room_outlier_node_t *node = stack[depth - 1], *next = NULL;
        if (!node->at)
            node->at = 1;
        if (node->at > node->nauth) {
            o->order[(*pdone)++] = node;
            depth--;
            continue;
        }
        next = node_of(o, node->auth[node->at++ - 1]);
        if (next && !next->at)        /* one that is on the stack closes a circle: it will find that its auth event is missing */
            stack[depth++] = next;
    }
}

void mx_room_outlier_sort(mx_room_outlier_order_t *out, const mx_room_version_t *version, mx_slice_t first, const mx_slice_t *texts, int n,
                          apr_pool_t *pool)
{
    mx_room_outlier_node_t **stack = apr_palloc(pool, sizeof(mx_room_outlier_node_t *) * (apr_size_t)(n + 1));
    mx_room_outlier_node_t *begin;
    apr_pool_t *scratch;
    int i, done = 0;
    memset(out, 0, sizeof(*out));
    out->nodes = apr_palloc(pool, sizeof(*out->nodes) * (apr_size_t)(n + 1));
    out->order = apr_palloc(pool, sizeof(mx_room_outlier_node_t *) * (apr_size_t)(n + 1));
    out->ids = apr_palloc(pool, sizeof(*out->ids) * (apr_size_t)(n + 1));
    out->by_id = apr_hash_make(pool);
    apr_pool_create(&scratch, pool);
    apr_pool_tag(scratch, "mx_outlier_sort");
    for (i = 0; i < n; i++) {
        out->ids[i] = add(out, version, texts[i], pool, scratch);
        if (i % TEXTS_A_SCRATCH == TEXTS_A_SCRATCH - 1)
            apr_pool_clear(scratch);
    }
    apr_pool_destroy(scratch);
    begin = first.len ? node_of(out, first) : NULL;
    if (begin)
        walk(out, &done, begin, stack);
    for (i = 0; i < out->n; i++) {
        if (!out->nodes[i].at)
            walk(out, &done, &out->nodes[i], stack);
    }
}
