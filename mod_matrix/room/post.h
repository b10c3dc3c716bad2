/* SPDX-License-Identifier: Apache-2.0 */
/* What a client wants in a room, now or later: an event with what the specification asks of it beyond the auth rules. */
#ifndef MX_ROOM_POST_H
#define MX_ROOM_POST_H

#include "room/room.h"

/**
 * Checks, sends by mx_room_send(), and does what follows from the event. CS-API: PUT /rooms/{roomId}/send, PUT /rooms/{roomId}/state.
 * *pevent_id in `pool`; the errors of the checks and of mx_room_send().
 */
const mx_error_t *mx_room_post(const char **pevent_id, mx_server_t *server, const mx_who_t *who, const char *room_id,
                               const mx_room_draft_t *draft, apr_pool_t *pool);

#endif
