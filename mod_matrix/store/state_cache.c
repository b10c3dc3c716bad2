/* SPDX-License-Identifier: Apache-2.0 */
/* Whole states in the memory of a child. Snapshots never change, so nothing is ever taken out but to make room. */
#include "store/state_private.h"

#define ENTRY_BYTES 160      /* of the cache beside the state, with what the allocator adds */

void mx_store_state_cache_create(mx_store_t *store, apr_size_t max_bytes, apr_pool_t *pool)
{
    store->states = mx_cache_create("states", max_bytes, mx_cache_value_destroy, pool);
}

const mx_state_list_t *mx_store_state_cache_get(mx_cache_ref_t **pref, mx_store_t *store, apr_int64_t snap_nid)
{
    return store->states ? mx_cache_get(pref, store->states, &snap_nid, sizeof(snap_nid)) : NULL;
}

void mx_store_state_cache_set(mx_store_t *store, apr_int64_t snap_nid, const mx_state_list_t *list)
{
    apr_size_t bytes = sizeof(*list->items) * (apr_size_t)list->n;
    mx_state_list_t *copy;
    if (!store->states)
        return;
    copy = mx_cache_value_create(sizeof(*copy) + bytes);
    copy->items = (mx_state_item_t *)(copy + 1);
    copy->n = list->n;
    if (bytes)
        memcpy(copy->items, list->items, bytes);
    mx_cache_set(NULL, store->states, &snap_nid, sizeof(snap_nid), copy, ENTRY_BYTES + bytes, 0);
}

apr_int64_t mx_store_state_cache_find(const mx_state_list_t *list, apr_int64_t skey_nid)
{
    int low = 0, high = list->n;
    while (low < high) {
        int mid = low + (high - low) / 2;
        if (list->items[mid].skey_nid < skey_nid)
            low = mid + 1;
        else
            high = mid;
    }
    return low < list->n && list->items[low].skey_nid == skey_nid ? list->items[low].nid : 0;
}
