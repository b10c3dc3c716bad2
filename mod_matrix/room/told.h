/* SPDX-License-Identifier: Apache-2.0 */
/* A state of a room as another server tells it: a list of events that we have as outliers, or know anyway. */
#ifndef MX_ROOM_TOLD_H
#define MX_ROOM_TOLD_H

#include "room/outlier.h"

#define MX_TOLD_LOST_PERCENT 10      /* of a state: events that are not to be had or not to be believed; more, and there is no state */

typedef struct mx_room_told_entry_t {
    apr_int64_t skey_nid, nid;
    mx_slice_t id;                   /* packed */
} mx_room_told_entry_t;

typedef struct mx_room_told_t {
    mx_server_t *server;
    const mx_room_outlier_room_t *room;
    mx_room_told_entry_t *entries; int n;    /* by skey_nid */
    apr_int64_t create_nid;
    const mx_error_t *err;           /* of mx_room_told_get(): callbacks cannot return one */
    apr_pool_t *pool;
} mx_room_told_t;

/**
 * Looks the (packed) ids up. *pwhy: why it is no state (no create event, two events of one key, what is no state event, too many lost).
 * Rejected events are left out. Everything lives in `pool`.
 */
const mx_error_t *mx_room_told_read(mx_room_told_t *out, const mx_error_t **pwhy, mx_server_t *server, const mx_room_outlier_room_t *room,
                                    const mx_slice_t *ids, int n, apr_pool_t *pool);

/** Its entry, for mx_auth_check(); the baton is the mx_room_told_t. */
const mx_event_t *mx_room_told_get(void *told, const char *type, const char *state_key);
/** Its event of that key, nid 0 if it has none. */
const mx_room_told_entry_t *mx_room_told_find(const mx_room_told_t *told, apr_int64_t skey_nid);

/**
 * Makes it a snapshot, as what changes `pred` (0: by itself): *pbefore. With `own` (skey_nid, nid and packed id of an event, else NULL)
 * *pafter is it with that event in its place, else the same.
 */
const mx_error_t *mx_room_told_store(apr_int64_t *pbefore, apr_int64_t *pafter, mx_room_told_t *told, apr_int64_t pred,
                                     const mx_room_told_entry_t *own);

#endif
