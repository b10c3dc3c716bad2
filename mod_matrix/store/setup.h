/* SPDX-License-Identifier: Apache-2.0 */
/* What matrix-setup stores beside the schema, and how it helps where there is no database yet. */
#ifndef MX_STORE_SETUP_H
#define MX_STORE_SETUP_H

#include "store/store.h"

/** Makes the user an administrator who can log in with that password, whatever the account was before. *pcreated: it is new. */
apr_status_t mx_store_setup_admin(int *pcreated, mx_store_t *store, apr_int64_t user_nid, const char *password_hash,
                                  apr_int64_t now_ms, apr_pool_t *pool);

/**
 * If the server of the DSN answers but has no such database: the command that creates it, else NULL. Asks the server's
 * database "postgres".
 */
const char *mx_store_setup_createdb(const char *dsn, apr_pool_t *pool);

#endif
