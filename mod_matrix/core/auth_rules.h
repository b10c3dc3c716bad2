/* SPDX-License-Identifier: Apache-2.0 */
/* Authorization rules of all room versions. Rooms vN: authorization rules. Pure: the state is asked for by a callback. */
#ifndef MX_CORE_AUTH_RULES_H
#define MX_CORE_AUTH_RULES_H

#include "core/event.h"
#include "core/power.h"

/** State to check against. */
typedef struct mx_auth_state_t {
    /** NULL if there is none. The rules ask by names of mx_event_types, so that mx_event_is() need not compare texts. */
    const mx_event_t *(*get)(void *baton, const char *type, const char *state_key);
    void *baton;
    const mx_power_t *power;     /* made ready by a caller that checks many events; NULL: made from get() */
} mx_auth_state_t;

/** One (type, state_key). */
typedef struct mx_state_key_t {
    const char *type, *state_key;
} mx_state_key_t;
#define MX_AUTH_KEYS_MAX 8

/** Which state an event of this kind is authorised by. SS-API: auth events selection. Returns the number of keys written. */
int mx_auth_keys(mx_state_key_t keys[MX_AUTH_KEYS_MAX], const mx_room_version_t *version, const char *type,
                 const char *sender, const char *state_key, const mx_json_t *content, apr_pool_t *pool);

/**
 * NULL if the rules allow the event; else M_FORBIDDEN with a sentence saying which rule refused it.
 * The rules on an event's own auth_events list (duplicates, rejected ones) are mx_auth_check_list()'s; signatures, that
 * of join_authorised_via_users_server's server among them, are the caller's, who has the keys.
 */
const mx_error_t *mx_auth_check(const mx_event_t *event, const mx_auth_state_t *state, apr_pool_t *pool);
/**
 * Rule 2 (versions 1-11) / 3: the listed auth events are the right ones: no doubles, no strangers, same room, not rejected.
 * The caller puts NULL where an event of the list is rejected or unknown.
 */
const mx_error_t *mx_auth_check_list(const mx_event_t *event, const mx_event_t **auth_events, int n, apr_pool_t *pool);

#endif
