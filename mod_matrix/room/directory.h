/* SPDX-License-Identifier: Apache-2.0 */
/* The published room directory. CS-API: published room directory. */
#ifndef MX_ROOM_DIRECTORY_H
#define MX_ROOM_DIRECTORY_H

#include "room/room.h"

/** Rooms in one answer, and by default. */
#define MX_ROOM_DIRECTORY_LIMIT_MAX 500
#define MX_ROOM_DIRECTORY_LIMIT_DEFAULT 100
/** Rooms that one search looks at; an answer cut short by it still has its token. */
#define MX_ROOM_DIRECTORY_SCAN_MAX 10000

typedef struct mx_room_directory_ask_t {
    int limit;
    const char *since;               /* NULL: from the largest room on */
    const char *term;                /* generic_search_term; NULL or "": all */
    const mx_json_t *room_types;     /* array of strings and nulls; NULL: all */
} mx_room_directory_ask_t;

/** Writes the answer of publicRooms as one object. M_INVALID_PARAM for a `since` that is not ours. */
const mx_error_t *mx_room_directory_write(mx_json_writer_t *w, mx_server_t *server, const mx_room_directory_ask_t *ask,
                                          apr_pool_t *pool);

/** Whether a room is listed; M_NOT_FOUND for an unknown one. */
const mx_error_t *mx_room_directory_get(int *ppublished, mx_server_t *server, const char *room_id, apr_pool_t *pool);
/** Lists a room, or no longer: for members who may set its canonical alias, and administrators. */
const mx_error_t *mx_room_directory_set(mx_server_t *server, const mx_who_t *who, const char *room_id, int published,
                                        apr_pool_t *pool);

#endif
