/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One pusher's turn: what it has to say since its cursor, one request after the other. The caller carries the requests; each step ends
 * with a commit. Of the runner's thread.
 */
#ifndef MX_WORKERS_PUSH_TURN_H
#define MX_WORKERS_PUSH_TURN_H

#include "base/http_out.h"
#include "store/push.h"
#include "sync/unread.h"

#define MX_WORKERS_PUSH_BATCH 50     /* events that are read at once */

typedef struct mx_workers_push_turn_t {
    mx_server_t *server;
    mx_who_t who;                    /* whose it is */
    mx_store_push_t push;            /* the counts in it are those that the gateway knows */
    mx_json_t *data;                 /* of the pusher, without its url */
    int event_id_only;
    apr_int64_t upto;                /* how far the stream was looked through when the turn began */
    mx_user_push_settings_t *settings;
    const mx_push_set_t *rules;
    mx_store_push_count_t *counts; int ncounts;      /* of rooms with unread events; room for one batch more */
    mx_store_push_event_t *events; int n, at;        /* a batch, and the next one of it */
    /* what is on its way: an event, or (NULL) counts alone */
    const mx_store_push_event_t *sending;
    apr_int64_t unread, calls;       /* as it tells them */
    mx_store_push_count_t count;     /* of the event's room, with the event; room_nid 0: none */
    apr_pool_t *pool, *batch, *step; /* of the turn, of a batch, of what is on its way */
} mx_workers_push_turn_t;

/** Begins a turn: reads what the user wants, and counts what must be counted. What `push` points to must live as long as the turn. */
const mx_error_t *mx_workers_push_turn_create(mx_workers_push_turn_t **pturn, mx_server_t *server, const mx_store_push_t *push,
                                              apr_int64_t upto, apr_pool_t *pool);
/** The next request's body, valid until the next call; p NULL: nothing is left, which is in the database. */
const mx_error_t *mx_workers_push_turn_next(mx_slice_t *pjson, mx_workers_push_turn_t *turn);
/** Its answer came, or none did. *pover: the turn is over, for it failed and has to wait, or the pusher is no more. */
const mx_error_t *mx_workers_push_turn_answer(int *pover, mx_workers_push_turn_t *turn, const mx_http_out_answer_t *answer, apr_time_t now);

/** The body of a request. `event` NULL: counts alone. In `pool`. Push Gateway API: POST /_matrix/push/v1/notify. (workers/push_body.c) */
const mx_error_t *mx_workers_push_body_write(mx_slice_t *pjson, const mx_workers_push_turn_t *turn, const mx_json_t *event,
                                             const mx_json_t *actions, apr_pool_t *pool);

#endif
