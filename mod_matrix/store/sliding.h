/* SPDX-License-Identifier: Apache-2.0 */
/* What sliding sync stores of its connections, and the set-based reads that nothing else needs. */
#ifndef MX_STORE_SLIDING_H
#define MX_STORE_SLIDING_H

#include "store/event.h"

#define MX_SLIDING_ANSWERS_MAX 4     /* to one position: so many of the last are remembered until the client comes back with one */

/** A version of a connection's state. */
typedef struct mx_sliding_row_t {
    apr_int64_t device_nid;
    const char *conn_id;
    apr_int64_t base, version;       /* base 0: the connection begins */
    apr_int64_t began_ms;            /* when its making began */
    mx_slice_t state;
} mx_sliding_row_t;

/** Stores `version` and drops all others of the connection but `base` and other answers to it (to base 0: that were stored since this one
    began, for the client may have got either); of the device's connections `max` stay. One statement,
    which does not wait for the disk. MX_STORE_NONE: there is no base, or no device, any more. MX_STORE_RETRY. */
apr_status_t mx_store_sliding_put(mx_store_t *store, const mx_sliding_row_t *row, int max, apr_int64_t now_ms, apr_pool_t *pool);
/** The state of that version, in `pool`. MX_STORE_NONE. */
apr_status_t mx_store_sliding_get(mx_slice_t *pstate, mx_store_t *store, apr_int64_t device_nid, const char *conn_id, apr_int64_t version,
                                  apr_pool_t *pool);

/** A current state event of a room. */
typedef struct mx_sliding_entry_row_t {
    apr_int64_t room_nid, skey_nid;
    const char *state_key;
    mx_slice_t pdu;
} mx_sliding_entry_row_t;
/** What the rooms have now under these keys. */
apr_status_t mx_store_sliding_entries(mx_sliding_entry_row_t **pout, int *pn, mx_store_t *store, const apr_int64_t *rooms, int nrooms,
                                      const apr_int64_t *skeys, int nskeys, apr_pool_t *pool);
/** All that the rooms have now of a type. */
apr_status_t mx_store_sliding_of_type(mx_sliding_entry_row_t **pout, int *pn, mx_store_t *store, const apr_int64_t *rooms, int nrooms,
                                      int type_nid, apr_pool_t *pool);

/** The user's m.direct (room_nid 0) and, if asked for, the m.tag of every room. */
typedef struct mx_sliding_data_row_t {
    apr_int64_t room_nid;
    mx_slice_t content;
} mx_sliding_data_row_t;
apr_status_t mx_store_sliding_data(mx_sliding_data_row_t **pout, int *pn, mx_store_t *store, apr_int64_t user_nid, int tags,
                                   apr_pool_t *pool);

/** Position up to `upto` of the newest event of one of the types, out[i] for rooms[i]; of a room whose newest `scan` events have none, that
    of the oldest of these. */
apr_status_t mx_store_sliding_bumps(apr_int64_t *out, mx_store_t *store, const apr_int64_t *rooms, int n, apr_int64_t upto,
                                    const int *types, int ntypes, int scan, apr_pool_t *pool);
/** Position of the user's newest receipt, of whichever type and thread, out[i] for rooms[i]; 0: none. */
apr_status_t mx_store_sliding_reads(apr_int64_t *out, mx_store_t *store, const apr_int64_t *rooms, int n, apr_int64_t user_nid,
                                    apr_pool_t *pool);

#endif
