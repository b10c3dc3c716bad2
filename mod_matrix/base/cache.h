/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bounded cache shared by the threads of a child: sharded, CLOCK eviction, entries counted in bytes.
 * Values are immutable to readers and reference counted: get() borrows, put_ref() gives back; an evicted or replaced
 * value is freed when the last borrower is done. Nothing of a request pool may be stored: `create` a value with malloc
 * or with a pool of its own and free it in `destroy`.
 */
#ifndef MX_BASE_CACHE_H
#define MX_BASE_CACHE_H

#include "base/str.h"

typedef struct mx_cache_t mx_cache_t;
typedef struct mx_cache_ref_t mx_cache_ref_t;   /* a borrowed entry */

/** max_bytes bounds the sum of the sizes given to mx_cache_set(). Lives as long as `pool`. */
mx_cache_t *mx_cache_create(const char *name, apr_size_t max_bytes, void (*destroy)(void *value), apr_pool_t *pool);
/** NULL if absent (or older than its expiry). The value stays valid until mx_cache_put(). */
void *mx_cache_get(mx_cache_ref_t **pref, mx_cache_t *cache, const void *key, apr_size_t key_len);
/** Stores the value (ownership passes) and borrows it at once if pref is not NULL. expires: 0 for never. */
void mx_cache_set(mx_cache_ref_t **pref, mx_cache_t *cache, const void *key, apr_size_t key_len, void *value, apr_size_t bytes,
                  apr_time_t expires);
void mx_cache_put(mx_cache_ref_t *ref);
void mx_cache_remove(mx_cache_t *cache, const void *key, apr_size_t key_len);
void mx_cache_clear(mx_cache_t *cache);

/** Zeroed memory for a value, and the `destroy` that goes with it. */
void *mx_cache_value_create(apr_size_t bytes);
void mx_cache_value_destroy(void *value);

typedef struct mx_cache_stats_t {
    apr_uint64_t hits, misses, evictions;
    apr_size_t bytes, entries;
} mx_cache_stats_t;
void mx_cache_stats(mx_cache_stats_t *out, mx_cache_t *cache);

#endif
