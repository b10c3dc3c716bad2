/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose access token is this? Answers come from a cache of the child. What keeps them true in all children of all
 * hosts: taking a token back adds one to an epoch in the database (store/token.h), and a cached token counts only if it
 * was read at the newest epoch known and that knowledge is at most EPOCH_TRUST_US old. So a token is dead everywhere at
 * most that long after the answer to the logout, and in the child that took it back at once. Reading the epochs is one
 * small query, a few times a second while there is traffic, done ahead of time by one thread while the others go on.
 */
#include "store/device.h"
#include "user/user_private.h"

#include <time.h>

#define EPOCH_TRUST_US apr_time_from_msec(200)
#define EPOCH_AHEAD_US apr_time_from_msec(100) /* so long before the trust ends, one thread reads the epochs anew */
#define CACHE_US apr_time_from_sec(60)
#define ENTRY_BYTES 192 /* an entry of the cache beside the value */
#define SEEN_INTERVAL_MS (10 * 60 * 1000)

/* What the cache holds. Immutable but for `seen_ts`. */
typedef struct cached_token_t {
    apr_int64_t user_nid, device_nid;
    apr_int64_t epoch;      /* at which it was read */
    apr_int64_t expires_ts; /* ms; 0: never */
    apr_int64_t seen_ts;    /* ms; atomic */
    int guest, admin;
    apr_size_t user_id_bytes, device_id_bytes; /* with their NUL */
    char ids[];                                /* user id, NUL, device id, NUL */
} cached_token_t;

/** Never goes back, as the wall clock may. */
static apr_time_t monotonic_now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return apr_time_from_sec(ts.tv_sec) + ts.tv_nsec / 1000;
}

static void raise_to(apr_int64_t *place, apr_int64_t value)
{
    apr_int64_t seen = __atomic_load_n(place, __ATOMIC_RELAXED);

    while (seen < value && !__atomic_compare_exchange_n(place, &seen, value, 0, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
        ;
}

apr_status_t mx_user_token_init(mx_server_t *server)
{
    mx_user_state_t *state = server->user;

    state->tokens = mx_cache_create("tokens", mx_settings_cache_bytes(server->settings, MX_CACHE_TOKENS),
                                    mx_cache_value_destroy, server->pool);
    return apr_thread_mutex_create(&state->epoch_lock, APR_THREAD_MUTEX_DEFAULT, server->pool);
}

void mx_user_token_moved(mx_server_t *server, apr_int64_t user_nid, apr_int64_t epoch)
{
    raise_to(&server->user->epochs[MX_TOKEN_SHARD(user_nid)], epoch);
}

static apr_status_t epochs_read(mx_server_t *server, apr_pool_t *pool)
{
    mx_user_state_t *state = server->user;
    apr_time_t began = monotonic_now(); /* the snapshot is taken later: never trusted too long */
    apr_int64_t epochs[MX_TOKEN_SHARDS];
    apr_status_t rv = mx_store_token_epochs(epochs, server->store, pool);

    if (rv) return rv;
    for (int i = 0; i < MX_TOKEN_SHARDS; i++)
        raise_to(&state->epochs[i], epochs[i]);
    raise_to(&state->fresh_until, began + EPOCH_TRUST_US);
    return APR_SUCCESS;
}

/** Makes sure that the epochs known were read within the last EPOCH_TRUST_US. */
static apr_status_t epochs_trust(mx_server_t *server, apr_pool_t *pool)
{
    mx_user_state_t *state = server->user;
    apr_time_t left = __atomic_load_n(&state->fresh_until, __ATOMIC_ACQUIRE) - monotonic_now();
    apr_status_t rv = APR_SUCCESS;

    if (left > EPOCH_AHEAD_US) return APR_SUCCESS;
    if (left > 0) {
        if (__atomic_exchange_n(&state->refreshing, 1, __ATOMIC_ACQUIRE)) return APR_SUCCESS;
        epochs_read(server, pool); /* a failure is met by who comes after the trust has ended */
        __atomic_store_n(&state->refreshing, 0, __ATOMIC_RELEASE);
        return APR_SUCCESS;
    }
    apr_thread_mutex_lock(state->epoch_lock);
    if (__atomic_load_n(&state->fresh_until, __ATOMIC_ACQUIRE) <= monotonic_now()) rv = epochs_read(server, pool);
    apr_thread_mutex_unlock(state->epoch_lock);
    return rv;
}

static int cached_is_good(mx_server_t *server, const cached_token_t *token, apr_int64_t now_ms)
{
    apr_int64_t epoch = __atomic_load_n(&server->user->epochs[MX_TOKEN_SHARD(token->user_nid)], __ATOMIC_ACQUIRE);

    return token->epoch >= epoch && (!token->expires_ts || now_ms < token->expires_ts);
}

/** The device was seen: told to the database at most once in SEEN_INTERVAL_MS. A failure costs nobody his request. */
static void note_seen(mx_server_t *server, cached_token_t *token, const char *ip, apr_int64_t now_ms, apr_pool_t *pool)
{
    apr_int64_t seen = __atomic_load_n(&token->seen_ts, __ATOMIC_RELAXED);

    if (now_ms - seen < SEEN_INTERVAL_MS) return;
    if (!__atomic_compare_exchange_n(&token->seen_ts, &seen, now_ms, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) return;
    mx_store_device_seen(server->store, token->device_nid, now_ms, SEEN_INTERVAL_MS, ip, pool);
}

static mx_who_t *who_create(const cached_token_t *token, const unsigned char hash[MX_SHA256_BYTES], apr_pool_t *pool)
{
    mx_who_t *who = apr_palloc(pool, sizeof(*who));
    char *ids = apr_pmemdup(pool, token->ids, token->user_id_bytes + token->device_id_bytes);

    who->user_id = ids;
    who->device_id = ids + token->user_id_bytes;
    who->user_nid = token->user_nid;
    who->device_nid = token->device_nid;
    who->guest = token->guest;
    who->admin = token->admin;
    memcpy(who->token_hash, hash, MX_SHA256_BYTES);
    return who;
}

static cached_token_t *cached_create(apr_size_t *pbytes, const mx_token_row_t *row)
{
    apr_size_t user_id_bytes = strlen(row->user_id) + 1, device_id_bytes = strlen(row->device_id) + 1;
    cached_token_t *token;

    *pbytes = sizeof(*token) + user_id_bytes + device_id_bytes;
    token = mx_cache_value_create(*pbytes);
    token->user_nid = row->user_nid;
    token->device_nid = row->device_nid;
    token->epoch = row->epoch;
    token->expires_ts = row->expires_ts;
    token->seen_ts = row->last_seen_ts;
    token->guest = row->guest;
    token->admin = row->admin;
    token->user_id_bytes = user_id_bytes;
    token->device_id_bytes = device_id_bytes;
    memcpy(token->ids, row->user_id, user_id_bytes);
    memcpy(token->ids + user_id_bytes, row->device_id, device_id_bytes);
    return token;
}

static const mx_error_t *token_unknown(const char *message, int soft_logout, apr_pool_t *pool)
{
    mx_error_t *err = mx_error_copy(pool, mx_error_make(pool, MX_E_UNKNOWN_TOKEN, "%s", message));

    if (soft_logout) {
        err->extra = mx_json_new_object(pool);
        mx_json_set_bool(err->extra, "soft_logout", 1);
    }
    return err;
}

/** CS-API: refreshing access tokens. The first use of a token ends the refresh token that it was got for. */
static apr_status_t confirm(mx_server_t *server, mx_token_row_t *row, apr_int64_t now_ms, apr_pool_t *pool)
{
    mx_conn_t *conn = NULL;
    apr_int64_t epoch = 0;
    apr_status_t rv = mx_store_borrow(&conn, server->store, pool);

    if (!rv) rv = mx_store_token_confirm(&epoch, conn, row->refresh_nid, row->user_nid, now_ms, pool);
    mx_store_return(conn);
    if (rv) return rv;
    mx_user_token_moved(server, row->user_nid, epoch);
    if (row->epoch < epoch) row->epoch = epoch;
    return APR_SUCCESS;
}

/** Reads a token from the database and caches it. */
static const mx_error_t *token_load(cached_token_t **ptoken, mx_cache_ref_t **pref, mx_server_t *server,
                                    const unsigned char hash[MX_SHA256_BYTES], apr_time_t now, apr_pool_t *pool)
{
    mx_token_row_t *row = NULL;
    apr_size_t bytes;
    apr_time_t until = now + CACHE_US;
    apr_status_t rv = mx_store_token_lookup(&row, server->store, hash, pool);

    if (rv == MX_STORE_NONE)
        return token_unknown("The access token is not known: it never was valid or its device was logged out.", 0,
                             pool);
    if (rv) return mx_server_store_error(rv, "looking an access token up", pool);
    if (row->deactivated) return mx_error_make(pool, MX_E_USER_DEACTIVATED, "The account has been deactivated.");
    if (row->expires_ts && row->expires_ts <= apr_time_as_msec(now))
        return token_unknown("The access token has expired and must be refreshed.", 1, pool);
    if (row->unconfirmed) rv = confirm(server, row, apr_time_as_msec(now), pool);
    if (rv) return mx_server_store_error(rv, "ending a refresh token", pool);
    if (row->expires_ts && apr_time_from_msec(row->expires_ts) < until) until = apr_time_from_msec(row->expires_ts);
    *ptoken = cached_create(&bytes, row);
    mx_cache_set(pref, server->user->tokens, hash, MX_SHA256_BYTES, *ptoken, ENTRY_BYTES + bytes, until);
    return NULL;
}

static const mx_error_t *lookup_hash(mx_who_t **pwho, mx_server_t *server, const unsigned char hash[MX_SHA256_BYTES],
                                     const char *remote_ip, apr_pool_t *pool)
{
    apr_time_t now = apr_time_now();
    mx_cache_ref_t *ref = NULL;
    cached_token_t *token = mx_cache_get(&ref, server->user->tokens, hash, MX_SHA256_BYTES);
    const mx_error_t *err = NULL;

    if (token) {
        apr_status_t rv = epochs_trust(server, pool);
        if (rv || !cached_is_good(server, token, apr_time_as_msec(now))) {
            mx_cache_put(ref);
            if (rv) return mx_server_store_error(rv, "reading the token epochs", pool);
            token = NULL;
        }
    }
    if (!token) err = token_load(&token, &ref, server, hash, now, pool);
    if (err) {
        mx_cache_remove(server->user->tokens, hash, MX_SHA256_BYTES);
        return err;
    }
    if (remote_ip) note_seen(server, token, remote_ip, apr_time_as_msec(now), pool);
    *pwho = who_create(token, hash, pool);
    mx_cache_put(ref);
    return NULL;
}

const mx_error_t *mx_user_token_lookup(mx_who_t **pwho, mx_server_t *server, const char *token, const char *remote_ip,
                                       apr_pool_t *pool)
{
    unsigned char hash[MX_SHA256_BYTES];

    mx_sha256(hash, token, strlen(token));
    return lookup_hash(pwho, server, hash, remote_ip, pool);
}

const mx_error_t *mx_user_token_recheck(mx_server_t *server, const mx_who_t *who, apr_pool_t *pool)
{
    mx_who_t *now = NULL;

    return lookup_hash(&now, server, who->token_hash, NULL, pool);
}
