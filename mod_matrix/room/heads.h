/* SPDX-License-Identifier: Apache-2.0 */
/* Rooms with many forward extremities: an event of a local member that follows them brings them together. */
#ifndef MX_ROOM_HEADS_H
#define MX_ROOM_HEADS_H

#include "room/room.h"

#define MX_ROOM_HEADS_MANY 10        /* more are brought together by a runner … */
#define MX_ROOM_HEADS_MAX 50         /* … and more than these by whoever has brought the last one */

/** 1 if it is such an event, of whatever server: no client is shown it. */
int mx_room_heads_is_dummy(const mx_event_t *event);
/** Adds the task that brings them together (server/runner.h); after mx_runner_init(), in child_init. */
apr_status_t mx_room_heads_init(mx_server_t *server);
/**
 * Ids of rooms with local members and more than MX_ROOM_HEADS_MANY heads, in the order of ids: the first `max` after `after` ("": from the
 * beginning). As long as there are fewer than `max` it reads all rooms.
 */
const mx_error_t *mx_room_heads_wanting(const char ***pids, int *pn, mx_server_t *server, const char *after, int max, apr_pool_t *pool);
/**
 * Sends events of type org.matrix.dummy_event, each following at most MX_EVENT_MAX_PREV heads, until there are no more than `most` heads
 * (1 at least); *pleft: how many there are then. More than wished if no local member may send such an event. An event's auth events are
 * of the state after those heads that it names, as every other server will compute it. Takes turns with the room's other writers.
 */
const mx_error_t *mx_room_heads_merge(int *pleft, mx_server_t *server, const char *room_id, int most, apr_pool_t *pool);

#endif
