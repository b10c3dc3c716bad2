/* SPDX-License-Identifier: Apache-2.0 */
/* The ring: a list of batches, bounded by entries and by bytes, and where in it (and before) something happened last. */
#include "sync/ring.h"

int mx_sync_entry_moved(const mx_sync_entry_t *entry, apr_int64_t user_nid)
{
    int i;

    for (i = 0; i < entry->nmoved; i++)
        if (entry->moved[i].user_nid == user_nid) return 1;
    return 0;
}

mx_sync_batch_t *mx_sync_batch_create(apr_int64_t from, apr_int64_t to, int max)
{
    mx_sync_batch_t *batch;
    apr_pool_t *pool;

    /* unmanaged: whoever unpins last frees it, on any thread */
    if (apr_pool_create_unmanaged_ex(&pool, NULL, NULL) != APR_SUCCESS) return NULL;
    apr_pool_tag(pool, "mx_sync_batch");
    batch = apr_pcalloc(pool, sizeof(*batch));
    batch->pool = pool;
    batch->refs = 1;
    batch->from = from;
    batch->to = to;
    batch->entries = apr_pcalloc(pool, sizeof(*batch->entries) * (apr_size_t)(max + 1));
    batch->bytes = sizeof(*batch->entries) * (apr_size_t)(max + 1);
    return batch;
}

void mx_sync_batch_pin(mx_sync_batch_t *batch)
{
    apr_atomic_inc32(&batch->refs);
}

void mx_sync_batch_unpin(mx_sync_batch_t *batch)
{
    if (apr_atomic_dec32(&batch->refs) == 0) apr_pool_destroy(batch->pool);
}

/* ---- where what happened last ---- */

#define ANYBODY 0                    /* as the user: what concerns all in the room */
#define EVENT (-1)                   /* as the user: the room's last event */

/* Two that share a key share the later position, which says no more than that one has to look. */
static apr_int64_t key_of(apr_int64_t user_nid, apr_int64_t room_nid)
{
    apr_uint64_t x = (apr_uint64_t)user_nid * 0x9E3779B97F4A7C15ULL;

    x = (x ^ (x >> 29)) * 0xBF58476D1CE4E5B9ULL + (apr_uint64_t)room_nid;
    x = (x ^ (x >> 32)) * 0x94D049BB133111EBULL;
    x ^= x >> 31;
    return x ? (apr_int64_t)x : 1;
}

static apr_int64_t last_of(const mx_sync_last_t *last, apr_int64_t user_nid, apr_int64_t room_nid)
{
    apr_int64_t key = key_of(user_nid, room_nid), position = (apr_int64_t)(apr_uintptr_t)mx_nid_map_get(&last->now, key);

    return position ? position : (apr_int64_t)(apr_uintptr_t)mx_nid_map_get(&last->before, key);
}

static void set_last(mx_sync_last_t *last, apr_int64_t user_nid, apr_int64_t room_nid, apr_int64_t position)
{
    if (last->now.count >= MX_SYNC_LAST_MAX) {
        mx_nid_map_free(&last->before);
        last->before = last->now;
        last->now = (mx_nid_map_t){ NULL, 0, 0 };
        last->from = last->began;
        last->began = position - 1;
    }
    mx_nid_map_set(&last->now, key_of(user_nid, room_nid), (void *)(apr_uintptr_t)position);
}

static void forget_last(mx_sync_last_t *last, apr_int64_t position)
{
    mx_nid_map_free(&last->now);
    mx_nid_map_free(&last->before);
    last->from = last->began = position;
}

static void note_event(mx_sync_ring_t *ring, mx_sync_entry_t *entry)
{
    int i;

    entry->older = mx_nid_map_get(&ring->events, entry->room_nid);
    entry->older_position = entry->older ? entry->older->position : last_of(&ring->last, EVENT, entry->room_nid);
    mx_nid_map_set(&ring->events, entry->room_nid, entry);
    set_last(&ring->last, EVENT, entry->room_nid, entry->position);
    if (entry->unsettles) set_last(&ring->last, ANYBODY, entry->room_nid, entry->position);
    if (entry->target_nid) set_last(&ring->last, entry->target_nid, entry->room_nid, entry->position);
    for (i = 0; i < entry->nmoved; i++) set_last(&ring->last, entry->moved[i].user_nid, entry->room_nid, entry->position);
}

static void note(mx_sync_ring_t *ring, mx_sync_batch_t *batch)
{
    int i;

    for (i = 0; i < batch->n; i++) {
        mx_sync_entry_t *entry = &batch->entries[i];

        entry->batch = batch;
        if (entry->kind == MX_ENTRY_EVENT) note_event(ring, entry);
        else if (entry->kind == MX_ENTRY_RECEIPT) set_last(&ring->last, entry->user_nid, entry->room_nid, entry->position);
        else if (entry->kind == MX_ENTRY_ACCOUNT_DATA && !entry->room_nid
                 && (mx_str_eq(entry->type, "m.push_rules") || mx_str_eq(entry->type, "m.ignored_user_list")))
            set_last(&ring->last, entry->user_nid, 0, entry->position);
    }
}

int mx_sync_ring_is_settled(const mx_sync_ring_t *ring, apr_int64_t user_nid, apr_int64_t room_nid, apr_int64_t since)
{
    return since >= ring->last.from && last_of(&ring->last, user_nid, room_nid) <= since
           && (!room_nid || last_of(&ring->last, ANYBODY, room_nid) <= since);
}

int mx_sync_ring_events(const mx_sync_entry_t **out, const mx_sync_ring_t *ring, apr_int64_t room_nid, apr_int64_t since, int max)
{
    const mx_sync_entry_t *entry = mx_nid_map_get(&ring->events, room_nid);
    apr_int64_t position = entry ? entry->position : last_of(&ring->last, EVENT, room_nid);
    int n = 0;

    if (since < ring->last.from) return -1;
    while (position > since) {
        if (n == max || position <= ring->floor || !entry) return -1;
        out[n++] = entry;
        position = entry->older_position;
        entry = entry->older;
    }
    return n;
}

/* ---- batches ---- */

static void drop_oldest(mx_sync_ring_t *ring)
{
    mx_sync_batch_t *batch = ring->oldest;
    int i;

    for (i = 0; i < batch->n; i++)
        if (batch->entries[i].kind == MX_ENTRY_EVENT
            && mx_nid_map_get(&ring->events, batch->entries[i].room_nid) == &batch->entries[i])
            mx_nid_map_remove(&ring->events, batch->entries[i].room_nid);
    ring->oldest = batch->newer;
    if (ring->oldest) ring->oldest->older = NULL;
    else ring->newest = NULL;
    ring->floor = batch->to;
    ring->entries -= batch->n;
    ring->bytes -= batch->bytes;
    mx_sync_batch_unpin(batch);
}

void mx_sync_ring_append(mx_sync_ring_t *ring, mx_sync_batch_t *batch)
{
    batch->older = ring->newest;
    batch->newer = NULL;
    if (ring->newest) ring->newest->newer = batch;
    else ring->oldest = batch;
    ring->newest = batch;
    ring->head = batch->to;
    ring->entries += batch->n;
    ring->bytes += batch->bytes;
    note(ring, batch);
    while (ring->oldest && (ring->entries > ring->max_entries || ring->bytes > ring->max_bytes)) drop_oldest(ring);
}

void mx_sync_ring_reset(mx_sync_ring_t *ring, apr_int64_t position)
{
    while (ring->oldest) drop_oldest(ring);
    forget_last(&ring->last, position);
    ring->floor = ring->head = position;
}

mx_sync_batch_t *mx_sync_ring_after(const mx_sync_ring_t *ring, apr_int64_t since)
{
    mx_sync_batch_t *batch = ring->newest;

    if (!batch || batch->to <= since) return NULL;
    while (batch->older && batch->older->to > since) batch = batch->older;
    return batch;
}

void mx_sync_ring_redacted(mx_sync_ring_t *ring, apr_int64_t room_nid, const char *event_id)
{
    mx_sync_batch_t *batch;
    int i;

    for (batch = ring->newest; batch; batch = batch->older)
        for (i = 0; i < batch->n; i++) {
            mx_sync_entry_t *entry = &batch->entries[i];

            if (entry->kind != MX_ENTRY_EVENT || entry->room_nid != room_nid || !mx_str_eq(entry->event_id, event_id)) continue;
            apr_atomic_set32(&entry->stale, 1);
            return;
        }
}
