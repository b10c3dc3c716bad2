/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way in for events of other servers. SS-API: checks performed on receipt of a PDU. In their order:
 *
 *   format, size, room            refused: nothing is stored
 *   signatures                    refused
 *   hash                          a mismatch: goes on in its redacted form
 *   the events it stands on       waits: some are not known; nothing is stored, whoever fetches them comes again
 *   auth by its auth events       rejected: stored with that flag, never used as auth, changes nothing
 *   auth by the state before it   rejected
 *   auth by the room's state now  soft-failed: stored, not shown, no forward extremity
 *
 * What is accepted becomes a forward extremity; where there are several, the room's state is what their states resolve to.
 */
#ifndef MX_ROOM_ACCEPT_PDU_H
#define MX_ROOM_ACCEPT_PDU_H

#include "room/room.h"

/** A server's public key: 1 if it is known and, with `check_validity` (room versions 5 and on), was valid at `at_ms`. */
typedef int mx_room_key_fn(unsigned char key[MX_ED25519_PUBLIC_BYTES], void *baton, const char *server, const char *key_id,
                           apr_int64_t at_ms, int check_validity);

typedef enum {
    MX_PDU_STORED,
    MX_PDU_KNOWN,                    /* it was there already, whatever became of it then */
    MX_PDU_SOFT_FAILED,
    MX_PDU_REJECTED,
    MX_PDU_WAITS,                    /* `missing` says for what */
    MX_PDU_REFUSED
} mx_room_pdu_outcome_e;

/** What became of a PDU. */
typedef struct mx_room_pdu_t {
    mx_room_pdu_outcome_e outcome;
    const char *event_id;            /* NULL if it could not be read */
    const mx_error_t *why;           /* of REFUSED, REJECTED, SOFT_FAILED; else NULL */
    const char **missing; int nmissing;   /* prev_events and auth_events that are not known */
} mx_room_pdu_t;

/**
 * Takes in n PDUs of a room that we know, in any order: where one stands on another, that comes first. out[i] is what became of texts[i]
 * (of two with one id the second is KNOWN); a bad one harms no other. What hangs together without a state resolution is stored
 * MX_ROOM_BATCH_MAX at a time, each batch one transaction. Everything lives in `pool`. Returns after COMMIT; waiters have been told.
 * An error is a failure of ours
 * (or M_NOT_FOUND: no such room), and leaves open which are stored: the same call again says. Any thread; hold no connection.
 */
const mx_error_t *mx_room_accept_pdus(mx_room_pdu_t *out, mx_server_t *server, const char *room_id, const mx_slice_t *texts, int n,
                                      mx_room_key_fn *key, void *baton, apr_pool_t *pool);

/**
 * Takes in one PDU of a room that we know; everything lives in `pool`. Returns after COMMIT; waiters have been told. An error is a
 * failure of ours (or M_NOT_FOUND: no such room), the PDU's own faults are in *out. Any thread; hold no connection.
 */
const mx_error_t *mx_room_accept_pdu(mx_room_pdu_t *out, mx_server_t *server, const char *room_id, mx_slice_t text, mx_room_key_fn *key,
                                     void *baton, apr_pool_t *pool);

#endif
