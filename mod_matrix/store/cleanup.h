/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deletes rows that have served their time. Each call takes away at most `limit` of them and says how many (*pn): fewer than `limit`
 * mean that none are left. Rows of room_state_log stay for ever: sync tokens of any age name places in it.
 */
#ifndef MX_STORE_CLEANUP_H
#define MX_STORE_CLEANUP_H

#include "store/store.h"

typedef apr_status_t mx_store_cleanup_fn(int *pn, mx_store_t *store, apr_int64_t before_ts, int limit, apr_pool_t *pool);

/** Transaction ids of sends noted before the day of that time (ms). */
mx_store_cleanup_fn mx_store_cleanup_txns;
/** Unfinished authentications that were begun before; a use of a registration token that one had reserved is free again. */
mx_store_cleanup_fn mx_store_cleanup_uia;
/** Access tokens that ended before. */
mx_store_cleanup_fn mx_store_cleanup_access_tokens;
/** Refresh tokens that ended before and whose access tokens are gone. */
mx_store_cleanup_fn mx_store_cleanup_refresh_tokens;
/** Remembered resolutions of forks, last found before the day of that time. */
mx_store_cleanup_fn mx_store_cleanup_resolutions;
/** Delayed events that were sent or cancelled before. */
mx_store_cleanup_fn mx_store_cleanup_delayed;
/** Events that were sticky until before. */
mx_store_cleanup_fn mx_store_cleanup_sticky;
/** What clients of sliding sync were told, stored before. */
mx_store_cleanup_fn mx_store_cleanup_sliding;

#endif
