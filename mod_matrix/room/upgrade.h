/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replacing a room by one of another version. CS-API: room upgrades.
 *
 * This is no single transaction, so its order is the one in which a crash harms nobody:
 *   1. the new room is made whole, in one transaction unless it has more events than one holds: until 2, nobody but the
 *      upgrader knows of it, and the old room is as it was
 *   2. one transaction in the old room: the tombstone, and levels that silence it where the upgrader may set them. From here
 *      on the room is upgraded; what follows can be done by hand if it is lost
 *   3. aliases and the place in the directory move, each by one statement
 *   4. m.room.canonical_alias of both rooms, spaces that hold the old room, rooms that the old space held, settings of the user
 * What of 2 (the levels), 3 and 4 fails is logged, and the upgrade succeeds all the same.
 */
#ifndef MX_ROOM_UPGRADE_H
#define MX_ROOM_UPGRADE_H

#include "room/room.h"

/** State and bans that one upgrade carries over. */
#define MX_ROOM_UPGRADE_EVENTS_MAX 50000
/** Spaces above and rooms below that one upgrade changes; the others keep naming the old room. */
#define MX_ROOM_UPGRADE_RELATED_MAX 200

typedef struct mx_room_upgrade_ask_t {
    const char *version_name;
    const mx_json_t *additional_creators;    /* NULL: none; looked at where the version knows them */
} mx_room_upgrade_ask_t;

/**
 * *proom_id is the new room, in `pool`. M_NOT_FOUND; M_FORBIDDEN without membership or the power to send m.room.tombstone;
 * M_UNSUPPORTED_ROOM_VERSION; M_BAD_JSON and M_TOO_LARGE for bad additional_creators: then nothing has changed.
 */
const mx_error_t *mx_room_upgrade(const char **proom_id, mx_server_t *server, const mx_who_t *who, const char *room_id,
                                  const mx_room_upgrade_ask_t *ask, apr_pool_t *pool);

/**
 * A local user has joined `room`: if it replaces one he was in, as both rooms say, his tags, his entry in m.direct and his push
 * rules for the old room are copied, where he has none for the new one yet. Goes on after a failure.
 */
void mx_room_upgrade_joined(mx_server_t *server, mx_room_t *room, const char *user_id, apr_pool_t *pool);

#endif
