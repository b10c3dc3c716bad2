/* SPDX-License-Identifier: Apache-2.0 */
/* Who is it? Identifiers and passwords. CS-API: identifier types, login. */
#ifndef MX_USER_LOGIN_H
#define MX_USER_LOGIN_H

#include "store/user.h"
#include "user/session.h"

/**
 * Reads the user from `identifier` (m.id.user), or from the old `user` of `obj`: a localpart or a whole id.
 * M_MISSING_PARAM, M_BAD_JSON, M_UNKNOWN 400 for an identifier type that does not exist, M_FORBIDDEN for third-party
 * ones: none is known here.
 */
const mx_error_t *mx_user_login_identify(const char **puser, const mx_json_t *obj, apr_pool_t *pool);

/**
 * The account of `user` (localpart or whole id, upper case folded if need be) if that is its password. M_FORBIDDEN
 * alike, and after the same time, for an unknown user and a wrong password; M_USER_DEACTIVATED if the password is
 * right.
 */
const mx_error_t *mx_user_login_verify(mx_account_row_t **paccount, mx_server_t *server, const char *user,
                                       const char *password, apr_pool_t *pool);

/** POST /login with m.login.password. */
const mx_error_t *mx_user_login(mx_user_session_t **psession, mx_server_t *server, const char *user,
                                const char *password, const mx_user_session_request_t *request, apr_pool_t *pool);

#endif
