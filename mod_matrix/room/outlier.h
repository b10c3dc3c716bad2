/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Outliers: events known outside the DAG. SS-API: checks performed on receipt of a PDU, 1 to 4. They are checked by themselves and by
 * their auth events, and kept (also rejected ones, with that flag) without a state, in no timeline, as no head. When such an event
 * comes as one of the room, mx_room_accept_pdu() gives it its place.
 */
#ifndef MX_ROOM_OUTLIER_H
#define MX_ROOM_OUTLIER_H

#include "room/accept_pdu.h"

#define MX_ROOM_OUTLIERS_MAX 1000000 /* of one call */

/** The room, which need not have a state yet. */
typedef struct mx_room_outlier_room_t {
    apr_int64_t nid;
    const char *room_id;
    const mx_room_version_t *version;
    mx_room_key_fn *key;
    void *baton;                     /* of key */
} mx_room_outlier_room_t;

typedef struct mx_room_outliers_t {
    int stored;
    int known;                       /* were there already, in whatever form */
    int rejected;                    /* of those stored: their auth events do not allow them */
    int dropped;                     /* not stored: malformed, of another room, badly signed, or an auth event is not to be had */
    const mx_error_t *why;           /* of one that was dropped; NULL: none was */
    mx_slice_t *ids;                 /* of the texts, packed; of length 0 for what is no event */
} mx_room_outliers_t;

/**
 * Stores what can be stored of n PDUs, in any order: auth events before what they authorise. Beside the texts it takes some 250 B of
 * memory an event, and works through them in chunks, each a transaction: after an error some may be stored, which does no harm. The texts'
 * own faults are in *out. Any thread; hold no connection.
 */
const mx_error_t *mx_room_outlier_store(mx_room_outliers_t *out, mx_server_t *server, const mx_room_outlier_room_t *room,
                                        const mx_slice_t *texts, int n, apr_pool_t *pool);

/** What this child remembers of the room's auth events may hold one that was found to be rejected: it is forgotten. */
void mx_room_outlier_rejected(mx_server_t *server, apr_int64_t room_nid);

#endif
