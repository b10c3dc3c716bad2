/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a device publishes of itself. CS-API: end-to-end encryption, POST /keys/upload. Reading an upload needs no
 * database; storing it is one transaction, so a key that is refused takes all with it.
 */
#ifndef MX_USER_DEVICE_KEYS_H
#define MX_USER_DEVICE_KEYS_H

#include "server/server.h"
#include "server/who.h"
#include "store/device_keys.h"

#define MX_KEY_NAME_MAX_BYTES 255        /* an algorithm, the id of a key */
#define MX_KEY_UPLOAD_MAX 10000          /* one-time keys in one request */

/** An upload that was found good; lives in the pool it was read with. */
typedef struct mx_key_upload_t {
    mx_slice_t body;                     /* identity keys, canonical; p NULL: none */
    const mx_json_t *keys;               /* of them, what makes the device another one */
    mx_key_signatures_t signatures;      /* of the identity keys, by their owner; device_nid is not set */
    mx_key_list_t one_time, fallback;
} mx_key_upload_t;

/** Checks device_keys, one_time_keys and fallback_keys of a request for that device; each may be NULL. M_BAD_JSON,
    M_INVALID_PARAM, M_TOO_LARGE. */
const mx_error_t *mx_user_device_keys_read(mx_key_upload_t *out, const mx_json_t *request, const char *user_id, const char *device_id,
                                           apr_pool_t *pool);
/** Stores it inside the caller's transaction: M_INVALID_PARAM for a one-time key that was uploaded before with other content. */
const mx_error_t *mx_user_device_keys_store(mx_server_t *server, mx_conn_t *conn, apr_int64_t user_nid, apr_int64_t device_nid,
                                            mx_key_upload_t *upload, apr_pool_t *pool);
/** Both in a transaction of its own; *pstock is what is left of the device's keys afterwards. */
const mx_error_t *mx_user_device_keys_upload(mx_key_stock_t *pstock, mx_server_t *server, const mx_who_t *who, const mx_json_t *request,
                                             apr_pool_t *pool);

/** Cuts "<algorithm>:<id>"; 0 if it is none, or a part is too long. */
int mx_user_device_keys_split(const char **palgorithm, const char **pid, const char *name, apr_pool_t *pool);
/** The signatures that `signer` made: only well-formed ones are asked for. M_BAD_JSON. `list` keeps its key_id. */
const mx_error_t *mx_user_device_keys_signatures(mx_key_signatures_t *list, const mx_json_t *signatures, const char *signer,
                                                 apr_pool_t *pool);

#endif
