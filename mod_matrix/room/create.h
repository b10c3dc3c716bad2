/* SPDX-License-Identifier: Apache-2.0 */
/* What createRoom was asked for, and the events that follow from it: between room/create.c and room/create_drafts.c. */
#ifndef MX_ROOM_CREATE_H
#define MX_ROOM_CREATE_H

#include "room/room.h"

/** Lists of one createRoom: with the server's own events they stay below the size of a stored batch. */
#define MX_ROOM_CREATE_STATE_MAX 100
#define MX_ROOM_CREATE_INVITES_MAX 80
/** Additional creators that one room may be given. */
#define MX_ROOM_CREATORS_MAX 100

/** Power levels of a new room. */
#define MX_ROOM_LEVEL_ADMIN 100
#define MX_ROOM_LEVEL_MODERATOR 50
#define MX_ROOM_LEVEL_ABOVE_ADMIN 150   /* m.room.tombstone where creators stand above all levels */

typedef enum { MX_PRESET_PRIVATE, MX_PRESET_TRUSTED, MX_PRESET_PUBLIC } mx_room_preset_e;

/** The body, checked. Pointers go into it. */
typedef struct mx_room_wish_t {
    const char *name, *topic;                                  /* NULL: not given, as all others */
    const char *alias_name, *preset_name, *visibility, *version_name;
    mx_json_t *creation_content, *power_override, *initial_state, *invite;
    int is_direct;
    /* what follows from them */
    int published;
    mx_room_preset_e preset;
    const mx_room_version_t *version;
    const char *alias;                                         /* whole */
    const char **invitees; int ninvitees;                      /* each once, without the creator */
} mx_room_wish_t;

typedef struct mx_room_drafts_t {
    mx_room_draft_t *items;
    int n;
} mx_room_drafts_t;

/** The events in the order of the specification. CS-API: POST /createRoom. */
const mx_error_t *mx_room_create_drafts(mx_room_drafts_t *out, mx_server_t *server, const char *creator,
                                        const mx_room_wish_t *wish, apr_pool_t *pool);

/** NULL if the list (NULL: none) can be the additional_creators of a room; errors call it `name`. M_BAD_JSON, M_TOO_LARGE. */
const mx_error_t *mx_room_create_check_creators(const mx_json_t *creators, const char *name, apr_pool_t *pool);

#endif
