/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by accept_pdus.c (order, rounds) and accept_batch.c (what one transaction takes). */
#ifndef MX_ROOM_ACCEPT_PDUS_PRIVATE_H
#define MX_ROOM_ACCEPT_PDUS_PRIVATE_H

#include "room/accept_pdu_private.h"
#include "room/accept_private.h"

#include <apr_hash.h>

/** A PDU on its way in. */
typedef struct mx_room_incoming_t {
    mx_event_t *event;               /* NULL: it could not be read */
    mx_room_pdu_t *out;
    struct mx_room_incoming_t *same; /* the one of this call with the same id that came before it; else NULL */
    int settled;                     /* *out says what became of it */
    mx_slice_t id;                   /* packed */
    apr_int64_t sender_nid;
    int type_nid;
    /* of the search for an order */
    enum { MX_INCOMING_NEW, MX_INCOMING_OPEN, MX_INCOMING_PLACED } place;
    int edge;                        /* prev and auth events looked at */
    struct mx_room_incoming_t *below;
    /* of the batch that is being built */
    int taken;
    mx_room_accept_item_t item;
} mx_room_incoming_t;

/**
 * Builds a batch of the first of the PDUs on top of `room`. KNOWN and WAITS are settled at once, others are `taken`. *pstop: the
 * first that needs more than a chain does (a resolution, a redaction …): what is before it is to be stored first; NULL: none. It is
 * stored in the `turn` (room/send_turn.h; NULL: in none).
 */
const mx_error_t *mx_room_accept_batch(mx_room_accept_t **pbatch, mx_room_incoming_t **pstop, mx_server_t *server, mx_room_t *room,
                                       mx_room_incoming_t **line, int n, mx_conn_t *turn, apr_pool_t *pool);

#endif
