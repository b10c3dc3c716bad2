/* SPDX-License-Identifier: Apache-2.0 */
/* Power levels when a room is replaced: those of the new room, and those that silence the old one. CS-API: room upgrades. */
#ifndef MX_CORE_POWER_UPGRADE_H
#define MX_CORE_POWER_UPGRADE_H

#include "core/power.h"

typedef struct mx_power_upgrade_t {
    const mx_event_t *old_create;    /* of the room that is replaced */
    const mx_json_t *old_levels;     /* its content of m.room.power_levels; NULL: it has none */
    const mx_room_version_t *version;/* of the new room */
    const char *creator;             /* of the new room */
    const mx_json_t *creators;       /* its additional ones, a list of user ids; NULL: none */
} mx_power_upgrade_t;

/** Level of m.room.tombstone at least, in a version whose creators stand above all levels, after one where they did not. */
#define MX_POWER_TOMBSTONE 150

/**
 * The content of m.room.power_levels for the new room, in `pool`: every level a whole number in the range of canonical JSON
 * (what is none is left out), no creator among the users where the version forbids that, m.room.tombstone explicitly above
 * state_default there; creators of the old room whose power came from no list are listed where the version needs it. The rules
 * of the version accept it as the first levels of the room.
 */
mx_json_t *mx_power_upgrade(const mx_power_upgrade_t *up, apr_pool_t *pool);

/**
 * The old room's levels with `events_default` and `invite` at the greater of 50 and users_default + 1 if they are below it;
 * NULL if there is nothing to raise. `levels` NULL: the room has none.
 */
mx_json_t *mx_power_silence(const mx_event_t *create, const mx_json_t *levels, apr_pool_t *pool);

#endif
