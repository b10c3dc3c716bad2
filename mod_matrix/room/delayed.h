/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events that are sent later. MSC4140: cancellable delayed events. They are durable when they have an id. A background task
 * (server/runner.h) sends them at their time, in its order; rules and memberships are those of that time. A newer state event of the same
 * key does not cancel one. They outlive the device that scheduled them, not the account.
 */
#ifndef MX_ROOM_DELAYED_H
#define MX_ROOM_DELAYED_H

#include "room/room.h"
#include "store/delayed.h"

/** What is to be sent. */
typedef struct mx_room_delayed_t {
    const char *room_id, *type;
    const char *state_key;           /* NULL: no state event */
    const mx_json_t *content;
    const apr_int64_t *sticky_ms;    /* NULL: not sticky */
    apr_int64_t delay_ms;
    int older_form;                  /* the delay was a parameter of /send or /state, as earlier texts had it */
    const char *txn_id, *txn_scope;  /* NULL: none; one that is known gives the id that it was given before */
} mx_room_delayed_t;

/** Adds the task. In child_init, after mx_runner_init(). */
apr_status_t mx_room_delayed_init(mx_server_t *server);

/**
 * *pdelay_id in `pool`. M_NOT_FOUND for an unknown room; the errors of an event that could never be sent; M_FORBIDDEN (in the older form
 * M_UNKNOWN with org.matrix.msc4140.errcode) past MatrixMaxEventDelay; M_FORBIDDEN where MatrixMaxDelayedEvents is 0, M_LIMIT_EXCEEDED
 * with retry_after_ms past that.
 */
const mx_error_t *mx_room_delayed_schedule(const char **pdelay_id, mx_server_t *server, const mx_who_t *who,
                                           const mx_room_delayed_t *event, apr_pool_t *pool);

/** M_NOT_FOUND if the user has no such event; 409 M_UNKNOWN if it has ended otherwise; 503 if somebody sends it just now, for long. */
const mx_error_t *mx_room_delayed_change(mx_server_t *server, const mx_who_t *who, const char *delay_id, mx_delayed_change_e change,
                                         apr_pool_t *pool);
/** Sends it now. Same errors, and those of sending: then it stays scheduled. */
const mx_error_t *mx_room_delayed_send(mx_server_t *server, const mx_who_t *who, const char *delay_id, apr_pool_t *pool);

/** M_NOT_FOUND. */
const mx_error_t *mx_room_delayed_get(mx_delayed_t *out, mx_server_t *server, const mx_who_t *who, const char *delay_id, apr_pool_t *pool);

#endif
