/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by accept_pdu.c (the checks) and accept_fork.c (states, heads and what they make of the room). */
#ifndef MX_ROOM_ACCEPT_PDU_PRIVATE_H
#define MX_ROOM_ACCEPT_PDU_PRIVATE_H

#include "room/accept_pdu.h"
#include "room/room_private.h"
#include "store/persist.h"

/** A PDU on top of one version of its room. */
typedef struct mx_room_receiving_t {
    mx_server_t *server;
    mx_room_t *room;
    const mx_event_t *event;
    apr_int64_t outlier;             /* its number, where it is known as an outlier already; else 0 */
    mx_event_row_t *prevs; int nprevs;
    const mx_event_t *auth[MX_EVENT_MAX_AUTH];   /* NULL: rejected */
    apr_int64_t auth_nids[MX_EVENT_MAX_AUTH];
    int nauth;
    apr_int64_t before;              /* snapshot: the state before the event */
    const mx_error_t *err;           /* of a state lookup: callbacks cannot return one */
    apr_pool_t *pool;                /* of this attempt */
} mx_room_receiving_t;

/**
 * The checks that need no other event: format, room, signatures (not with `key` NULL: they have been checked), hash. *pevent is set as
 * soon as it could be read.
 */
const mx_error_t *mx_room_accept_pdu_alone(mx_event_t **pevent, const mx_room_version_t *version, const char *room_id, mx_slice_t text,
                                           mx_room_key_fn *key, void *baton, apr_pool_t *pool);

/** An entry of any state of the room. */
const mx_error_t *mx_room_fork_find(mx_room_current_t *out, mx_room_receiving_t *r, apr_int64_t snap_nid, const char *type,
                                    const char *state_key);
/** Fills r->before: what the states after the previous events resolve to, stored if no event stood on it yet. */
const mx_error_t *mx_room_fork_before(mx_room_receiving_t *r);
/** Fills the batch: the event as row 1 with `flags`, its snapshots and, if it is accepted, heads and current state of the room. */
const mx_error_t *mx_room_fork_batch(mx_persist_batch_t *batch, mx_room_receiving_t *r, int flags);

/** The event redacts another (room/accept_redaction.c): now, or when that comes. */
const mx_error_t *mx_room_accept_redacts(mx_persist_batch_t *batch, mx_room_receiving_t *r);
/** The event of the batch may be what a redaction has waited for: then it is stored in its redacted form. */
const mx_error_t *mx_room_accept_redacted(mx_persist_batch_t *batch, mx_room_receiving_t *r);

#endif
