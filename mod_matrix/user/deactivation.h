/* SPDX-License-Identifier: Apache-2.0 */
/* The end of an account. CS-API: account deactivation. */
#ifndef MX_USER_DEACTIVATION_H
#define MX_USER_DEACTIVATION_H

#include "user/uia.h"

/**
 * POST /account/deactivate, behind user-interactive authentication: leaves all rooms, ends all sessions, closes the
 * account for ever; its name stays taken. `erase` also removes password, profile and account data.
 */
const mx_error_t *mx_user_deactivate(mx_server_t *server, mx_uia_t *uia, int erase, apr_pool_t *pool);

#endif
