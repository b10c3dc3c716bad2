/* SPDX-License-Identifier: Apache-2.0 */
/* What a user wants to be told of: push rules, ready to be asked, and ignored users. CS-API: push rules; ignoring users. */
#ifndef MX_USER_PUSH_SETTINGS_H
#define MX_USER_PUSH_SETTINGS_H

#include "core/push_eval.h"
#include "server/server.h"
#include "server/who.h"

#define MX_USER_IGNORED_MAX 10000    /* users that one may ignore; those after it are not */

typedef struct mx_user_push_settings_t {
    const mx_push_set_t *rules;
    apr_int64_t *ignored;            /* user nids, ascending */
    int nignored;
} mx_user_push_settings_t;

/** As they are now, in `pool`. At most two queries. */
const mx_error_t *mx_user_push_settings_get(mx_user_push_settings_t **psettings, mx_server_t *server, const mx_who_t *who,
                                            apr_pool_t *pool);
int mx_user_push_settings_ignores(const mx_user_push_settings_t *settings, apr_int64_t user_nid);
/** Only whom the user ignores, ascending, in `pool`. At most two queries. */
const mx_error_t *mx_user_push_settings_ignored(apr_int64_t **pnids, int *pn, mx_server_t *server, const mx_who_t *who, apr_pool_t *pool);

#endif
