/* SPDX-License-Identifier: Apache-2.0 */
/* Sending to devices. CS-API: send-to-device messaging. Reading them is /sync's (sync/). */
#ifndef MX_USER_TO_DEVICE_H
#define MX_USER_TO_DEVICE_H

#include "server/server.h"
#include "server/who.h"

#define MX_TO_DEVICE_NAME_MAX_BYTES 255      /* an event type, a transaction id */

/** Stores `messages` (user to device to content) for the devices that exist, once for each transaction id of the sending device and type.
    M_BAD_JSON, M_MISSING_PARAM, M_INVALID_PARAM, M_TOO_LARGE. */
const mx_error_t *mx_user_to_device_send(mx_server_t *server, const mx_who_t *who, const char *type, const char *txn_id,
                                         const mx_json_t *messages, apr_pool_t *pool);

#endif
