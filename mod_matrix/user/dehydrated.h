/* SPDX-License-Identifier: Apache-2.0 */
/* A device that waits for its user's next login: it has keys and gets messages, and nobody is logged in to it. MSC3814. */
#ifndef MX_USER_DEHYDRATED_H
#define MX_USER_DEHYDRATED_H

#include "server/server.h"
#include "server/who.h"
#include "store/dehydrated.h"
#include "store/to_device.h"

#define MX_DEHYDRATED_ID_MAX_BYTES 255

/** Takes the place of the one before. M_BAD_JSON, M_MISSING_PARAM, M_INVALID_PARAM. The id given, from `body`. */
const mx_error_t *mx_user_dehydrated_put(const char **pdevice_id, mx_server_t *server, const mx_who_t *who, const mx_json_t *body,
                                         apr_time_t now, apr_pool_t *pool);
/** M_NOT_FOUND. */
const mx_error_t *mx_user_dehydrated_get(mx_dehydrated_t *out, mx_server_t *server, const mx_who_t *who, apr_pool_t *pool);
/** The id of the one that was deleted. M_NOT_FOUND. */
const mx_error_t *mx_user_dehydrated_delete(const char **pdevice_id, mx_server_t *server, const mx_who_t *who, apr_pool_t *pool);
/** Messages in (after, upto], the oldest first; they stay. M_FORBIDDEN if the user has no dehydrated device of that id. */
const mx_error_t *mx_user_dehydrated_messages(mx_to_device_row_t **prows, int *pn, mx_server_t *server, const mx_who_t *who,
                                              const char *device_id, apr_int64_t after, apr_int64_t upto, int limit, apr_pool_t *pool);

#endif
