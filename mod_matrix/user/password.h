/* SPDX-License-Identifier: Apache-2.0 */
/* Passwords: how strong, hashing (never while a database connection is held), changing. */
#ifndef MX_USER_PASSWORD_H
#define MX_USER_PASSWORD_H

#include "server/server.h"
#include "server/who.h"
#include "user/uia.h"

/** M_WEAK_PASSWORD, or M_INVALID_PARAM for one that is longer than crypt(3) takes. */
const mx_error_t *mx_user_password_check_strength(mx_server_t *server, const char *password, apr_pool_t *pool);
/** Hashes it; may wait for other hashings to end. Tens of milliseconds. */
const mx_error_t *mx_user_password_hash(const char **phash, mx_server_t *server, const char *password,
                                        apr_pool_t *pool);
/** *pgood 1 if it is the password of that hash. A NULL hash takes as long and is never good. */
const mx_error_t *mx_user_password_verify(int *pgood, mx_server_t *server, const char *password, const char *hash,
                                          apr_pool_t *pool);

/**
 * POST /account/password, behind user-interactive authentication (which says whose password it is where there was no
 * token). `logout_devices` ends all sessions but the one that asked.
 */
const mx_error_t *mx_user_password_change(mx_server_t *server, mx_uia_t *uia, const char *new_password,
                                          int logout_devices, apr_pool_t *pool);

#endif
