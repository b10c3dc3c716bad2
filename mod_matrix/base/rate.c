/* SPDX-License-Identifier: Apache-2.0 */
/* Token buckets. A bucket is known by the keyed hash of its name: strangers can neither aim at one nor make it grow. */
#include "base/rate.h"

#include "base/crypto.h"

#include <apr_thread_mutex.h>
#include <math.h>
#include <stdlib.h>

#define NONE (-1)
#define WAIT_MAX_MS (24 * 60 * 60 * 1000)     /* what a client is told at most */

typedef struct bucket_t {
    apr_uint64_t hash;
    double tokens;
    apr_time_t at;                  /* when `tokens` was right */
    int chain;                      /* same slot; NONE ends */
    int newer, older;               /* order of use */
} bucket_t;

struct mx_rate_t {
    apr_thread_mutex_t *lock;
    unsigned char seed[MX_KEYED_HASH_KEY_BYTES];
    bucket_t *buckets;
    int *slots;                     /* first bucket of each; a power of two */
    apr_size_t nslots;
    int nbuckets, max;
    int newest, oldest;
};

static apr_status_t rate_cleanup(void *data)
{
    mx_rate_t *rate = data;
    return apr_thread_mutex_destroy(rate->lock);
}

mx_rate_t *mx_rate_create(apr_size_t max_keys, apr_pool_t *pool)
{
    mx_rate_t *rate = apr_pcalloc(pool, sizeof(*rate));
    apr_size_t i;
    rate->max = max_keys < 1 ? 1 : (int)max_keys;
    for (rate->nslots = 1; rate->nslots < (apr_size_t)rate->max; rate->nslots *= 2)
        ;
    rate->buckets = apr_palloc(pool, sizeof(*rate->buckets) * (apr_size_t)rate->max);
    rate->slots = apr_palloc(pool, sizeof(*rate->slots) * rate->nslots);
    for (i = 0; i < rate->nslots; i++)
        rate->slots[i] = NONE;
    rate->newest = rate->oldest = NONE;
    mx_random_bytes(rate->seed, sizeof(rate->seed));
    if (apr_thread_mutex_create(&rate->lock, APR_THREAD_MUTEX_DEFAULT, pool) != APR_SUCCESS)
        abort();
    apr_pool_pre_cleanup_register(pool, rate, rate_cleanup);
    return rate;
}

static void order_unlink(mx_rate_t *rate, int i)
{
    bucket_t *b = &rate->buckets[i];
    if (b->newer == NONE)
        rate->newest = b->older;
    else
        rate->buckets[b->newer].older = b->older;
    if (b->older == NONE)
        rate->oldest = b->newer;
    else
        rate->buckets[b->older].newer = b->newer;
}

static void order_push(mx_rate_t *rate, int i)
{
    bucket_t *b = &rate->buckets[i];
    b->newer = NONE;
    b->older = rate->newest;
    if (rate->newest != NONE)
        rate->buckets[rate->newest].newer = i;
    rate->newest = i;
    if (rate->oldest == NONE)
        rate->oldest = i;
}

static int *rate_slot(mx_rate_t *rate, apr_uint64_t hash)
{
    int *p = &rate->slots[hash & (rate->nslots - 1)];
    while (*p != NONE && rate->buckets[*p].hash != hash)
        p = &rate->buckets[*p].chain;
    return p;
}

/** A free bucket: a new one, or that of the longest idle key. */
static int rate_claim(mx_rate_t *rate)
{
    int i, *p;
    if (rate->nbuckets < rate->max)
        return rate->nbuckets++;
    i = rate->oldest;
    p = rate_slot(rate, rate->buckets[i].hash);
    *p = rate->buckets[i].chain;
    order_unlink(rate, i);
    return i;
}

static bucket_t *rate_bucket(mx_rate_t *rate, apr_uint64_t hash, double burst, apr_time_t now)
{
    int *p = rate_slot(rate, hash), i = *p;
    bucket_t *b;
    if (i == NONE) {
        i = rate_claim(rate);
        b = &rate->buckets[i];
        b->hash = hash;
        b->tokens = burst;
        b->at = now;
        p = &rate->slots[hash & (rate->nslots - 1)];
        b->chain = *p;
        *p = i;
    } else
        order_unlink(rate, i);
    order_push(rate, i);
    return &rate->buckets[i];
}

static apr_int64_t bucket_take_ms(bucket_t *b, double per_second, double burst, apr_time_t now)
{
    double wait_ms;
    if (now > b->at) {
        b->tokens += (double)(now - b->at) / (double)APR_USEC_PER_SEC * per_second;
        b->at = now;
    }
    if (b->tokens > burst)
        b->tokens = burst;
    if (b->tokens >= 1) {
        b->tokens -= 1;
        return 0;
    }
    wait_ms = ceil((1 - b->tokens) / per_second * 1000);
    return wait_ms > WAIT_MAX_MS ? WAIT_MAX_MS : (apr_int64_t)wait_ms;
}

apr_int64_t mx_rate_take_ms(mx_rate_t *rate, const char *key, const mx_rate_limit_t *limit, apr_time_t now)
{
    double burst = limit->burst < 1 ? 1 : limit->burst;
    apr_int64_t wait_ms;
    if (limit->per_second <= 0)
        return 0;
    apr_thread_mutex_lock(rate->lock);
    wait_ms = bucket_take_ms(rate_bucket(rate, mx_keyed_hash(rate->seed, key, strlen(key)), burst, now), limit->per_second, burst,
                             now);
    apr_thread_mutex_unlock(rate->lock);
    return wait_ms;
}
