/* SPDX-License-Identifier: Apache-2.0 */
/* Which events relate to which: pages of children, threads of a room, and what is bundled with an event. */
#ifndef MX_STORE_RELATION_H
#define MX_STORE_RELATION_H

#include "store/event.h"

#define MX_STORE_RELATION_DEPTH 3    /* how far a recursive page goes: children of children of children */

/** Children of an event: those that are not redacted, of users who are not ignored. */
typedef struct mx_store_relation_ask_t {
    mx_slice_t parent;               /* packed id */
    const char *rel_type, *type;     /* of the children; NULL: all */
    int recurse;                     /* children of children too, as long as they are of those types */
    const apr_int64_t *ignored; int nignored;
} mx_store_relation_ask_t;
/** Up to `limit` of them with after_ord < ord <= upto_ord, oldest first (forward) or newest first. One query. */
apr_status_t mx_store_relation_page(mx_event_row_t **pout, int *pn, mx_store_t *store, const mx_store_relation_ask_t *ask,
                                    apr_int64_t room_nid, apr_int64_t after_ord, apr_int64_t upto_ord, mx_dir_e dir, int limit,
                                    apr_pool_t *pool);

/** Which threads of a room. */
typedef struct mx_store_thread_ask_t {
    apr_int64_t room_nid;
    apr_int64_t upto_ord;            /* threads whose newest event is not after this, … */
    apr_int64_t last_ord;            /* … where events after this one do not count */
    apr_int64_t user_nid; int mine;  /* only those where that user began or answered */
    const apr_int64_t *ignored; int nignored;
    int scan, limit;                 /* events in threads looked at, threads returned, at most */
} mx_store_thread_ask_t;
typedef struct mx_store_thread_page_t {
    mx_event_row_t *roots;           /* newest event first */
    apr_int64_t *ords;               /* of the newest event of each */
    int n, scanned;
    apr_int64_t last_ord;            /* of the last event looked at, if any */
} mx_store_thread_page_t;
/** Roots that may be one: no state, no relation of their own. One query. */
apr_status_t mx_store_thread_page(mx_store_thread_page_t *out, mx_store_t *store, const mx_store_thread_ask_t *ask, apr_pool_t *pool);

/** What to bundle, of which events. */
typedef enum { MX_STORE_BUNDLE_EDITS = 1, MX_STORE_BUNDLE_THREAD = 2, MX_STORE_BUNDLE_REFERENCES = 4,
               MX_STORE_BUNDLE_REDACTED = 8 /* the event is: what it related to itself is no more */ } mx_store_bundle_e;
typedef struct mx_store_bundle_ask_t {
    const apr_int64_t *nids, *rooms, *senders;   /* n of each */
    const mx_slice_t *ids;
    const int *types, *what;         /* mx_store_bundle_e */
    int n;
    apr_int64_t user_nid;            /* the reader; 0: nobody */
    const apr_int64_t *ignored; int nignored;
} mx_store_bundle_ask_t;

#define MX_STORE_BUNDLE_EDITS_MAX 20         /* of an event: candidates for the newest that may be seen */
#define MX_STORE_BUNDLE_THREAD_MAX 5000      /* events counted of a thread: the count of a longer one says this */
#define MX_STORE_BUNDLE_REFERENCES_MAX 200   /* of an event, the oldest */

/** One row of relation_bundles() in sql/0015_relations.sql. */
typedef struct mx_store_bundle_row_t {
    int at;                          /* which event asked for, from 0 */
    mx_store_bundle_e kind;
    apr_int64_t nid, ord, snap_nid;  /* of the edit, the newest in the thread on that snapshot, the event that refers */
    apr_int64_t count;               /* events in the thread on that snapshot */
    int mine;                        /* the reader is in the thread */
    apr_int64_t ts;                  /* of the edit */
    mx_slice_t id;                   /* of the edit or the reference, packed */
} mx_store_bundle_row_t;
/** All of them in one query; of one event, kind and snapshot together, in the order that the SQL says. */
apr_status_t mx_store_relation_bundles(mx_store_bundle_row_t **pout, int *pn, mx_store_t *store, const mx_store_bundle_ask_t *ask,
                                       apr_pool_t *pool);

/** Why an event that is about to be sent should not relate to its parent. */
typedef enum { MX_STORE_RELATION_GOOD, MX_STORE_RELATION_NESTED /* a thread's root relates to something itself */,
               MX_STORE_RELATION_TWICE /* the user annotated it so already */ } mx_store_relation_fault_e;
typedef struct mx_store_relation_draft_t {
    apr_int64_t room_nid;
    const char *type, *rel_type, *key;
    mx_slice_t parent;               /* packed */
    apr_int64_t user_nid, device_nid;
    const char *txn_id, *txn_scope;  /* as stored; a known one makes no new event */
} mx_store_relation_draft_t;
apr_status_t mx_store_relation_fault(mx_store_relation_fault_e *pfault, mx_store_t *store, const mx_store_relation_draft_t *draft,
                                     apr_pool_t *pool);

#endif
