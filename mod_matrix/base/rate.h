/* SPDX-License-Identifier: Apache-2.0 */
/* Token buckets by key, bounded in number; thread-safe. */
#ifndef MX_BASE_RATE_H
#define MX_BASE_RATE_H

#include <apr_pools.h>
#include <apr_time.h>

typedef struct mx_rate_t mx_rate_t;

typedef struct mx_rate_limit_t {
    double per_second;   /* refill; 0: unlimited */
    double burst;        /* size of the bucket */
} mx_rate_limit_t;

/** At most max_keys buckets are kept; the longest idle (= fullest) go first. */
mx_rate_t *mx_rate_create(apr_size_t max_keys, apr_pool_t *pool);
/** Takes one token of key's bucket. 0 if it was there, else the milliseconds until one will be. */
apr_int64_t mx_rate_take_ms(mx_rate_t *rate, const char *key, const mx_rate_limit_t *limit, apr_time_t now);

#endif
