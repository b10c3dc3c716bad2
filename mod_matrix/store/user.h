/* SPDX-License-Identifier: Apache-2.0 */
/* Local accounts. */
#ifndef MX_STORE_USER_H
#define MX_STORE_USER_H

#include "store/store.h"

/** An account as it is stored; strings live in the pool of the call. */
typedef struct mx_account_row_t {
    apr_int64_t user_nid;
    const char *user_id;
    const char *password_hash; /* crypt(3); NULL: no password login */
    int guest, admin, deactivated;
} mx_account_row_t;

/** The first of the ids that has an account; MX_STORE_NONE. */
apr_status_t mx_store_user_find(mx_account_row_t **pout, mx_store_t *store, const char *const *user_ids, int n,
                                apr_pool_t *pool);

/** A new account for the id behind `row->user_nid` (user_id and deactivated are not read); MX_STORE_DUPLICATE if it has
 * one. */
apr_status_t mx_store_user_insert(mx_conn_t *conn, const mx_account_row_t *row, apr_int64_t now_ms, apr_pool_t *pool);
/** A guest's account becomes a user's with row->password_hash; MX_STORE_NONE if it is none. */
apr_status_t mx_store_user_upgrade(mx_conn_t *conn, const mx_account_row_t *row, apr_pool_t *pool);
/** MX_STORE_NONE if there is no such account, or it was deactivated. */
apr_status_t mx_store_user_set_password(mx_conn_t *conn, apr_int64_t user_nid, const char *password_hash,
                                        apr_pool_t *pool);
/** Closes the account; `erase` also removes its password, profile and account data. The name stays taken. */
apr_status_t mx_store_user_deactivate(mx_conn_t *conn, apr_int64_t user_nid, int erase, apr_pool_t *pool);

#endif
