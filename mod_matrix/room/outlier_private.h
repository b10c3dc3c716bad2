/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by outlier.c (check, store) and outlier_order.c (which comes first). */
#ifndef MX_ROOM_OUTLIER_PRIVATE_H
#define MX_ROOM_OUTLIER_PRIVATE_H

#include "room/outlier.h"
#include "store/outlier.h"

#include <apr_hash.h>

typedef enum {
    MX_OUTLIER_NEW,                  /* not looked at yet */
    MX_OUTLIER_DROPPED,
    MX_OUTLIER_REJECTED,
    MX_OUTLIER_GOOD
} mx_room_outlier_fate_e;

/** What is kept of a PDU while the others are looked at. */
typedef struct mx_room_outlier_node_t {
    mx_slice_t text;                 /* the caller's */
    mx_slice_t id;                   /* packed */
    mx_slice_t *auth; int nauth;     /* packed */
    mx_room_outlier_fate_e fate;
    int known;                       /* the database has it: its text counts, not ours */
    int at;                          /* of the walk: 0 not met, else auth events looked at + 1 */
} mx_room_outlier_node_t;

typedef struct mx_room_outlier_order_t {
    mx_room_outlier_node_t *nodes; int n;
    mx_room_outlier_node_t **order;  /* of all nodes: auth events first, where they do not go in circles */
    mx_slice_t *ids;                 /* of each text; of length 0 for what is no event */
    apr_hash_t *by_id;               /* packed id: node */
    int dropped;                     /* texts that are no event */
    const mx_error_t *why;
} mx_room_outlier_order_t;

/**
 * Reads the texts as far as their order takes, in a scratch pool; the result lives in `pool`. `first` (packed id, may be none): comes
 * before all, though they do not list it: the create event where the room's id names it.
 */
void mx_room_outlier_sort(mx_room_outlier_order_t *out, const mx_room_version_t *version, mx_slice_t first, const mx_slice_t *texts, int n,
                          apr_pool_t *pool);

/** Which of the (packed) ids are events of the room: rows[i], nid 0 for none. Few queries. */
const mx_error_t *mx_room_outlier_known(mx_store_outlier_row_t **prows, mx_server_t *server, apr_int64_t room_nid, const mx_slice_t *ids,
                                        int n, apr_pool_t *pool);

#endif
