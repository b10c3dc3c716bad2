/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions: devices with their tokens. CS-API: relationship between access tokens and devices. */
#ifndef MX_USER_SESSION_H
#define MX_USER_SESSION_H

#include "server/server.h"
#include "server/who.h"

/** What a client asks for. */
typedef struct mx_user_session_request_t {
    const char *device_id;    /* NULL: one is made */
    const char *display_name; /* of a new device; may be NULL */
    int refresh_token;        /* 1: an access token that expires, and a refresh token */
    const char *ip;
    apr_time_t now;
} mx_user_session_request_t;

/** What it gets. */
typedef struct mx_user_session_t {
    const char *user_id;
    const char *device_id, *access_token; /* NULL: no login was wanted */
    const char *refresh_token;            /* NULL: none */
    apr_int64_t expires_in_ms;            /* of the access token; 0: never */
} mx_user_session_t;

/** Grammar and size of what was asked: M_INVALID_PARAM, M_TOO_LARGE. */
const mx_error_t *mx_user_session_check(const mx_user_session_request_t *request, apr_pool_t *pool);
/** The same for the name of a device alone; NULL is allowed. */
const mx_error_t *mx_user_session_check_name(const char *display_name, apr_pool_t *pool);

/**
 * Makes the device or reuses it, and its tokens, on a connection of the caller, who commits. *pepoch is for
 * mx_user_token_moved() after that. MX_STORE_NONE: the account is gone or has no longer `password_hash`.
 */
apr_status_t mx_user_session_open(mx_user_session_t **psession, apr_int64_t *pepoch, mx_server_t *server,
                                  mx_conn_t *conn, apr_int64_t user_nid, const char *user_id, const char *password_hash,
                                  const mx_user_session_request_t *request, apr_pool_t *pool);

/** POST /refresh: new tokens for a refresh token. M_UNKNOWN_TOKEN, with soft_logout for one that expired. */
const mx_error_t *mx_user_session_refresh(mx_user_session_t **psession, mx_server_t *server, const char *refresh_token,
                                          apr_time_t now, apr_pool_t *pool);

#endif
