/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sharded cache with CLOCK eviction. A shard is a hash table and a ring with a hand; an entry is counted: one for the
 * table, one for each borrower. Values are destroyed outside the lock.
 */
#include "base/cache.h"

#include "base/crypto.h"

#include <apr_thread_mutex.h>
#include <apr_time.h>
#include <stdlib.h>

#define SHARDS_MAX 16
#define SHARD_BYTES_WORTH (4 * 1024 * 1024)     /* below it, splitting would refuse big values for little less waiting */
#define TABLE_FIRST 64                          /* slots of a shard's table; a power of two */

struct mx_cache_ref_t {
    struct mx_cache_ref_t *chain;               /* same slot */
    struct mx_cache_ref_t *ring_next, *ring_prev;
    apr_uint64_t hash;
    void *value;
    void (*destroy)(void *value);
    apr_size_t bytes;
    apr_time_t expires;
    int refs;                                   /* atomic */
    unsigned char used;                         /* since the hand passed */
    apr_size_t key_len;
    char key[];
};
typedef struct mx_cache_ref_t entry_t;

typedef struct shard_t {
    apr_thread_mutex_t *lock;
    entry_t **slots;
    apr_size_t nslots;
    entry_t *hand;                              /* NULL: empty */
    apr_size_t bytes, bytes_max, entries;
    apr_uint64_t hits, misses, evictions;
} shard_t;

struct mx_cache_t {
    const char *name;
    void (*destroy)(void *value);
    unsigned char seed[MX_KEYED_HASH_KEY_BYTES];
    int nshards;
    shard_t shards[SHARDS_MAX];
};

static void *cache_alloc(apr_size_t bytes)
{
    void *p = calloc(1, bytes);
    if (!p)
        abort();        /* as pools do */
    return p;
}

void *mx_cache_value_create(apr_size_t bytes)
{
    return cache_alloc(bytes);
}

void mx_cache_value_destroy(void *value)
{
    free(value);
}

static void entry_drop(entry_t *e)
{
    if (__atomic_sub_fetch(&e->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    if (e->destroy)
        e->destroy(e->value);
    free(e);
}

/** Drops entries that a shard gave up, linked by `chain`. */
static void entries_drop(entry_t *gone)
{
    while (gone) {
        entry_t *next = gone->chain;
        entry_drop(gone);
        gone = next;
    }
}

static entry_t **shard_find_locked(shard_t *s, apr_uint64_t hash, const void *key, apr_size_t key_len)
{
    entry_t **p = &s->slots[hash & (s->nslots - 1)];
    while (*p && !((*p)->hash == hash && (*p)->key_len == key_len && memcmp((*p)->key, key, key_len) == 0))
        p = &(*p)->chain;
    return p;
}

static void ring_insert_locked(shard_t *s, entry_t *e)
{
    if (!s->hand) {
        e->ring_next = e->ring_prev = e;
        s->hand = e;
        return;
    }
    e->ring_next = s->hand;             /* behind the hand: it comes round last */
    e->ring_prev = s->hand->ring_prev;
    e->ring_prev->ring_next = e;
    e->ring_next->ring_prev = e;
}

/** Takes the entry at *p out of table and ring and puts it on the list of the gone. */
static void shard_unlink_locked(shard_t *s, entry_t **p, entry_t **gone)
{
    entry_t *e = *p;
    *p = e->chain;
    if (s->hand == e)
        s->hand = e->ring_next == e ? NULL : e->ring_next;
    e->ring_prev->ring_next = e->ring_next;
    e->ring_next->ring_prev = e->ring_prev;
    s->bytes -= e->bytes;
    s->entries--;
    e->chain = *gone;
    *gone = e;
}

/** Before an entry comes in: it would be the only one unused, and so the first to go, where all others were used since the last came. */
static void shard_make_room_locked(shard_t *s, apr_size_t bytes, entry_t **gone)
{
    while (s->bytes + bytes > s->bytes_max && s->hand) {
        entry_t *e = s->hand;
        if (e->used) {
            e->used = 0;
            s->hand = e->ring_next;
            continue;
        }
        shard_unlink_locked(s, shard_find_locked(s, e->hash, e->key, e->key_len), gone);
        s->evictions++;
    }
}

static void shard_grow_locked(shard_t *s)
{
    apr_size_t nslots = s->nslots * 2, i;
    entry_t **slots = cache_alloc(nslots * sizeof(*slots));
    for (i = 0; i < s->nslots; i++) {
        entry_t *e = s->slots[i], *next;
        for (; e; e = next) {
            next = e->chain;
            e->chain = slots[e->hash & (nslots - 1)];
            slots[e->hash & (nslots - 1)] = e;
        }
    }
    free(s->slots);
    s->slots = slots;
    s->nslots = nslots;
}

static apr_status_t cache_cleanup(void *data)
{
    mx_cache_t *cache = data;
    int i;
    mx_cache_clear(cache);
    for (i = 0; i < cache->nshards; i++) {
        free(cache->shards[i].slots);
        apr_thread_mutex_destroy(cache->shards[i].lock);
    }
    return APR_SUCCESS;
}

mx_cache_t *mx_cache_create(const char *name, apr_size_t max_bytes, void (*destroy)(void *value), apr_pool_t *pool)
{
    mx_cache_t *cache = apr_pcalloc(pool, sizeof(*cache));
    apr_size_t n = max_bytes / SHARD_BYTES_WORTH;
    int i;
    cache->name = apr_pstrdup(pool, name);
    cache->destroy = destroy;
    cache->nshards = n < 1 ? 1 : n > SHARDS_MAX ? SHARDS_MAX : (int)n;
    mx_random_bytes(cache->seed, sizeof(cache->seed));
    for (i = 0; i < cache->nshards; i++) {
        shard_t *s = &cache->shards[i];
        if (apr_thread_mutex_create(&s->lock, APR_THREAD_MUTEX_DEFAULT, pool) != APR_SUCCESS)
            abort();
        s->nslots = TABLE_FIRST;
        s->slots = cache_alloc(s->nslots * sizeof(*s->slots));
        s->bytes_max = max_bytes / (apr_size_t)cache->nshards;
    }
    apr_pool_pre_cleanup_register(pool, cache, cache_cleanup);
    return cache;
}

static shard_t *cache_shard(mx_cache_t *cache, apr_uint64_t hash)
{
    return &cache->shards[(hash >> 48) % (apr_uint64_t)cache->nshards];
}

void *mx_cache_get(mx_cache_ref_t **pref, mx_cache_t *cache, const void *key, apr_size_t key_len)
{
    apr_uint64_t hash = mx_keyed_hash(cache->seed, key, key_len);
    shard_t *s = cache_shard(cache, hash);
    entry_t **p, *e, *gone = NULL;
    apr_thread_mutex_lock(s->lock);
    p = shard_find_locked(s, hash, key, key_len);
    e = *p;
    if (e && e->expires && e->expires <= apr_time_now()) {
        shard_unlink_locked(s, p, &gone);
        e = NULL;
    }
    if (e) {
        e->used = 1;
        __atomic_add_fetch(&e->refs, 1, __ATOMIC_RELAXED);
        s->hits++;
    } else
        s->misses++;
    apr_thread_mutex_unlock(s->lock);
    entries_drop(gone);
    if (!e)
        return NULL;
    *pref = e;
    return e->value;
}

static entry_t *entry_create(mx_cache_t *cache, apr_uint64_t hash, const void *key, apr_size_t key_len)
{
    entry_t *e = cache_alloc(sizeof(*e) + key_len);
    e->hash = hash;
    e->destroy = cache->destroy;
    e->key_len = key_len;
    memcpy(e->key, key, key_len);
    e->refs = 1;
    return e;
}

void mx_cache_set(mx_cache_ref_t **pref, mx_cache_t *cache, const void *key, apr_size_t key_len, void *value, apr_size_t bytes,
                  apr_time_t expires)
{
    apr_uint64_t hash = mx_keyed_hash(cache->seed, key, key_len);
    shard_t *s = cache_shard(cache, hash);
    entry_t *e = entry_create(cache, hash, key, key_len), *gone = NULL, **p;
    e->value = value;
    e->bytes = bytes;
    e->expires = expires;
    if (pref) {
        e->refs++;
        *pref = e;
    }
    apr_thread_mutex_lock(s->lock);
    p = shard_find_locked(s, hash, key, key_len);
    if (*p)
        shard_unlink_locked(s, p, &gone);
    if (bytes > s->bytes_max) {         /* would push out all others and then itself */
        e->chain = gone;
        gone = e;
    } else {
        shard_make_room_locked(s, bytes, &gone);
        if (s->entries >= s->nslots)
            shard_grow_locked(s);
        p = &s->slots[hash & (s->nslots - 1)];
        e->chain = *p;
        *p = e;
        ring_insert_locked(s, e);
        s->bytes += bytes;
        s->entries++;
    }
    apr_thread_mutex_unlock(s->lock);
    entries_drop(gone);
}

void mx_cache_put(mx_cache_ref_t *ref)
{
    if (ref)
        entry_drop(ref);
}

void mx_cache_remove(mx_cache_t *cache, const void *key, apr_size_t key_len)
{
    apr_uint64_t hash = mx_keyed_hash(cache->seed, key, key_len);
    shard_t *s = cache_shard(cache, hash);
    entry_t **p, *gone = NULL;
    apr_thread_mutex_lock(s->lock);
    p = shard_find_locked(s, hash, key, key_len);
    if (*p)
        shard_unlink_locked(s, p, &gone);
    apr_thread_mutex_unlock(s->lock);
    entries_drop(gone);
}

void mx_cache_clear(mx_cache_t *cache)
{
    int i;
    for (i = 0; i < cache->nshards; i++) {
        shard_t *s = &cache->shards[i];
        entry_t *gone = NULL;
        apr_thread_mutex_lock(s->lock);
        while (s->hand)
            shard_unlink_locked(s, shard_find_locked(s, s->hand->hash, s->hand->key, s->hand->key_len), &gone);
        apr_thread_mutex_unlock(s->lock);
        entries_drop(gone);
    }
}

void mx_cache_stats(mx_cache_stats_t *out, mx_cache_t *cache)
{
    int i;
    memset(out, 0, sizeof(*out));
    for (i = 0; i < cache->nshards; i++) {
        shard_t *s = &cache->shards[i];
        apr_thread_mutex_lock(s->lock);
        out->hits += s->hits;
        out->misses += s->misses;
        out->evictions += s->evictions;
        out->bytes += s->bytes;
        out->entries += s->entries;
        apr_thread_mutex_unlock(s->lock);
    }
}
