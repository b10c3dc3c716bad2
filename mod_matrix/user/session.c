/* SPDX-License-Identifier: Apache-2.0 */
/* Devices with their tokens: opening and refreshing sessions. */
#include "user/session.h"

#include "core/ident.h"
#include "user/user_private.h"

/* The prefix tells people and secret scanners what they found. The rest has more than 255 bits. */
#define ACCESS_PREFIX "mxa_"
#define REFRESH_PREFIX "mxr_"
#define TOKEN_CHARS 43

#define DEVICE_ID_MAX_BYTES 255
#define DEVICE_ID_CHARS 10
#define DEVICE_NAME_MAX_BYTES 256
#define FORGET_MS                                                                                                      \
    (24 * 60 * 60 * 1000) /* an expired access token is remembered so long: its holder is told to refresh */
#define TRIES 3           /* of a transaction that the database broke off to resolve a deadlock */

static const char device_alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

const mx_error_t *mx_user_session_check_name(const char *display_name, apr_pool_t *pool)
{
    if (display_name && strlen(display_name) > DEVICE_NAME_MAX_BYTES)
        return mx_error_make(pool, MX_E_TOO_LARGE, "The name of a device may have at most %d bytes.",
                             DEVICE_NAME_MAX_BYTES);
    return NULL;
}

const mx_error_t *mx_user_session_check(const mx_user_session_request_t *request, apr_pool_t *pool)
{
    if (request->device_id && !mx_ident_is_opaque(request->device_id, DEVICE_ID_MAX_BYTES))
        return mx_error_make(pool, MX_E_INVALID_PARAM, "device_id must have 1 to %d bytes.", DEVICE_ID_MAX_BYTES);
    return mx_user_session_check_name(request->display_name, pool);
}

static char *token_create(const char *prefix, mx_slice_t *phash, apr_pool_t *pool)
{
    char *token = apr_pstrcat(pool, prefix, mx_random_string(mx_alphabet_alnum, TOKEN_CHARS, pool), NULL);
    unsigned char *hash = apr_palloc(pool, MX_SHA256_BYTES);

    mx_sha256(hash, token, strlen(token));
    *phash = mx_slice((char *)hash, MX_SHA256_BYTES);
    return token;
}

/** Draws the tokens, for a client that can refresh or for one that cannot; `open` gets what the database is to know of
 * them. */
static mx_user_session_t *tokens_create(mx_token_open_t *open, const mx_settings_t *settings, int refresh,
                                        apr_time_t now, apr_pool_t *pool)
{
    mx_user_session_t *session = apr_pcalloc(pool, sizeof(*session));
    apr_int64_t *expires = apr_palloc(pool, 2 * sizeof(*expires));

    open->now_ms = apr_time_as_msec(now);
    session->access_token = token_create(ACCESS_PREFIX, &open->access_hash, pool);
    if (!refresh) return session;
    session->refresh_token = token_create(REFRESH_PREFIX, &open->refresh_hash, pool);
    session->expires_in_ms = settings->access_token_ms;
    expires[0] = open->now_ms + settings->access_token_ms;
    open->access_expires_ts = &expires[0];
    if (settings->refresh_token_ms) {
        expires[1] = open->now_ms + settings->refresh_token_ms;
        open->refresh_expires_ts = &expires[1];
    }
    return session;
}

apr_status_t mx_user_session_open(mx_user_session_t **psession, apr_int64_t *pepoch, mx_server_t *server,
                                  mx_conn_t *conn, apr_int64_t user_nid, const char *user_id, const char *password_hash,
                                  const mx_user_session_request_t *request, apr_pool_t *pool)
{
    mx_token_open_t open = { .user_nid = user_nid,
                             .password_hash = password_hash,
                             .device_id = request->device_id,
                             .display_name = request->display_name,
                             .ip = request->ip };
    mx_user_session_t *session = tokens_create(&open, server->settings, request->refresh_token, request->now, pool);
    apr_status_t rv;

    if (!open.device_id) open.device_id = mx_random_string(device_alphabet, DEVICE_ID_CHARS, pool);
    rv = mx_store_token_open(pepoch, conn, &open, pool);
    if (rv) return rv;
    session->user_id = user_id;
    session->device_id = open.device_id;
    *psession = session;
    return APR_SUCCESS;
}

/** One try. *pexpired: the token is known but has expired. */
static apr_status_t refresh_once(mx_user_session_t **psession, int *pexpired, mx_server_t *server,
                                 const unsigned char hash[MX_SHA256_BYTES], apr_time_t now, apr_pool_t *pool)
{
    mx_token_open_t open = { 0 };
    mx_user_session_t *session = tokens_create(&open, server->settings, 1, now, pool);
    mx_refresh_row_t old = { 0 };
    mx_conn_t *conn = NULL;
    apr_int64_t epoch = 0;
    apr_status_t rv = mx_store_borrow(&conn, server->store, pool);

    if (!rv) rv = mx_store_begin(conn);
    if (!rv) rv = mx_store_token_refresh_find(&old, conn, hash, pool);
    *pexpired = !rv && old.expires_ts && old.expires_ts <= open.now_ms;
    if (!rv && (*pexpired || old.deactivated)) rv = MX_STORE_NONE;
    /* Using a refresh token ends the one that it was got for, as using its access token does. */
    if (!rv) rv = mx_store_token_confirm(&epoch, conn, old.refresh_nid, old.user_nid, open.now_ms, pool);
    if (!rv) rv = mx_store_token_refresh_exchange(conn, &old, &open, open.now_ms - FORGET_MS, pool);
    if (!rv) rv = mx_store_commit(conn);
    mx_store_return(conn);
    if (rv) return rv;
    mx_user_token_moved(server, old.user_nid, epoch);
    *psession = session;
    return APR_SUCCESS;
}

const mx_error_t *mx_user_session_refresh(mx_user_session_t **psession, mx_server_t *server, const char *refresh_token,
                                          apr_time_t now, apr_pool_t *pool)
{
    unsigned char hash[MX_SHA256_BYTES];
    apr_status_t rv = MX_STORE_RETRY;
    int expired = 0;
    mx_error_t *err;

    mx_sha256(hash, refresh_token, strlen(refresh_token));
    for (int i = 0; i < TRIES && rv == MX_STORE_RETRY; i++)
        rv = refresh_once(psession, &expired, server, hash, now, pool);
    if (!rv) return NULL;
    if (rv != MX_STORE_NONE) return mx_server_store_error(rv, "exchanging a refresh token", pool);
    if (!expired)
        return mx_error_make(pool, MX_E_UNKNOWN_TOKEN, "The refresh token is not known or has already been used.");
    err = mx_error_copy(pool, mx_error_make(pool, MX_E_UNKNOWN_TOKEN, "The refresh token has expired; log in again."));
    err->extra = mx_json_new_object(pool);
    mx_json_set_bool(err->extra, "soft_logout", 1);
    return err;
}
