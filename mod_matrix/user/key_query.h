/* SPDX-License-Identifier: Apache-2.0 */
/* Asking for keys of others. CS-API: end-to-end encryption, POST /keys/query and /keys/claim. */
#ifndef MX_USER_KEY_QUERY_H
#define MX_USER_KEY_QUERY_H

#include "base/json_writer.h"
#include "server/server.h"
#include "server/who.h"

/** Writes the whole answer: `asked` maps users to lists of device ids, empty for all. M_BAD_JSON, M_INVALID_PARAM, M_TOO_LARGE. */
const mx_error_t *mx_user_key_query(mx_json_writer_t *w, mx_server_t *server, const mx_who_t *who, const mx_json_t *asked,
                                    apr_pool_t *pool);
/** Gives out one-time keys and writes the whole answer: `asked` maps users to devices to algorithms. The same errors. */
const mx_error_t *mx_user_key_claim(mx_json_writer_t *w, mx_server_t *server, const mx_json_t *asked, apr_pool_t *pool);

#endif
