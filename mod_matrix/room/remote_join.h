/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A room that we come into through another server: what its answer to send_join holds becomes the room. SS-API: joining rooms.
 * Also for a room that we have left. State and auth chain are checked and stored as outliers, in chunks; then one transaction makes the
 * join event the room's only head, on the state told, with the mirrors of it. Before that nobody sees anything of it.
 */
#ifndef MX_ROOM_REMOTE_JOIN_H
#define MX_ROOM_REMOTE_JOIN_H

#include "room/accept_pdu.h"

#define MX_REMOTE_JOIN_EVENTS_MAX 500000   /* of state and auth chain together */

/** PDUs as they came; they must live until the call returns. */
typedef struct mx_room_remote_t {
    const char *room_id;
    const char *version;             /* what make_join said */
    const mx_slice_t *state; int nstate;
    const mx_slice_t *auth; int nauth;
    mx_slice_t join;                 /* of a user of ours, with all signatures that it needs */
    mx_room_key_fn *key;             /* public keys of servers, ours among them */
    void *baton;
} mx_room_remote_t;

typedef struct mx_room_remote_joined_t {
    const char *event_id;            /* of the join */
    int stored;                      /* events stored for it */
    int dropped;                     /* of those that came: not stored (room/outlier.h) */
    const mx_error_t *why;           /* of one that was dropped, for the log; NULL: none was */
} mx_room_remote_joined_t;

/**
 * Returns after COMMIT; waiters have been told. *out lives in `pool`. M_INCOMPATIBLE_ROOM_VERSION: a version that we do not know, or
 * another than the create event's; M_INVALID_PARAM: no join of a user of ours, or a bad one; M_INVALID_ROOM_STATE: what came is no state of
 * the room; M_FORBIDDEN: that state does not allow the join; M_BAD_STATE: a user of ours is in the room, so it needs no other
 * server. Some outliers may be stored all the same. Any thread; hold no connection.
 */
const mx_error_t *mx_room_remote_join(mx_room_remote_joined_t *out, mx_server_t *server, const mx_room_remote_t *answer, apr_pool_t *pool);

#endif
