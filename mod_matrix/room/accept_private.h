/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by accept.c (check, build, authorise) and accept_store.c (store, publish). */
#ifndef MX_ROOM_ACCEPT_PRIVATE_H
#define MX_ROOM_ACCEPT_PRIVATE_H

#include "room/accept.h"

/** Rooms 6 and on: integers up to 2^53-1; a DAG may not grow past them. */
#define MX_ROOM_DEPTH_MAX APR_INT64_C(9007199254740991)

/** State as the batch has changed it. */
typedef struct mx_room_accept_change_t {
    const mx_event_t *event;
    apr_int64_t skey_nid;
    mx_ref_t ref;
} mx_room_accept_change_t;

struct mx_room_accept_t {
    mx_server_t *server;
    mx_room_t *room;                 /* NULL: it begins */
    const mx_room_version_t *version;
    const char *room_id;
    apr_pool_t *pool;
    int max;
    mx_room_accept_item_t **items;        /* of the events, in their order */
    const mx_event_t **events;
    mx_persist_batch_t rows;
    /* the end of the DAG so far */
    const char **prev; int nprev;
    apr_int64_t depth;
    /* the state so far */
    mx_room_accept_change_t *changes; int nchanges;
    mx_ref_t snap;
    int snap_size;
    mx_state_hash_t snap_hash;
    const mx_power_t *power;
    const mx_error_t *err;           /* of a state lookup: callbacks cannot return one */
};

/** An event being added. */
typedef struct mx_room_accept_adding_t {
    mx_room_accept_t *b;
    mx_room_accept_item_t *item;
    mx_event_t *event;
    mx_persist_event_t row;
    mx_room_current_t replaced;      /* of a state event */
    const mx_event_t *auth[MX_AUTH_KEYS_MAX];
} mx_room_accept_adding_t;

/** The state before the next event. */
const mx_error_t *mx_room_accept_state_find(mx_room_current_t *out, mx_room_accept_t *b, const char *type, const char *state_key);
/** What a state event does: `replaced` and the row are filled, but for what this fills. All that can fail comes first. */
const mx_error_t *mx_room_accept_put_state(mx_room_accept_adding_t *a);
/** The event becomes the last of the batch. */
void mx_room_accept_append(mx_room_accept_adding_t *a);

/** What the flags of its row say of the event itself: MX_EVENT_FLAG_STATE, _LOCAL, _SILENT, _STICKY. */
int mx_room_accept_flags(const mx_event_t *event, const mx_server_t *server);
/** Until when (ms) an event that came now, with these flags, is sticky; 0: not any more, or never. MSC4354. */
apr_int64_t mx_room_accept_sticky_until(const mx_event_t *event, int flags);

/** The scope of a transaction id as the database has it: a device may use one id in two rooms. */
const char *mx_room_accept_txn_scope(apr_int64_t room_nid, const char *scope, apr_pool_t *pool);

/**
 * Fills the reference hashes of the draft's previous events and of `auth`, its auth events in their order, where the version
 * wants them; else does nothing. A head that is not of the batch costs a query.
 */
const mx_error_t *mx_room_accept_hashes(mx_event_draft_t *draft, const mx_room_accept_t *batch,
                                        const mx_event_t *const *auth, apr_pool_t *pool);

#endif
