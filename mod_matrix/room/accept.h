/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one way in for events: everything between "somebody wants this event" and the row in the database.
 *
 *   prepare   what can be judged without the room: shape, sizes, canonical content; nids of sender and type
 *   open      a batch on top of one version of a room, or of a room that begins
 *   add       one event: auth events chosen, built, authorised against the state before it, signed; what it changes in the
 *             state, who becomes a member of what, what it redacts
 *   store     the batch in one transaction; on success the room's next view is published
 *
 * A batch is one thread's and lives in its pool. It reads the database only where caches do not know; it holds no
 * connection between calls. Batches of one room are built one at a time (room/send.c); another child's come between
 * all the same, and then store says that the room has moved on.
 */
#ifndef MX_ROOM_ACCEPT_H
#define MX_ROOM_ACCEPT_H

#include "room/room_private.h"
#include "store/persist.h"

#define MX_ROOM_BATCH_MAX 50         /* plain events of one batch */

/** One event on its way in. */
typedef struct mx_room_accept_item_t {
    const mx_room_draft_t *draft;
    apr_pool_t *pool;                /* of whoever sends: the event, its id and the error live in it */
    mx_slice_t content;              /* canonical */
    const char *redacts;             /* of a redaction, from wherever the draft has it */
    apr_int64_t sender_nid;
    int type_nid;
    /* the outcome */
    int done;                        /* event_id or err is set */
    const char *event_id;
    const mx_error_t *err;
} mx_room_accept_item_t;

typedef struct mx_room_accept_t mx_room_accept_t;

/** 1 if the draft neither changes state nor redacts: then it combines with others. */
int mx_room_accept_is_plain(const mx_room_draft_t *draft);

/** M_BAD_JSON, M_INVALID_PARAM, M_TOO_LARGE. */
const mx_error_t *mx_room_accept_prepare(mx_room_accept_item_t *item, mx_server_t *server, const mx_room_draft_t *draft,
                                    apr_pool_t *pool);

mx_room_accept_t *mx_room_accept_open(mx_server_t *server, mx_room_t *room, int max, apr_pool_t *pool);
/** The batch is stored in the turn of its writer (room/send_turn.h); NULL: in a transaction of its own. */
void mx_room_accept_in_turn(mx_room_accept_t *batch, mx_conn_t *turn);
/** For a room that begins: the first item must be its create event. */
mx_room_accept_t *mx_room_accept_open_new(mx_server_t *server, const mx_room_version_t *version, int max,
                                          apr_pool_t *pool);
/**
 * M_FORBIDDEN and others: the batch is as it was before. A state item that equals the current state is done at once, with
 * that event's id, and adds nothing.
 */
const mx_error_t *mx_room_accept_add(mx_room_accept_t *batch, mx_room_accept_item_t *item);
/** Events added so far. */
int mx_room_accept_count(const mx_room_accept_t *batch);
/** Known once the create event is in. */
const char *mx_room_accept_room_id(const mx_room_accept_t *batch);

typedef enum {
    MX_ACCEPT_STORED,                /* the items are done */
    MX_ACCEPT_MOVED,                 /* the room has moved on: build on `room` again */
    MX_ACCEPT_KNOWN,                 /* some items are done: their transaction ids were known; build the others again */
    MX_ACCEPT_RETRY                  /* nothing happened; the same again may succeed */
} mx_room_accept_outcome_e;

/** *proom gets the newest view (not for RETRY). `begin` NULL: the room exists; else its id, version and creator are filled in here. */
const mx_error_t *mx_room_accept_store(mx_room_accept_outcome_e *poutcome, mx_room_t **proom, mx_room_accept_t *batch,
                                  mx_persist_begin_t *begin);

/** An item that was refused may be the resend of one that was not: done if its transaction id is known. */
const mx_error_t *mx_room_accept_known(mx_room_accept_item_t *item, mx_server_t *server, const mx_room_t *room);

#endif
