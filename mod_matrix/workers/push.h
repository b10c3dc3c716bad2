/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sends pushes to gateways. CS-API: push notifications; Push Gateway API. A task of the runner (server/runner.h): one child of one host
 * does it for all, in one thread, with up to MatrixPushConcurrency requests open.
 *
 * The stream is looked through once for all pushers: those whom something may concern are marked (store/push.h). Each marked one has its
 * turn (workers/push_turn.c): the push rules are asked of what its user has not read since its cursor, that is sent one by one, and the
 * cursor moves on in the database each time the gateway has answered. So a crash repeats a push at most, and loses none.
 */
#ifndef MX_WORKERS_PUSH_H
#define MX_WORKERS_PUSH_H

#include "server/server.h"

/** Adds the task; after mx_runner_init(), in child_init. */
apr_status_t mx_workers_push_init(mx_server_t *server);

#endif
