/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One sleeper, woken once by another thread with a value. Each sleeper has a lock of its own, so whoever wakes many holds none that
 * those need next: they would wake only to wait for it.
 */
#ifndef MX_BASE_WAKE_H
#define MX_BASE_WAKE_H

#include <apr_pools.h>

typedef struct mx_wake_t mx_wake_t;

/** Lives in `pool`, which the sleeper may clear as soon as mx_wake_wait() has given it the value. */
apr_status_t mx_wake_create(mx_wake_t **pwake, apr_pool_t *pool);
/** Any thread; `value` is not 0. The last that the waking thread may do with it. */
void mx_wake_set(mx_wake_t *wake, int value);
/** Sleeps until there is a value and returns that; 0 after `timeout` (microseconds; negative: never). */
int mx_wake_wait(mx_wake_t *wake, apr_interval_time_t timeout);

#endif
