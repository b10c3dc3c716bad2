/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sticky events that were soft-failed: asked again whether the room's state allows them, as long as they are sticky. MSC4354. A
 * background task (server/runner.h) does that every other second while there are some. What is allowed then comes into the timeline, at
 * its end.
 */
#ifndef MX_ROOM_STICKY_H
#define MX_ROOM_STICKY_H

#include "room/room.h"

/** Adds the task. In child_init, after mx_runner_init(). */
apr_status_t mx_room_sticky_init(mx_server_t *server);
/** A sticky event was stored and has soft-failed. Any thread; a server without a runner is allowed. */
void mx_room_sticky_failed(mx_server_t *server);
/** Asks for all of them once. *pleft: some are still not allowed. */
const mx_error_t *mx_room_sticky_ask_again(int *pleft, mx_server_t *server, apr_pool_t *pool);

#endif
