/* SPDX-License-Identifier: Apache-2.0 */
/* An upgrade under way: between upgrade.c (the order), upgrade_drafts.c (the new room), upgrade_spaces.c and upgrade_user.c. */
#ifndef MX_ROOM_UPGRADE_PRIVATE_H
#define MX_ROOM_UPGRADE_PRIVATE_H

#include "room/create.h"
#include "room/room_private.h"
#include "room/upgrade.h"

#define MX_SPACE_CHILD "m.space.child"
#define MX_SPACE_PARENT "m.space.parent"

typedef struct mx_room_upgrade_t {
    mx_server_t *server;
    const mx_who_t *who;
    mx_room_t *old;
    const mx_event_t *create, *levels;       /* of the old room; levels may be NULL */
    const mx_event_t *tombstone;             /* that the old room had before, or NULL */
    const mx_room_version_t *version;        /* of the new one */
    const mx_json_t *creators;               /* additional ones, each once; NULL: none */
    const mx_event_t **state; int nstate;    /* what is carried over, with m.space.child of a space */
    const char *room_id;                     /* the new one, once it is there */
    apr_pool_t *pool;
} mx_room_upgrade_t;

/** Reads what is carried over into up->state. M_TOO_LARGE. */
const mx_error_t *mx_room_upgrade_load(mx_room_upgrade_t *up);
/** The events of the new room. */
const mx_error_t *mx_room_upgrade_drafts(mx_room_drafts_t *out, const mx_room_upgrade_t *up);
/** 1 if the m.space.child or m.space.parent holds: without `via` it is a removed one. CS-API: spaces. */
int mx_room_upgrade_relates(const mx_event_t *event);
/** Puts the new room where spaces and rooms the user may change name the old one. */
void mx_room_upgrade_spaces(const mx_room_upgrade_t *up);
/** What could not be done, for the log; not for an error of the user's own power. */
void mx_room_upgrade_log(mx_server_t *server, const char *room_id, const char *what, const mx_error_t *err);
/** Copies a user's settings. `new_room` is where the user has just come in. */
void mx_room_upgrade_user(mx_server_t *server, const char *user_id, const mx_room_t *old, const mx_room_t *new_room,
                          apr_pool_t *pool);

#endif
