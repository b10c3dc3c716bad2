/* SPDX-License-Identifier: Apache-2.0 */
/* Where a user wants to be pushed. CS-API: push notifications, GET /pushers, POST /pushers/set. Who pushes: workers/push.h. */
#ifndef MX_USER_PUSHER_H
#define MX_USER_PUSHER_H

#include "server/server.h"
#include "server/who.h"

#define MX_USER_PUSHER_TASK "push"   /* name of the task that pushes */
#define MX_PUSHER_APP_ID_MAX_CHARS 64
#define MX_PUSHER_KEY_MAX_BYTES 512
#define MX_PUSHER_BODY_MAX_BYTES 16384   /* all of a pusher: it goes with every push */

/** The user's pushers as JSON objects, oldest first, in `pool`. */
const mx_error_t *mx_user_pusher_list(mx_slice_t **pbodies, int *pn, mx_server_t *server, const mx_who_t *who, apr_pool_t *pool);
/**
 * Makes, changes or (`kind` null) deletes a pusher as the body of POST /pushers/set says; it lives as long as the device of `who`.
 * M_MISSING_PARAM; M_BAD_JSON for a wrong type; M_INVALID_PARAM for a kind that we do not have, a URL that is not allowed, too long
 * values, too many pushers.
 */
const mx_error_t *mx_user_pusher_set(mx_server_t *server, const mx_who_t *who, const mx_json_t *body, apr_time_t now, apr_pool_t *pool);

#endif
