/* SPDX-License-Identifier: Apache-2.0 */
/* Forgetting rooms. CS-API: POST /rooms/{roomId}/forget. */
#ifndef MX_ROOM_FORGET_H
#define MX_ROOM_FORGET_H

#include "room/room.h"

/** The room is no longer told to the user, until a new membership. M_UNKNOWN (400) for one who has not left it. */
const mx_error_t *mx_room_forget(mx_server_t *server, const mx_who_t *who, const char *room_id, apr_pool_t *pool);

#endif
