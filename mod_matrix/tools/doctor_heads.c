/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which events of a room nobody follows: its forward extremities, worked out of the events in the order in which they were stored.
 * SS-API: PDUs, prev_events.
 */
#include "tools/doctor.h"

#include "core/ident.h"

#include <stdlib.h>

#define BEHIND_MAX 200                /* as in room/accept_fork.c: so far back heads are looked for */

/** What a rejected or soft-failed event follows. */
typedef struct hidden_t {
    int n;
    apr_int64_t nids[MX_EVENT_MAX_PREV];
    int hidden[MX_EVENT_MAX_PREV];    /* 1: that is such an event, too */
} hidden_t;

static apr_status_t free_map(void *data)
{
    mx_doctor_heads_t *h = data;
    mx_nid_map_free(&h->unfollowed);
    return APR_SUCCESS;
}

void mx_doctor_heads_init(mx_doctor_heads_t *h, mx_doctor_room_t *room)
{
    memset(h, 0, sizeof(*h));
    h->room = room;
    h->unseen = apr_hash_make(room->pool);
    h->behind = apr_hash_make(room->pool);
    apr_pool_cleanup_register(room->pool, h, free_map, apr_pool_cleanup_null);
}

static const mx_doctor_node_t *find(apr_hash_t *nodes, const mx_event_t *event, int k)
{
    return apr_hash_get(nodes, event->prev_events[k], APR_HASH_KEY_STRING);
}

/** 1 for the event by which we came (back) through another server: what it follows is not ours, so it is the only head then. */
static int comes_from_outside(const mx_doctor_heads_t *h, apr_hash_t *nodes, const mx_event_t *event)
{
    const char *server_name = h->room->d->server_name;
    int k;
    if (!event || !event->nprev || !event->membership || (server_name && !mx_ident_is_local(event->sender, server_name)))
        return 0;
    for (k = 0; k < event->nprev; k++) {
        const mx_doctor_node_t *prev = find(nodes, event, k);
        if (prev && !(prev->flags & MX_EVENT_FLAG_OUTLIER))
            return 0;
    }
    return 1;
}

static void remember_hidden(mx_doctor_heads_t *h, apr_hash_t *nodes, const mx_event_row_t *row, const mx_event_t *event)
{
    hidden_t *hidden;
    apr_int64_t *nid;
    int k;
    if (row->flags & MX_EVENT_FLAG_OUTLIER || !event)
        return;
    hidden = apr_pcalloc(h->room->pool, sizeof(*hidden));
    for (k = 0; k < event->nprev; k++) {
        const mx_doctor_node_t *prev = find(nodes, event, k);
        if (!prev || prev->nid >= row->nid)
            continue;
        hidden->nids[hidden->n] = prev->nid;
        hidden->hidden[hidden->n++] = (prev->flags & MX_EVENT_APART) != 0;
    }
    nid = apr_pmemdup(h->room->pool, &row->nid, sizeof(row->nid));
    apr_hash_set(h->behind, nid, sizeof(*nid), hidden);
}

/** The heads that were followed by hidden events only, once an accepted one follows those. */
static void follow_hidden(mx_doctor_heads_t *h, apr_int64_t nid, int left)
{
    const hidden_t *hidden = apr_hash_get(h->behind, &nid, sizeof(nid));
    int k;
    if (hidden)
        apr_hash_set(h->behind, &nid, sizeof(nid), NULL);      /* once is enough */
    for (k = 0; hidden && k < hidden->n && left > 0; k++) {
        mx_nid_map_remove(&h->unfollowed, hidden->nids[k]);
        if (hidden->hidden[k])
            follow_hidden(h, hidden->nids[k], left - 1);
    }
}

void mx_doctor_heads_follow(mx_doctor_heads_t *h, apr_hash_t *nodes, const mx_doctor_row_t *doctor_row, const mx_event_t *event,
                            const char *event_id)
{
    const mx_event_row_t *row = &doctor_row->event;
    int k;
    if (row->flags & MX_EVENT_APART) {
        remember_hidden(h, nodes, row, event);
        return;
    }
    if (comes_from_outside(h, nodes, event))
        mx_nid_map_free(&h->unfollowed);
    for (k = 0; event && k < event->nprev; k++) {
        const mx_doctor_node_t *prev = find(nodes, event, k);
        if (prev && prev->nid < row->nid) {
            mx_nid_map_remove(&h->unfollowed, prev->nid);
            if (prev->flags & MX_EVENT_APART)
                follow_hidden(h, prev->nid, BEHIND_MAX);
        }
        else
            apr_hash_set(h->unseen, apr_pstrdup(h->room->pool, event->prev_events[k]), APR_HASH_KEY_STRING, event);
    }
    if (!apr_hash_get(h->unseen, event_id, APR_HASH_KEY_STRING))
        mx_nid_map_set(&h->unfollowed, row->nid, (void *)(intptr_t)((row->depth > 0 ? row->depth : 0) + 1));
    if (doctor_row->has_ord && row->ord > h->newest)
        h->newest = row->ord;
    if (row->depth > h->depth)
        h->depth = row->depth;
}

void mx_doctor_heads_end(mx_doctor_end_t *out, const mx_doctor_heads_t *h)
{
    const mx_nid_map_slot_t *slot;
    apr_uint32_t at = 0;
    out->heads = apr_palloc(h->room->pool, sizeof(*out->heads) * (apr_size_t)(h->unfollowed.count + 1));
    while ((slot = mx_nid_map_next(&h->unfollowed, &at)) != NULL) {
        apr_int64_t depth = (apr_int64_t)(intptr_t)slot->value - 1;
        out->heads[out->nheads++] = slot->nid;
        if (depth > out->depth)
            out->depth = depth;
    }
    qsort(out->heads, (size_t)out->nheads, sizeof(*out->heads), mx_nid_cmp);
    out->newest = h->newest;
    out->depth_max = h->depth;
}
