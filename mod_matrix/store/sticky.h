/* SPDX-License-Identifier: Apache-2.0 */
/* Which events are sticky, and until when: rows of `sticky` (sql/0019_calls.sql). MSC4354. */
#ifndef MX_STORE_STICKY_H
#define MX_STORE_STICKY_H

#include "store/sync.h"

/** On the transaction that stored the events: their numbers, and until when (ms) they are sticky. */
apr_status_t mx_store_sticky_put(mx_conn_t *conn, apr_int64_t room_nid, const apr_int64_t *nids, const apr_int64_t *until_ms, int n,
                                 apr_pool_t *pool);

/** Which of them are asked for. */
typedef struct mx_sticky_ask_t {
    const mx_sync_since_t *rooms; int nrooms;    /* after which position each */
    apr_int64_t upto, now_ms;
    int per_room;                    /* the newest so many of a room */
    int limit;                       /* of all of these the oldest so many */
    const apr_int64_t *ignored; int nignored;    /* senders */
} mx_sticky_ask_t;
/** Events that are sticky still and not redacted, in the order of the stream. Who may see the room's history is not asked. */
apr_status_t mx_store_sticky_read(mx_event_row_t **prows, int *pn, mx_conn_t *conn, const mx_sticky_ask_t *ask, apr_pool_t *pool);
/** Soft-failed ones that are sticky still, state events left out; the oldest `limit`. */
apr_status_t mx_store_sticky_failed(mx_event_row_t **prows, int *pn, mx_store_t *store, apr_int64_t now_ms, int limit, apr_pool_t *pool);
/**
 * A soft-failed event comes into the timeline, as if it had come now. *prestored 0: it is none any more, or the room is not of the
 * version that allowed it.
 */
apr_status_t mx_store_sticky_restore(int *prestored, mx_store_t *store, apr_int64_t nid, apr_int64_t room_nid, apr_int64_t ver,
                                     apr_pool_t *pool);

#endif
