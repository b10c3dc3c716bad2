/* SPDX-License-Identifier: Apache-2.0 */
/* Events as rows. Everything that reads events reads these columns, in this order. */
#ifndef MX_STORE_EVENT_H
#define MX_STORE_EVENT_H

#include "store/store.h"

typedef enum {
    MX_EVENT_FLAG_REJECTED = 1,      /* kept, never used as auth, never shown */
    MX_EVENT_FLAG_SOFT_FAILED = 2,   /* kept, not shown, not a forward extremity */
    MX_EVENT_FLAG_OUTLIER = 4,       /* known outside the DAG: no state, no place in the timeline */
    MX_EVENT_FLAG_REDACTED = 8,      /* pdu is the redacted form */
    MX_EVENT_FLAG_LOCAL = 16,        /* sent by a user of ours */
    MX_EVENT_FLAG_STATE = 32,
    MX_EVENT_FLAG_AFTER_GAP = 64,    /* not shown, and what was before it is missing: the next event that is shown begins after a gap */
    MX_EVENT_FLAG_SILENT = 128,      /* has its place in the timeline and in the DAG as others have, and no client is shown it */
    MX_EVENT_FLAG_STICKY = 256       /* begins as a sticky event, whatever became of it (store/sticky.h) */
} mx_event_flag_e;

/** Events with any of these stand outside of the timeline, and are no heads. */
#define MX_EVENT_APART (MX_EVENT_FLAG_REJECTED | MX_EVENT_FLAG_SOFT_FAILED | MX_EVENT_FLAG_OUTLIER)
/** Events with any of these no client is shown; the same in SQL, of the row `e`. */
#define MX_EVENT_HIDDEN (MX_EVENT_APART | MX_EVENT_FLAG_SILENT)
#define MX_EVENT_SHOWN(e) e ".flags & 135 = 0"
_Static_assert(MX_EVENT_HIDDEN == 135, "MX_EVENT_SHOWN() says something else");

/** One event. Slices point into the result it was read from. */
typedef struct mx_event_row_t {
    apr_int64_t nid, room_nid, ord, ts, snap_nid, sender_nid, depth;
    int type_nid, flags;
    apr_int64_t redacted_by;         /* 0: not redacted */
    mx_slice_t id;                   /* packed, see store/event_id.h */
    mx_slice_t pdu;
    apr_int64_t skey_nid, replaces, snap_after;   /* of state events, else 0 */
} mx_event_row_t;

/** The select list and join that mx_store_event_read() expects: `select MX_EVENT_COLUMNS from MX_EVENT_FROM where …` */
#define MX_EVENT_COLUMNS                                                                                                \
    "e.nid, e.room_nid, e.ord, e.ts, e.snap_nid, e.sender_nid, e.depth, e.type_nid, e.flags, e.redacted_by, e.event_id, e.pdu," \
    " s.skey_nid, s.replaces, s.snap_after"
#define MX_EVENT_FROM "event e left join state_event s on s.nid = e.nid"
#define MX_EVENT_NCOLUMNS 15

/** Reads row `i` (columns from `first_col` on). */
void mx_store_event_read(mx_event_row_t *out, const mx_rows_t *rows, int i, int first_col);
/** All rows of a result. */
int mx_store_event_read_all(mx_event_row_t **pout, const mx_rows_t *rows, apr_pool_t *pool);

/** By id; MX_STORE_NONE. */
apr_status_t mx_store_event_by_id(mx_event_row_t **pout, mx_store_t *store, const char *event_id, apr_pool_t *pool);
/** By ids, in one query, in no order; unknown ones are left out. */
apr_status_t mx_store_event_by_ids(mx_event_row_t **pout, int *pn, mx_store_t *store, const char *const *event_ids, int n,
                                   apr_pool_t *pool);
/** By nids, in one query, in the order of the nids given; unknown ones are left out. */
apr_status_t mx_store_event_by_nids(mx_event_row_t **pout, int *pn, mx_store_t *store, const apr_int64_t *nids, int n, apr_pool_t *pool);

typedef enum { MX_DIR_FORWARD, MX_DIR_BACKWARD } mx_dir_e;
/** Up to `limit` events of the room with from < ord <= to (forward, ascending) or to >= … > from (backward, descending), rejected,
    soft-failed and outliers left out. */
apr_status_t mx_store_event_range(mx_event_row_t **pout, int *pn, mx_store_t *store, apr_int64_t room_nid, apr_int64_t after_ord,
                                  apr_int64_t upto_ord, mx_dir_e dir, int limit, apr_pool_t *pool);

#endif
