/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pushing, as the database sees it: the stream is looked through for pushers that may have something to say, each of which has a cursor of
 * its own (sql/0020_pusher.sql). Nothing is forgotten before the cursor has passed it.
 */
#ifndef MX_STORE_PUSH_H
#define MX_STORE_PUSH_H

#include "store/event.h"

/** Why a pusher is looked at: bits of pusher.look. */
enum { MX_PUSH_LOOK_EVENTS = 1, MX_PUSH_LOOK_READ = 2, MX_PUSH_LOOK_ALL = 4 };

/** 1 in *pany if there is any pusher. */
apr_status_t mx_store_push_any(int *pany, mx_store_t *store, apr_pool_t *pool);
/** Looks on through the stream, a bounded way; *ppos: how far it came, *pmore: something is left up to the watermark. */
apr_status_t mx_store_push_mark(apr_int64_t *ppos, int *pmore, mx_store_t *store, apr_pool_t *pool);

/** A pusher that is due. */
typedef struct mx_store_push_t {
    apr_int64_t nid, user_nid, pos, counted, changed_ts, failing_ts, told_unread, told_calls;
    const char *user_id, *app_id, *pushkey, *url;
    mx_slice_t body;
    int look, fails;
    apr_int64_t invites;             /* of its user, now */
} mx_store_push_t;
/**
 * At most `limit` of those that are due, the longest first, without those in `busy` and those with a URL in `full`. Without any *pnext_ms
 * says when the next one is due that is not busy; -1: none.
 */
apr_status_t mx_store_push_due(mx_store_push_t **pout, int *pn, apr_int64_t *pnext_ms, mx_store_t *store, const apr_int64_t *busy,
                               int nbusy, const char *const *full, int nfull, int limit, apr_pool_t *pool);

/** An event that may be pushed. */
typedef struct mx_store_push_event_t {
    mx_event_row_t event;
    apr_int64_t pos;                 /* where the cursor is when it was pushed */
    const char *room_id;
    int is_invite;                   /* the user is not in the room yet */
} mx_store_push_event_t;
/** What the user has not read of (after, upto], oldest first. */
apr_status_t mx_store_push_events(mx_store_push_event_t **pout, int *pn, mx_store_t *store, apr_int64_t user_nid, apr_int64_t after,
                                  apr_int64_t upto, const apr_int64_t *ignored, int nignored, int limit, apr_pool_t *pool);

/** Counts of a room. */
typedef struct mx_store_push_count_t {
    apr_int64_t room_nid, unread, calls, upto;
    const char *room_id;
    int moved;                       /* events or receipts of the user came after `upto` */
} mx_store_push_count_t;
/** In the order of rooms. */
apr_status_t mx_store_push_counts(mx_store_push_count_t **pout, int *pn, mx_store_t *store, apr_int64_t pusher_nid, apr_int64_t user_nid,
                                  apr_pool_t *pool);
/** Rooms that the user is joined to, in their order, with their ids. */
apr_status_t mx_store_push_rooms(apr_int64_t **pnids, const char ***pids, int *pn, mx_store_t *store, apr_int64_t user_nid,
                                 apr_pool_t *pool);
/** How many calls of the rooms are unread, up to a position, in the order of the rooms. */
apr_status_t mx_store_push_calls(apr_int64_t *out, mx_store_t *store, apr_int64_t user_nid, const apr_int64_t *rooms, int n,
                                 apr_int64_t upto, const apr_int64_t *ignored, int nignored, apr_pool_t *pool);
/** Puts the counts of these rooms in place of what was there; `all`: of all rooms, whose counts are as of `upto` then. */
apr_status_t mx_store_push_recount(mx_store_t *store, apr_int64_t pusher_nid, const mx_store_push_count_t *counts, int n, int all,
                                   apr_int64_t upto, apr_pool_t *pool);

/** One event was pushed, or given up: the cursor passes it and its room's counts are these (NULL: as they were). */
apr_status_t mx_store_push_sent(mx_store_t *store, const mx_store_push_t *push, apr_int64_t pos, const mx_store_push_count_t *count,
                                apr_pool_t *pool);
/** All up to `upto` is done, and the counts are these (see above): no reason is left to look, but those that came meanwhile. */
apr_status_t mx_store_push_done(mx_store_t *store, const mx_store_push_t *push, apr_int64_t upto, const mx_store_push_count_t *count,
                                apr_pool_t *pool);
/** It failed: due again in `due_ms`. */
apr_status_t mx_store_push_failed(mx_store_t *store, const mx_store_push_t *push, apr_int64_t now_ms, apr_int64_t due_ms, apr_pool_t *pool);
/** The gateway does not know the key any more. Whoever has the same key at the same gateway loses it too. */
apr_status_t mx_store_push_reject(mx_store_t *store, const mx_store_push_t *push, apr_pool_t *pool);


#endif
