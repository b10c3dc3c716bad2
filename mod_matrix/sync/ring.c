/* SPDX-License-Identifier: Apache-2.0 */
/* The ring: a list of batches, bounded by entries and by bytes. */
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

static void drop_oldest(mx_sync_ring_t *ring)
{
    mx_sync_batch_t *batch = ring->oldest;

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
    while (ring->oldest && (ring->entries > ring->max_entries || ring->bytes > ring->max_bytes)) drop_oldest(ring);
}

void mx_sync_ring_reset(mx_sync_ring_t *ring, apr_int64_t position)
{
    while (ring->oldest) drop_oldest(ring);
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
