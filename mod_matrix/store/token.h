/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Access and refresh tokens, by their SHA-256. Users are spread over MX_TOKEN_SHARDS epochs: whoever takes a token back
 * adds one to the epoch of its user in the same transaction, so that a token read at an older epoch must be read again.
 */
#ifndef MX_STORE_TOKEN_H
#define MX_STORE_TOKEN_H

#include "base/crypto.h"
#include "store/store.h"

#define MX_TOKEN_SHARDS 64
#define MX_TOKEN_SHARD(user_nid) ((int)((user_nid) & (MX_TOKEN_SHARDS - 1)))

typedef struct mx_token_row_t {
    apr_int64_t user_nid, device_nid;
    const char *user_id, *device_id;
    apr_int64_t expires_ts;   /* ms; 0: never */
    apr_int64_t last_seen_ts; /* of the device; 0: never */
    apr_int64_t epoch;        /* of the user's shard, in the same snapshot */
    apr_int64_t refresh_nid;  /* the refresh token it came with, or 0 */
    int guest, admin, deactivated;
    int unconfirmed; /* the refresh token before it still is good: this is the first use */
} mx_token_row_t;

/** An access token with its owner, expired ones included; MX_STORE_NONE. */
apr_status_t mx_store_token_lookup(mx_token_row_t **pout, mx_store_t *store, const unsigned char hash[MX_SHA256_BYTES],
                                   apr_pool_t *pool);
/** All epochs, in the order of the shards. */
apr_status_t mx_store_token_epochs(apr_int64_t out[MX_TOKEN_SHARDS], mx_store_t *store, apr_pool_t *pool);
/**
 * The tokens that came with refresh token `refresh_nid` were used: the refresh token exchanged for it ends, and what
 * access tokens came with that one count as expired from now on. *pepoch is the new epoch, 0 if there was nothing to
 * end.
 */
apr_status_t mx_store_token_confirm(apr_int64_t *pepoch, mx_conn_t *conn, apr_int64_t refresh_nid, apr_int64_t user_nid,
                                    apr_int64_t now_ms, apr_pool_t *pool);

/** New tokens for a device. */
typedef struct mx_token_open_t {
    apr_int64_t user_nid;
    const char *password_hash; /* must still be the account's (NULL: it must have none) */
    const char *device_id, *display_name, *ip;
    mx_slice_t access_hash, refresh_hash;                      /* refresh_hash MX_SLICE_NONE: none */
    const apr_int64_t *access_expires_ts, *refresh_expires_ts; /* ms; NULL: never */
    apr_int64_t now_ms;
} mx_token_open_t;
/**
 * Makes the device, or takes the old tokens of the one there is (its name stays), and gives it the new ones.
 * MX_STORE_NONE if the account is gone, deactivated, or has another password by now. *pepoch: the new epoch, 0 if there
 * were no old tokens.
 */
apr_status_t mx_store_token_open(apr_int64_t *pepoch, mx_conn_t *conn, const mx_token_open_t *open, apr_pool_t *pool);

typedef struct mx_refresh_row_t {
    apr_int64_t refresh_nid, device_nid, user_nid;
    apr_int64_t next_nid;   /* 0: not exchanged */
    apr_int64_t expires_ts; /* ms; 0: never */
    int deactivated;
} mx_refresh_row_t;
/** Finds a refresh token and locks it until the end of the transaction; MX_STORE_NONE. */
apr_status_t mx_store_token_refresh_find(mx_refresh_row_t *out, mx_conn_t *conn,
                                         const unsigned char hash[MX_SHA256_BYTES], apr_pool_t *pool);
/**
 * Exchanges it for new tokens (of `open`: hashes, expiry and now). Tokens of an earlier exchange that nobody used are
 * dropped; access tokens of the device that expired before `forget_ts` are too.
 */
apr_status_t mx_store_token_refresh_exchange(mx_conn_t *conn, const mx_refresh_row_t *old, const mx_token_open_t *open,
                                             apr_int64_t forget_ts, apr_pool_t *pool);

#endif
