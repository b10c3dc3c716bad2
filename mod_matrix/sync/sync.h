/* SPDX-License-Identifier: Apache-2.0 */
/* The public face of sync/: the answer of GET /sync, and who is woken when. */
#ifndef MX_SYNC_SYNC_H
#define MX_SYNC_SYNC_H

#include "core/filter.h"
#include "room/room.h"
#include "server/server.h"
#include "server/who.h"

/** Makes server->sync and installs itself as server's on_stream_moved. No thread or connection before somebody waits. */
apr_status_t mx_sync_init(mx_server_t *server);
/** Another child (or host) moved the stream: look soon. Any thread; cheap. */
void mx_sync_poked(mx_server_t *server);
/** The child stops: the notifier ends, connections close. */
void mx_sync_stop(mx_server_t *server);

/* ---- tokens: "s<position>" (sync/token.c) ---- */

/** A position of the stream as clients see it, in `pool`. */
const char *mx_sync_token_format(apr_int64_t position, apr_pool_t *pool);
/** M_INVALID_PARAM for anything that is no token of ours. Tokens of the future are refused too. */
const mx_error_t *mx_sync_token_parse(apr_int64_t *pposition, mx_server_t *server, const char *token, apr_pool_t *pool);
/** The watermark now: what a new token says. */
const mx_error_t *mx_sync_position(apr_int64_t *pposition, mx_server_t *server, apr_pool_t *pool);

#endif
