/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lazy-loaded members that a device was told of: a table of fingerprints per device, of a fixed size, forgotten when
 * memory is short; a forgotten one is told again, no more. CS-API: lazy-loading room members ("redundant").
 * What an answer told counts once the client comes back with that answer's token: an answer may be lost on its way.
 */
#include "sync/sync_private.h"

#define SLOTS 512                    /* per device: 8 KB */
#define PROBES 8

typedef struct told_t {
    apr_uint64_t fingerprint;        /* of room and user; 0: empty */
    apr_int64_t position;            /* next_batch of the answer that told it first */
} told_t;

static apr_uint64_t mix(apr_uint64_t x)
{
    x ^= x >> 31;
    x *= 0x7fb5d329728ea185ULL;
    x ^= x >> 27;
    x *= 0x81dadef4bc2dd44dULL;
    return x ^ (x >> 33);
}

static apr_uint64_t fingerprint(apr_int64_t room_nid, apr_int64_t user_nid)
{
    apr_uint64_t f = mix(mix((apr_uint64_t)room_nid) + (apr_uint64_t)user_nid);

    return f ? f : 1;
}

mx_cache_t *mx_sync_lazy_create(apr_size_t max_bytes, apr_pool_t *pool)
{
    return mx_cache_create("lazy members", max_bytes, mx_cache_value_destroy, pool);
}

/* The slot that holds the fingerprint, else the one to use for it (empty, or the longest told). */
static told_t *find(told_t *table, apr_uint64_t f)
{
    told_t *best = NULL;
    int i;

    for (i = 0; i < PROBES; i++) {
        told_t *slot = &table[(f + (apr_uint64_t)i) % SLOTS];

        if (slot->fingerprint == f) return slot;
        if (!best || (best->fingerprint && (!slot->fingerprint || slot->position < best->position))) best = slot;
    }
    return best;
}

int mx_sync_lazy_known(mx_sync_state_t *state, apr_int64_t device_nid, apr_int64_t room_nid, apr_int64_t user_nid, apr_int64_t acked)
{
    apr_uint64_t f = fingerprint(room_nid, user_nid);
    mx_cache_ref_t *ref;
    told_t *table = mx_cache_get(&ref, state->lazy, &device_nid, sizeof(device_nid)), *slot;
    int known;

    if (!table) return 0;
    apr_thread_mutex_lock(state->lazy_lock);
    slot = find(table, f);
    known = slot->fingerprint == f && slot->position <= acked;
    apr_thread_mutex_unlock(state->lazy_lock);
    mx_cache_put(ref);
    return known;
}

void mx_sync_lazy_told(mx_sync_state_t *state, apr_int64_t device_nid, apr_int64_t room_nid, apr_int64_t user_nid, apr_int64_t position)
{
    apr_uint64_t f = fingerprint(room_nid, user_nid);
    mx_cache_ref_t *ref;
    told_t *table = mx_cache_get(&ref, state->lazy, &device_nid, sizeof(device_nid)), *slot;

    if (!table) {
        table = mx_cache_value_create(SLOTS * sizeof(*table));
        mx_cache_set(&ref, state->lazy, &device_nid, sizeof(device_nid), table, SLOTS * sizeof(*table), 0);
    }
    apr_thread_mutex_lock(state->lazy_lock);
    slot = find(table, f);
    if (slot->fingerprint != f || position < slot->position) *slot = (told_t){ f, position };
    apr_thread_mutex_unlock(state->lazy_lock);
    mx_cache_put(ref);
}
