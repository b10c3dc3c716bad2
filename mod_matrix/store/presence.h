/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Presence: what devices say and when they were seen, and what that comes to for each user. A user's stream position moves when what
 * others are told changes, so devices that go on as they are cost no position. CS-API: presence. Times are in ms.
 */
#ifndef MX_STORE_PRESENCE_H
#define MX_STORE_PRESENCE_H

#include "store/store.h"

typedef enum { MX_PRESENCE_OFFLINE, MX_PRESENCE_UNAVAILABLE, MX_PRESENCE_ONLINE } mx_presence_e;

/** How time is read. */
typedef struct mx_presence_clock_t {
    apr_int64_t now_ms, active_ms, idle_ms;  /* currently_active for so long after an activity, online for so long */
} mx_presence_clock_t;

/** What a child has to say of a device. */
typedef struct mx_presence_device_t {
    apr_int64_t device_nid, user_nid;
    mx_presence_e state;
    apr_int64_t said_ms;             /* when its client said that */
    apr_int64_t until_ms;            /* it counts as connected until then */
    apr_int64_t active_ms;           /* last activity; 0: none is known */
} mx_presence_device_t;

typedef struct mx_presence_moved_t {
    apr_int64_t moved;               /* users of whom others are told */
    apr_int64_t due_ms;              /* when time alone will change somebody's presence; 0: never */
} mx_presence_moved_t;

/** Devices, each once. One statement; `told`: users who are told of in any case. */
apr_status_t mx_store_presence_touch(mx_presence_moved_t *out, mx_conn_t *conn, const mx_presence_device_t *devices, int n,
                                     const apr_int64_t *told, int ntold, const mx_presence_clock_t *clock, apr_pool_t *pool);
/** Those whose time has come, at most `limit`. */
apr_status_t mx_store_presence_sweep(mx_presence_moved_t *out, mx_conn_t *conn, int limit, const mx_presence_clock_t *clock,
                                     apr_pool_t *pool);
/** What the user says about himself; NULL: nothing. On the caller's transaction, with the touch that tells it. *pchanged: it was
    another. */
apr_status_t mx_store_presence_status(int *pchanged, mx_conn_t *conn, apr_int64_t user_nid, const char *status_msg, apr_pool_t *pool);

/** Presence of a user. Text points into the result. */
typedef struct mx_presence_row_t {
    apr_int64_t stream, user_nid;
    mx_presence_e state;
    int active;
    apr_int64_t active_ms;           /* 0: never */
    apr_int64_t due_ms;              /* mx_store_presence_get() alone */
    const char *status_msg;          /* NULL: none */
    const char *user_id;
    apr_int64_t *rooms; int nrooms;  /* mx_store_presence_news() alone: where it is told */
} mx_presence_row_t;

/** One user. A user without any is offline. */
apr_status_t mx_store_presence_get(mx_presence_row_t *out, mx_store_t *store, apr_int64_t user_nid, apr_pool_t *pool);
/** 1 if the two are joined to a room. */
apr_status_t mx_store_presence_shares(int *pshares, mx_store_t *store, apr_int64_t user_nid, apr_int64_t other_nid, apr_pool_t *pool);

/** Which rooms carry presence. */
typedef struct mx_presence_reach_t {
    int max_members;                 /* rooms with at most so many joined members do */
    int max_rooms;                   /* of one user, or one reader: those that moved last */
} mx_presence_reach_t;

/** Changes in (after, upto], in stream order. */
apr_status_t mx_store_presence_news(mx_presence_row_t **pout, int *pn, mx_conn_t *conn, apr_int64_t after, apr_int64_t upto,
                                    const mx_presence_reach_t *reach, int limit, apr_pool_t *pool);

/** What a reader asks for. */
typedef struct mx_presence_ask_t {
    apr_int64_t reader_nid, since, upto;    /* since < 0: all who are not offline */
    const apr_int64_t *entered; int nentered;   /* rooms the reader came into: all members who are not offline */
    const apr_int64_t *moved; int nmoved;   /* rooms whose members may have changed: those who came after `since` */
    mx_presence_reach_t reach;
    int limit;                              /* users looked at, the latest changes first; and again as many of rooms */
} mx_presence_ask_t;
/** Those who share a room with the reader, and the reader, each once. In the order of user_nid. */
apr_status_t mx_store_presence_told(mx_presence_row_t **pout, int *pn, mx_conn_t *conn, const mx_presence_ask_t *ask, apr_pool_t *pool);

#endif
