/* SPDX-License-Identifier: Apache-2.0 */
/* What a user has not read: sql/0014_push.sql, unread_events(). And what decides of it: push rules, ignored users. */
#ifndef MX_STORE_UNREAD_H
#define MX_STORE_UNREAD_H

#include "store/event.h"

/** The user's account data that decides what counts; p NULL: not set. One query. */
typedef struct mx_store_unread_rules_t {
    mx_slice_t push_rules, ignored;
    apr_int64_t rules_stream, ignored_stream;   /* where each was set; 0: not set */
} mx_store_unread_rules_t;
apr_status_t mx_store_unread_rules(mx_store_unread_rules_t *out, mx_store_t *store, apr_int64_t user_nid, apr_pool_t *pool);
/** nids of those of the users that are known, in no order. */
apr_status_t mx_store_unread_users(apr_int64_t **pnids, int *pn, mx_store_t *store, const char *const *user_ids, int n,
                                   apr_pool_t *pool);

/** Whose unread events, of which rooms. */
typedef struct mx_store_unread_ask_t {
    apr_int64_t user_nid;
    const apr_int64_t *rooms;        /* n of them: room, up to which position, whether events of every type count */
    const apr_int64_t *upto;
    const int *all;
    int n;
    const apr_int64_t *ignored; int nignored;
} mx_store_unread_ask_t;

/** 1 if a predefined rule may notify of an event for this type alone. Pure. */
int mx_store_unread_counts_type(const char *type);

/** Unread events that are alike. A room without any has one row, of count 0 and no type. */
typedef struct mx_store_unread_row_t {
    apr_int64_t room_nid, members, count;
    const char *thread;              /* event id of the root; NULL: main timeline */
    int type_nid, marks;             /* mx_push_mark_e */
} mx_store_unread_row_t;
apr_status_t mx_store_unread_count(mx_store_unread_row_t **pout, int *pn, mx_store_t *store, const mx_store_unread_ask_t *ask,
                                   apr_pool_t *pool);

/** One unread event. */
typedef struct mx_store_unread_event_t {
    mx_event_row_t event;
    const char *thread;
} mx_store_unread_event_t;
/** The newest `limit` unread events of each room, of every type, newest first. `all` is not asked. */
apr_status_t mx_store_unread_events(mx_store_unread_event_t **pout, int *pn, mx_store_t *store, const mx_store_unread_ask_t *ask, int limit,
                                    apr_pool_t *pool);

#endif
