/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a user was, or would have been, notified of. CS-API: GET /notifications. Nothing is stored for it: events are read newest first, by
 * index, and the user's push rules are asked, as they are now.
 */
#ifndef MX_SYNC_NOTIFIED_H
#define MX_SYNC_NOTIFIED_H

#include "room/room.h"
#include "core/push_rules.h"

#define MX_SYNC_NOTIFIED_SCAN 200    /* events that are read at once */
#define MX_SYNC_NOTIFIED_SCAN_MAX 2000   /* and for one answer: a page may be short, or empty, with more behind it */

/** One notification. */
typedef struct mx_sync_notified_t {
    mx_event_row_t event;
    const char *room_id;
    const mx_json_t *actions;
    int read;
} mx_sync_notified_t;

typedef struct mx_sync_notified_page_t {
    mx_sync_notified_t *items;       /* newest first */
    int n;
    apr_int64_t next;                /* go on from there; 0: that is all */
} mx_sync_notified_page_t;

/** Up to `limit`, from before the ord `from`, no older than MatrixNotificationsKept. `highlights`: only such as are highlighted. */
const mx_error_t *mx_sync_notified_page(mx_sync_notified_page_t *out, mx_server_t *server, const mx_who_t *who, apr_int64_t from, int limit,
                                        int highlights, apr_time_t now, apr_pool_t *pool);

#endif
