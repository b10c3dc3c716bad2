/* SPDX-License-Identifier: Apache-2.0 */
/* Resolves states of a room that differ (forks). Rooms v1, v2, v12: state resolution. The algorithm is core/state_res.h. */
#ifndef MX_ROOM_RESOLVE_H
#define MX_ROOM_RESOLVE_H

#include "room/room.h"

/** A state to resolve: snapshot `snap` (0: empty) and, if `extra` is set, that event in its place on top: not stored yet. */
typedef struct mx_room_resolve_input_t {
    apr_int64_t snap;
    const mx_event_t *extra;         /* NULL: none. At most one distinct extra event a call */
    apr_int64_t extra_skey_nid;
    const apr_int64_t *extra_auth;   /* nids of its auth events */
    int nextra_auth;
} mx_room_resolve_input_t;

#define MX_ROOM_RESOLVE_EXTRA (-1)   /* stands for the extra event's nid in a result */

/** The resolved state, as what changes `base` (one of the inputs' snapshots) into it. */
typedef struct mx_room_resolved_t {
    apr_int64_t base;
    mx_state_item_t *changes;        /* sorted by skey_nid; nid 0: the entry goes */
    int n;                           /* 0: the result is `base` itself */
    apr_int64_t state_redacted;      /* of the room (store/room.h), before an event was read */
} mx_room_resolved_t;

/**
 * Resolves n states of the room; the result lives in `pool`. Equal states never run the algorithm, nor do those whose
 * resolution is remembered. Events stored as rejected count as unknown. Borrows connections: hold none. Any thread.
 */
const mx_error_t *mx_room_resolve(mx_room_resolved_t *out, mx_server_t *server, apr_int64_t room_nid,
                                  const mx_room_version_t *version, const mx_room_resolve_input_t *inputs, int n,
                                  apr_pool_t *pool);

/**
 * Remembers that these snapshots (sorted, distinct) resolve to snapshot `result`, where mx_room_resolve() gave that `state_redacted`: in
 * the database, for every child, until a further state event of the room is redacted. A hint: a failure is logged by the store and
 * otherwise without effect, and a remembered snapshot that is gone is not used.
 */
void mx_room_resolve_remember(mx_server_t *server, apr_int64_t room_nid, apr_int64_t state_redacted, const apr_int64_t *snaps, int n,
                              apr_int64_t result, apr_pool_t *pool);

#endif
