/* SPDX-License-Identifier: Apache-2.0 */
/* Events stored without a place in the DAG, in bulk, and rooms of which nothing else is known (sql/0012_outliers.sql). */
#ifndef MX_STORE_OUTLIER_H
#define MX_STORE_OUTLIER_H

#include "store/event.h"

#define MX_STORE_OUTLIERS_A_CALL 256 /* events that one call stores */

/** An event to store; names are interned by the call. Auth events are in the database or stand before it in the list. */
typedef struct mx_store_outlier_t {
    mx_slice_t id, pdu;              /* id packed */
    apr_int64_t ts, depth;
    const char *sender, *type;
    const char *state_key;           /* NULL: no state event */
    int flags;                       /* mx_event_flag_e, OUTLIER among them */
    const mx_slice_t *auth; int nauth;       /* packed ids */
} mx_store_outlier_t;

/** Stores up to MX_STORE_OUTLIERS_A_CALL of them in one transaction, those that are there left alone. *padded: how many were new. */
apr_status_t mx_store_outlier_add(int *padded, mx_store_t *store, apr_int64_t room_nid, const char *our_server,
                                  const mx_store_outlier_t *events, int n, apr_pool_t *pool);

/** What is known of an event without its body. */
typedef struct mx_store_outlier_row_t {
    apr_int64_t nid, room_nid, skey_nid;     /* skey 0: no state event */
    int flags;
    mx_slice_t id;                   /* packed */
} mx_store_outlier_row_t;
/** By packed ids, in one query, in no order; unknown ones are left out. */
apr_status_t mx_store_outlier_find(mx_store_outlier_row_t **pout, int *pn, mx_store_t *store, const mx_slice_t *ids, int n,
                                   apr_pool_t *pool);

/** A member event and whom it is about. */
typedef struct mx_store_outlier_member_t {
    apr_int64_t nid, user_nid;
    mx_slice_t pdu;
} mx_store_outlier_member_t;
/** Those of the events that are memberships, in one query. */
apr_status_t mx_store_outlier_members(mx_store_outlier_member_t **pout, int *pn, mx_store_t *store, const apr_int64_t *nids, int n,
                                      apr_pool_t *pool);

/** A state that another server says was there before an event. Snapshots, `after` 0 for what is no state event (or rejected). */
typedef struct mx_store_ground_t {
    apr_int64_t room_nid, nid;
    int flags;                       /* to add; OUTLIER goes */
    apr_int64_t before, after, replaces;
} mx_store_ground_t;
/** Gives an outlier that state. MX_STORE_NONE: it is no outlier (any more). MX_STORE_RETRY. */
apr_status_t mx_store_outlier_ground(mx_store_t *store, const mx_store_ground_t *ground, apr_pool_t *pool);

/** nid of the room, which is made, empty, if it is not there. */
apr_status_t mx_store_outlier_room(apr_int64_t *pnid, mx_store_t *store, const char *room_id, int version, apr_pool_t *pool);

/** Depth of the first event that the room's timeline shows: what is less deep was before we came. 0 without one. */
apr_status_t mx_store_outlier_min_depth(apr_int64_t *pdepth, mx_store_t *store, apr_int64_t room_nid, apr_pool_t *pool);

/** Inside a transaction: what was before these events is missing, though they are shown. */
apr_status_t mx_store_outlier_gap(mx_conn_t *conn, const apr_int64_t *nids, int n, apr_pool_t *pool);

#endif
