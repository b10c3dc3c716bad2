/* SPDX-License-Identifier: Apache-2.0 */
/* State resolution on events in memory. Rooms v2 (and 12 for 2.1): state resolution. Pure; storage is asked by callbacks. */
#ifndef MX_CORE_STATE_RES_H
#define MX_CORE_STATE_RES_H

#include "core/auth_rules.h"

typedef struct mx_state_entry_t {
    const char *type, *state_key, *event_id;
} mx_state_entry_t;

typedef struct mx_state_set_t {
    const mx_state_entry_t *entries;
    int nentries;
} mx_state_set_t;

/** Gives an event by id (auth events of what is resolved included); NULL if unknown or rejected. */
typedef const mx_event_t *mx_state_res_event_fn(void *baton, const char *event_id);

/**
 * Resolves the sets of a room of `version`; the result holds entries in `pool`. Events are asked for as they are needed;
 * working the auth difference out takes the auth chains of all sets, undisputed state included.
 */
const mx_error_t *mx_state_resolve(mx_state_set_t *out, const mx_room_version_t *version, const mx_state_set_t *sets, int nsets,
                                   mx_state_res_event_fn *get_event, void *baton, apr_pool_t *pool);

/**
 * The same for a caller that knows the auth difference of the sets already (the room's auth DAG in memory): its ids are
 * taken as given, and only disputed events, their auth chains (version 12) and what the rules ask for are loaded.
 */
const mx_error_t *mx_state_resolve_with(mx_state_set_t *out, const mx_room_version_t *version, const mx_state_set_t *sets, int nsets,
                                        const char **auth_difference, int ndifference, mx_state_res_event_fn *get_event,
                                        void *baton, apr_pool_t *pool);

#endif
