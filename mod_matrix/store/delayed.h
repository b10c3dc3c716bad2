/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events that are sent later: rows of delayed_event (sql/0019_calls.sql). Times are in ms of the database's clock, which alone says
 * when one is due. Who sends one takes it first, for MX_STORE_DELAYED_TAKEN_MS at most: so it is neither sent twice nor cancelled while it
 * is being sent; and it is sent under a transaction id of its own, so one that was taken and stored is not stored again.
 */
#ifndef MX_STORE_DELAYED_H
#define MX_STORE_DELAYED_H

#include "store/store.h"

#define MX_STORE_DELAYED_TAKEN_MS 60000
#define MX_STORE_DELAYED_KEPT 1000   /* finalised ones of a user; the older ones go when it schedules the next */

typedef struct mx_delayed_t {
    const char *delay_id, *room_id, *type;
    const char *state_key;           /* NULL: no state event */
    mx_slice_t content;              /* canonical */
    const apr_int64_t *sticky_ms;    /* NULL: not sticky */
    apr_int64_t delay_ms, scheduled_ts;
    apr_int64_t finalised_ts;        /* 0: still scheduled */
    mx_slice_t event_id;             /* packed; p NULL: not sent */
    mx_slice_t error;                /* JSON; p NULL: none */
    /* of one that was taken */
    apr_int64_t user_nid;
    const char *user_id;
    int guest, admin, deactivated;
    int tries;                       /* this one included */
} mx_delayed_t;

/** For whom, and which transaction asks for it. */
typedef struct mx_delayed_ask_t {
    apr_int64_t user_nid, device_nid;
    const char *txn_id, *scope;      /* NULL: none */
    int max;                         /* so many may be scheduled */
} mx_delayed_ask_t;

/**
 * Of `event` what is the event's and delay_id, the new one, is read. *pdelay_id: that, or the id which the same transaction got before;
 * NULL: the user has `max` of them, the next is due in *pwait_ms.
 */
apr_status_t mx_store_delayed_schedule(const char **pdelay_id, apr_int64_t *pwait_ms, mx_store_t *store, const mx_delayed_t *event,
                                       const mx_delayed_ask_t *ask, apr_pool_t *pool);

/** What became of an order. */
typedef enum {
    MX_DELAYED_DONE,                 /* or it was so before */
    MX_DELAYED_NONE,                 /* the user has no such event */
    MX_DELAYED_ENDED,                /* otherwise than it is asked to */
    MX_DELAYED_BUSY                  /* it is being sent just now */
} mx_delayed_outcome_e;
typedef enum { MX_DELAYED_CANCEL, MX_DELAYED_RESTART } mx_delayed_change_e;
apr_status_t mx_store_delayed_change(mx_delayed_outcome_e *poutcome, mx_store_t *store, apr_int64_t user_nid, const char *delay_id,
                                     mx_delayed_change_e change, apr_pool_t *pool);

/** MX_STORE_NONE: the user has no such event. */
apr_status_t mx_store_delayed_get(mx_delayed_t *out, mx_store_t *store, apr_int64_t user_nid, const char *delay_id, apr_pool_t *pool);
/** Those of a user that are scheduled, the next one first. */
apr_status_t mx_store_delayed_list(mx_delayed_t **pevents, int *pn, mx_store_t *store, apr_int64_t user_nid, apr_pool_t *pool);

/** Takes the one that is due longest. MX_STORE_NONE: none is. */
apr_status_t mx_store_delayed_take(mx_delayed_t *out, mx_store_t *store, apr_pool_t *pool);
/** Takes this one, due or not. MX_STORE_NONE: it is not the user's, ended, or is being sent: mx_store_delayed_get() says which. */
apr_status_t mx_store_delayed_take_one(mx_delayed_t *out, mx_store_t *store, apr_int64_t user_nid, const char *delay_id, apr_pool_t *pool);
/** One that was taken was sent (`event_id`, packed), or never will be (`error`). */
apr_status_t mx_store_delayed_finish(mx_store_t *store, const char *delay_id, mx_slice_t event_id, mx_slice_t error, apr_pool_t *pool);
/** One that was taken stays scheduled; nobody tries in the next `wait_ms`. 0: as if nobody had tried. */
apr_status_t mx_store_delayed_give_back(mx_store_t *store, const char *delay_id, apr_int64_t wait_ms, apr_pool_t *pool);
/** In how many ms one is due, 0: now; MX_STORE_NONE: none is scheduled. */
apr_status_t mx_store_delayed_next(apr_int64_t *pms, mx_store_t *store, apr_pool_t *pool);

/** Inside a transaction: the user's are gone. */
apr_status_t mx_store_delayed_forget(mx_conn_t *conn, apr_int64_t user_nid, apr_pool_t *pool);

#endif
