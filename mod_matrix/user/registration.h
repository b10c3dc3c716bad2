/* SPDX-License-Identifier: Apache-2.0 */
/* New accounts. CS-API: account registration. */
#ifndef MX_USER_REGISTRATION_H
#define MX_USER_REGISTRATION_H

#include "user/session.h"
#include "user/uia.h"

typedef struct mx_user_registration_t {
    const char *username;  /* as asked for; NULL: one is made */
    const char *password;  /* NULL: an account without one */
    int inhibit_login;     /* 1: no device, no tokens */
    const mx_who_t *guest; /* whose account is to become a user's, or NULL. CS-API: guest access */
    mx_user_session_request_t session;
} mx_user_registration_t;

/** NULL if people may register here at all, else M_FORBIDDEN. */
const mx_error_t *mx_user_registration_allowed(mx_server_t *server, apr_pool_t *pool);
/** NULL if the name is good and free: M_INVALID_USERNAME, M_USER_IN_USE. */
const mx_error_t *mx_user_registration_available(mx_server_t *server, const char *username, apr_pool_t *pool);
/** *pvalid 1 if the registration token can be used now. */
const mx_error_t *mx_user_registration_token_valid(int *pvalid, mx_server_t *server, const char *token, apr_time_t now,
                                                   apr_pool_t *pool);

/** Behind user-interactive authentication; account, device and tokens are made in one transaction. */
const mx_error_t *mx_user_register(mx_user_session_t **psession, mx_server_t *server, mx_uia_t *uia,
                                   const mx_user_registration_t *reg, apr_pool_t *pool);
/** A guest: of `request` only the name of the device counts. M_FORBIDDEN where guests are not wanted. */
const mx_error_t *mx_user_register_guest(mx_user_session_t **psession, mx_server_t *server,
                                         const mx_user_session_request_t *request, apr_pool_t *pool);

#endif
