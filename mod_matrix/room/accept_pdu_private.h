/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by accept_pdu.c (the checks) and accept_fork.c (states, heads and what they make of the room). */
#ifndef MX_ROOM_ACCEPT_PDU_PRIVATE_H
#define MX_ROOM_ACCEPT_PDU_PRIVATE_H

#include "room/accept_pdu.h"
#include "room/room_private.h"
#include "store/persist.h"

/**
 * What an event stands on, and so what its sender's server made of it: the same on top of any version of the room. Snapshots that are
 * stored for it by themselves, which locks the room's row, so a writer has no turn meanwhile (room/send_turn.h). Zeroed at first.
 */
typedef struct mx_room_standing_t {
    int known;                       /* `before` is */
    apr_int64_t before;
    apr_int64_t after;               /* of a state event that was an outlier; 0: not yet known */
} mx_room_standing_t;

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
    mx_room_standing_t *standing;
    mx_conn_t *turn;                 /* it is the writer's turn; NULL: it is not */
    apr_pool_t *pool;                /* of this attempt */
} mx_room_receiving_t;

/* ---- one PDU (room/accept_pdu.c) ---- */

/**
 * The checks that need no other event: format, room, signatures (not with `key` NULL: they have been checked), hash. *pevent is set as
 * soon as it could be read.
 */
const mx_error_t *mx_room_accept_pdu_alone(mx_event_t **pevent, const mx_room_version_t *version, const char *room_id, mx_slice_t text,
                                           mx_room_key_fn *key, void *baton, apr_pool_t *pool);
/**
 * One attempt on the room as it is known; whatever its prev events. *pagain: nothing is stored, for `room` is not the newest. In a turn
 * (else NULL) `standing` is known.
 */
const mx_error_t *mx_room_accept_one(int *pagain, mx_room_pdu_t *out, mx_server_t *server, mx_room_t *room, const mx_event_t *event,
                                     mx_room_standing_t *standing, mx_conn_t *turn, apr_pool_t *pool);
/** As many attempts as it takes; *proom is the newest view then. 503 as of room/send_turn.h. In the room's queue of writers. */
const mx_error_t *mx_room_accept_one_rounds(mx_room_pdu_t *out, mx_room_t **proom, mx_server_t *server, const mx_event_t *event,
                                            apr_pool_t *pool);

/* ---- states (room/accept_state.c) ---- */

/** A state that is `base` with changes; nid MX_ROOM_RESOLVE_EXTRA is the event that is being stored. */
typedef struct mx_room_made_t {
    apr_int64_t base;
    const mx_state_item_t *changes; int n;
    int size;
    mx_state_hash_t hash;
} mx_room_made_t;

/** Fills size and hash from those of the base. */
const mx_error_t *mx_room_accept_measure(mx_room_made_t *made, mx_room_receiving_t *r);
/** What the state has for the keys of the changes: out[i], 0 for none. */
const mx_error_t *mx_room_accept_entries(apr_int64_t **pout, mx_room_receiving_t *r, apr_int64_t snap_nid,
                                         const mx_state_item_t *changes, int n);
const mx_error_t *mx_room_accept_rows(mx_event_row_t **prows, int *pn, mx_room_receiving_t *r, const apr_int64_t *nids, int n);
/** The event of that number, parsed. */
const mx_error_t *mx_room_accept_fill(mx_room_current_t *out, mx_room_receiving_t *r, apr_int64_t nid);
/** Snapshot after a stored event; a rejected one changes nothing. */
apr_int64_t mx_room_accept_after_of(const mx_event_row_t *row);
void mx_room_accept_add_distinct(apr_int64_t *nids, int *pn, apr_int64_t nid);
/** An entry of any state of the room. */
const mx_error_t *mx_room_accept_find(mx_room_current_t *out, mx_room_receiving_t *r, apr_int64_t snap_nid, const char *type,
                                    const char *state_key);
/** Stores a state of stored events by itself: `base` with changes. */
const mx_error_t *mx_room_accept_store_state(apr_int64_t *psnap_nid, mx_room_receiving_t *r, apr_int64_t base,
                                             const mx_state_item_t *changes, int n);
/** Fills r->before: what the states after the previous events resolve to, stored if no event stood on it yet. */
const mx_error_t *mx_room_accept_before(mx_room_receiving_t *r);

/* ---- the room afterwards (room/accept_fork.c) ---- */

/** Fills the batch: the event as row 1 with `flags`, its snapshots and, if it is accepted, heads and current state of the room. */
const mx_error_t *mx_room_fork_batch(mx_persist_batch_t *batch, mx_room_receiving_t *r, int flags);

/** The event redacts another (room/accept_redaction.c): now, or when that comes. */
const mx_error_t *mx_room_accept_redacts(mx_persist_batch_t *batch, mx_room_receiving_t *r);
/** The event of the batch may be what a redaction has waited for: then it is stored in its redacted form. */
const mx_error_t *mx_room_accept_redacted(mx_persist_batch_t *batch, mx_room_receiving_t *r);

#endif
