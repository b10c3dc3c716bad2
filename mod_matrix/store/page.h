/* SPDX-License-Identifier: Apache-2.0 */
/* A page of a room's timeline, filtered by type and sender while it is read. */
#ifndef MX_STORE_PAGE_H
#define MX_STORE_PAGE_H

#include "store/relation.h"

/** What to read: events with after_ord < ord <= upto_ord. */
typedef struct mx_store_page_ask_t {
    apr_int64_t room_nid, after_ord, upto_ord;
    mx_dir_e dir;
    int scan;                        /* events looked at, at most */
    int limit;                       /* events returned, at most */
    const char *const *types;        /* SQL LIKE patterns; NULL: all */
    int ntypes;
    const char *const *not_types;
    int nnot_types;
    const char *const *senders;      /* user ids; NULL: all */
    int nsenders;
    const char *const *not_senders;
    int nnot_senders;
    const mx_store_relation_ask_t *relation; /* children of an event alone, and nothing of the above is asked; NULL: the timeline */
} mx_store_page_ask_t;

typedef struct mx_store_page_t {
    mx_event_row_t *rows;
    int n;
    int scanned;                     /* events looked at */
    apr_int64_t last_ord;            /* of the last one looked at, if any */
} mx_store_page_t;

/** Rejected, soft-failed and outlying events are never seen. One query. */
apr_status_t mx_store_page_read(mx_store_page_t *out, mx_store_t *store, const mx_store_page_ask_t *ask,
                                apr_pool_t *pool);
/** A filter's type ("m.room.*") as a LIKE pattern, in `pool`. */
const char *mx_store_page_pattern(const char *type, apr_pool_t *pool);

#endif
