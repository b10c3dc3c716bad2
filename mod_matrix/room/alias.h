/* SPDX-License-Identifier: Apache-2.0 */
/* Room aliases of this server. CS-API: room aliases. (mx_room_alias_resolve() is in room/room.h.) */
#ifndef MX_ROOM_ALIAS_H
#define MX_ROOM_ALIAS_H

#include "room/room.h"

/** Aliases that one m.room.canonical_alias may add. */
#define MX_ROOM_ALT_ALIASES_MAX 500

/** Maps the alias to a room that `who` is joined to. 409 where it exists, M_INVALID_PARAM for one of another server. */
const mx_error_t *mx_room_alias_create(mx_server_t *server, const mx_who_t *who, const char *alias, const char *room_id,
                                       apr_time_t now, apr_pool_t *pool);
/** Removes it, and what the room's m.room.canonical_alias says of it where `who` may change that. For whoever made the
    alias, may set the room's canonical alias, or is an administrator; else M_FORBIDDEN. M_NOT_FOUND. */
const mx_error_t *mx_room_alias_delete(mx_server_t *server, const mx_who_t *who, const char *alias, apr_pool_t *pool);
/** The aliases of a room, sorted; for its members, and for anybody if it is world_readable. */
const mx_error_t *mx_room_alias_list(const char ***paliases, int *pn, mx_server_t *server, const mx_who_t *who,
                                     const char *room_id, apr_pool_t *pool);
/**
 * Checks the content of an m.room.canonical_alias that is about to be sent: what it adds to the current one must be
 * valid (M_INVALID_PARAM) and point to this room (M_BAD_ALIAS). CS-API: PUT
 * /rooms/{roomId}/state/{eventType}/{stateKey}.
 */
const mx_error_t *mx_room_alias_check_canonical(mx_server_t *server, const char *room_id, const mx_json_t *content,
                                                apr_pool_t *pool);

#endif
