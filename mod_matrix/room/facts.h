/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What snapshots say about a membership or the history visibility. Snapshots and state events never change (redaction
 * keeps both values), so answers are kept for ever in a bounded cache of the child.
 */
#ifndef MX_ROOM_FACTS_H
#define MX_ROOM_FACTS_H

#include "base/cache.h"
#include "room/room.h"

/** Makes the cache. Child start, one thread. */
mx_cache_t *mx_room_facts_create(mx_server_t *server);

/** History visibility in each of the snapshots (0: no state yet); SHARED where none was set. At most two queries. */
const mx_error_t *mx_room_facts_histvis(mx_histvis_e *out, mx_server_t *server, const apr_int64_t *snaps, int n,
                                        apr_pool_t *pool);
/** A user's membership in each of the snapshots. At most two queries. */
const mx_error_t *mx_room_facts_membership(mx_membership_e *out, mx_server_t *server, const apr_int64_t *snaps, int n,
                                           const char *user_id, apr_pool_t *pool);
/** What an m.room.member or m.room.history_visibility event itself sets, from its stored bytes. */
mx_membership_e mx_room_facts_row_membership(const mx_event_row_t *row, apr_pool_t *pool);
mx_histvis_e mx_room_facts_row_histvis(const mx_event_row_t *row, apr_pool_t *pool);

#endif
