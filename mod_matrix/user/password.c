/* SPDX-License-Identifier: Apache-2.0 */
/* Passwords: how strong, hashing, changing. */
#include "user/password.h"

#include "store/device.h"
#include "store/user.h"
#include "user/user_private.h"

#define PASSWORD_MAX_BYTES 511 /* CRYPT_MAX_PASSPHRASE_SIZE with its NUL */
#define HASHING_MAX 4          /* at once in a child: each takes 16 MB and more, and all of a core */

static apr_size_t count_characters(const char *utf8)
{
    apr_size_t n = 0;

    for (; *utf8; utf8++)
        n += ((unsigned char)*utf8 & 0xc0) != 0x80;
    return n;
}

const mx_error_t *mx_user_password_check_strength(mx_server_t *server, const char *password, apr_pool_t *pool)
{
    if (count_characters(password) < (apr_size_t)server->settings->password_min)
        return mx_error_make(pool, MX_E_WEAK_PASSWORD, "The password must have at least %d characters.",
                             server->settings->password_min);
    if (strlen(password) > PASSWORD_MAX_BYTES)
        return mx_error_make(pool, MX_E_INVALID_PARAM, "The password must have at most %d bytes.", PASSWORD_MAX_BYTES);
    return NULL;
}

static void hashing_enter(mx_user_state_t *state)
{
    apr_thread_mutex_lock(state->hash_lock);
    while (state->hashing >= HASHING_MAX)
        apr_thread_cond_wait(state->hash_done, state->hash_lock);
    state->hashing++;
    apr_thread_mutex_unlock(state->hash_lock);
}

static void hashing_leave(mx_user_state_t *state)
{
    apr_thread_mutex_lock(state->hash_lock);
    state->hashing--;
    apr_thread_cond_signal(state->hash_done);
    apr_thread_mutex_unlock(state->hash_lock);
}

const mx_error_t *mx_user_password_hash(const char **phash, mx_server_t *server, const char *password, apr_pool_t *pool)
{
    char *hash = NULL;
    apr_status_t rv;

    hashing_enter(server->user);
    rv = mx_password_hash(&hash, password, server->settings->password_cost, pool);
    hashing_leave(server->user);
    if (rv) return mx_error_internal(pool, rv, "hashing a password");
    *phash = hash;
    return NULL;
}

const mx_error_t *mx_user_password_verify(int *pgood, mx_server_t *server, const char *password, const char *hash,
                                          apr_pool_t *pool)
{
    const char *burnt = NULL;

    if (!hash) {
        /* Who has no password must not be told from who has another: hash all the same. */
        *pgood = 0;
        return strlen(password) <= PASSWORD_MAX_BYTES ? mx_user_password_hash(&burnt, server, password, pool) : NULL;
    }
    hashing_enter(server->user);
    *pgood = mx_password_verify(password, hash);
    hashing_leave(server->user);
    return NULL;
}

static apr_status_t change(apr_int64_t *pepoch, mx_server_t *server, mx_uia_t *uia, const char *hash,
                           int logout_devices, apr_pool_t *pool)
{
    apr_int64_t user_nid = mx_user_uia_user_nid(uia);
    mx_conn_t *conn = NULL;
    apr_status_t rv = mx_store_borrow(&conn, server->store, pool);

    if (!rv) rv = mx_store_begin(conn);
    if (!rv) rv = mx_user_uia_finish(uia, conn, pool);
    if (!rv) rv = mx_store_user_set_password(conn, user_nid, hash, pool);
    if (!rv && logout_devices)
        rv = mx_store_device_delete_all(pepoch, conn, user_nid, mx_user_uia_device_nid(uia), pool);
    if (!rv) rv = mx_store_commit(conn);
    mx_store_return(conn);
    return rv;
}

static const mx_uia_flow_t password_flows[] = { { { MX_UIA_PASSWORD } } };

const mx_error_t *mx_user_password_change(mx_server_t *server, mx_uia_t *uia, const char *new_password,
                                          int logout_devices, apr_pool_t *pool)
{
    const char *hash = NULL;
    apr_int64_t epoch = 0;
    apr_status_t rv;
    const mx_error_t *err = mx_user_password_check_strength(server, new_password, pool);

    if (!err) err = mx_user_uia_check(uia, password_flows, 1);
    if (!err) err = mx_user_password_hash(&hash, server, new_password, pool);
    if (err) return err;
    rv = change(&epoch, server, uia, hash, logout_devices, pool);
    if (rv == MX_STORE_NONE) return mx_user_uia_used_up(pool);
    if (rv) return mx_server_store_error(rv, "changing a password", pool);
    mx_user_token_moved(server, mx_user_uia_user_nid(uia), epoch);
    if (epoch) mx_server_stream_moved(server);
    return NULL;
}
