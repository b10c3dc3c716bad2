/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unread notifications of rooms, as counts. CS-API: receiving notifications; marking notifications as read; threading.
 *
 * They are counted when somebody reads them, from where he has read to: nothing is written for a member of a room. The events
 * that may count are grouped by what the predefined rules look at, so one answer of the rules serves a whole group; only a user with
 * rules on contents or senders has events asked one by one, and of those the newest MX_SYNC_UNREAD_SCAN of a room: older ones count by
 * their group.
 */
#ifndef MX_SYNC_UNREAD_H
#define MX_SYNC_UNREAD_H

#include "room/room.h"
#include "user/push_settings.h"

#define MX_SYNC_UNREAD_SCAN 1000

typedef struct mx_sync_unread_t {
    const char *thread;              /* event id of the root; NULL: main timeline */
    apr_int64_t notified, highlighted;
} mx_sync_unread_t;

/** The counts of one room: `lines` has one for each thread that has any, the main timeline's among them. */
typedef struct mx_sync_unread_room_t {
    apr_int64_t room_nid;            /* the caller's, as is the next */
    const char *room_id;
    mx_sync_unread_t *lines; int n;
    apr_int64_t members;             /* joined when it was counted, and whether events of every type count: by plain rules */
    int all;
    int scanned;                     /* by other rules: events that were asked one by one; MX_SYNC_UNREAD_SCAN: there are more */
} mx_sync_unread_room_t;

/**
 * Fills n rooms, in the order of room_nid, as of a position, and remembers them (sync/tally.h). One query; one more for rules that ask for
 * contents.
 */
const mx_error_t *mx_sync_unread_count(mx_sync_unread_room_t *rooms, int n, mx_server_t *server, const mx_who_t *who,
                                       mx_user_push_settings_t *settings, apr_int64_t upto, apr_pool_t *pool);
/** `count` events more in a thread (NULL: main timeline), of which the rules say this. New lines are in `pool`, `thread` is borrowed. */
void mx_sync_unread_add(mx_sync_unread_room_t *room, const char *thread, mx_push_verdict_t verdict, apr_int64_t count, apr_pool_t *pool);
/** All of that thread was read. */
void mx_sync_unread_read(mx_sync_unread_room_t *room, const char *thread);
/** `unread_notifications` and, if asked for, `unread_thread_notifications` as members of an open object. */
void mx_sync_unread_write(mx_json_writer_t *w, const mx_sync_unread_room_t *room, int threads);

#endif
