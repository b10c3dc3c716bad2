/* SPDX-License-Identifier: Apache-2.0 */
/* Events that may have notified a user, newest first: sql/0020_pusher.sql, notified_events(). */
#ifndef MX_STORE_NOTIFIED_H
#define MX_STORE_NOTIFIED_H

#include "store/event.h"

typedef struct mx_store_notified_t {
    mx_event_row_t event;
    const char *room_id;
    int read;                        /* the user has a receipt there, or further */
} mx_store_notified_t;

/**
 * Of the newest `scan` events with ord < `from`, of all rooms the user is in, those that others sent. *pfrom: go on with that; 0: there
 * are no more.
 */
apr_status_t mx_store_notified_events(mx_store_notified_t **pout, int *pn, apr_int64_t *pfrom, mx_store_t *store, apr_int64_t user_nid,
                                      apr_int64_t from, const apr_int64_t *ignored, int nignored, int scan, apr_pool_t *pool);

#endif
