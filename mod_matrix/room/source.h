/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where events come from that we do not have: other servers, as the federation code asks them. SS-API: retrieving event authorization
 * information, backfilling and retrieving missing events, retrieving events. Whoever calls these trusts nothing of what comes: each
 * may fail, answer something else than was asked, or not stop (room/receive.h says what bounds it).
 *
 * Answers live in `pool`. An error (a sentence for the log) means that nothing came. No connection of the database is held meanwhile.
 */
#ifndef MX_ROOM_SOURCE_H
#define MX_ROOM_SOURCE_H

#include "room/accept_pdu.h"

/** PDUs as they came, not parsed. */
typedef struct mx_room_pdus_t {
    const mx_slice_t *texts;
    int n;
} mx_room_pdus_t;

/** POST /get_missing_events/{roomId} */
typedef struct mx_room_missing_t {
    const char *room_id;
    const char *const *earliest; int nearliest;   /* what we have: not to be told again */
    const char *const *latest; int nlatest;       /* what we want to get to */
    int limit;
    apr_int64_t min_depth;
} mx_room_missing_t;

/** GET /state_ids/{roomId}: the state before an event, and the auth chain of it. */
typedef struct mx_room_state_ids_t {
    const char *const *state; int nstate;
    const char *const *auth; int nauth;
} mx_room_state_ids_t;

typedef struct mx_room_source_t {
    void *baton;                     /* of all */
    mx_room_key_fn *key;             /* public keys of servers, ours among them */
    const mx_error_t *(*missing_events)(mx_room_pdus_t *out, void *baton, const mx_room_missing_t *ask, apr_time_t deadline,
                                        apr_pool_t *pool);
    /** GET /event/{eventId} for each: those that are to be had, in any order. */
    const mx_error_t *(*events)(mx_room_pdus_t *out, void *baton, const char *room_id, const char *const *event_ids, int n,
                                apr_time_t deadline, apr_pool_t *pool);
    /** GET /event_auth/{roomId}/{eventId}: the full auth chain. */
    const mx_error_t *(*event_auth)(mx_room_pdus_t *out, void *baton, const char *room_id, const char *event_id, apr_time_t deadline,
                                    apr_pool_t *pool);
    const mx_error_t *(*state_ids)(mx_room_state_ids_t *out, void *baton, const char *room_id, const char *event_id, apr_time_t deadline,
                                   apr_pool_t *pool);
} mx_room_source_t;

#endif
