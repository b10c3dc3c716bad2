/* SPDX-License-Identifier: Apache-2.0 */
/* What user/ keeps in a child, and whether an account is there. */
#include "store/user.h"
#include "user/user_private.h"

#define SEAL_PURPOSE "mod_matrix user-interactive authentication"

apr_status_t mx_user_init(mx_server_t *server)
{
    mx_user_state_t *state = apr_pcalloc(server->pool, sizeof(*state));
    mx_slice_t seed = mx_slice((const char *)server->key.key.secret, MX_ED25519_SEED_BYTES);
    apr_status_t rv;

    server->user = state;
    /* The same in all children and hosts of a server, and not in the database. */
    mx_hmac_sha256(state->seal_key, seed, MX_SLICE_LIT(SEAL_PURPOSE));
    rv = apr_thread_mutex_create(&state->hash_lock, APR_THREAD_MUTEX_DEFAULT, server->pool);
    if (!rv) rv = apr_thread_cond_create(&state->hash_done, server->pool);
    if (!rv) rv = mx_user_token_init(server);
    return rv;
}

const mx_error_t *mx_user_exists(int *pexists, mx_server_t *server, const char *user_id, apr_pool_t *pool)
{
    mx_account_row_t *account = NULL;
    apr_status_t rv = mx_store_user_find(&account, server->store, &user_id, 1, pool);

    if (rv && rv != MX_STORE_NONE) return mx_server_store_error(rv, "looking for an account", pool);
    *pexists = rv == APR_SUCCESS;
    return NULL;
}
